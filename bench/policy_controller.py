"""The same through the controller as it is installed: TLS, both databases, every change on disk before its answer.

python -m bench.policy_controller [--endpoints 10000] [--policies 1000]      prints JSON
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import uvloop

from bench import policy_intent as cluster
from bench.controller import Load, Place, active
from bench.controller_setup import Stack, stack
from bench.policy_documents import document
from bench.scale_ovn import PATIENCE
from socketplane.transport.client import ControllerClient

HOSTS = 16
CHANGES = 40


class Labelled(Load):
    """Endpoints with labels that policies are about."""

    policies = 0

    def body(self, place: Place) -> dict[str, Any]:
        """Return an endpoint as an agent describes it."""
        labels = dict(cluster.endpoint(self.number, self.policies).labels or {})
        return super().body(place) | {"labels": labels}


async def measure(made: Stack, endpoints: int, policies: int) -> dict[str, list[float]]:
    """Return the figures."""
    figures: dict[str, list[float]] = {}
    async with ControllerClient(made.unix) as admin:
        await active(admin)
        networks = []
        for number in range(cluster.NETWORKS):
            network = cluster.network(number)
            body = {"name": network.name, "subnet": f"10.200.{4 * number}.0/22", "labels": dict(network.labels)}
            networks.append((await admin.call("POST", "/v1/networks", body))["id"])
        for host in made.hosts:
            await admin.call("PUT", f"/v1/hosts/{host.name}", {"system_id": host.system_id, "address": host.address})
            await host.connect()
        load = Labelled(made.hosts, networks)
        load.policies = policies
        await load.bulk(await load.leases(endpoints))
        figures["attach_without_ms"] = [await load.latency()]
        documents = [document(cluster.policy(number, policies)) for number in range(policies)]
        started = time.perf_counter()
        await admin.call("POST", "/v1/policies", {"documents": documents}, timeout=PATIENCE)
        figures["apply_all_s"] = [time.perf_counter() - started]
        figures["attach_ms"] = [await load.latency()]
        for number in range(CHANGES):
            edited = document(cluster.policy(number, policies))
            edited["spec"]["ingress"] = edited["spec"]["ingress"][: number % 2]
            started = time.perf_counter()
            await admin.call("POST", "/v1/policies", {"documents": [edited]}, timeout=PATIENCE)
            figures.setdefault("apply_one_ms", []).append((time.perf_counter() - started) * 1000)
        figures["memory_mib"] = [made.resident()]
    return figures


def main() -> None:
    """Measure one size."""
    parser = argparse.ArgumentParser(description="What policies cost in the controller.")
    parser.add_argument("--endpoints", type=int, default=10_000)
    parser.add_argument("--policies", type=int, default=1000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="socketplane-bench-") as directory, contextlib.ExitStack() as ends:
        made = ends.enter_context(stack(Path(directory), HOSTS, None))
        json.dump(uvloop.run(measure(made, options.endpoints, options.policies)), sys.stdout)


if __name__ == "__main__":
    main()
