"""A relay in front of a real ovsdb-server that can do to a connection what networks and broken peers do."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from types import TracebackType
from typing import Self


class Proxy:
    """`async with Proxy(server.socket, directory) as proxy:` ... `proxy.remote`.

    `piece` cuts what the server sends into pieces of so many bytes. `received` collects it.
    """

    def __init__(self, target: Path, directory: Path, *, piece: int = 1 << 16) -> None:
        self._target = target
        self._path = directory / "proxy.sock"
        self._piece = piece
        self._open = asyncio.Event()
        self._open.set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self.remote = f"unix:{self._path}"
        self.connections = 0
        self.received = bytearray()
        self.sent = bytearray()

    async def __aenter__(self) -> Self:
        await self.listen()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.cut()

    async def listen(self) -> None:
        """Accept connections (again)."""
        self._server = await asyncio.start_unix_server(self._relay, self._path)

    async def cut(self) -> None:
        """End all connections and accept no more until listen()."""
        if self._server is not None:
            self._server.close()
            self._server = None
        self._path.unlink(missing_ok=True)
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def freeze(self) -> None:
        """From now on let nothing of the server through; the connections stay open."""
        self._open.clear()

    def thaw(self) -> None:
        """Let everything through again."""
        self._open.set()

    def inject(self, data: bytes) -> None:
        """Send this to the clients as if it came from the server."""
        for writer in self._writers:
            writer.write(data)

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._writers.add(writer)
        self.connections += 1
        others: list[asyncio.Task[None]] = []
        try:
            from_server, to_server = await asyncio.open_unix_connection(str(self._target))
            others = [
                asyncio.ensure_future(self._pump(reader, to_server, self.sent)),
                asyncio.ensure_future(self._pump(from_server, writer, self.received, gated=True)),
            ]
            await asyncio.wait(others, return_when=asyncio.FIRST_COMPLETED)
            to_server.close()
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            for other in others:
                other.cancel()
            with contextlib.suppress(UnboundLocalError):
                to_server.close()
            writer.close()
            self._writers.discard(writer)
            self._tasks.discard(task)

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, record: bytearray, *, gated: bool = False
    ) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(1 << 16):
                record += data
                for start in range(0, len(data), self._piece if gated else len(data)):
                    if gated:
                        await self._open.wait()
                    writer.write(data[start : start + self._piece] if gated else data)
                    await writer.drain()
                    if gated and self._piece < 1 << 16:
                        await asyncio.sleep(0)  # lets the reader see this piece on its own
