"""The event loop that daemons use."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from socketplane.ovsdb import Client, insert
from support.ovsdb_schema import QUICK, SCHEMA
from support.ovsdb_server import OvsdbServer

uvloop = pytest.importorskip("uvloop")


def test_transactions_monitors_locks_and_reconnection_on_uvloop(tmp_path: Path) -> None:
    async def main() -> None:
        async with OvsdbServer(SCHEMA, tmp_path / "server") as server:
            for remote in (server.remote, server.tcp_remote):
                async with Client([remote], "Test", probe_interval=0.5, backoff=QUICK) as client:
                    replica = await client.monitor({"Thing": ["name"]})
                    await client.transact(insert("Thing", {"name": f"{remote} 1"}))
                    await server.kill()
                    await server.start()
                    await client.transact(insert("Thing", {"name": f"{remote} 2" + "x" * 1_000_000}))
                    await client.lock("active").acquired()
                    assert sum(row["name"].startswith(remote) for row in replica["Thing"].values()) == 2

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
