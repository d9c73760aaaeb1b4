"""Open UDP streams after a change of policy: which must not go on, who is told to end them, and what is told when."""

import asyncio
import contextlib
import json
from ipaddress import IPv4Address

import pytest

from socketplane.errors import Conflict, Forbidden, InvalidInput
from socketplane.model.types import mac_of
from socketplane.ovsdb import insert
from support import controller as support
from support.steps import attach, endpoint_id
from support.world import allow

OUTSIDE = "198.51.100.7"


@pytest.fixture
async def told(world):
    """Changes that h1's agent and h2's agent hear."""
    queues = {}
    async with contextlib.AsyncExitStack() as stack:
        for client in (world.h1, world.h2):
            queue = queues[client] = asyncio.Queue()

            async def read(client=client, queue=queue):
                async for change in client.watch():
                    queue.put_nowait(change)

            task = asyncio.create_task(read())
            stack.callback(task.cancel)

        async def next_of(client, kind):
            async with asyncio.timeout(8):
                while not kind(change := await queues[client].get()):
                    pass
            return change

        yield next_of


def rules(change):
    return change.rules is not None


def interruption(change):
    return change.type == "interrupt"


async def apply(world, *documents):
    await world.admin.call("POST", "/v1/policies", {"documents": list(documents)})
    return world.active.rules()


def policy(name="only", subject="server", peer="nobody", **more):
    return json.loads(allow(name, "web", subject, peer, **more))


