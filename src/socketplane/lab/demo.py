"""`make demo`: an application on three hosts, reachable all over, then only as its policy says.

Everything is done with the commands that a user types, and seen by connections that are really made.
"""

from __future__ import annotations

import argparse
import asyncio
import shlex
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.text import Text

from socketplane.errors import NotFound, SocketPlaneError
from socketplane.lab import command, demo_matrix, labs, layout, probe
from socketplane.lab.demo_matrix import Reached
from socketplane.lab.images import IMAGE
from socketplane.lab.labs import Lab
from socketplane.lab.machine import Machine
from socketplane.lab.probe import Container, Outcome

NETWORK = "shop"
PORTS = (8080, 5432)
POLICY = layout.checkout() / "examples/demo/policy.yaml"
ALLOWED = {("web", "app", 8080), ("app", "db", 5432)}
"""What the policy file says, in the demo's own words: the two are compared by what connections do."""
SETTLE = 10.0
"""Seconds for other hosts to follow: a host's own part is there when a command answers, the others' a moment later."""
WAIT = 1.5
"""Seconds after which a connection counts as cut."""
SERVE = " && ".join([*(f"httpd -p {port} -h /www" for port in PORTS[1:]), f"exec httpd -f -p {PORTS[0]} -h /www"])


@dataclass(frozen=True, slots=True)
class Service:
    """A container of the application and the host that it runs on."""

    name: str
    role: str
    host: str


APPLICATION = (
    Service("web1", "web", "h1"),
    Service("web2", "web", "h2"),
    Service("app1", "app", "h2"),
    Service("app2", "app", "h3"),
    Service("db1", "db", "h3"),
)


class Demo:
    """The story, step by step, on a lab that is up."""

    def __init__(self, lab: Lab, console: Console) -> None:
        self.lab = lab
        self.console = console
        self.first = lab.hosts[0]
        self.containers: list[Container] = []

    async def tell(self) -> bool:
        """Tell it; return whether every connection went as expected."""
        await self._clear()
        self._title("A network on every host, and an application spread over them")
        await self._type(self.first, "socketplane", "network", "create", NETWORK)
        await self._everywhere()
        self.containers = await self._start()
        free = dict.fromkeys(self._pairs(), True)
        good = await self._compare("Without a policy: everybody reaches everybody", free)
        self._title("The policy: web may use app:8080, app may use db:5432, and that is all")
        policy = await asyncio.to_thread(POLICY.read_text)
        await self._type(self.first, "socketplane", "policy", "apply", "-f", "-", stdin=policy, source=POLICY)
        cut = {(src, dst, port): (_role(src), _role(dst), port) in ALLOWED for src, dst, port in free}
        good &= await self._compare("With the policy", cut)
        good &= await self._explain()
        return good

    async def _clear(self) -> None:
        """Remove what an earlier demo left in this lab."""
        names = [service.name for service in APPLICATION]
        async with asyncio.TaskGroup() as tasks:
            for host in self.lab.hosts:
                tasks.create_task(host.run("docker", "rm", "-f", *names, check=False))
        for policy in ("nothing-by-default", "web-to-app", "app-to-db"):
            await self.first.run("socketplane", "policy", "rm", f"{NETWORK}/{policy}", check=False)
        await self.first.run("socketplane", "network", "rm", NETWORK, check=False)

    async def _everywhere(self) -> None:
        """Wait until every engine knows the network."""

        async def known(host: Machine) -> None:
            begin = time.monotonic()
            while (await host.run("docker", "network", "inspect", NETWORK, check=False)).code:
                if time.monotonic() - begin > SETTLE:
                    raise NotFound(f"network {NETWORK} does not appear on {host.name}")
                await asyncio.sleep(0.1)

        async with asyncio.TaskGroup() as tasks:
            for host in self.lab.hosts:
                tasks.create_task(known(host))

    async def _start(self) -> list[Container]:
        for service in APPLICATION:
            options = ["--name", service.name, "--label", f"role={service.role}", "--network", NETWORK]
            host = self.lab.machine(service.host)
            await self._type(host, "docker", "run", "-d", *options, IMAGE, "sh", "-c", SERVE, quiet=True)
        lookups = (probe.container(self.lab.machine(each.host), each.name, NETWORK) for each in APPLICATION)
        return list(await asyncio.gather(*lookups))

    async def _compare(self, title: str, expected: Reached) -> bool:
        """Try all connections, again while other hosts may still lag, and show them beside what is expected."""
        self._title(title)
        begin = time.monotonic()
        while True:
            seen = await probe.matrix(self.containers, PORTS, wait=WAIT)
            observed = {key: outcome is Outcome.OPEN for key, outcome in seen.items()}
            if observed == expected or time.monotonic() - begin > SETTLE:
                break
        names = [each.name for each in self.containers]
        for port in PORTS:
            self.console.print(demo_matrix.show(names, port, expected, observed))
        return self._judge(seen, observed, expected)

    def _judge(self, seen: Mapping[tuple[str, str, int], Outcome], observed: Reached, expected: Reached) -> bool:
        wrong = [key for key in expected if observed[key] != expected[key]]
        for src, dst, port in wrong:
            self.console.print(Text(f"{src} -> {dst}:{port} is {seen[src, dst, port]}, not as expected", style="red"))
        if not wrong:
            count = len(expected)
            self.console.print(Text(f"All {count} connections went as expected.", style="green"))
        return not wrong

    async def _explain(self) -> bool:
        self._title("Why? Ask for any pair")
        allowed = await self._type(self.first, "socketplane", "explain", "web1", "app1:8080", codes=(0, 3))
        denied = await self._type(self.first, "socketplane", "explain", "web1", "db1:5432", codes=(0, 3))
        return (allowed, denied) == (0, 3)

    def _pairs(self) -> list[tuple[str, str, int]]:
        names = [each.name for each in self.containers]
        return [(src, dst, port) for src in names for dst in names for port in PORTS if src != dst]

    def _title(self, text: str) -> None:
        self.console.print()
        self.console.print(Text(text, style="bold"))

    async def _type(
        self,
        host: Machine,
        *argv: str,
        stdin: str | None = None,
        source: Path | None = None,
        codes: Sequence[int] = (0,),
        quiet: bool = False,
    ) -> int:
        """Show a command as a user types it on a host, run it, show its answer, and return its exit code."""
        shown = shlex.join(argv) + (f" < {_short(source)}" if source else "")
        self.console.print(Text.assemble((f"{host.name}# ", "cyan"), shown))
        done = await host.run(*argv, stdin=stdin, check=False)
        if done.code not in codes:
            raise SocketPlaneError(f"{host.name}: {shlex.join(argv)}: {done.err.strip() or done.out.strip()}")
        if not quiet:
            for line in done.out.rstrip().splitlines():
                self.console.print(Text(f"    {line}"))
        return done.code


