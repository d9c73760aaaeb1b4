"""From `policy apply` until all hosts of a three-host lab enforce it: their ovn-controllers say that they installed it."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from collections.abc import AsyncIterator
from typing import Any

from bench.table import Figure
from socketplane.config import Paths
from socketplane.lab import build, labs
from socketplane.lab.images import IMAGE
from socketplane.lab.labs import Lab
from socketplane.ovsdb import Client, Replica
from socketplane.transport.client import ControllerClient

TITLE = "From policy apply to enforcement, three hosts"
NAME = "bench-policy"
HOSTS = 3
CHANGES = 100
NETWORK = "shop"
_PATIENCE = 30.0


async def measure() -> list[Figure]:
    """Return figures of many changes, on a lab that is removed afterwards."""
    lab = await build.up(NAME, HOSTS, say=lambda line: print(line, file=sys.stderr))
    try:
        return await _measure(lab)
    finally:
        await asyncio.to_thread(labs.remove, NAME)


async def _measure(lab: Lab) -> list[Figure]:
    await lab.hosts[0].run("socketplane", "network", "create", NETWORK)
    for host in lab.hosts:
        async with asyncio.timeout(_PATIENCE):
            while (await host.run("docker", "network", "inspect", NETWORK, check=False)).code:
                await asyncio.sleep(0.1)
        for app in ("web", "db"):
            options = ("--name", f"{app}-{host.name}", "--label", f"app={app}", "--network", NETWORK)
            await host.run("docker", "run", "-d", *options, IMAGE, "sleep", "3600")
    answered: list[float] = []
    enforced: list[float] = []
    async with _followed(lab) as (admin, northbound, switches):
        for number in range(CHANGES):
            wanted = max(row["nb_cfg"] for row in northbound["NB_Global"].values()) + 1
            started = time.perf_counter()
            waiting = asyncio.gather(*(_enforced(switch, wanted) for switch in switches))
            await admin.call("POST", "/v1/policies", {"documents": [_document(8000 + number)]})
            answered.append((time.perf_counter() - started) * 1000)
            enforced.append((max(await waiting) - started) * 1000)
    return [
        Figure(f"applied and answered, {CHANGES} changes", "ms", tuple(answered)),
        Figure(f"enforced on all {HOSTS} hosts, {CHANGES} changes", "ms", tuple(enforced)),
    ]


@contextlib.asynccontextmanager
async def _followed(lab: Lab) -> AsyncIterator[tuple[ControllerClient, Replica, list[Replica]]]:
    """Follow the northbound's count, and how far each host's ovn-controller is; with the controller's client."""
    paths, manager = Paths(), lab.hosts[0]
    async with contextlib.AsyncExitStack() as ends:
        northern = f"unix:{manager.path(str(paths.northbound_socket))}"
        database = await ends.enter_async_context(Client([northern], "OVN_Northbound"))
        northbound = await database.monitor({"NB_Global": ["nb_cfg"]})
        switches = []
        for host in lab.hosts:
            local = f"unix:{host.path(str(paths.ovs_socket))}"
            client = await ends.enter_async_context(Client([local], "Open_vSwitch"))
            switches.append(await client.monitor({"Bridge": ["name", "external_ids"]}))
        admin = await ends.enter_async_context(ControllerClient(manager.path(str(paths.controller_socket))))
        yield admin, northbound, switches


async def _enforced(switch: Replica, number: int) -> float:
    """Return when a host has installed the transaction of that number."""

    def reached(tables: Replica) -> bool:
        found = (row["external_ids"].get("ovn-nb-cfg", "0") for row in tables["Bridge"].values())
        return max(map(int, found), default=0) >= number

    await switch.wait_for(reached, _PATIENCE)
    return time.perf_counter()


def _document(port: int) -> dict[str, Any]:
    ingress = [{"from": [{"podSelector": {"matchLabels": {"app": "web"}}}], "ports": [{"port": port}]}]
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "db", "namespace": NETWORK},
        "spec": {"podSelector": {"matchLabels": {"app": "db"}}, "ingress": ingress},
    }
