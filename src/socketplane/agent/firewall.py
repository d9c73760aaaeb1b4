"""Puts the ruleset into the kernel, and notices when somebody flushed it. The agent's one module with subprocesses."""

from __future__ import annotations

import asyncio

import structlog

from socketplane.agent import ruleset
from socketplane.agent.ruleset import CHAIN, DOCKER_CHAIN, TABLE, Boundary
from socketplane.errors import Unavailable

_PATIENCE = 15.0
_LOCK_WAIT = "5"  # seconds that iptables waits for another iptables
_log = structlog.get_logger()


class Firewall:
    """Our nftables table, and our chain among Docker's. Nothing of others is touched."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self._table: tuple[Boundary, str] | None = None
        self._chain: tuple[list[str], list[str]] | None = None

    async def ensure(self, boundary: Boundary) -> None:
        """Set up what is not there, or not as it was after we set it up."""
        async with self._lock:
            await self._ensure_table(boundary)
            await self._ensure_chain(boundary)

    async def remove(self) -> None:
        """Remove what is ours."""
        async with self._lock:
            self._table = self._chain = None
            await _nft(f"table inet {TABLE}\ndelete table inet {TABLE}\n")
            saved = await _save()
            if ruleset.rules_of(saved, CHAIN) is not None:
                await _restore(ruleset.docker_removal(ruleset.rules_of(saved, DOCKER_CHAIN) or []))

    async def _ensure_table(self, boundary: Boundary) -> None:
        if self._table == (boundary, await _list_table()):
            return
        if self._table is not None and self._table[0] == boundary:
            _log.warning("firewall repaired: our table was changed or flushed", table=TABLE)
        await _nft(ruleset.nftables(boundary))
        self._table = boundary, await _list_table()

    async def _ensure_chain(self, boundary: Boundary) -> None:
        saved = await _save()
        docker_user = ruleset.rules_of(saved, DOCKER_CHAIN)
        if docker_user is None:
            return
        ours, wanted = ruleset.rules_of(saved, CHAIN), ruleset.docker_rules(boundary)
        if ruleset.is_called(docker_user) and self._chain == (wanted, ours):
            return
        if self._chain is not None and self._chain[0] == wanted:
            _log.info("lines among Docker's firewall rules set again", chain=DOCKER_CHAIN)
        await _restore(ruleset.docker_script(boundary, docker_user))
        self._chain = wanted, ruleset.rules_of(await _save(), CHAIN) or []


async def _nft(script: str) -> None:
    try:
        await _run("nft", "-f", "-", stdin=script)
    except FileNotFoundError:
        raise Unavailable("nft is not installed", remedy="install the package nftables") from None


async def _list_table() -> str:
    try:
        return await _run("nft", "-s", "list", "table", "inet", TABLE, check=False)
    except FileNotFoundError:
        return ""


async def _save() -> str:
    """Return iptables' filter table; empty on a host without iptables, where Docker can have no chain either."""
    try:
        return await _run("iptables-save", "-t", "filter")
    except FileNotFoundError:
        return ""


async def _restore(script: str) -> None:
    await _run("iptables-restore", "--wait", _LOCK_WAIT, "--noflush", stdin=script)


async def _run(*command: str, stdin: str = "", check: bool = True) -> str:
    pipe = asyncio.subprocess.PIPE
    source = pipe if stdin else asyncio.subprocess.DEVNULL  # uvloop fails to write to one that ended already
    process = await asyncio.create_subprocess_exec(*command, stdin=source, stdout=pipe, stderr=pipe)
    try:
        async with asyncio.timeout(_PATIENCE):
            output, complaint = await process.communicate(stdin.encode() or None)
    except BaseException:
        if process.returncode is None:
            process.kill()
            await process.wait()
        raise
    if check and process.returncode:
        raise Unavailable(f"{' '.join(command)} failed: {complaint.decode().strip()}")
    return output.decode() if not process.returncode else ""
