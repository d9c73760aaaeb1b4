"""Asking a daemon of Open vSwitch or OVN over its control socket: JSON-RPC, one request a connection."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path

import orjson

from socketplane.errors import Unavailable

_LONGEST = 256 * 1024 * 1024


async def ask(socket: Path, command: str, *arguments: str, seconds: float = 2.0) -> str:
    """Return what the daemon answers to a command, as `ovs-appctl` would print it.

    Raises:
        Unavailable: it does not answer in time, or answers that it failed.
    """
    try:
        async with asyncio.timeout(seconds):
            answer = await _exchange(socket, command, arguments)
    except (OSError, ValueError) as error:  # TimeoutError is an OSError
        raise Unavailable(f"no answer: {str(error) or 'not in time'}", field=str(socket)) from None
    if answer.get("error") is not None:
        raise Unavailable(str(answer["error"]).strip(), field=str(socket))
    return str(answer.get("result") or "").strip()


async def _exchange(socket: Path, command: str, arguments: tuple[str, ...]) -> dict[str, object]:
    reader, writer = await asyncio.open_unix_connection(socket)
    try:
        writer.write(orjson.dumps({"id": 0, "method": command, "params": list(arguments)}))
        await writer.drain()
        received = bytearray()
        while chunk := await reader.read(65536):
            received += chunk
            if len(received) > _LONGEST:
                raise ValueError(f"an answer of more than {_LONGEST >> 20} MiB")
            if chunk.rstrip().endswith(b"}"):  # looking at each of many parts as if it were the last takes far longer
                with suppress(ValueError):
                    return dict(orjson.loads(received))
        raise ValueError("the connection ended")
    finally:
        writer.close()


def control_socket(directory: Path, daemon: str) -> Path | None:
    """Return a running daemon's control socket, which is named after its process id."""
    try:
        pid = int((directory / f"{daemon}.pid").read_text())
    except (OSError, ValueError):
        found = sorted(directory.glob(f"{daemon}.*.ctl"), key=_modified)
        return found[-1] if found else None
    path = directory / f"{daemon}.{pid}.ctl"
    return path if path.exists() else None


def _modified(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
