"""What a test does on bare machines, and all that can be seen of them from outside."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass, field

from socketplane.lab import images
from socketplane.lab.machine import Machine
from socketplane.lab.shell import Completed

UPLINK = "eth1"


@dataclass(frozen=True)
class Look:
    """All of a machine that we could have changed; what a Docker engine leaves behind is Docker's."""

    addresses: dict[str, list[str]]
    routes: list[tuple[str, str, str | None]]
    links: list[str]
    processes: list[str]
    rules: str
    files: list[str]


@dataclass
class Site:
    """Bare machines by name."""

    machines: Sequence[Machine]
    strangers: list[tuple[str, str]] = field(default_factory=list)
    used: set[str] = field(default_factory=set)

    @property
    def names(self) -> list[str]:
        return [machine.name for machine in self.machines]

    def machine(self, name: str) -> Machine:
        return next(machine for machine in self.machines if machine.name == name)

    async def run(self, name: str, *argv: str, stdin: str | None = None, check: bool = True) -> Completed:
        self.used.add(name)
        return await self.machine(name).run(*argv, stdin=stdin, check=check, timeout=100)

    async def out(self, name: str, *argv: str) -> str:
        return (await self.run(name, *argv)).out.strip()

    def options(self, name: str) -> list[str]:
        return ["--name", name, "--address", str(self.machine(name).underlay), "--uplink", UPLINK]

    async def up(self, name: str = "h1", *more: str, check: bool = True) -> Completed:
        return await self.run(name, "socketplane", "up", *self.options(name), *more, check=check)

    async def token(self, *options: str) -> str:
        return await self.out("h1", "socketplane", "token", "create", *options)

    async def join(self, name: str, token: str, *more: str, check: bool = True) -> Completed:
        options = more or self.options(name)
        return await self.run(name, "socketplane", "join", "-", *options, stdin=token, check=check)

    async def load_image(self, name: str) -> None:
        await images.load(self.machine(name), await images.tarball())

    async def pids(self, name: str) -> dict[str, str]:
        """Return the daemons' processes by program and argument, without kernel threads and our own look."""
        listing = await self.out(name, "ps", "-eo", "pid=,args=")
        rows = [line.split(maxsplit=1) for line in listing.splitlines()]
        return {pid: args for pid, args in rows if not args.startswith(("ps ", "tini", "sleep infinity"))}

    async def addresses(self, name: str) -> dict[str, list[str]]:
        links = json.loads(await self.out(name, "ip", "-json", "-4", "address"))
        return {link["ifname"]: [f"{a['local']}/{a['prefixlen']}" for a in link["addr_info"]] for link in links}

    async def look(self, name: str) -> Look:
        """Return the machine as it is."""
        routes = json.loads(await self.out(name, "ip", "-json", "-4", "route"))
        links = json.loads(await self.out(name, "ip", "-json", "link"))
        places = ("/run/socketplane", "/run/docker/plugins", "/var/lib/socketplane", "/var/lib/ovn", "/etc/openvswitch")
        files = await self.run(name, "find", *places, "-type", "f", "-o", "-type", "s", check=False)
        return Look(
            {link: held for link, held in (await self.addresses(name)).items() if not _dockers(link)},
            sorted((route["dst"], route["dev"], route.get("gateway")) for route in routes if not _dockers(route["dev"])),
            sorted(link["ifname"] for link in links if not _dockers(link["ifname"])),
            sorted((await self.pids(name)).values()),
            "\n".join(
                sorted(
                    line for line in (await self.out(name, "nft", "list", "tables")).splitlines() if "socketplane" in line
                )
            ),
            sorted(file for file in files.out.split() if "conf.db" not in file),
        )

    async def background(self, name: str, *argv: str) -> str:
        """Start a daemon that is not ours; returns its process number there."""
        script = 'setsid "$@" > /tmp/stranger.log 2>&1 < /dev/null & echo $!'
        pid = await self.out(name, "sh", "-c", script, "sh", *argv)
        self.strangers.append((name, pid))
        return pid

    async def end_strangers(self, name: str) -> None:
        for where, pid in [item for item in self.strangers if item[0] == name]:
            await self.run(
                where, "sh", "-c", f"kill {pid}; while kill -0 {pid}; do sleep 0.1; done 2> /dev/null", check=False
            )
            self.strangers.remove((where, pid))

    async def until(self, name: str, script: str, seconds: int = 20) -> None:
        """Wait until a shell condition holds on a machine."""
        for _ in range(seconds * 10):
            if (await self.run(name, "sh", "-c", script, check=False)).code == 0:
                return
            await asyncio.sleep(0.1)
        raise AssertionError(f"{name}: not within {seconds} s: {script}")


def _dockers(link: str) -> bool:
    return link.startswith(("docker", "veth"))
