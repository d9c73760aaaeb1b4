"""Bad input on real hosts: a clear error that names what is wrong, and nothing half-done."""

from __future__ import annotations

import json
import re

import pytest

from support.world import World, eventually

pytestmark = pytest.mark.lab
CREATE = ("network", "create", "-d", "socketplane", "--ipam-driver", "socketplane")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--subnet", "10.200.0.0/23"), "overlap"),
        (("--subnet", "203.0.113.0/24"), "pool"),
        (("--subnet", "10.201.0.0/24", "--gateway", "10.202.0.1"), "10.202.0.1"),
        (("--subnet", "10.201.0.0/24", "--ip-range", "10.202.0.0/28"), "10.202.0.0"),
        (("--subnet", "fd00::/64", "--ipv6"), "pool"),
    ],
)
async def test_networks_that_can_not_be(world: World, options: tuple[str, ...], says: str) -> None:
    h1 = world.first
    await world.network("there", "--subnet", "10.200.1.0/24")
    refused = await h1.docker(*CREATE, *options, "bad", check=False)
    assert refused.code == 1
    assert says in refused.err
    if "--ipv6" not in options:
        told = await h1.cli("network", "create", "bad", *options, check=False)
        assert told.code == 1
        assert says in told.err
    assert await h1.networks() == {"there"}
    assert [network["name"] for network in await h1.read("network", "ls")] == ["there"]


async def test_a_name_in_use(world: World) -> None:
    h1, h2, _ = world.hosts
    await world.network("web")
    again = await h1.cli("network", "create", "web", check=False)
    assert again.code == 1
    assert "web" in again.err
    assert (await h2.docker(*CREATE, "web", check=False)).code == 1
    assert len(await h1.read("network", "ls")) == 1


async def test_a_policy_that_is_none(world: World) -> None:
    h1 = world.first
    await world.network("web")
    good = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "one", "namespace": "web"},
        "spec": {"podSelector": {}, "policyTypes": ["Ingress"]},
    }
    cases = {
        "": "no document",
        "a: [": "line",
        json.dumps({**good, "spec": {"podSelectr": {}}}): "podSelector",
        json.dumps({**good, "spec": {"podSelector": {}, "ingress": [{"ports": [{"port": "http"}]}]}}): "port",
        "x" * 10_000_000: "large",
    }
    for text, says in cases.items():
        refused = await h1.cli("policy", "apply", "-f", "-", stdin=text, check=False)
        assert refused.code == 1, text[:200]
        assert says in refused.err, refused.err
    assert await h1.read("policy", "ls") == []
    # A policy may come before its network, so that its first container is under it; a slip of the pen is told.
    early = await world.policy(json.dumps({**good, "metadata": {"name": "one", "namespace": "wbe"}}))
    assert "no network wbe" in early.err


async def test_a_member_may_not_rewrite_policy(world: World) -> None:
    _, h2, _ = world.hosts
    await world.network("web")
    text = json.dumps(
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": {"name": "mine", "namespace": "web"},
            "spec": {"podSelector": {}},
        }
    )
    refused = await h2.cli("policy", "apply", "-f", "-", stdin=text, check=False)
    assert refused.code == 1
    assert "h1" in refused.err
    assert (await h2.cli("token", "create", check=False)).code == 1
    assert await h2.read("policy", "ls") == []


async def test_a_match_that_ovn_does_not_understand_is_an_alarm(world: World) -> None:
    h1 = world.first
    await world.network("web")
    await h1.run("one", "web")
    switch = (await h1.machine.run("ovn-nbctl", "--bare", "--columns=name", "find", "Logical_Switch")).out.split()
    name = next(word for word in switch if word != "sp-hosts")
    await h1.machine.run("ovn-nbctl", "acl-add", name, "to-lport", "5", "ip4.src == $no_such_set", "allow")

    async def alarm() -> bool:
        status = await h1.read("status")
        return any("parsing match" in line for line in status["alarms"])

    try:
        await eventually("the alarm", alarm, 20.0)
        assert (await h1.cli("status")).out.count("parsing match") >= 1
    finally:
        await h1.machine.run("ovn-nbctl", "acl-del", name, "to-lport", "5", "ip4.src == $no_such_set")


async def test_rows_of_others_stay_and_ours_come_back(world: World) -> None:
    h1, h2, _ = world.hosts
    await world.network("web")
    address = await h2.run("server", "web", command=("httpd", "-f", "-p", "8080", "-h", "/www"))
    await h1.run("client", "web")
    nbctl = ("ovn-nbctl", "--bare")
    await h1.machine.run(*nbctl, "ls-add", "foreign")
    rows = (await h1.machine.run(*nbctl, "--columns=name", "list", "Logical_Switch_Port")).out.split()
    victims = [row for row in rows if re.fullmatch("sp-[0-9a-f]{64}", row)]
    assert len(victims) == 2
    for victim in victims:
        await h1.machine.run("ovn-nbctl", "lsp-del", victim)

    async def back() -> bool:
        now = (await h1.machine.run(*nbctl, "--columns=name", "list", "Logical_Switch_Port")).out.split()
        return set(victims) <= set(now) and await h1.connects("client", address)

    await eventually("the deleted ports are back and carry traffic", back, 10.0)
    assert "foreign" in (await h1.machine.run(*nbctl, "--columns=name", "list", "Logical_Switch")).out
    await h1.machine.run("ovn-nbctl", "ls-del", "foreign")
    log = (await h1.machine.run("cat", "/var/log/socketplane/controller.log")).out
    assert "northbound.tampered" in log
    assert victims[0] in log
