"""What OVN makes of ACLs, in a few lines: enough of its match language to judge a packet by what we compiled.

tests/northd asks the real OVN the same questions.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any
from uuid import UUID

from socketplane.compile import Desired
from socketplane.compile.names import endpoint_port, host_port
from socketplane.model.selection import address_of
from socketplane.model.types import Address, Cluster, Endpoint
from socketplane.model.verdict import Party, View


@dataclass(frozen=True)
class Packet:
    """The first packet of a connection."""

    source: Address
    destination: Address
    protocol: str
    """tcp, udp, sctp or icmp."""
    port: int = 0


@dataclass(frozen=True)
class Outcome:
    """What becomes of a packet: the names of the ACLs that decide last, the labels that they give, and what is logged."""

    allow: bool
    names: set[str] = field(default_factory=set)
    logged: set[str] = field(default_factory=set)
    labels: set[int] = field(default_factory=set)


class Acls:
    """The ACLs and port groups of compiled rows. An ACL holds on every switch that has a port of its group."""

    def __init__(self, desired: Desired) -> None:
        rows = {key.uuid: row for key, row in desired.rows.items()}
        self._groups: dict[str, set[str]] = {}
        self._addresses: dict[str, set[Address]] = {}
        self._acls: list[tuple[str, Any]] = []
        switches: dict[str, UUID] = {}
        for key, row in desired.rows.items():
            if key.table == "Port_Group":
                self._groups[row["name"]] = set()
                self._addresses[row["name"]] = set()
        for edge in desired.edges:
            if edge.table == "Logical_Switch":
                switches[rows[edge.child]["name"]] = edge.parent
            if edge.table != "Port_Group":
                continue
            group = rows[edge.parent]["name"]
            if edge.column == "acls":
                self._acls.append((group, rows[edge.child]))
            else:
                self._groups[group].add(rows[edge.child]["name"])
                self._addresses[group] |= {
                    ip_address(part) for text in rows[edge.child]["addresses"] for part in text.split()[1:]
                }
        self._switch_of = switches
        self._switches = {group: {switches[port] for port in ports} for group, ports in self._groups.items()}

    def judge(self, stage: str, port: str, packet: Packet, host: str) -> Outcome:
        """Return what a port's ACLs of a stage do with a packet, tier by tier."""
        switch = self._switch_of[port]
        here = [acl for group, acl in self._acls if acl["direction"] == stage and switch in self._switches[group]]
        found = [acl for acl in here if self._matches(acl["match"], stage, port, packet, host)]
        logged: set[str] = set()
        for tier in sorted({acl.get("tier", 0) for acl in found}):
            of_tier = [acl for acl in found if acl.get("tier", 0) == tier]
            top = max(acl["priority"] for acl in of_tier)
            deciding = [acl for acl in of_tier if acl["priority"] == top]
            (action,) = {acl["action"] for acl in deciding}
            logged |= {acl["name"] for acl in deciding if acl["log"]}
            if action != "pass":
                return Outcome(
                    action not in ("drop", "reject"),
                    {acl["name"] for acl in deciding},
                    logged,
                    {acl["label"] for acl in deciding},
                )
        return Outcome(True, set(), logged)

    def _matches(self, match: str, stage: str, port: str, packet: Packet, host: str) -> bool:
        return all(self._holds(term, stage, port, packet, host) for term in match.split(" && "))

    def _holds(self, term: str, stage: str, port: str, packet: Packet, host: str) -> bool:
        if term.startswith("("):
            return any(self._holds(one, stage, port, packet, host) for one in term.strip("()").split(" || "))
        if term.startswith("is_chassis_resident"):
            return term == f'is_chassis_resident("{host_port(host)}")'
        if " <= " in term:
            first, field, last = term.split(" <= ")
            return packet.protocol == _transport(field) and int(first) <= packet.port <= int(last)
        if " == " not in term:
            return term in ("ip", f"ip{packet.source.version}", packet.protocol)
        field, value = term.split(" == ")
        if field in ("inport", "outport"):
            assert field == ("inport" if stage == "from-lport" else "outport"), "a field of the other stage"
            return port in self._groups[value.removeprefix("@")]
        if field in ("ip4.src", "ip4.dst", "ip6.src", "ip6.dst"):
            address = packet.source if field.endswith("src") else packet.destination
            if f"ip{address.version}" != field.partition(".")[0]:
                return False
            if value.startswith("$"):
                group, _, family = value[1:].rpartition("_")
                assert family == field.partition(".")[0], "a set of the other version"
                return address in self._addresses[group]
            return any(address in ip_network(text) for text in _set(value))
        return packet.protocol == _transport(field) and packet.port in map(int, _set(value))


def _set(value: str) -> list[str]:
    return value.strip("{}").split(", ")


def _transport(field: str) -> str:
    protocol, _, attribute = field.partition(".")
    assert attribute == "dst"
    return protocol


def passes(
    view: View, acls: Acls, source: Party, destination: Party, protocol: str, port: int, *, version: int = 4
) -> Outcome:
    """Return what becomes of a packet between two ends: source's ACLs, the router, destination's ACLs."""
    start, end = address_of(source, version), address_of(destination, version)
    if start is None or end is None:
        return Outcome(False)  # port security, or no address to send to
    packet = Packet(start, end, protocol, port)
    out = Outcome(True)
    if isinstance(source, Endpoint):
        out = acls.judge("from-lport", endpoint_port(source), packet, source.host)
    networks = {end.network for end in (source, destination) if isinstance(end, Endpoint)}
    routed = len(networks) != 1 or not (isinstance(source, Endpoint) and isinstance(destination, Endpoint))
    if not out.allow:
        return out
    if routed and any(view.networks[uuid].internal for uuid in networks):
        return Outcome(False, set(), out.logged)
    if not isinstance(destination, Endpoint):
        return Outcome(not in_pool(view.cluster, destination), out.names, out.logged, out.labels)
    into = acls.judge("to-lport", endpoint_port(destination), packet, destination.host)
    return Outcome(into.allow, into.names, out.logged | into.logged, into.labels)


def in_pool(cluster: Cluster, party: Party) -> bool:
    """Return whether an end is a pool's address."""
    return isinstance(party, IPv4Address | IPv6Address) and party in cluster.pool_of(party.version)
