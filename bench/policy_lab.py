"""From `policy apply` until all hosts of a three-host lab enforce it: their ovn-controllers say so, and connections."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import time
from collections.abc import AsyncIterator
from typing import Any

from bench import enforcement
from bench.table import Figure
from socketplane.config import Paths
from socketplane.lab import build, labs, probe
from socketplane.lab.images import IMAGE
from socketplane.lab.labs import Lab
from socketplane.ovsdb import Client, Replica
from socketplane.transport.client import ControllerClient

TITLE = "From policy apply to enforcement, three hosts"
ABOUT = (
    "Times count from the request to the controller; the command itself comes on top. *Enforced* is when every host's "
    "ovn-controller says that it has installed the change; *as connections show*, when attempts to connect, one every 3 ms "
    "from one container to one on each host, begin to go as the change says, on all of them."
)
NAME = "bench-policy"
HOSTS = 3
CHANGES = 100
COMMANDS = 10
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
    client, *servers = [
        await probe.container(lab.machine(host), f"{app}-{host}", NETWORK)
        for app, host in (("web", "h1"), *(("db", host.name) for host in lab.hosts))
    ]
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

        async def change(allow: bool) -> None:
            await admin.call("POST", "/v1/policies", {"documents": [_document(enforcement.PORT if allow else 8000)]})

        seen = await enforcement.measure(client, servers, change)
    command = [await _command(lab) for _ in range(COMMANDS)]
    return [
        Figure(f"the command itself, {COMMANDS} times", "ms", tuple(command)),
        Figure(f"applied and answered, {CHANGES} changes", "ms", tuple(answered)),
        Figure(f"enforced on all {HOSTS} hosts, {CHANGES} changes", "ms", tuple(enforced)),
        *seen,
    ]


async def _command(lab: Lab) -> float:
    """Return how long `policy apply` takes on the manager, with nothing to change."""
    started = time.perf_counter()
    await lab.hosts[0].run("socketplane", "policy", "apply", "-f", "-", stdin=json.dumps(_document(8000)))
    return (time.perf_counter() - started) * 1000


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
