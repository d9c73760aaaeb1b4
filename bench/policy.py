"""Policies of all kinds on many endpoints: what they cost us, on a real northbound.

    python -m bench.policy [-o json] [--endpoints 10000] [--policies 1000]

Times are of the processor of this process, so that others on the machine weigh little: `own` is what the compiler and
`operations` take for one change, `all` has the transaction's encoding and the replica's update with it.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from statistics import median

import uvloop

from bench import policy_intent as cluster
from bench.scale_ovn import PATIENCE, northbound
from socketplane.compile import TABLES, Compiler, Features, Intent, operations
from socketplane.compile.segment import segments_of
from socketplane.model.spec import ClusterRule, ClusterSpec, Policy, Port, Protocol, Selector
from socketplane.model.types import Endpoint, effective_labels, network_labels
from socketplane.ovsdb import Client, Replica

CHANGES = 60
OTHERS = (10, 100, 1000)
"""How many policies there are beside those that select an endpoint."""


class Bench:
    """The compiler, and a northbound that holds what it compiled."""

    def __init__(self, client: Client, replica: Replica) -> None:
        self.client = client
        self.replica = replica
        self.compiler = Compiler(cluster.CLUSTER, Features.from_schema(client.schema))
        self.figures: dict[str, list[float]] = {}

    def note(self, name: str, *values: float) -> None:
        """Add to a figure."""
        self.figures.setdefault(name, []).extend(values)

    async def fill(self, things: Iterable[Intent]) -> None:
        """Compile all of it, and write it."""
        started = time.process_time()
        for thing in things:
            self.compiler.put(thing)
        self.compiler.flush()
        self.note("compile_s", time.process_time() - started)
        self.note("compile_peak_mib", _peak())
        started = time.process_time()
        todo = operations(self.compiler.desired, self.replica)
        self.note("operations_s", time.process_time() - started)
        started = time.perf_counter()
        await self.client.transact(*todo, timeout=PATIENCE)
        self.note("written_s", time.perf_counter() - started)
        started = time.process_time()
        if operations(self.compiler.desired, self.replica):
            raise RuntimeError("the northbound does not hold what was written")
        self.note("full_pass_s", time.process_time() - started)
        self.note("peak_mib", _peak())

    def count(self) -> None:
        """Note how many rows there are."""
        rows = Counter(key.table for key in self.compiler.desired.rows)
        self.note("acls", rows["ACL"])
        self.note("groups", rows["Port_Group"])
        self.note("edges", len(self.compiler.desired.edges))

    async def change(self, name: str, thing: Endpoint | Policy, *, remove: bool = False) -> None:
        """Make one change, and note what it took: milliseconds, and rows."""
        started, began = time.process_time(), time.perf_counter()
        (self.compiler.remove if remove else self.compiler.put)(thing)
        difference = self.compiler.flush()
        todo = operations(difference, self.replica)
        self.note(f"{name}_own_ms", (time.process_time() - started) * 1000)
        await self.client.transact(*todo, timeout=PATIENCE)
        self.note(f"{name}_all_ms", (time.process_time() - started) * 1000)
        self.note(f"{name}_commit_ms", (time.perf_counter() - began) * 1000)
        self.note(f"{name}_rows", len(difference.rows))

    async def endpoints(self, suffix: str, numbers: Iterable[int], policies: int) -> None:
        """Attach, relabel and remove endpoints, one after the other."""
        for number in numbers:
            endpoint = cluster.endpoint(number, policies)
            other = cluster.endpoint(number + cluster.NETWORKS, policies)  # of the next application
            await self.change(f"attach{suffix}", endpoint)
            await self.change(f"relabel{suffix}", replace(endpoint, labels=other.labels))
            await self.change(f"remove{suffix}", endpoint, remove=True)

    async def edits(self, policies: int) -> None:
        """Edit, remove and apply policies: of networks, and of the cluster."""
        found = [cluster.policy(number, policies) for number in range(policies)]
        for kind, of_kind in (("policy", [p for p in found if p.network]), ("guard", [p for p in found if not p.network])):
            for policy in of_kind[:CHANGES]:
                await self.change(f"{kind}_edited", _other_port(policy))
                await self.change(f"{kind}_edited_back", policy)
                await self.change(f"{kind}_removed", policy, remove=True)
                await self.change(f"{kind}_applied", policy)


def _other_port(policy: Policy) -> Policy:
    ports = (Port(Protocol.TCP, 8443),)
    spec = policy.spec
    if isinstance(spec, ClusterSpec):
        first: ClusterRule = replace(spec.ingress[0], ports=ports)
        return replace(policy, spec=replace(spec, ingress=(first, *spec.ingress[1:])))
    if not spec.ingress:
        raise ValueError(f"{policy.title} has no ingress rule")
    return replace(policy, spec=replace(spec, ingress=(replace(spec.ingress[0], ports=ports), *spec.ingress[1:])))


def touching(endpoint: Endpoint, policies: Iterable[Policy]) -> tuple[list[Policy], list[Policy]]:
    """Return the policies that select an endpoint, as subject or as peer, and all others."""
    network = next(n for n in map(cluster.network, range(cluster.NETWORKS)) if n.id == endpoint.network)
    labels, of_network = effective_labels(endpoint, network.name), network_labels(network)
    touch: list[Policy] = []
    rest: list[Policy] = []
    for policy in policies:
        own = next((n.id for n in map(cluster.network, range(cluster.NETWORKS)) if n.name == policy.network), None)
        found = any(
            selector.matches(labels)
            and (scope.matches(of_network) if isinstance(scope, Selector) else scope == endpoint.network)
            for scope, selector in segments_of(policy, own)
        )
        (touch if found else rest).append(policy)
    return touch, rest


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


async def measure(endpoints: int, policies: int) -> dict[str, list[float]]:
    """Return all figures of one size."""
    with tempfile.TemporaryDirectory(prefix="socketplane-policy-") as directory:
        async with northbound(Path(directory)) as client:
            bench = Bench(client, await client.monitor(TABLES))
            await bench.fill(cluster.intent(endpoints, policies))
            bench.count()
            numbers = range(endpoints, endpoints + CHANGES * cluster.NETWORKS, cluster.NETWORKS)
            await bench.endpoints("", numbers, policies)
            await bench.edits(policies)
            for others in OTHERS:
                if policies >= max(OTHERS):
                    await _beside(bench, endpoints, policies, others)
    return bench.figures


async def _beside(bench: Bench, endpoints: int, policies: int, others: int) -> None:
    """Attach one endpoint again and again, beside so many policies that don't select it."""
    touch, rest = touching(
        cluster.endpoint(endpoints, policies), map(cluster.policy, range(policies), [policies] * policies)
    )
    bench.note(f"beside_{others}_selecting", len(touch))
    for policy in rest[others:]:
        bench.compiler.remove(policy)
    for policy in (*touch, *rest[:others]):
        bench.compiler.put(policy)
    await bench.client.transact(*operations(bench.compiler.flush(), bench.replica), timeout=PATIENCE)
    await bench.endpoints(f"_beside_{others}", [endpoints] * CHANGES, policies)


def main() -> None:
    """Measure one size."""
    parser = argparse.ArgumentParser(description="What policies cost us.")
    parser.add_argument("-o", "--output", choices=("table", "json"), default="table")
    parser.add_argument("--endpoints", type=int, default=10_000)
    parser.add_argument("--policies", type=int, default=1000)
    options = parser.parse_args()
    figures = uvloop.run(measure(options.endpoints, options.policies))
    if options.output == "json":
        json.dump(figures, sys.stdout)
        return
    for name, values in figures.items():
        print(f"{name:<32} {median(values):>12.4g}   {min(values):.4g} to {max(values):.4g}")


if __name__ == "__main__":
    main()
