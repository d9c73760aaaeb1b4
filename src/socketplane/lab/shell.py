"""Other programs, run from the lab. The only module here that starts processes."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shlex
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, ClassVar, NoReturn

from socketplane.errors import SocketPlaneError

TAIL = 12
"""Lines of a failed program's output that its error shows."""


@dataclass(frozen=True, slots=True)
class Completed:
    """A program that ended: exit code (negative: the signal) and what it wrote."""

    argv: tuple[str, ...]
    code: int
    out: str
    err: str


class CommandFailed(SocketPlaneError):
    """A program ended with an error or not in time; `completed` holds what it wrote (code None: not in time)."""

    code: ClassVar[str] = "command_failed"

    def __init__(self, message: str, completed: Completed | None = None) -> None:
        super().__init__(message)
        self.completed = completed


async def run(
    argv: Sequence[str],
    *,
    stdin: str | bytes | Path | None = None,
    timeout: float = 30.0,  # noqa: ASYNC109 - the caller's error must show what the program wrote
    check: bool = True,
    title: str = "",
) -> Completed:
    """Run a program to its end; `stdin` is a text, bytes or a file to read from, `title` what errors call it.

    Output goes through files, so that a daemon which the program leaves behind can't hold us by an open pipe.
    Raises CommandFailed on a timeout, and with `check` on an exit code other than 0. Cancelled, it kills the program.
    """
    with contextlib.ExitStack() as stack:
        source, out, err = await asyncio.to_thread(_files, stdin, stack)
        # In a session of its own: at a terminal's interrupt it is we who end it, once and in order.
        process = await asyncio.create_subprocess_exec(*argv, stdin=source, stdout=out, stderr=err, start_new_session=True)
        try:
            async with asyncio.timeout(timeout):
                code: int | None = await process.wait()
        except TimeoutError:
            code = None
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        texts = await asyncio.to_thread(lambda: (_content(out), _content(err)))
    completed = Completed(tuple(argv), -signal.SIGKILL if code is None else code, *texts)
    if code is None:
        raise CommandFailed(_message(completed, title, f"did not end within {timeout:g} s"), completed)
    if check and code != 0:
        raise CommandFailed(_message(completed, title, f"ended with code {code}"), completed)
    return completed


def spawn(argv: Sequence[str], *, log: Path, timeout: float = 20.0) -> str:
    """Start a program in a session of its own that outlives us; return what it wrote before it closed its stdout.

    Raises CommandFailed when stdout stays open for longer than `timeout`; the program's stderr is in `log`.
    """
    with log.open("ab") as err:
        command = ["setsid", "--fork", *argv]
        try:
            done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=err, timeout=timeout)
        except subprocess.TimeoutExpired:
            raise CommandFailed(f"{argv[0]}: not ready within {timeout:g} s: {tail(log)}") from None
    return done.stdout.decode()


def replace(argv: Sequence[str]) -> NoReturn:
    """Become another program, terminal and all; leaves interrupts to the program that it starts in its turn."""
    for number in (signal.SIGINT, signal.SIGQUIT):
        signal.signal(number, signal.SIG_IGN)
    os.execvp(argv[0], list(argv))  # noqa: S606 - the very purpose


def tail(log: Path) -> str:
    """Return a log's last lines, or an empty text where there is none."""
    try:
        return "\n".join(log.read_text(errors="replace").splitlines()[-TAIL:])
    except OSError:
        return ""


def _files(stdin: str | bytes | Path | None, stack: contextlib.ExitStack) -> tuple[IO[bytes] | int, IO[bytes], IO[bytes]]:
    """Open a program's input, output and error output."""
    out, err = _scratch(stack), _scratch(stack)
    if stdin is None:
        return subprocess.DEVNULL, out, err
    if isinstance(stdin, Path):
        return stack.enter_context(stdin.open("rb")), out, err
    source = _scratch(stack)
    source.write(stdin.encode() if isinstance(stdin, str) else stdin)
    source.seek(0)
    return source, out, err


def _scratch(stack: contextlib.ExitStack) -> IO[bytes]:
    return stack.enter_context(tempfile.TemporaryFile())


def _content(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode(errors="replace")


def _message(completed: Completed, title: str, what: str) -> str:
    text = (completed.err.strip() or completed.out.strip()).splitlines()[-TAIL:]
    return f"{title or shlex.join(completed.argv)} {what}" + (": " + "\n".join(text) if text else "")
