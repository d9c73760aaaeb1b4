"""One MTU for containers on all hosts, from the underlays that their agents see."""

import pytest


@pytest.fixture
async def web(world, h1, h2, until):
    await world.admin.call("POST", "/v1/networks", {"name": "web"})
    for host in (h1, h2):
        await until(lambda host=host: "web" in host.engine.names())


def endpoint_of(box):
    (place,) = box.places.values()
    return place.endpoint


async def alarms(world):
    return (await world.admin.call("GET", "/v1/status"))["alarms"]


async def test_all_hosts_follow_the_smallest_underlay_down_and_up(world, h1, h2, web, until):
    boxes = [(host, await host.engine.run(f"c-{host.name}", "web")) for host in (h1, h2)]
    assert [host.ports.sizes[endpoint_of(box)] for host, box in boxes] == [1442, 1442]
    h2.ports.underlay = 1400
    h2.agent.mtu.wake()
    for host, box in boxes:
        await until(lambda host=host, box=box: host.ports.sizes[endpoint_of(box)] == 1342)
        assert host.ports.pids[endpoint_of(box)] == box.pid
    late = await h1.engine.run("late", "web")
    assert h1.ports.sizes[endpoint_of(late)] == 1342

    async def reported():
        return (await world.admin.call("GET", "/v1/hosts/h1"))["report"]["mtu"] == 1342

    await until(reported)
    h2.ports.underlay = 9000
    h2.agent.mtu.wake()
    for host, box in boxes:
        await until(lambda host=host, box=box: host.ports.sizes[endpoint_of(box)] == 1442)
    await h2.stop()
    await world.admin.call("DELETE", "/v1/hosts/h2", params={"force": "true"})
    h1.ports.underlay = 9000
    h1.agent.mtu.wake()
    await until(lambda: h1.ports.sizes[endpoint_of(late)] == 8942)


async def test_an_agent_that_was_away_finishes_and_keeps_the_mtu_without_a_controller(world, h1, h2, web, until):
    box = await h1.engine.run("one", "web")
    h2.ports.underlay = 1400
    await h1.stop()
    h2.agent.mtu.wake()
    await until(lambda: h2.ports.mtu == 1342)
    await until(lambda: _told(world, "h2", 1400))
    await h1.start()
    await until(lambda: h1.ports.sizes[endpoint_of(box)] == 1342)
    await h1.stop()
    await world.stop()
    h1.ports.mtu = 1442  # as its own underlay says, when the datapath is looked at first
    await h1.start()
    await until(lambda: h1.agent.mtu.underlay)
    assert h1.ports.mtu == 1342
    assert h1.ports.sizes[endpoint_of(box)] == 1342


async def _told(world, host, underlay):
    return (await world.admin.call("GET", f"/v1/hosts/{host}"))["underlay_mtu"] == underlay


async def test_what_does_not_get_it_is_an_alarm_until_it_does(world, h1, h2, web, until):
    box = await h1.engine.run("one", "web")
    box.pid, pid = 0, box.pid
    h1.ports.underlay = 1400
    h1.agent.mtu.wake()
    expected = "host h1: container one keeps its former MTU: its interface is not in its network namespace"

    async def stands():
        return expected in await alarms(world)

    await until(stands)
    box.pid = pid
    h1.agent.mtu.wake()
    await until(lambda: h1.ports.sizes[endpoint_of(box)] == 1342)

    async def gone():
        return expected not in await alarms(world)

    await until(gone)
    h1.ports.underlay = 500
    h1.agent.mtu.wake()
    await until(lambda: h1.ports.mtu == 576)

    async def small():
        return any("too small" in alarm for alarm in await alarms(world))

    await until(small)
