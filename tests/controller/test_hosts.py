"""Joining, leaving, reporting, and what a certificate allows."""

import asyncio
import time

import pytest

from socketplane import pki
from socketplane.compile import names
from socketplane.errors import Forbidden, InUse, InvalidInput, NameInUse, NotFound, Unauthenticated
from socketplane.transport import tls
from socketplane.transport.client import ControllerClient
from support.steps import attach, endpoint_id, lease


def anonymous(controller):
    return ControllerClient(([f"127.0.0.1:{controller.port}"], tls.unverified_context()))


async def token(controller, **more):
    made = await controller.admin.call("POST", "/v1/tokens", more)
    return pki.JoinToken.decode(made["token"])


def request(text, name="h3", **more):
    body = {
        "token_id": text.id,
        "secret": text.secret,
        "name": name,
        "system_id": f"system-{name}",
        "address": f"127.0.0.{name[1:]}",
        "csr": pki.make_key_and_csr(f"system-{name}").csr,
        "time": time.time(),
    }
    return {**body, **more}


def machine(system_id):
    return {"system_id": system_id, "csr": pki.make_key_and_csr(system_id).csr}


async def test_a_machine_joins(world):
    text = await token(world)
    assert text.controllers == (f"127.0.0.1:{world.port}",)
    async with anonymous(world) as stranger:
        ca = await stranger.call("GET", "/v1/ca")
        assert pki.fingerprint(ca) == text.fingerprint
        reply = await stranger.call("POST", "/v1/join", request(text))
    assert pki.subject_of(reply["certificate"]) == pki.Subject("system-h3", pki.ORGANIZATION_HOST)
    assert (reply["host"]["name"], reply["host"]["gateway"]) == ("h3", "169.254.192.4")
    assert (reply["ca"], reply["pool"], reply["hosts"]) == (ca, "10.192.0.0/10", "169.254.192.0/20")
    ports = world.active.reconciler.northbound.replica["Logical_Switch_Port"].values()
    assert names.host_port("h3") in {row["name"] for row in ports}
    async with world.client("h3") as newcomer:
        assert len((await newcomer.call("GET", "/v1/hosts"))["items"]) == 3


async def test_what_is_wrong_with_a_token(world):
    text = await token(world)
    wrong = "x" * 43
    async with anonymous(world) as stranger:
        for body, kind, message in (
            (request(text, token_id="unknown"), Unauthenticated, "there is no such token"),
            (request(text, secret=wrong), Unauthenticated, "the token's secret is wrong"),
            (request(text, time=time.time() - 400), InvalidInput, "clock is 400 s behind"),
            (request(text, time=time.time() + 3600), InvalidInput, "clock is 3600 s ahead"),
            (request(text, csr="nonsense"), InvalidInput, "csr: is no certificate signing request"),
            (request(text, csr=pki.make_key_and_csr("other").csr), InvalidInput, "csr: must be made for the common name"),
            (
                request(text, name="h1", system_id="other", csr=pki.make_key_and_csr("other").csr),
                NameInUse,
                "another machine",
            ),
            (
                request(text, name="h9", system_id="system-h1", csr=pki.make_key_and_csr("system-h1").csr),
                NameInUse,
                "is host h1",
            ),
            (request(text, address="127.0.0.1"), NameInUse, "host h1 has the address"),
        ):
            with pytest.raises(kind, match=message) as caught:
                await stranger.call("POST", "/v1/join", body)
            assert wrong not in str(caught.value)
        await stranger.call("POST", "/v1/join", request(text))
        with pytest.raises(Unauthenticated, match="used up"):
            await stranger.call("POST", "/v1/join", request(text))
        late = await token(world, ttl=10)
        world.clock.ahead += 11
        with pytest.raises(Unauthenticated, match="has expired"):
            await stranger.call("POST", "/v1/join", request(late))
        removed = await token(world)
        await world.admin.call("DELETE", f"/v1/tokens/{removed.id}")
        with pytest.raises(Unauthenticated, match="no such token"):
            await stranger.call("POST", "/v1/join", request(removed))


async def test_a_token_for_one_is_used_once_even_at_once(world):
    text = await token(world)
    async with anonymous(world) as stranger:
        tries = (stranger.call("POST", "/v1/join", request(text, name=f"h{number}")) for number in range(3, 8))
        results = await asyncio.gather(*tries, return_exceptions=True)
    assert sorted(type(result).__name__ for result in results) == ["Unauthenticated"] * 4 + ["dict"]
    assert len(world.active.store.committed.hosts) == 3


async def test_a_machine_joins_again_under_its_name(world):
    text = await token(world, uses=2)
    async with anonymous(world) as stranger:
        first = await stranger.call("POST", "/v1/join", request(text))
        again = await stranger.call("POST", "/v1/join", request(text, address="127.0.0.33"))
    assert again["host"]["gateway"] == first["host"]["gateway"]
    assert again["host"]["address"] == "127.0.0.33"
    assert again["certificate"] != first["certificate"]


async def test_tokens_are_listed_without_their_secret(world):
    made = await world.admin.call("POST", "/v1/tokens", {"ttl": 60, "uses": 3})
    (listed,) = (await world.admin.call("GET", "/v1/tokens"))["items"]
    assert listed == {key: made[key] for key in ("id", "created", "expires", "uses")}
    secret = pki.JoinToken.decode(made["token"]).secret
    assert secret not in repr(world.active.store.committed.tokens)
    with pytest.raises(NotFound, match="no token nope"):
        await world.admin.call("DELETE", "/v1/tokens/nope")


