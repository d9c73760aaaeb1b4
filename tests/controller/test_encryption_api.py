"""A cluster whose hosts encrypt: who may join it, the keys that hosts tell, and what is shown of it."""

from __future__ import annotations

import asyncio
import time
from base64 import b64encode
from ipaddress import IPv4Network

import pytest

from socketplane import pki
from socketplane.encryption import Encryption
from socketplane.errors import InvalidInput, NameInUse
from socketplane.transport import tls
from socketplane.transport.client import ControllerClient
from support import controller as support

ENCRYPTION = Encryption(IPv4Network("10.77.0.0/16"), 4500)


def key(number):
    return b64encode(bytes([number]) * 32).decode()


@pytest.fixture
async def encrypted(databases, keys):
    async with support.controller(databases, keys, encryption=ENCRYPTION) as made:
        for number, name in enumerate(("h1", "h2"), start=1):
            await made.admin.call(
                "PUT", f"/v1/hosts/{name}", {"system_id": f"system-{name}", "address": f"127.0.0.{number}"}
            )
        async with made.client("h1") as made.h1, made.client("h2") as made.h2:
            yield made


async def join(controller, **more):
    made = await controller.admin.call("POST", "/v1/tokens", {"uses": 1})
    text = pki.JoinToken.decode(made["token"])
    body = {
        "token_id": text.id,
        "secret": text.secret,
        "name": "h3",
        "system_id": "system-h3",
        "address": "127.0.0.3",
        "csr": pki.make_key_and_csr("system-h3").csr,
        "time": time.time(),
        **more,
    }
    async with ControllerClient(([f"127.0.0.1:{controller.port}"], tls.unverified_context())) as stranger:
        return await stranger.call("POST", "/v1/join", body)


async def report(client, name, **more):
    await client.call("PUT", f"/v1/hosts/{name}/report", {"version": "1", "docker": "1", "ovn_controller": True, **more})


@pytest.mark.parametrize("more", [{"unencryptable": "its kernel has no WireGuard"}, {}])
async def test_who_can_not_encrypt_does_not_join_and_the_token_stays(encrypted, more):
    with pytest.raises(InvalidInput, match="encrypt what they send one another, and this one can't: its ") as caught:
        await join(encrypted, **more)
    assert "up --encrypt" in caught.value.remedy
    assert set(encrypted.active.store.committed.hosts) == {"h1", "h2"}
    (token,) = (await encrypted.admin.call("GET", "/v1/tokens"))["items"]
    assert token["uses"] == 1


async def test_who_can_learns_how(encrypted):
    reply = await join(encrypted, unencryptable="")
    assert reply["encryption"] == {"network": "10.77.0.0/16", "port": 4500}
    assert reply["host"]["tunnel"] == "10.77.0.4"


async def test_a_plain_cluster_takes_everybody(world):
    reply = await join(world, unencryptable="its kernel has no WireGuard")
    assert (reply["encryption"], reply["host"]["tunnel"]) == (None, None)
    assert not (await world.admin.call("GET", "/v1/status"))["encrypted"]


async def test_keys_are_told_to_all_and_kept(encrypted, databases, keys):
    assert (await encrypted.admin.call("GET", "/v1/status"))["encrypted"]
    heard, peers = [], []

    async def follow():
        async for change in encrypted.h2.watch():
            if change.kind == "host" and change.host:
                heard.append((change.host.name, change.host.public_key))
                peers.extend(change.host.report.peers)

    following = asyncio.create_task(follow())
    await encrypted.until(lambda: len(encrypted.active.hub))
    await report(encrypted.h1, "h1", public_key=key(1), peers=[{"host": "h2", "handshake": 1.0}])
    await encrypted.until(lambda: ("h1", key(1)) in heard)
    following.cancel()
    assert peers == [], "of each pair of hosts, to each host: nobody could bear that"
    assert (await encrypted.admin.call("GET", "/v1/hosts/h1"))["report"]["peers"]
    await report(encrypted.h1, "h1")
    assert (await encrypted.admin.call("GET", "/v1/hosts/h1"))["public_key"] == key(1), "an agent without one yet"
    await report(encrypted.h1, "h1", public_key=key(8))
    host = await encrypted.h2.call("GET", "/v1/hosts/h1")
    assert (host["public_key"], host["tunnel"]) == (key(8), "10.77.0.2")
    assert encrypted.active.store.committed.cluster.cluster.encryption == ENCRYPTION


async def test_a_later_start_goes_by_the_database(databases, keys):
    async with support.controller(databases, keys, encryption=ENCRYPTION):
        pass
    async with support.controller(databases, keys) as again:
        assert again.active.store.committed.cluster.cluster.encryption == ENCRYPTION


async def test_no_two_hosts_have_one_key(encrypted):
    await report(encrypted.h1, "h1", public_key=key(1))
    with pytest.raises(NameInUse, match="host h1 has this key"):
        await report(encrypted.h2, "h2", public_key=key(1))
    assert (await encrypted.admin.call("GET", "/v1/hosts/h2"))["public_key"] == ""
    for text in ("x", key(1)[:-2] + "B=", key(1) + "\n"):
        with pytest.raises(InvalidInput, match="public_key"):
            await report(encrypted.h2, "h2", public_key=text)


async def test_metrics_tell_how_old_keys_are(encrypted):
    now = encrypted.clock()
    peers = [{"host": "h2", "handshake": now - 50}, {"host": "h3", "handshake": None}]
    await report(encrypted.h1, "h1", public_key=key(1), peers=peers)
    text = await encrypted.admin.call("GET", "/metrics")
    name = "socketplane_encryption_handshake_age_seconds"
    found = dict(line.rsplit(" ", 1) for line in text.splitlines() if line.startswith(name))
    assert 49 < float(found[f'{name}{{host="h1",peer="h2"}}']) < 70
    assert found[f'{name}{{host="h1",peer="h3"}}'] == "+Inf"
