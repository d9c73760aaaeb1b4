"""Seeing that a daemon works: by what it answers, never by how long it has been there."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import time
from collections.abc import Callable
from pathlib import Path

import aiohttp

from socketplane.cluster.daemons import Control, Daemon, Database, Http, Vty
from socketplane.cluster.run import CommandFailed, run

PAUSE = 0.05
SECONDS = 5
"""How long a daemon may take to answer."""


def answers(daemon: Daemon) -> bool:
    """Return whether a daemon works, whoever started it."""
    match daemon.probe:
        case Database(path, name):
            return path.exists() and name in _try(["ovsdb-client", f"--timeout={SECONDS}", "list-dbs", f"unix:{path}"])
        case Control():
            control = control_socket(daemon)
            return control is not None and bool(_try(["ovs-appctl", f"--timeout={SECONDS}", "-t", str(control), "version"]))
        case Http(path, method, asked):
            return path.exists() and 0 < http_status(path, method, asked) < 500
        case Vty(path):
            return _vty_answers(path)


def control_socket(daemon: Daemon) -> Path | None:
    """Return the control socket of a daemon that runs, None without one."""
    pid = pid_of(daemon)
    if daemon.control is None or pid is None:
        return None
    control = Path(str(daemon.control).format(pid=pid))
    return control if control.exists() else None


def pid_of(daemon: Daemon) -> int | None:
    """Return the process that a daemon's pidfile names, None when it is not running or another program by now."""
    try:
        pid = int(daemon.pidfile.read_text())
    except (OSError, ValueError):
        return None
    return pid if runs(pid, daemon.program) else None


def runs(pid: int, program: str) -> bool:
    """Return whether a process is alive and runs this program (itself, or as a script)."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        argv = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    names = {Path(os.fsdecode(word)).name.rstrip(":") for word in argv[:3]}
    return state not in "ZX" and program in names


def wait_until(condition: Callable[[], bool], seconds: float, pause: float = PAUSE) -> bool:
    """Look until a condition holds; return whether it did in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(pause)
    return True


def http_status(socket: Path, method: str, path: str) -> int:
    """Return the status of an answer on a unix socket, 0 for none."""

    async def ask() -> int:
        limits = aiohttp.ClientTimeout(total=SECONDS)
        connector = aiohttp.UnixConnector(str(socket))
        async with (
            aiohttp.ClientSession(connector=connector, timeout=limits) as session,
            session.request(method, f"http://localhost{path}") as response,
        ):
            return response.status

    with contextlib.suppress(aiohttp.ClientError, OSError, TimeoutError):
        return asyncio.run(ask())
    return 0


def _vty_answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as vty, contextlib.suppress(OSError):
        vty.settimeout(SECONDS)
        vty.connect(str(path))
        vty.sendall(b"show version\0")
        return bool(vty.recv(1))
    return False


def _try(argv: list[str]) -> str:
    try:
        return run(argv, timeout=SECONDS + 2, check=True).out
    except CommandFailed:
        return ""
