"""A server whose disk is full."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from socketplane.ovsdb import Client, IoError, ResourcesExhausted, insert, select
from socketplane.ovsdb.errors import TransactionFailed, transaction_failed
from support.ovsdb_schema import QUICK, SCHEMA
from support.ovsdb_server import OvsdbServer

# The server's own mount namespace, with its database moved to a file system of 64 kB that goes with the process.
SMALL_DISK = """
set -e
cp "$0/db" "$0/db.copy"
mkdir -p "$0/disk"
mount -t tmpfs -o size=64k tmpfs "$0/disk"
cp "$0/db.copy" "$0/disk/db"
dir=$0
exec "$@" "$dir/disk/db"
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
async def test_a_full_disk_fails_the_transaction_and_keeps_what_was(tmp_path: Path) -> None:
    directory = tmp_path / "server"
    wrap = ["unshare", "-m", "--propagation", "private", "sh", "-c", SMALL_DISK, str(directory)]
    server = OvsdbServer(SCHEMA, directory, wrap=wrap, names_database=False)
    async with server, Client([server.remote], "Test", backoff=QUICK) as client:
        await client.transact(insert("Thing", {"name": "fits"}))
        with pytest.raises(IoError) as caught:
            await client.transact(insert("Thing", {"name": "x" * 100_000}))
        assert isinstance(caught.value, ResourcesExhausted)
        assert caught.value.index == 1
        assert "space" in caught.value.details
        (read,) = await client.transact(select("Thing", (), ["name"]))
        assert read.rows == [{"name": "fits"}]


@pytest.mark.parametrize(
    ("tag", "kind"),
    [("resources exhausted", ResourcesExhausted), ("I/O error", IoError), ("news to us", TransactionFailed)],
)
def test_tags_that_servers_seldom_send(tag: str, kind: type[TransactionFailed]) -> None:
    error = transaction_failed(2, tag, "details")
    assert type(error) is kind
    assert (error.index, error.error, error.details) == (2, tag, "details")