async def test_the_first_host_needs_no_token_and_twice_is_once(world):
    body = {"system_id": "system-h1", "address": "127.0.0.1"}
    before = world.active.writer.transactions
    first = await world.admin.call("PUT", "/v1/hosts/h1", body)
    assert (first["gateway"], first["ready"]) == ("169.254.192.2", False)
    assert world.active.writer.transactions == before
    labelled = await world.admin.call("PATCH", "/v1/hosts/h1", {"labels": {"rack": "a"}})
    assert labelled["labels"] == {"rack": "a"}
    changed = await world.admin.call("PATCH", "/v1/hosts/h1", {"add": {"disk": "ssd"}, "remove": ["rack", "none"]})
    assert changed["labels"] == {"disk": "ssd"}
    for key in ("socketplane.io/host", "kubernetes.io/hostname"):
        with pytest.raises(InvalidInput, match="is the host's name"):
            await world.admin.call("PATCH", "/v1/hosts/h1", {"add": {key: "h2"}})
    assert (await world.admin.call("GET", "/v1/hosts/h1"))["labels"] == {"disk": "ssd"}


async def test_a_host_leaves(world):
    await attach(world.h2, world.web, 1)
    held = await lease(world.h2, world.web, "r2")
    with pytest.raises(InUse, match=r"host h2 has 1 endpoint\(s\)"):
        await world.h2.call("DELETE", "/v1/hosts/h2")
    with pytest.raises(Forbidden, match="only itself"):
        await world.h1.call("DELETE", "/v1/hosts/h2")
    await world.admin.call("DELETE", "/v1/hosts/h2", params={"force": "true"})
    assert endpoint_id(1) not in world.active.store.committed.endpoints
    assert [one["address"] for one in (await world.admin.call("GET", "/v1/leases"))["items"]] == ["10.192.0.1"]
    assert held["address"] != "10.192.0.1"
    with pytest.raises(Unauthenticated, match="not in the cluster any more"):
        await world.h2.call("GET", "/v1/networks")
    with pytest.raises(NotFound):
        await world.admin.call("DELETE", "/v1/hosts/h2")


async def test_reports_make_a_host_ready_for_a_while(world):
    report = {"version": "0.1.0", "docker": "20.10", "ovn_controller": True, "alarms": ["disk is slow"]}
    await world.h1.call("PUT", "/v1/hosts/h1/report", report)
    host = await world.h2.call("GET", "/v1/hosts/h1")
    assert host["ready"]
    assert host["report"]["docker"] == "20.10"
    assert (await world.admin.call("GET", "/v1/status"))["alarms"] == ["host h1: disk is slow"]
    with pytest.raises(Forbidden, match="only of itself"):
        await world.h1.call("PUT", "/v1/hosts/h2/report", report)
    await world.h1.call("PUT", "/v1/hosts/h1/report", {**report, "docker": ""})
    assert not (await world.h2.call("GET", "/v1/hosts/h1"))["ready"]
    assert await not_ready(world) == ["host h1 is not ready: Docker does not answer its agent"]
    await world.h1.call("PUT", "/v1/hosts/h1/report", {**report, "ovn_controller": False})
    assert await not_ready(world) == ["host h1 is not ready: ovn-controller is not connected to the southbound database"]
    await world.h1.call("PUT", "/v1/hosts/h1/report", report)
    assert await not_ready(world) == []
    world.clock.ahead += 26
    assert not (await world.h2.call("GET", "/v1/hosts/h1"))["ready"]
    assert await not_ready(world) == [
        "host h1 is not ready: its agent was last heard 26 s ago",
        "host h2 is not ready: its agent has not been heard since the controller started",
    ]


async def not_ready(world):
    alarms = (await world.admin.call("GET", "/v1/status"))["alarms"]
    return [alarm.partition(";")[0] for alarm in alarms if "is not ready" in alarm]


async def test_the_smallest_underlay_decides_the_mtu_of_all_and_is_remembered(world):
    async def status():
        return await world.admin.call("GET", "/v1/status")

    assert ((await status())["mtu"], (await status())["warnings"]) == (0, [])
    await world.h1.call("PUT", "/v1/hosts/h1/report", {"version": "0.1.0", "underlay_mtu": 1500})
    assert ((await status())["mtu"], (await status())["warnings"]) == (1442, [])
    await world.h2.call("PUT", "/v1/hosts/h2/report", {"version": "0.1.0", "underlay_mtu": 1400})
    assert (await status())["mtu"] == 1342
    (warning,) = (await status())["warnings"]
    assert "h2 1400, h1 1500" in warning
    assert "1342" in warning
    # A host that does not know its own for a moment keeps what it told; so does one that is away.
    await world.h2.call("PUT", "/v1/hosts/h2/report", {"version": "0.1.0", "underlay_mtu": 0})
    assert (await status())["mtu"] == 1342
    await world.admin.call("DELETE", "/v1/hosts/h2")
    assert ((await status())["mtu"], (await status())["warnings"]) == (1442, [])
    with pytest.raises(InvalidInput, match="underlay_mtu"):
        await world.h1.call("PUT", "/v1/hosts/h1/report", {"version": "0.1.0", "underlay_mtu": 70_000})
