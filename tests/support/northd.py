"""Real OVN without switches: both databases, ovn-northd, and ovn-trace to ask what becomes of a packet."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

from socketplane.compile import TABLES, Features
from socketplane.controller.recompute import Recompute, touch
from socketplane.ovsdb import Client, Replica, insert, mutate
from socketplane.ovsdb.operations import Operation
from support.ovsdb_server import OvsdbServer

SCHEMAS = Path("/usr/share/ovn")
MOST_LOOKUPS = 12000
"""Conntrack lookups of one Tracer: ovn-trace counts them over its whole life, and takes later ones for established."""

LOOKUPS = 4
"""What one packet needs at most: its source's and its destination's, twice where a load balancer is asked."""


class Northd:
    """`async with northd(directory) as ovn:` ... `ovn.replica`, `ovn.apply(operations)`, `ovn.tracer()`."""

    def __init__(self, directory: Path, client: Client, replica: Replica, southbound: str) -> None:
        self.directory = directory
        self.client = client
        self.replica = replica
        self._southbound = southbound

    async def apply(self, operations: Sequence[Operation]) -> None:
        """Apply operations in one transaction and return when the southbound shows them, as the controller leaves it."""
        await self._compiled(operations)
        recompute = Recompute()
        recompute.note(operations, 0.0)
        if recompute.due is not None and Features.from_schema(self.client.schema).incremental:
            await self._compiled(touch(self.replica["Logical_Switch"]))

    async def _compiled(self, operations: Sequence[Operation]) -> None:
        await self.client.transact(*operations, mutate("NB_Global", (), [("nb_cfg", "+=", 1)]))
        await self.replica.wait_for(
            lambda tables: all(r["nb_cfg"] == r["sb_cfg"] for r in tables["NB_Global"].values()), 30
        )

    async def add_chassis(self, *names: str) -> None:
        """Make hosts known to the southbound, as their ovn-controllers would."""
        async with Client([self._southbound], "OVN_Southbound") as southbound:
            for number, name in enumerate(names, start=1):
                uuid = uuid4()
                encap = {"type": "geneve", "ip": f"192.0.2.{number}", "chassis_name": name}
                chassis = {"name": name, "hostname": name, "encaps": frozenset({uuid})}
                await southbound.transact(insert("Encap", encap, uuid=uuid), insert("Chassis", chassis))

    def errors(self) -> list[str]:
        """Return what northd and ovn-trace (it reads flows as ovn-controller does) warned of, but for a busy machine."""
        logs = [path.read_text() for path in self.directory.glob("*.log")]
        lines = [line.split("|") for text in logs for line in text.splitlines()]
        quiet = ("timeval", "poll_loop", "fatal_signal")
        wrong = ["|".join(line) for line in lines if line[3] in ("WARN", "ERR", "EMER") and line[2] not in quiet]
        # 25.03 says so when all switches of a load balancer are replaced in one transaction, and sets it.
        return [line for line in wrong if "SB Load balancer" not in line or "which is unexpected" not in line]

    @contextlib.asynccontextmanager
    async def tracer(self) -> AsyncIterator[Tracer]:
        """Run ovn-trace on the southbound as it is now: it reads the database once."""
        control = self.directory / "trace.ctl"
        pidfile = self.directory / "trace.pid"
        process = await asyncio.create_subprocess_exec(
            "ovn-trace", f"--db={self._southbound}", "--detach", f"--unixctl={control}", f"--pidfile={pidfile}",
            f"--log-file={self.directory / 'trace.log'}", "--no-chdir", *(["--ct", "new"] * MOST_LOOKUPS),
            stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        async with asyncio.timeout(10):
            assert await process.wait() == 0
        pid = int(pidfile.read_text())
        reader, writer = await asyncio.open_unix_connection(str(control), limit=1 << 24)
        try:
            yield Tracer(reader, writer)
        finally:
            writer.close()
            os.kill(pid, signal.SIGTERM)
            async with asyncio.timeout(10):
                while _exists(pid):  # noqa: ASYNC110 -- not our child: there is nothing to wait on
                    await asyncio.sleep(0.005)


class Tracer:
    """Asks ovn-trace."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._lookups = 0

    async def trace(self, switch: str, microflow: str) -> str:
        """Return ovn-trace's summary, conntrack taking each packet for the first of its connection."""
        self._lookups += LOOKUPS
        assert self._lookups <= MOST_LOOKUPS, "too many questions for one tracer"
        parameters = ["--summary", switch, microflow]
        self._writer.write(json.dumps({"id": 0, "method": "trace", "params": parameters}).encode())
        text = ""
        while True:
            text += (await self._reader.read(1 << 20)).decode()
            with contextlib.suppress(json.JSONDecodeError):
                answer: dict[str, Any] = json.loads(text)
                assert answer["error"] is None, answer["error"]
                return str(answer["result"])


def _exists(pid: int) -> bool:
    """Return whether a process is there and more than a zombie that nobody has waited for yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@contextlib.asynccontextmanager
async def northd(directory: Path) -> AsyncIterator[Northd]:
    """Run both databases and ovn-northd in a directory."""
    async with (
        OvsdbServer(SCHEMAS / "ovn-nb.ovsschema", directory / "nb") as northbound,
        OvsdbServer(SCHEMAS / "ovn-sb.ovsschema", directory / "sb") as southbound,
    ):
        process = await asyncio.create_subprocess_exec(
            "ovn-northd", f"--ovnnb-db={northbound.remote}", f"--ovnsb-db={southbound.remote}",
            f"--unixctl={directory / 'northd.ctl'}", f"--log-file={directory / 'northd.log'}", "--verbose=console:off",
            "--no-chdir", stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        try:
            async with Client([northbound.remote], "OVN_Northbound") as client:
                replica = await client.monitor({**TABLES, "NB_Global": ["nb_cfg", "sb_cfg"]})
                await replica.wait_for(lambda tables: tables["NB_Global"], 10)
                yield Northd(directory, client, replica, southbound.remote)
        finally:
            process.terminate()
            async with asyncio.timeout(10):
                await process.wait()
