"""Real packets agree with the verdict: generated policies of all kinds, over two hosts with real engines.

A long run: SOCKETPLANE_ROUNDS=40 SOCKETPLANE_CONNECTIONS=150 SOCKETPLANE_SEED=1000.
"""

from __future__ import annotations

import os
import time
from collections import Counter

import pytest

from socketplane.model.spec import Direction
from support.proof import policies_of, site
from support.random_cluster import Draw
from support.rendered import document_of
from support.world import World

pytestmark = [pytest.mark.lab, pytest.mark.smoke]
ROUNDS = int(os.environ.get("SOCKETPLANE_ROUNDS", "7"))
CONNECTIONS = int(os.environ.get("SOCKETPLANE_CONNECTIONS", "100"))
SEED = int(os.environ.get("SOCKETPLANE_SEED", "282"))
DECIDERS = ("NetworkPolicy", "Admin", "Baseline")
KINDS = {f"{decider} {way} {how}" for decider in DECIDERS for way in Direction for how in ("allow", "deny")}
KINDS |= {"default allow", "isolation deny"}
PUBLISHED = {
    f"published to {who} NetworkPolicy ingress {how}" for who in ("outside", "endpoint") for how in ("allow", "deny")
}
PUBLISHED |= {f"published to {who} default allow" for who in ("outside", "host", "endpoint")}
PUBLISHED |= {"published to host NetworkPolicy ingress deny", "published to endpoint NetworkPolicy egress deny"}
PUBLISHED |= {"published to endpoint isolation deny", "published to endpoint Admin ingress deny"}
KINDS = {"audit", *PUBLISHED, *(f"{version} {kind}" for version in ("IPv4", "IPv6") for kind in KINDS)}
"""All of them are tried: where chance does not offer them, with more sets of policies."""


@pytest.mark.timeout(120 + ROUNDS * 15)
async def test_packets_do_what_the_verdict_says(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    kinds: Counter[str] = Counter()
    count, begin, seed = 0, time.monotonic(), SEED
    async with site(world) as proof:
        while seed < SEED + ROUNDS or (KINDS - kinds.keys() and seed < SEED + 3 * ROUNDS):
            policies = policies_of(seed)
            await proof.enforce(policies)
            cases = proof.cases(Draw(seed), CONNECTIONS, kinds)
            wrong = await proof.wrong(cases)
            told = "\n".join(f"{case}; but {outcome}" for case, outcome in wrong)
            assert not wrong, f"SOCKETPLANE_SEED={seed}\n{told}\n{[document_of(policy) for policy in policies]}"
            count += len(cases)
            seed += 1
    if "SOCKETPLANE_ROUNDS" in os.environ:
        with capsys.disabled():
            took = time.monotonic() - begin
            print(f"\n{count} connections agree, {seed - SEED} sets of policies, {took:.0f} s: {dict(kinds.most_common())}")
    assert count >= 300 and not KINDS - kinds.keys(), (count, kinds)
