"""What `socketplane lab` does, for a caller without an event loop."""

from __future__ import annotations

import asyncio
import shutil
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from socketplane.errors import NotFound, SocketPlaneError
from socketplane.lab import build, labs, shell
from socketplane.lab.images import IMAGE
from socketplane.lab.labs import Lab, names
from socketplane.lab.say import Say

DEFAULT = "lab"
"""The name of the lab where none is given."""
__all__ = ["DEFAULT", "down", "execute", "first", "hosts", "inside", "listing", "names", "next_steps", "removal", "up"]


def up(name: str, count: int, *, bare: bool, datapath: str, encrypt: bool = False, say: Say) -> Lab:
    """Make a lab; an interrupt, hang-up or termination removes what was made of it. See `build.up`."""

    async def make() -> Lab:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            loop.add_signal_handler(number, lambda: task.cancel() if task else None)
        return await build.up(name, count, bare=bare, datapath=datapath, encrypt=encrypt, say=say)

    try:
        return asyncio.run(make())
    except asyncio.CancelledError:
        raise SocketPlaneError("interrupted; the lab was removed") from None
    except BaseExceptionGroup as group:
        raise first(group) from None


def execute(name: str, host: str, argv: Sequence[str], folder: Path) -> NoReturn:
    """Become a command on a host of a lab. Raises NotFound."""
    lab = labs.load(name)
    machine = lab.machine(host)
    if not machine.init.alive:
        remedy = f"make the lab again: socketplane lab up --name {name}"
        raise NotFound(f"host {host} of lab {name} does not run any more", remedy=remedy)
    shell.replace(machine.command(argv, str(folder)))


def down(name: str) -> bool:
    """Remove a lab; return whether there was anything. Raises Conflict while another process makes it."""
    build.check_root()
    with labs.locked(name):
        if not labs.leftovers(name):
            return False
        labs.remove(name)
        return True


def listing() -> list[dict[str, Any]]:
    """Return every lab's name, state, hosts and when it was made."""
    return [_describe(name) for name in names()]


def hosts(name: str) -> list[str]:
    """Return the names of a lab's hosts and the fabric; nothing where there is no such lab, or it is not ours to see."""
    try:
        lab = labs.find(name)
    except SocketPlaneError:
        return []
    return [machine.name for machine in (*lab.hosts, lab.fabric)] if lab else []


def next_steps(lab: Lab) -> list[str]:
    """Return what a person may type next, as root."""
    if lab.bare:
        tries = [f"{inside(lab, 'h1')} bash"]
    else:
        tries = [
            f"{inside(lab, 'h1')} socketplane status",
            f"{inside(lab, 'h1')} socketplane network create web",
            f"{inside(lab, 'h1')} docker run -d --name hello --network web {IMAGE} httpd -f -h /www",
            f"{inside(lab, lab.hosts[-1].name)} docker run --rm --network web {IMAGE} curl -s ADDRESS",
        ]
    return ["Try:", *(f"  {line}" for line in tries), "Remove it:", f"  {removal(lab)}"]


def inside(lab: Lab, host: str) -> str:
    """Return the words that a person types before a command for one of the lab's hosts."""
    return f"{_program()} lab exec{_option(lab)} {host} --"


def removal(lab: Lab) -> str:
    """Return the command that removes the lab."""
    return f"{_program()} lab down{_option(lab)}"


def _option(lab: Lab) -> str:
    return "" if lab.name == DEFAULT else f" --name {lab.name}"


def _program() -> str:
    """Return how our command is called from here."""
    own = Path(sys.prefix) / "bin/socketplane"
    found = shutil.which("socketplane")
    if found and Path(found).resolve() == own.resolve():
        return "socketplane"
    return str(own.relative_to(Path.cwd())) if own.is_relative_to(Path.cwd()) else str(own)


def first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the first error of a group: of what failed side by side, one story is enough."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _describe(name: str) -> dict[str, Any]:
    lab = labs.find(name)
    whole = lab is not None and lab.ready and lab.alive
    state = "up" if whole else "changing" if labs.busy(name) else "broken"
    hosts = [host.name for host in lab.hosts] if lab else []
    return {"name": name, "state": state, "hosts": hosts, "created": lab.created if lab else None}
