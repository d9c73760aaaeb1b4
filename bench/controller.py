"""The controller's benchmark: real ovsdb-servers, no switch; 64 hosts' connections with mutual TLS.

    .venv/bin/python -m bench.controller [-o json] [--present 10000]

What is measured is the controller's process as it is installed, over TLS on loopback, with every change on disk and in
both databases before its answer.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvloop

from bench.controller_setup import Host, Stack, stack
from socketplane.errors import Unavailable
from socketplane.model.types import mac_of
from socketplane.transport.client import ControllerClient

CONNECTIONS = 64
BULK = 20
ROUNDS = 60
BURST = 2000
REPEATS = 3


@dataclass(frozen=True)
class Place:
    """A leased address on a network, of a host."""

    host: int
    network: str
    address: str


class Load:
    """Makes endpoints with ever new ids."""

    def __init__(self, hosts: Sequence[Host], networks: Sequence[str]) -> None:
        self.hosts = hosts
        self.networks = networks
        self.number = 0
        self.made: list[tuple[int, str]] = []

    def next_number(self) -> int:
        """Return a number that was not used yet."""
        self.number += 1
        return self.number

    async def leases(self, count: int) -> list[Place]:
        """Hold addresses, one a request."""
        places: list[Place] = []

        async def one(host: int) -> None:
            number = self.next_number()
            network = self.networks[number % len(self.networks)]
            answer = await self.hosts[host].call("POST", f"/v1/networks/{network}/leases", {"request": f"r{number}"})
            places.append(Place(host, network, answer["address"]))

        await self.spread(count, one)
        return places

    async def singles(self, places: Sequence[Place]) -> None:
        """Attach, one a request, on all connections at once."""
        waiting = self.by_host(places)

        async def one(host: int) -> None:
            place = waiting[host].pop()
            await self.hosts[host].call("PUT", f"/v1/endpoints/{self.new_id(host)}", self.body(place))

        await asyncio.gather(*(self.drain(host, waiting[host], one) for host in range(len(self.hosts))))

    async def bulk(self, places: Sequence[Place]) -> None:
        """Attach, many a request, on all connections at once."""
        waiting = self.by_host(places)

        async def one(host: int) -> None:
            chosen = [waiting[host].pop() for _ in range(min(BULK, len(waiting[host])))]
            put = [{**self.body(place), "id": self.new_id(host)} for place in chosen]
            answer = await self.hosts[host].call("POST", "/v1/endpoints", {"put": put})
            if answer["errors"]:
                raise RuntimeError(f"refused: {answer['errors']}")

        await asyncio.gather(*(self.drain(host, waiting[host], one) for host in range(len(self.hosts))))

    async def drain(self, host: int, waiting: list[Place], one: Callable[[int], Awaitable[None]]) -> None:
        """Work one host's list off."""
        while waiting:
            await one(host)

    async def spread(self, count: int, one: Callable[[int], Awaitable[None]]) -> None:
        """Do something `count` times, over all hosts at once."""
        left = iter(range(count))

        async def worker(host: int) -> None:
            for _ in left:
                await one(host)

        await asyncio.gather(*(worker(host) for host in range(len(self.hosts))))

    def by_host(self, places: Sequence[Place]) -> list[list[Place]]:
        """Return each host's own places."""
        lists: list[list[Place]] = [[] for _ in self.hosts]
        for place in places:
            lists[place.host].append(place)
        return lists

    async def detach(self, count: int) -> None:
        """Remove the newest endpoints again, with their addresses, so that every repeat begins with as many."""
        gone, self.made[:] = self.made[-count:], self.made[:-count]
        lists: list[list[str]] = [[] for _ in self.hosts]
        for number, key in gone:
            lists[number].append(key)
        for host, keys in zip(self.hosts, lists, strict=True):
            await host.call("POST", "/v1/endpoints", {"delete": keys, "release": True})

    def new_id(self, host: int) -> str:
        """Return an endpoint's id, and note whose it is."""
        key = f"{self.next_number():064x}"
        self.made.append((host, key))
        return key

    def body(self, place: Place) -> dict[str, Any]:
        """Return an endpoint as an agent describes it."""
        number = self.number
        return {
            "network": place.network,
            "address": place.address,
            "mac": mac_of(_address(place.address)),
            "container": f"{number:064x}",
            "name": f"app-{number}",
            "labels": {"app": f"app{number % 50}", "com.docker.compose.service": "web"},
        }

    async def latency(self) -> float:
        """Return the median milliseconds of one attach, nothing else going on."""
        host = self.hosts[0]
        times = []
        for _ in range(ROUNDS):
            place = await self._one_lease()
            body, key = self.body(place), f"{self.next_number():064x}"
            started = time.perf_counter()
            await host.call("PUT", f"/v1/endpoints/{key}", body)
            times.append(time.perf_counter() - started)
            await host.call("DELETE", f"/v1/endpoints/{key}?release=true", None)
        return statistics.median(times) * 1000

    async def _one_lease(self) -> Place:
        number = self.next_number()
        network = self.networks[number % len(self.networks)]
        answer = await self.hosts[0].call("POST", f"/v1/networks/{network}/leases", {"request": f"r{number}"})
        return Place(0, network, answer["address"])