def _role(name: str) -> str:
    return name.rstrip("0123456789")


def _short(path: Path | None) -> str:
    return str(path.relative_to(layout.checkout())) if path else ""


def _lab(name: str, console: Console) -> Lab:
    """Return the lab of that name if it is up, else make it."""
    lab = labs.find(name)
    if lab and lab.ready and lab.alive and not lab.bare and len(lab.hosts) >= len({each.host for each in APPLICATION}):
        console.print(f"Lab {name} is up already.")
        return lab
    console.print(Text("A lab: three hosts, each with a Docker engine, Open vSwitch and SocketPlane", style="bold"))
    return command.up(name, 3, bare=False, datapath="auto", say=lambda step: console.print(Text(f"    {step}")))


def _go_on(lab: Lab, console: Console) -> None:
    h1, h2 = (command.inside(lab, host) for host in ("h1", "h2"))
    curl = "docker exec web1 curl -sS -m 3"
    console.print()
    console.print(Text("The lab is still up. Go on, as root:", style="bold"))
    for line in (
        f"{h2} docker ps",
        f"{h1} socketplane status",
        f"{h1} socketplane endpoint ls -l role=web",
        f"{h1} {curl} http://app1:8080    # allowed",
        f"{h1} {curl} http://db1:5432    # cut",
        f"{h1} bash",
    ):
        console.print(Text(f"    {line}"))
    console.print(Text("Remove it all:", style="bold"))
    console.print(Text(f"    {command.removal(lab)}"))


def main() -> int:
    """Run the demo; return its exit code."""
    parser = argparse.ArgumentParser(prog="make demo ARGS=", description="Three hosts, an application, a policy.")
    parser.add_argument("--name", default=command.DEFAULT, help="the lab's name (%(default)s)")
    parser.add_argument("--down", action="store_true", help="remove the lab at the end")
    options = parser.parse_args()
    console = Console(highlight=False, soft_wrap=True)
    try:
        return _run(options.name, console, down=options.down)
    except BaseExceptionGroup as group:
        error = command.first(group)
    except (SocketPlaneError, KeyboardInterrupt) as single:
        error = single
    if isinstance(error, KeyboardInterrupt):
        text = f"interrupted; remove the lab with: socketplane lab down --name {options.name}"
    elif isinstance(error, SocketPlaneError):
        text = f"Error: {error}"
    else:
        raise error
    Console(stderr=True, highlight=False, soft_wrap=True).print(Text(text, style="red"))
    return 1


def _run(name: str, console: Console, *, down: bool) -> int:
    begin = time.monotonic()
    lab = _lab(name, console)
    demo = Demo(lab, console)
    good = asyncio.run(demo.tell())
    console.print(f"\n({time.monotonic() - begin:.0f} s)")
    if down:
        command.down(name)
        console.print(f"Lab {name} is gone.")
    else:
        _go_on(lab, console)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