def egress(name, subject):
    spec = {"podSelector": {"matchLabels": {"app": subject}}, "policyTypes": ["Egress"]}
    kind = {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy"}
    return {**kind, "metadata": {"name": name, "namespace": "web"}, "spec": spec}


def stream(source, destination, side="ingress", ports=(5000,)):
    return {"source": source, "source_ports": list(ports), "destination": destination, "port": 9, "side": side}


async def ask(client, host, revision, *streams):
    body = {"revision": revision, "streams": list(streams)}
    return (await client.call("POST", f"/v1/hosts/{host}/streams", body))["forbidden"]


async def test_the_host_of_a_forbidden_streams_source_is_told(world, told):
    server = await attach(world.h2, world.web, 1, labels={"app": "server"})
    client = await attach(world.h1, world.web, 2, labels={"app": "client"})
    friend = await attach(world.h2, world.web, 3, labels={"app": "friend"})
    now = await apply(world, policy(peer="friend"))
    at = server["address"]
    asked = [
        stream(friend["address"], at),
        stream(client["address"], at),
        stream("169.254.192.2", at, ports=(6000, 6001)),  # h1's own stack; a container's own host is let in
        stream("169.254.192.3", at),
        stream(client["address"], at, side="egress"),  # not of this host
        stream(OUTSIDE, at),
        stream("10.192.0.99", at),
    ]
    assert await ask(world.h2, "h2", now.revision, *asked) == [1, 2]
    sent = (await told(world.h1, interruption)).interruptions
    assert [(str(each.source), each.source_port, str(each.destination), each.port) for each in sent] == [
        (client["address"], 5000, at, 9),
        ("169.254.192.2", 6000, at, 9),
        ("169.254.192.2", 6001, at, 9),
    ]
    assert [(each.endpoint, each.source_mac, each.destination_mac) for each in sent[:2]] == [
        (endpoint_id(2), client["mac"], server["mac"]),
        ("", mac_of(sent[1].source), "02:53:a9:fe:c0:01"),
    ]
    assert await ask(world.h1, "h1", now.revision, stream(client["address"], at, side="egress")) == [], (
        "allowed at this end"
    )


async def test_what_egress_forbids_ends_at_the_source(world, told):
    client = await attach(world.h1, world.web, 1, labels={"app": "client"})
    far = await attach(world.h2, world.web, 2)
    other = await world.admin.call("POST", "/v1/networks", {"name": "db"})
    foreign = await attach(world.h2, other, 3)
    now = await apply(world, egress("shut", "client"))
    asked = [stream(client["address"], to, side="egress") for to in (OUTSIDE, far["address"], foreign["address"])]
    assert await ask(world.h1, "h1", now.revision, *asked) == [0, 1, 2]
    sent = (await told(world.h1, interruption)).interruptions
    router = mac_of(sent[0].source - 1)
    assert [each.destination_mac for each in sent] == [router, far["mac"], router]
    seen_there = [stream(client["address"], far["address"])]
    assert await ask(world.h2, "h2", now.revision, *seen_there) == [], "it is blocked before it comes here"


PUBLISHED = [
    {"protocol": "udp", "address": "0.0.0.0", "host_port": 5353, "port": 9},
    {"protocol": "udp", "address": "127.0.0.1", "host_port": 5354, "port": 10},
]


async def test_what_came_by_a_published_port_ends_where_it_entered(world, told):
    server = await attach(world.h2, world.web, 1, labels={"app": "server"}, published=PUBLISHED)
    client = await attach(world.h1, world.web, 2, labels={"app": "client"})
    at = server["address"]
    host = next(host for host in (await world.admin.call("GET", "/v1/hosts"))["items"] if host["name"] == "h2")
    now = await apply(world, policy(peer="friend"))
    local = {**stream(OUTSIDE, at), "port": 10}
    asked = [stream(OUTSIDE, at), local, stream("169.254.207.254", at), stream(client["address"], at)]
    assert await ask(world.h2, "h2", now.revision, *asked) == [0, 3], "not what nobody outside opened"
    (sent,) = (await told(world.h2, interruption)).interruptions
    assert (sent.endpoint, str(sent.source), str(sent.destination), sent.port) == ("", OUTSIDE, at, 9)
    assert (sent.source_mac, sent.destination_mac) == (mac_of(IPv4Address("169.254.192.3")), "02:53:a9:fe:c0:01")
    ways = (await told(world.h1, interruption)).interruptions
    assert [(str(each.destination), each.port) for each in ways] == [
        (at, 9),
        (host["address"], 5353),
        ("169.254.192.3", 5353),
    ]
    assert {each.source_mac for each in ways} == {client["mac"]}

    block = {"ipBlock": {"cidr": f"{OUTSIDE}/32"}}
    document = policy()
    document["spec"]["ingress"] = [{"from": [block]}]
    now = await apply(world, document)
    assert await ask(world.h2, "h2", now.revision, stream(OUTSIDE, at), stream("198.51.100.8", at)) == [1]


async def test_egress_is_judged_by_the_container_behind_a_published_port(world, told):
    await attach(world.h2, world.web, 1, labels={"app": "server"}, published=PUBLISHED)
    client = await attach(world.h1, world.web, 2, labels={"app": "client"})
    by_host = {**stream(client["address"], "169.254.192.3", side="egress"), "port": 5353}
    shut = egress("shut", "client")
    shut["spec"]["egress"] = [{"to": [{"podSelector": {"matchLabels": {"app": "server"}}}]}]
    now = await apply(world, shut)
    assert await ask(world.h1, "h1", now.revision, by_host) == []
    shut["spec"]["egress"] = [{"to": [{"ipBlock": {"cidr": "0.0.0.0/0"}}]}]
    now = await apply(world, shut)
    assert await ask(world.h1, "h1", now.revision, by_host) == [0]
    (sent,) = (await told(world.h1, interruption)).interruptions
    assert (str(sent.destination), sent.port, sent.destination_mac) == ("169.254.192.3", 5353, "02:53:0a:c0:00:01")


async def test_the_rules_have_a_revision(world, told):
    assert rules(await told(world.h1, rules))
    first = world.active.rules()
    northbound = world.active.reconciler.northbound
    await northbound.write([insert("NB_Global", {"nb_cfg": 7})])
    await attach(world.h1, world.web, 1, labels={"app": "server"})
    await world.admin.call("POST", "/v1/networks", {"name": "db"})
    assert world.active.rules() == first, "containers that come, and networks, forbid nothing that is open"
    assert northbound.count == 7
    second = await apply(world, policy())
    assert second.revision != first.revision
    assert (await told(world.h1, rules)).rules == second
    assert second.sequence == northbound.count == 8
    again = await apply(world, policy())
    assert again == second, "nothing changed"
    await world.admin.call("DELETE", "/v1/policies/web/only")
    third = (await told(world.h1, rules)).rules
    assert third.revision == first.revision, "what is the same is known to be"
    with pytest.raises(Conflict, match="revision: the rules have changed"):
        await ask(world.h1, "h1", second.revision)
    assert await ask(world.h1, "h1", third.revision) == []


async def test_a_container_that_is_renamed_is_looked_at(world, told):
    await told(world.h1, rules)
    made = await attach(world.h1, world.web, 1, name="", known=False)
    body = {key: made[key] for key in ("network", "address", "mac")}
    await world.h1.call("PUT", f"/v1/endpoints/{made['id']}", {**body, "name": "one", "labels": {"a": "b"}})
    before = world.active.rules()
    await world.h1.call("PUT", f"/v1/endpoints/{made['id']}", {**body, "name": "two", "labels": {"a": "b"}})
    assert (await told(world.h1, rules)).rules.revision != before.revision


async def test_the_revision_outlives_the_controller(databases, keys):
    async with support.controller(databases, keys) as first:
        await first.admin.call("POST", "/v1/networks", {"name": "web", "labels": {"tier": "front"}})
        one = await apply(first, policy("one"), policy("two"))
    async with support.controller(databases, keys) as second:
        assert second.active.rules().revision == one.revision
        await second.admin.call("DELETE", "/v1/policies/web/one")
        assert second.active.rules().revision != one.revision


async def test_a_host_asks_about_its_own(world):
    server = await attach(world.h2, world.web, 1, labels={"app": "server"})
    now = await apply(world, policy())
    with pytest.raises(Forbidden):
        await ask(world.h1, "h2", now.revision)
    with pytest.raises(InvalidInput, match="1000"):
        await ask(world.h2, "h2", now.revision, *[stream(OUTSIDE, server["address"])] * 1001)
    assert await ask(world.h1, "h1", now.revision, stream("169.254.192.2", server["address"])) == []


async def test_a_host_that_does_not_listen_is_named(world):
    server = await attach(world.h2, world.web, 1, labels={"app": "server"})
    client = await attach(world.h1, world.web, 2)
    now = await apply(world, policy())
    asked = [stream(client["address"], server["address"]), stream(client["address"], server["address"], ports=())]
    body = {"revision": now.revision, "streams": asked}
    answer = await world.h2.call("POST", "/v1/hosts/h2/streams", body)
    assert answer == {"forbidden": [0, 1], "unheard": [0]}
