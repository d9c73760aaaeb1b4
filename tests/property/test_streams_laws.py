"""Which streams are forbidden is what the verdict says, of random clusters with policies of all kinds."""

from __future__ import annotations

from itertools import product

import pytest

from socketplane import wire
from socketplane.controller import streams
from socketplane.controller.intent import Intent
from socketplane.controller.rows import ClusterRecord
from socketplane.model.spec import Policy, Protocol
from socketplane.model.types import Endpoint, Host
from socketplane.model.verdict import View, verdict
from support.intent import CLUSTER
from support.random_cluster import generated

PORTS = (53, 80, 9999)


@pytest.mark.parametrize("seed", range(40))
def test_a_forbidden_stream_is_one_that_the_verdict_denies_at_that_end(seed):
    intent = Intent()
    intent.put(ClusterRecord(CLUSTER))
    for item in generated(seed, tiers=True):
        intent.put(item)
    view = View(CLUSTER, intent.networks, list(intent.values(Policy)))
    ends = [*intent.endpoints.values(), *intent.hosts.values()]
    for host in intent.hosts:
        asked, expected = [], set()
        for source, destination, port, side in product(ends, ends, PORTS, ("egress", "ingress")):
            here = source if side == "egress" else destination
            if source is destination or not isinstance(here, Endpoint) or here.host != host:
                continue
            found = verdict(view, source, destination, Protocol.UDP, port)
            if not found.allow and (found.direction == "egress") is (side == "egress"):
                expected.add(len(asked))
            addresses = [end.gateway if isinstance(end, Host) else end.address for end in (source, destination)]
            kind = {"source": addresses[0], "destination": addresses[1], "port": port, "side": side}
            asked.append(wire.Streams.model_validate(kind))
        assert set(streams.prepare(intent, host, asked)().forbidden) == expected
