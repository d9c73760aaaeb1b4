"""Limits on their way from the controller to the datapath, and what users ask for with driver options."""

import json

import pytest

from socketplane.model.traffic import Limit, Limits
from support.engine import EngineError

TEN = Limits(Limit(10_000_000), Limit(10_000_000))


def policy(rate, subject=None):
    spec = {"podSelector": {"matchLabels": subject or {}}, "egress": {"rate": rate}, "ingress": {"rate": rate}}
    head = {"apiVersion": "socketplane.io/v1alpha1", "kind": "TrafficPolicy"}
    return {"documents": [{**head, "metadata": {"name": "p", "namespace": "web"}, "spec": spec}]}


@pytest.fixture
async def web(world, h1, until):
    await world.admin.call("POST", "/v1/networks", {"name": "web"})
    await until(lambda: "web" in h1.engine.names())


def endpoint_of(box):
    (place,) = box.places.values()
    return place.endpoint


async def test_a_new_container_has_its_limits_when_join_answers(world, h1, web):
    await world.admin.call("POST", "/v1/policies", policy("10Mbit", {"app": "a"}))
    one = await h1.engine.run("one", "web", labels={"app": "a"})
    assert h1.ports.limits == {endpoint_of(one): TEN}
    await h1.engine.run("two", "web", labels={"app": "b"})
    assert h1.ports.limits == {endpoint_of(one): TEN}


async def test_what_runs_follows_a_policy_as_it_comes_changes_and_goes(world, h1, web, until):
    box = await h1.engine.run("one", "web")
    key = endpoint_of(box)
    await world.admin.call("POST", "/v1/policies", policy("10Mbit"))
    await until(lambda: h1.ports.limits == {key: TEN})
    await world.admin.call("POST", "/v1/policies", policy("20Mbit"))
    await until(lambda: h1.ports.limits == {key: Limits(Limit(20_000_000), Limit(20_000_000))})
    await world.admin.call("DELETE", "/v1/policies/web/p")
    await until(lambda: h1.ports.limits == {})
    await h1.engine.stop(box)
    await until(lambda: key not in h1.agent.link.limits)


async def test_limits_that_changed_while_the_agent_was_away_are_applied_at_its_start(world, h1, web, until):
    box = await h1.engine.run("one", "web")
    await world.admin.call("POST", "/v1/policies", policy("10Mbit"))
    await until(lambda: h1.ports.limits == {endpoint_of(box): TEN})
    await h1.stop()
    await world.admin.call("DELETE", "/v1/policies/web/p")
    await h1.start()
    await until(lambda: h1.ports.limits == {})
    await h1.stop()
    await world.admin.call("POST", "/v1/policies", policy("10Mbit"))
    await h1.start()
    await until(lambda: h1.ports.limits == {endpoint_of(box): TEN})


async def test_without_a_controller_limits_stay(world, h1, web, until):
    box = await h1.engine.run("one", "web", driver_opts={"socketplane.rate": "10Mbit"})
    await h1.stop()
    await world.stop()
    await h1.start()
    await until(lambda: h1.agent.inventory.connected and h1.agent.link.down)
    assert h1.ports.limits == {endpoint_of(box): TEN}
    await world.start()
    await until(lambda: h1.agent.link.synced)
    assert h1.ports.limits == {endpoint_of(box): TEN}


async def test_what_can_not_be_limited_runs_and_is_an_alarm(world, h1, web, until):
    h1.ports.unshapeable = "this kernel lacks what limits are made of"
    await h1.engine.run("one", "web", driver_opts={"socketplane.rate": "10Mbit"})

    async def alarm():
        alarms = (await world.admin.call("GET", "/v1/status"))["alarms"]
        return any("is not held to its limits: this kernel lacks" in text for text in alarms)

    await until(alarm)


async def test_rate_and_labels_by_driver_options(world, h1, web, until):
    options = {"socketplane.rate": "10mbit", "socketplane.labels": "app=web,tier=front"}
    box = await h1.engine.run("one", "web", labels={"app": "image", "x": "y"}, driver_opts=options)
    endpoint = (await world.running())["one"]
    assert (endpoint["labels"], endpoint["rate"]) == ({"app": "web", "tier": "front", "x": "y"}, 10_000_000)
    assert h1.ports.limits == {endpoint_of(box): TEN}
    before = endpoint
    await h1.stop(crash=True)
    await h1.start()
    await until(lambda: h1.agent.link.synced)
    await h1.agent.reconciler.reconcile()
    assert (await world.endpoints())["one"] == before


async def test_an_agent_that_lost_its_memory_asks_docker_again(world, h1, web, until):
    options = {"socketplane.rate": "10mbit", "socketplane.labels": "app=web"}
    await h1.engine.run("one", "web", driver_opts=options)
    before = (await world.running())["one"]
    await h1.stop()
    state = h1.paths.state / "agent.json"
    kept = json.loads(state.read_text())
    state.write_text(json.dumps({**kept, "endpoints": []}))
    await h1.start()
    await until(lambda: h1.agent.link.synced)
    await h1.agent.reconciler.reconcile()
    assert (await world.endpoints())["one"] == before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"socketplane.rate": "10MB"}, r"socketplane\.rate: '10MB' is not a rate; rates are bits a second: write 80Mbit"),
        (
            {"socketplane.labels": "socketplane.io/network=db"},
            r"socketplane\.labels: socketplane\.io/network is a label of",
        ),
        ({"socketplane.lables": "a=b"}, "socketplane.lables: unknown driver option; did you mean socketplane.labels?"),
    ],
)
async def test_a_bad_option_is_refused_and_leaves_nothing(world, h1, web, options, message):
    with pytest.raises(EngineError, match=message):
        await h1.engine.run("one", "web", driver_opts=options)
    assert h1.ports.attached == {}
    assert await world.items("/v1/endpoints") == []
    assert await world.items("/v1/leases", host="h1") == []
