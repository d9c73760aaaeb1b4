"""Other programs. The only module of the cluster package that starts processes."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from socketplane.errors import SocketPlaneError

TAIL = 12
"""Lines of a failed program's output that its error shows."""
_KEPT = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR")
_KEPT_LOWER = ("http_proxy", "https_proxy", "no_proxy", "all_proxy")
_KEPT_PREFIXES = ("OVS_", "OVN_", "DOCKER_")

_LEFT_RUNNING: list[subprocess.Popen[bytes]] = []  # one that is collected while it runs would complain


@dataclass(frozen=True, slots=True)
class Completed:
    """A program that ended: exit code and what it wrote."""

    code: int
    out: str
    err: str


class CommandFailed(SocketPlaneError):
    """A program ended with an error or not in time; `lines` are the last that it wrote."""

    code: ClassVar[str] = "command_failed"

    def __init__(self, message: str, lines: Sequence[str] = (), remedy: str | None = None) -> None:
        super().__init__(message, remedy=remedy)
        self.lines = tuple(lines)


def environment(environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the environment that programs get: what they need, and nothing that may be secret."""
    source = os.environ if environ is None else environ
    kept = {
        name: value
        for name, value in source.items()
        if name in _KEPT or name.lower() in _KEPT_LOWER or name.startswith(_KEPT_PREFIXES)
    }
    kept.setdefault("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
    return kept


def run(argv: Sequence[str], *, stdin: str = "", timeout: float = 30.0, check: bool = True) -> Completed:
    """Run a program to its end.

    Output goes through files, so that a daemon which the program leaves behind can't hold us by an open pipe.

    Raises:
        CommandFailed: it does not exist, ran for longer than `timeout`, or (with `check`) ended with another code than 0.
    """
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err, tempfile.TemporaryFile() as source:
        source.write(stdin.encode())
        source.seek(0)
        try:
            done = subprocess.run(
                list(argv), stdin=source, stdout=out, stderr=err, timeout=timeout, env=environment(), check=False
            )
            code: int | None = done.returncode
        except FileNotFoundError:
            raise CommandFailed(f"there is no program {argv[0]}") from None
        except subprocess.TimeoutExpired:
            code = None
        texts = []
        for file in (out, err):
            file.seek(0)
            texts.append(file.read().decode(errors="replace"))
    if code is None or (check and code != 0):
        lines = last_lines(texts[1] or texts[0])
        what = f"did not end within {timeout:g} s" if code is None else f"ended with code {code}"
        why = f": {_telling(lines)}" if lines else ""
        raise CommandFailed(f"{Path(argv[0]).name} {what}{why}", lines)
    return Completed(code, texts[0], texts[1])


def spawn(argv: Sequence[str], log: Path) -> subprocess.Popen[bytes]:
    """Start a program in a session of its own that outlives us, with its output at the end of a log file."""
    with log.open("ab") as file:
        try:
            process = subprocess.Popen(
                list(argv),
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                cwd="/",
                env=environment(),
                start_new_session=True,
            )
        except FileNotFoundError:
            raise CommandFailed(f"there is no program {argv[0]}") from None
    _LEFT_RUNNING.append(process)
    return process


def _telling(lines: Sequence[str]) -> str:
    """Return the line that says what went wrong."""
    return next((line for line in lines if "error" in line.lower()), lines[-1]).strip()


def reap() -> None:
    """Let go of programs of `spawn` that have ended."""
    _LEFT_RUNNING[:] = [process for process in _LEFT_RUNNING if process.poll() is None]


def last_lines(text: str) -> list[str]:
    """Return the last lines that are worth showing."""
    return [line for line in text.splitlines() if line.strip()][-TAIL:]
