"""FRR's control socket, as its vtysh uses it: a command and a NUL; answered by text, three NULs and a code."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from pathlib import Path
from typing import Self

from socketplane.errors import SocketPlaneError, Unavailable

_END = b"\0\0\0"
_SUCCESS = (0, 1)  # CMD_WARNING: done, with something to say
_PATIENCE = 5.0
_LIMIT = 16 << 20


class Refused(SocketPlaneError):
    """A command that bgpd did not take; which one is not said, for it may hold a password."""

    code = "internal"


class Vty:
    """A session. Commands change its mode, as typed at a terminal; one that failed leaves it to be closed."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, socket: Path) -> Self:
        """Open a session that may change things. Unavailable: nobody answers."""
        try:
            async with asyncio.timeout(_PATIENCE):
                vty = cls(*await asyncio.open_unix_connection(str(socket), limit=_LIMIT))
        except (OSError, TimeoutError) as error:
            raise Unavailable(f"bgpd does not answer: {error}") from None
        await vty.run("enable")
        return vty

    def close(self) -> None:
        """End the session."""
        self._writer.close()

    async def run(self, command: str) -> str:
        """Run a command; return what it prints.

        Raises:
            Refused: bgpd does not take it.
            Unavailable: bgpd went away.
        """
        try:
            async with asyncio.timeout(_PATIENCE):
                self._writer.write(command.encode() + b"\0")
                await self._writer.drain()
                text = (await self._reader.readuntil(_END)).removesuffix(_END)
                (code,) = await self._reader.readexactly(1)
        except (OSError, EOFError, TimeoutError, asyncio.LimitOverrunError) as error:
            raise Unavailable(f"bgpd went away: {type(error).__name__}") from None
        answer = text.decode(errors="replace").strip()
        if code not in _SUCCESS:
            raise Refused(f"bgpd refuses a setting (code {code})")
        return answer

    async def configure(self, commands: Iterable[str]) -> None:
        """Run commands that change settings. Raises as `run` does."""
        await self.run("configure terminal")
        for command in commands:
            await self.run(command)
        await self.run("end")