def _address(text: str) -> Any:
    from ipaddress import IPv4Address

    return IPv4Address(text)


async def rate(made: Stack, work: Awaitable[Any], count: int) -> tuple[float, float]:
    """Return how many a second, and the milliseconds of processor time that each took in controller and databases."""
    used, started = made.processor(), time.perf_counter()
    await work
    return count / (time.perf_counter() - started), (made.processor() - used) * 1000 / count


async def active(admin: ControllerClient) -> None:
    """Return once the controller has its databases: it listens before."""
    async with asyncio.timeout(20):
        while True:
            try:
                await admin.call("GET", "/v1/status")
            except Unavailable:
                await asyncio.sleep(0.05)
            else:
                return


async def measure(made: Stack, present: int) -> dict[str, float]:
    """Run it all; return the figures."""
    figures: dict[str, float] = {}
    async with ControllerClient(made.unix) as admin:
        await active(admin)
        bodies = ({"name": f"bench{n}", "subnet": f"10.200.{8 * n}.0/21"} for n in range(16))
        networks = [(await admin.call("POST", "/v1/networks", body))["id"] for body in bodies]
        for host in made.hosts:
            await admin.call("PUT", f"/v1/hosts/{host.name}", {"system_id": host.system_id, "address": host.address})
        for host in made.hosts:
            await host.connect()
        load = Load(made.hosts, networks)
        figures["memory_empty_mib"] = made.resident()
        await load.bulk(await load.leases(100))
        figures["one_at_100_ms"] = await load.latency()
        count = present - 100
        places: list[Place] = []

        async def leases() -> None:
            places.extend(await load.leases(count))

        figures["leases_per_s"], figures["leases_cpu_ms"] = await rate(made, leases(), count)
        figures["bulk_filling_per_s"], _ = await rate(made, load.bulk(places), count)
        figures["memory_present_mib"] = made.resident()
        figures["one_at_present_ms"] = await load.latency()
        for name, attach in (("single", load.singles), ("bulk", load.bulk)):
            results = []
            for _ in range(REPEATS):
                more = await load.leases(BURST)
                results.append(await rate(made, attach(more), BURST))
                await load.detach(BURST)
            figures[f"{name}_per_s"], figures[f"{name}_cpu_ms"] = map(statistics.median, zip(*results, strict=True))
        figures["endpoints"] = (await admin.call("GET", "/v1/status"))["endpoints"]
    figures["one_ratio"] = figures["one_at_present_ms"] / figures["one_at_100_ms"]
    return figures


ROWS = (
    ("bulk_per_s", "endpoints/s, {bulk} a request, {present} present", "2000 or more"),
    ("single_per_s", "endpoints/s, one a request, {present} present", ""),
    ("bulk_filling_per_s", "endpoints/s, {bulk} a request, while filling", ""),
    ("leases_per_s", "leases/s, one a request", ""),
    ("bulk_cpu_ms", "processor time of all three processes, {bulk} a request (ms/endpoint)", ""),
    ("single_cpu_ms", "the same, one a request (ms/endpoint)", ""),
    ("leases_cpu_ms", "the same, leases (ms/lease)", ""),
    ("one_at_100_ms", "one endpoint alone, 100 present (ms, median)", ""),
    ("one_at_present_ms", "one endpoint alone, {present} present (ms, median)", ""),
    ("one_ratio", "ratio of these two", "1.5 or less"),
    ("memory_empty_mib", "resident memory, empty (MiB)", ""),
    ("memory_present_mib", "resident memory, {present} endpoints (MiB)", ""),
)


def show(figures: dict[str, float], present: int) -> Iterator[str]:
    """Yield the lines of the table."""
    yield f"controller, {CONNECTIONS} connections with mutual TLS, two ovsdb-servers"
    for key, text, target in ROWS:
        label = text.format(bulk=BULK, present=f"{present:,}")
        yield f"  {label:<72} {figures[key]:>10,.2f}   {target}".rstrip()


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description="The controller's benchmark.")
    parser.add_argument("-o", "--output", choices=("table", "json"), default="table")
    parser.add_argument("--present", type=int, default=10_000, help="endpoints that are there when the rates are taken")
    parser.add_argument("--profile", type=Path, help="write a profile of the controller there (cProfile; slower)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="socketplane-bench-") as directory, contextlib.ExitStack() as ends:
        try:
            made = ends.enter_context(stack(Path(directory), CONNECTIONS, options.profile))
        except (OSError, subprocess.CalledProcessError) as error:
            sys.exit(f"bench: can't start: {error}")
        figures = uvloop.run(measure(made, options.present))
    print(json.dumps(figures, indent=2) if options.output == "json" else "\n".join(show(figures, options.present)))


if __name__ == "__main__":
    main()
