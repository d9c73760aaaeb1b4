"""The intent database itself: what it enforces, how it is upgraded, and a full disk under it."""

import asyncio
import contextlib
import copy
import json
import shutil
from pathlib import Path
from uuid import uuid4

import pytest

from socketplane.cluster.openvswitch import prepare_file
from socketplane.controller.rows import host_uuid
from socketplane.controller.schema import DATABASE, SCHEMA_FILE, load_schema, upgrade, version
from socketplane.errors import Conflict, Unavailable
from socketplane.ovsdb import Client, ConstraintViolation, ReferentialViolation, by_uuid, delete, insert
from support import controller as support
from support.ovsdb_server import OvsdbServer, run
from support.steps import attach, endpoint_id


async def test_the_database_itself_refuses_what_must_not_be(world, databases):
    made = await attach(world.h1, world.web, 1)
    async with Client([databases.intent.remote], DATABASE) as client:
        rows = await client.monitor({"Network": None, "Endpoint": None, "Host": None})
        (network,) = rows["Network"]
        endpoint = dict(next(iter(rows["Endpoint"].values())))
        host = dict(rows["Host"][host_uuid("h1")])
        row = dict(rows["Network"][network])
        for table, twin in (
            ("Endpoint", {**endpoint, "address": "10.192.0.99"}),
            ("Endpoint", {**endpoint, "id": endpoint_id(2)}),
            ("Host", {**host, "name": "other"}),
            ("Network", {**row, "subnet": "10.250.0.0/24"}),
            ("Network", {**row, "name": "other"}),
            ("Cluster", {"pool": "10.0.0.0/8", "prefix": 24, "next_policy": 1}),
            ("Policy", {"network_name": "web", "name": "p", "number": 0}),
        ):
            with pytest.raises(ConstraintViolation):
                await client.transact(insert(table, twin, uuid=uuid4()))
        with pytest.raises(ReferentialViolation):
            await client.transact(delete("Network", by_uuid(network)))
        with pytest.raises(ReferentialViolation):
            await client.transact(delete("Host", by_uuid(host_uuid("h1"))))
    assert made["id"] in world.active.store.committed.endpoints


SCHEMA = load_schema()


def older(schema):
    """Version 0.9.0 as it might have been: without a column that came later."""
    old = copy.deepcopy(schema)
    old["version"] = "0.9.0"
    del old["tables"]["Network"]["columns"]["request"]
    del old["tables"]["Token"]
    return old


async def test_an_older_database_is_converted_and_keeps_its_content(tmp_path, keys):
    async with (
        OvsdbServer(older(SCHEMA), tmp_path / "intent") as intent,
        OvsdbServer(support.NB_SCHEMA, tmp_path / "northbound") as northbound,
    ):
        network = uuid4()
        row = {"name": "old", "subnet": "10.192.0.0/24", "gateway": "10.192.0.1"}
        async with Client([intent.remote], DATABASE) as client:
            await client.transact(insert("Network", row, uuid=network))
        async with support.controller(support.Databases(tmp_path, intent, northbound), keys) as controller:
            assert (await controller.admin.call("GET", "/v1/networks/old"))["id"] == str(network)
            assert await controller.admin.call("POST", "/v1/tokens", {})
            assert (await controller.admin.call("POST", "/v1/networks", {"name": "new", "request": "r"}))["name"] == "new"


OLD_FILE = Path(__file__).parent / "intent-1.0.0.db"
"""What the program of schema 1.0.0 left: two hosts, a network, two endpoints, a token, and the second of two policies."""


