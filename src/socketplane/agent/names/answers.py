"""What becomes of a query: an answer of ours, silence, or that it is somebody else's to answer. Pure but for chance."""

from __future__ import annotations

import random
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

import dns.rcode

from socketplane.agent.names import message
from socketplane.agent.names.message import Query
from socketplane.agent.names.table import Table


@dataclass(frozen=True, slots=True)
class Reply:
    """What goes back; nothing where there is none."""

    wire: bytes
    kind: str


@dataclass(frozen=True, slots=True)
class Inside:
    """The cluster's addresses."""

    pool: IPv4Network
    hosts: IPv4Network


@dataclass(frozen=True, slots=True)
class Forward:
    """The servers of this host are to be asked."""

    query: Query


def decide(table: Table, inside: Inside, source: IPv4Address, wire: bytes, *, stream: bool = False) -> Reply | Forward:
    """Judge what came from a source.

    What comes from inside the cluster and is no container of this host is refused. A name that means nothing on the
    asker's networks is forwarded, like any other: that it exists elsewhere is not told. Of who is on internal networks
    only, nothing is: to it there is no outside (and data leaves by questions, too). To others of this host (containers
    on Docker's own networks) no name means anything.
    """
    query = message.parse(wire)
    if query is None:
        return Reply(b"", "ignored")
    networks = table.sees(source)
    if networks is None:
        if source in inside.pool or source in inside.hosts:
            return Reply(message.refusal(query, dns.rcode.REFUSED), "refused")
        networks = ()
    if query.question is None:
        return Reply(message.refusal(query, query.error), "malformed")
    room = message.LARGEST if stream else query.room
    if (address := query.question.reverse) is not None:
        name = table.name_at(networks, address)
        if name is not None:
            return Reply(message.pointer(query, name, room), "answered")
        if address in inside.pool:  # nobody's whose name may be told
            return Reply(message.refusal(query, dns.rcode.NXDOMAIN), "answered")
    found = table.addresses(networks, query.question.name)
    if found is None and table.closed(networks):
        return Reply(message.refusal(query, dns.rcode.NXDOMAIN), "inside")
    if found is None:
        return Forward(query)
    random.shuffle(found)  # replicas share the load
    return Reply(message.addresses(query, found, room), "answered")
