"""Other programs, run to their end."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from socketplane.errors import SocketPlaneError, Unavailable

TAIL = 15
REMEDY = "apt-get install qemu-system-x86 qemu-utils e2fsprogs, or `make test-kernel`"


def path() -> str:
    """Return where programs are looked for: a user's PATH lacks what only root is thought to need."""
    return f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"


def require(*names: str) -> None:
    """Raise Unavailable where a program is not installed."""
    if missing := [name for name in names if shutil.which(name, path=path()) is None]:
        raise Unavailable(f"not installed: {', '.join(missing)}", remedy=REMEDY)


def run(*argv: str | Path, environment: Mapping[str, str] | None = None) -> str:
    """Run a program to its end and return what it wrote to standard output.

    Its mounts, and the processes that it starts, end with it or with us. Raises SocketPlaneError with its last lines.
    """
    with tempfile.TemporaryFile("w+") as err:
        alone = (
            ("setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc")
            if os.geteuid() == 0
            else ()
        )
        done = subprocess.run(
            [*alone, *map(str, argv)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=err,
            text=True,
            check=False,
            env={**os.environ, "PATH": path(), "LC_ALL": "C.UTF-8", **(environment or {})},
        )
        err.seek(0)
        if done.returncode != 0:
            lines = [*done.stdout.splitlines(), *err.read().splitlines()][-TAIL:]
            raise SocketPlaneError(f"{argv[0]} ended with code {done.returncode}: " + "\n".join(lines))
    return done.stdout


def ended_by_signals() -> None:
    """Have a hang-up and a termination end us as an interrupt does: what is under way is undone."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