@pytest.mark.parametrize("converted_by", ["controller", "up"])
async def test_a_database_file_of_1_0_0_becomes_one_with_a_history(tmp_path, keys, converted_by):
    directory = tmp_path / "intent"
    await asyncio.to_thread(directory.mkdir)
    await asyncio.to_thread(shutil.copy, OLD_FILE, directory / "db")
    if converted_by == "up":
        await asyncio.to_thread(prepare_file, directory / "db", SCHEMA_FILE)
    async with (
        OvsdbServer(SCHEMA_FILE, directory) as intent,
        OvsdbServer(support.NB_SCHEMA, tmp_path / "northbound") as northbound,
        support.controller(support.Databases(tmp_path, intent, northbound), keys) as controller,
    ):
        call = controller.admin.call
        (kept,) = (await call("GET", "/v1/policies"))["items"]
        assert (kept["name"], kept["number"], kept["subjects"]) == ("kept", 2, 1)
        listed = (await call("GET", "/v1/endpoints"))["items"]
        assert [endpoint["aliases"] for endpoint in listed] == [[], []]
        assert len((await call("GET", "/v1/tokens"))["items"]) == 1
        assert (await call("GET", "/v1/policies/history"))["items"] == []
        await call("DELETE", "/v1/policies/web/kept")
        assert (await call("POST", "/v1/policies/rollback", {"revision": 0}))["revision"] == 2
        assert (await call("GET", "/v1/policies"))["items"] == [kept]


async def test_a_newer_database_is_refused_and_not_touched(tmp_path, keys):
    newer = {**SCHEMA, "version": "2.0.0"}
    async with (
        OvsdbServer(newer, tmp_path / "intent") as intent,
        OvsdbServer(support.NB_SCHEMA, tmp_path / "northbound") as northbound,
    ):
        with pytest.raises(
            Conflict, match=rf"has schema 2\.0\.0, this program knows {SCHEMA['version']}; install the newer"
        ):
            async with support.controller(support.Databases(tmp_path, intent, northbound), keys):
                pass
        assert (await run("ovsdb-client", "get-schema-version", intent.remote, DATABASE)).strip() == "2.0.0"


async def test_an_upgrade_of_nothing_changes_nothing(databases):
    await upgrade(databases.intent.remote, SCHEMA)
    with pytest.raises(Unavailable, match="does not answer"):
        await upgrade("unix:/nonexistent", SCHEMA)
    assert version({"version": "1.10.0"}) > version({"version": "1.9.3"}) > version({})


async def test_a_full_disk_refuses_and_loses_nothing(tmp_path, keys):
    """The database's file is on a small file system of its own."""
    small = tmp_path / "small"
    await asyncio.to_thread(small.mkdir)
    await run("mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", small)
    try:
        async with (
            OvsdbServer(SCHEMA_FILE, small / "intent") as intent,
            OvsdbServer(support.NB_SCHEMA, tmp_path / "northbound") as northbound,
        ):
            databases = support.Databases(tmp_path, intent, northbound)
            async with support.controller(databases, keys) as controller:
                await controller.admin.call("PUT", "/v1/hosts/h1", {"system_id": "system-h1", "address": "127.0.0.1"})
                await asyncio.to_thread((small / "ballast").write_bytes, b"")
                await asyncio.to_thread(fill, small / "ballast")
                message = "can't write its file.*make room on the disk"
                with pytest.raises(Unavailable, match=message):
                    for number in range(200):
                        body = {"name": f"n{number}", "labels": {"long": "x" * 1000}}
                        await controller.admin.call("POST", "/v1/networks", body)
                kept = {network["name"] for network in (await controller.admin.call("GET", "/v1/networks"))["items"]}
                await asyncio.to_thread((small / "ballast").unlink)
                await controller.admin.call("POST", "/v1/networks", {"name": "after"})
                kept.add("after")
                listed = (await controller.admin.call("GET", "/v1/networks"))["items"]
                assert {network["name"] for network in listed} == kept
            await intent.stop()
            await intent.start()
            async with support.controller(databases, keys) as controller:
                listed = (await controller.admin.call("GET", "/v1/networks"))["items"]
                assert {network["name"] for network in listed} == kept
    finally:
        await run("umount", small)


def fill(file):
    """Take all room but a little."""
    with file.open("wb", buffering=0) as out, contextlib.suppress(OSError):
        while True:
            out.write(b"x" * 4096)


def test_the_schema_is_valid_json_with_a_version():
    assert version(json.loads(SCHEMA_FILE.read_text())) >= (1, 5, 0)
