"""What a test does on the hosts of a lab: containers, networks and policies, all removed when it ends."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from socketplane.lab.images import IMAGE
from socketplane.lab.labs import Lab
from socketplane.lab.machine import Machine
from socketplane.lab.shell import Completed

ECHO = ("socat", "TCP-LISTEN:7,fork,reuseaddr", "EXEC:cat")
STREAM = ("socat", "TCP-LISTEN:9,fork,reuseaddr", "SYSTEM:while echo tick; do sleep 0.1; done")
SERVE = ("httpd", "-f", "-p", "8080", "-h", "/www")
PATIENCE = float(os.environ.get("SOCKETPLANE_PATIENCE", "1"))
"""Factor of all waiting: an emulated processor is slow."""


async def eventually(what: str, probe: Callable[[], Awaitable[Any]], timeout: float = 15.0) -> Any:
    """Return the probe's first true answer; fail with the last one when none comes in time."""
    deadline = time.monotonic() + timeout * PATIENCE
    while True:
        answer = await probe()
        if answer:
            return answer
        assert time.monotonic() < deadline, f"{what}: not within {timeout:g} s, last seen {answer!r}"
        await asyncio.sleep(0.1)


@dataclass
class Host:
    """One host of the lab, as its user sees it."""

    machine: Machine

    @property
    def name(self) -> str:
        return self.machine.name

    async def docker(self, *arguments: str, check: bool = True, timeout: float = 60.0) -> Completed:
        return await self.machine.run("docker", *arguments, check=check, timeout=timeout * PATIENCE)

    async def cli(self, *arguments: str, check: bool = True, timeout: float = 60.0, stdin: str | None = None) -> Completed:
        patience = timeout * PATIENCE
        return await self.machine.run("socketplane", *arguments, check=check, timeout=patience, stdin=stdin)

    async def read(self, *arguments: str) -> Any:
        """Return what a reading command says in JSON."""
        return json.loads((await self.cli(*arguments, "-o", "json")).out)

    async def run(self, name: str, network: str, *options: str, command: tuple[str, ...] = ("sleep", "600")) -> str:
        """Start a container in the background; return its address on the network."""
        await self.docker("run", "-d", "--name", name, "--network", network, *options, IMAGE, *command)
        return await self.address(name, network)

    async def address(self, name: str, network: str) -> str:
        seen = json.loads((await self.docker("inspect", name)).out)[0]
        return str(seen["NetworkSettings"]["Networks"][network]["IPAddress"])

    async def inside(self, name: str, *command: str, check: bool = False, timeout: float = 30.0) -> Completed:
        return await self.docker("exec", name, *command, check=check, timeout=timeout)

    async def connects(self, name: str, address: str, port: int = 8080, timeout: int = 2) -> bool:
        """Return whether a TCP connection from the container opens in time."""
        probe = ("socat", "-u", "OPEN:/dev/null", f"TCP:{address}:{port},connect-timeout={timeout}")
        return (await self.inside(name, *probe)).code == 0

    async def networks(self) -> set[str]:
        listed = await self.docker("network", "ls", "--filter", "driver=socketplane", "--format", "{{.Name}}")
        return set(listed.out.split())


@dataclass
class World:
    """The lab's hosts, and how a test leaves them clean."""

    lab: Lab
    hosts: list[Host] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.hosts = [Host(machine) for machine in self.lab.hosts]

    def __iter__(self) -> Any:
        return iter(self.hosts)

    @property
    def first(self) -> Host:
        return self.hosts[0]

    async def network(self, name: str, *options: str) -> None:
        """Make a network and wait until every engine has it."""
        await self.first.cli("network", "create", name, *options)
        for host in self.hosts:

            async def there(host: Host = host) -> bool:
                return name in await host.networks()

            await eventually(f"network {name} on {host.name}", there, timeout=10.0)

    async def policy(self, text: str) -> Completed:
        return await self.first.cli("policy", "apply", "-f", "-", stdin=text)

    async def endpoints(self) -> list[dict[str, Any]]:
        return list(await self.first.read("endpoint", "ls"))

    async def clean(self) -> None:
        """Remove all containers, policies and networks that tests left."""
        await asyncio.gather(*(_remove_containers(host) for host in self.hosts))
        for policy in await self.first.read("policy", "ls"):
            await self.first.cli("policy", "rm", f"{policy['network'] or '-'}/{policy['name']}")
        for service in await self.first.read("service", "ls"):
            if service["source"] == "document":
                await self.first.cli("service", "rm", f"{service['network']}/{service['name']}")

        async def no_endpoints() -> bool:
            return not await self.endpoints()

        await eventually("endpoints gone", no_endpoints, timeout=30.0)
        for network in await self.first.read("network", "ls"):
            await self.first.cli("network", "rm", network["name"])

        async def no_networks() -> bool:
            return not any([await host.networks() for host in self.hosts])

        await eventually("networks gone from every engine", no_networks, timeout=30.0)


async def _remove_containers(host: Host) -> None:
    containers = (await host.docker("ps", "-aq")).out.split()
    if containers:
        await host.docker("rm", "-f", *containers, timeout=120.0)


def allow(name: str, network: str, subject: str, peer: str | None, port: int | None = None, protocol: str = "TCP") -> str:
    """Return an ingress policy: endpoints labelled app=subject admit app=peer (nobody when None)."""
    rules: list[dict[str, Any]] = []
    if peer is not None:
        rule: dict[str, Any] = {"from": [{"podSelector": {"matchLabels": {"app": peer}}}]}
        if port is not None:
            rule["ports"] = [{"protocol": protocol, "port": port}]
        rules.append(rule)
    return json.dumps(
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": {"name": name, "namespace": network},
            "spec": {
                "podSelector": {"matchLabels": {"app": subject}},
                "policyTypes": ["Ingress"],
                "ingress": rules,
            },
        }
    )
