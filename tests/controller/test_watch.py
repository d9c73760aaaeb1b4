"""The stream of changes."""

import asyncio

import orjson

from socketplane.controller import hub


async def test_a_snapshot_then_what_changes(world, lines):
    pending = await world.h2.call("POST", "/v1/networks", {"request": "p"})
    first = await lines()
    assert first.type == "snapshot"
    assert [network.name for network in first.networks] == ["web"]
    assert [host.name for host in first.hosts] == ["h1", "h2"]
    await world.h2.call("PATCH", f"/v1/networks/{pending['id']}", {"name": "db"})
    named = await lines()
    assert (named.type, named.kind, named.network.name) == ("put", "network", "db")
    await world.admin.call("DELETE", "/v1/networks/db")
    gone = await lines()
    assert (gone.type, gone.kind, gone.id) == ("delete", "network", pending["id"])
    await world.h2.call("PUT", "/v1/hosts/h2/report", {"version": "1", "docker": "x", "ovn_controller": True})
    ready = await lines()
    assert (ready.kind, ready.host.name, ready.host.ready) == ("host", "h2", True)
    await world.h2.call("PUT", "/v1/hosts/h2/report", {"version": "1", "docker": "x", "ovn_controller": True})
    world.clock.ahead += 26
    silent = {change.host.name: (change.kind, change.host.ready) for change in (await lines(), await lines())}
    assert silent == {"h1": ("host", False), "h2": ("host", False)}, "the same report says nothing new"
    await world.admin.call("DELETE", "/v1/hosts/h2")
    left = await lines()
    assert (left.type, left.kind, left.id) == ("delete", "host", "h2")


async def test_the_stream_pings(world, monkeypatch):
    monkeypatch.setattr("socketplane.controller.api.cluster.PING_SECONDS", 0.05)
    reader, writer = await asyncio.open_unix_connection(str(world.unix))
    writer.write(b"GET /v1/watch HTTP/1.1\r\nhost: x\r\n\r\n")
    async with asyncio.timeout(8):
        while b'"ping"' not in await reader.readline():
            pass
    writer.close()
    await world.until(lambda: len(world.active.hub) == 0)


async def test_a_reader_that_falls_behind_is_dropped():
    board = hub.Hub()
    slow, quick = board.subscribe(), board.subscribe()
    for number in range(hub.LIMIT + 1):
        board.publish(b"%d\n" % number)
        assert await quick.take(1) == b"%d\n" % number
    assert slow.closed
    assert await slow.take(1) == b""
    assert len(board) == 1


async def test_the_end_of_a_turn_ends_its_streams(world, lines):
    await lines()
    world.active.reconciler.northbound.fence.depose()
    again = await lines()
    assert again.type == "snapshot"
    assert orjson.loads(again.model_dump_json())["networks"][0]["name"] == "web"
