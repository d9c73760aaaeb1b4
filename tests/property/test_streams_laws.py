"""Which streams are forbidden is what the verdict says, of random clusters with policies of all kinds."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address
from itertools import product

import pytest

from socketplane import wire
from socketplane.controller import streams
from socketplane.controller.intent import Intent
from socketplane.controller.rows import ClusterRecord
from socketplane.model.behind import addresses
from socketplane.model.selection import address_of
from socketplane.model.spec import Policy, Protocol
from socketplane.model.types import Endpoint
from socketplane.model.verdict import View, verdict
from support.intent import CLUSTER
from support.random_cluster import generated

PORTS = (53, 80, 9999)
OUTSIDE = {4: IPv4Address("198.51.100.7"), 6: IPv6Address("2001:db8::7")}


def let_in_any(end):
    """Return at what UDP ports a container is published to others than its host."""
    return [
        each for each in end.published if each.protocol is Protocol.UDP and not each.local and each.address.version == 4
    ]


@pytest.mark.parametrize("seed", range(40))
def test_a_forbidden_stream_is_one_that_the_verdict_denies_at_that_end(seed):
    intent = Intent()
    intent.put(ClusterRecord(CLUSTER))
    for item in generated(seed, tiers=True):
        intent.put(item)
    view = View(
        CLUSTER,
        intent.networks,
        list(intent.values(Policy)),
        list(intent.endpoints.values()),
        list(intent.hosts.values()),
        list(intent.floating.values()),
    )
    ends = [*intent.endpoints.values(), *intent.hosts.values()]
    ways = [(*ends_and_port, side) for *ends_and_port, side in product(ends, ends, PORTS, ("egress", "ingress"))]
    for end in intent.endpoints.values():
        for published in let_in_any(end):
            ways.append((OUTSIDE[published.address.version], end, published.port, "ingress"))
            at = addresses(intent.hosts[end.host], published)[0]
            ways += [(client, at, published.host_port, "egress") for client in intent.endpoints.values()]
    for host in intent.hosts:
        asked, expected = [], set()
        for source, destination, port, side in ways:
            here = source if side == "egress" else destination
            if source is destination or not isinstance(here, Endpoint) or here.host != host:
                continue
            version = next((end.version for end in (source, destination) if hasattr(end, "version")), 4)
            at = [address_of(end, version) for end in (source, destination)]
            if None in at:
                continue
            found = verdict(view, source, destination, Protocol.UDP, port, version=version)
            if not found.allow and (found.direction == "egress") is (side == "egress"):
                expected.add(len(asked))
            kind = {"source": at[0], "destination": at[1], "port": port, "side": side}
            asked.append(wire.Streams.model_validate(kind))
        assert set(streams.prepare(intent, host, asked)().forbidden) == expected
