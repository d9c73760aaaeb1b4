"""Puts the ruleset into the kernel, and notices when somebody flushed it. The agent's one module with subprocesses."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import structlog

from socketplane.agent import iptables, ruleset
from socketplane.agent.iptables import Saved
from socketplane.agent.ruleset import TABLE, Boundary
from socketplane.errors import Unavailable

_PATIENCE = 15.0
_LOCK_WAIT = "5"  # seconds that iptables waits for another iptables
_PREFIXES = {4: "ip", 6: "ip6"}
_NFT, _LEGACY = "tables-nft", "tables-legacy"
_LEGACY_TABLES = "/proc/thread-self/net/{}_tables_names"
_PLACES = "/usr/sbin:/sbin:/usr/local/sbin:/usr/bin:/bin"
_log = structlog.get_logger()


class Firewall:
    """Our nftables table, and our chains among those of iptables' users. Nothing of others is touched."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self._table: tuple[Boundary, str] | None = None
        self._chains: dict[str, tuple[list[str], list[str]]] = {}

    async def ensure(self, boundary: Boundary) -> None:
        """Set up what is not there, or not as it was after we set it up."""
        async with self._lock:
            await self._ensure_table(boundary)
            for version in (4, 6) if boundary.ipv6 is not None else (4,):
                for variant in await asyncio.to_thread(_variants, version):
                    await self._ensure_chains(variant, iptables.rules(boundary, version))

    async def remove(self) -> None:
        """Remove what is ours."""
        async with self._lock:
            self._table = None
            self._chains.clear()
            await _nft(f"table inet {TABLE}\ndelete table inet {TABLE}\n")
            for version in _PREFIXES:
                for variant in await asyncio.to_thread(_variants, version):
                    if script := (await _save(variant)).removal():
                        await _restore(variant, script)

    async def _ensure_table(self, boundary: Boundary) -> None:
        if self._table == (boundary, await _list_table()):
            return
        if self._table is not None and self._table[0] == boundary:
            _log.warning("firewall repaired: our table was changed or flushed", table=TABLE)
        await _nft(ruleset.nftables(boundary))
        self._table = boundary, await _list_table()

    async def _ensure_chains(self, variant: str, wanted: list[str]) -> None:
        saved = await _save(variant)
        if not saved.closed():
            self._chains.pop(variant, None)
            if script := saved.removal():
                await _restore(variant, script)
            return
        former, standing = self._chains.get(variant, ([], []))
        if saved.called() and (wanted, saved.ours()) == (former, standing):
            return
        if wanted == former:
            _log.info("lines among iptables' rules set again", iptables=variant)
        await _restore(variant, saved.script(wanted))
        self._chains[variant] = wanted, (await _save(variant)).ours()


def _variants(version: int) -> list[str]:
    """Return the kinds of iptables whose rules may be in force: Debian has two, each blind for the other's."""
    prefix = _PREFIXES[version]
    kinds = [kind for kind in (_NFT, _LEGACY) if shutil.which(f"{prefix}{kind}-save", path=_PLACES)] or ["tables"]
    if _LEGACY in kinds and not _legacy_is_used(prefix):
        kinds.remove(_LEGACY)  # to ask would load its tables
    return [f"{prefix}{kind}" for kind in kinds]


def _legacy_is_used(prefix: str) -> bool:
    try:
        return "filter" in Path(_LEGACY_TABLES.format(prefix)).read_text().split()
    except OSError:
        return False


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


async def _save(variant: str) -> Saved:
    """Return iptables' filter table; empty on a host without iptables, where nobody can have chains either."""
    try:
        return Saved.parse(await _run(f"{variant}-save", "-t", "filter"))
    except FileNotFoundError:
        return Saved(())


async def _restore(variant: str, script: str) -> None:
    await _run(f"{variant}-restore", "--wait", _LOCK_WAIT, "--noflush", stdin=script)


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
