"""A server with every kind of column, and a client on it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from socketplane.ovsdb import Client
from support.ovsdb_schema import QUICK, SCHEMA
from support.ovsdb_server import OvsdbServer


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[OvsdbServer]:
    async with OvsdbServer(SCHEMA, tmp_path / "server") as server:
        yield server


@pytest.fixture
async def client(server: OvsdbServer) -> AsyncIterator[Client]:
    async with Client([server.remote], "Test", backoff=QUICK) as client:
        await client.wait_connected(10)
        yield client
