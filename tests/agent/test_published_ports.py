"""Published ports: real sockets of this machine's loopback, and what agent and controller make of them."""

import socket
from contextlib import closing

import pytest

from support.engine import EngineError
from support.ports import free_port

HERE = "127.0.0.1"


def binding(host_port=0, port=80, proto=6, host_ip=HERE, end=0):
    return {
        "Proto": proto,
        "IP": "",
        "Port": port,
        "HostIP": host_ip,
        "HostPort": host_port,
        "HostPortEnd": end or host_port,
    }


def taken(port, kind=socket.SOCK_STREAM):
    """Tell whether somebody else could have a port of this machine."""
    with closing(socket.socket(socket.AF_INET, kind)) as handle:
        handle.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, int(kind == socket.SOCK_STREAM))
        try:
            handle.bind((HERE, port))
        except OSError:
            return True
        return False


@pytest.fixture
def free():
    """A port that is free, as the nine after it are."""
    return free_port(HERE)


@pytest.fixture
async def web(world, h1, until):
    await world.admin.call("POST", "/v1/networks", {"name": "web"})
    await until(lambda: "web" in h1.engine.names())
    return h1.engine


async def published(world, name):
    ports = (await world.endpoints())[name]["published"]
    return sorted((port["protocol"], port["address"], port["host_port"], port["port"]) for port in ports)


async def test_ports_are_reserved_led_told_and_gone_with_the_container(world, h1, web, free):
    box = await web.run("a", "web", portmap=[binding(free), binding(free, 53, 17), binding(0, 81)])
    told = {(protocol, port): (address, at) for protocol, address, at, port in await published(world, "a")}
    assert told.keys() == {("tcp", 80), ("tcp", 81), ("udp", 53)}
    assert told["tcp", 80] == told["udp", 53] == (HERE, free)
    assert taken(told["tcp", 81][1])
    address = (await world.endpoints())["a"]["address"]
    assert h1.forwards[f"{HERE}:{free}->80/tcp"] == address
    assert len(h1.forwards) == 3
    assert taken(free)
    assert taken(free, socket.SOCK_DGRAM)
    await web.stop(box)
    assert h1.forwards == {}
    assert not taken(free)
    assert not taken(free, socket.SOCK_DGRAM)


async def test_aliases_which_are_told_later_leave_them(world, h1, web, free, until):
    h1.agent.reconciler._interval = 3600  # it would mend what is lost
    await h1.agent.reconciler.reconcile()
    await web.run("a", "web", portmap=[binding(free)], aliases=["front"])

    async def aliases():
        return (await world.endpoints())["a"]["aliases"]

    assert await until(aliases) == ["front"]
    assert await published(world, "a") == [("tcp", HERE, free, 80)]


async def test_a_port_in_use_stops_the_container_and_leaves_nothing(world, h1, web, free, until):
    with closing(socket.create_server((HERE, free))):
        with pytest.raises(EngineError, match=rf"--publish: port {free}/tcp of {HERE} is in use on this host; choose"):
            await web.run("a", "web", portmap=[binding(free + 1, 81), binding(free)])
        assert not taken(free + 1), "all or none"
        assert h1.forwards == {}
        await until(lambda: not h1.ports.attached)
        await web.run("b", "web", portmap=[binding(free, end=free + 9)])
    ((_, _, chosen, _),) = await published(world, "b")
    assert free < chosen <= free + 9
    with pytest.raises(EngineError, match="is in use on this host"):
        await web.run("c", "web", portmap=[binding(chosen)])
    with pytest.raises(EngineError, match=r"203\.0\.113\.7 is no address of this host"):
        await web.run("d", "web", portmap=[binding(host_ip="203.0.113.7")])
    with pytest.raises(EngineError, match="its network has no IPv6"):
        await web.run("e", "web", portmap=[binding(host_ip="::")])


@pytest.mark.parametrize("crash", [False, True])
async def test_an_agents_restart_keeps_them(world, h1, web, free, until, crash):
    await web.run("a", "web", portmap=[binding(free), binding(0, 81)])
    before, forwards = await published(world, "a"), h1.forwards
    await h1.stop(crash=crash)
    assert not taken(free), "the kernel frees what a dead process held"
    h1.forwards = {}
    await h1.start()
    await until(lambda: h1.forwards == forwards)
    assert taken(free)
    assert await published(world, "a") == before


async def test_a_port_that_somebody_took_meanwhile_is_an_alarm_until_it_is_free(world, h1, web, free, until):
    await web.run("a", "web", portmap=[binding(free)])
    await h1.stop()
    with closing(socket.create_server((HERE, free))):
        await h1.start()
        await until(lambda: any(f"{HERE}:{free}->80/tcp" in alarm for alarm in h1.agent.publisher.alarms))
        assert h1.forwards == {}, "what that process serves stays its own"
    await until(lambda: h1.forwards and not h1.agent.publisher.alarms)


async def test_a_container_that_died_unheard_gives_its_port_to_the_next(world, h1, web, free):
    box = await web.run("a", "web", portmap=[binding(free)])
    box.running = False  # dockerd crashed, and tells nothing
    box.places.clear()
    await web.run("b", "web", portmap=[binding(free)])
    endpoints = await world.endpoints()
    assert h1.forwards == {f"{HERE}:{free}->80/tcp": endpoints["b"]["address"]}
    assert endpoints["a"]["published"] == [], "the controller hears of one holder only"


async def test_what_cannot_be_led_is_not_published(world, h1, web, free):
    h1.unforwardable = "nft is not installed"
    with pytest.raises(EngineError, match="nft is not installed"):
        await web.run("a", "web", portmap=[binding(free)])
    assert not taken(free)
    h1.unforwardable = ""
    await web.run("b", "web", portmap=[binding(free)])


async def test_without_a_controller_nothing_is_published(world, h1, web, free):
    await world.stop()
    with pytest.raises(EngineError):
        await web.run("a", "web", portmap=[binding(free)])
    assert not taken(free)
    assert h1.forwards == {}


async def test_what_the_controller_forgot_is_told_again(world, h1, web, free, until):
    await web.run("a", "web", portmap=[binding(free)])
    record = (await world.endpoints())["a"]
    keys = ("network", "address", "mac", "container", "name", "labels")
    await h1.agent.link.call("PUT", f"/v1/endpoints/{record['id']}", {key: record[key] for key in keys})

    async def back():
        return await published(world, "a") == [("tcp", HERE, free, 80)]

    await until(back)


async def test_ports_of_sctp_whether_this_kernel_has_sockets_of_it_or_not(world, h1, web, free):
    box = await web.run("a", "web", portmap=[binding(free, proto=132), binding(0, 81, proto=132)])
    assert {(protocol, port) for protocol, _, _, port in await published(world, "a")} == {("sctp", 80), ("sctp", 81)}
    assert len({at for _, _, at, _ in await published(world, "a")}) == 2
    assert f"{HERE}:{free}->80/sctp" in h1.forwards
    for taken_by in (HERE, "0.0.0.0"):
        with pytest.raises(EngineError, match=rf"port {free}/sctp of {taken_by} is in use on this host"):
            await web.run("b", "web", portmap=[binding(free, proto=132, host_ip=taken_by)])
    with pytest.raises(EngineError, match=r"203\.0\.113\.7 is no address of this host"):
        await web.run("d", "web", portmap=[binding(free, proto=132, host_ip="203.0.113.7")])
    await web.run("e", "web", portmap=[binding(free)])
    await web.stop(box)
    await web.run("f", "web", portmap=[binding(free, proto=132, end=free + 1)])
    assert ("sctp", HERE, free, 80) in await published(world, "f")


async def test_with_ipv6_a_port_is_published_with_both_versions_alike(world, h1, until, free):
    await world.admin.call("POST", "/v1/networks", {"name": "six", "ipv6": True})
    await until(lambda: "six" in h1.engine.names())
    await h1.engine.run("a", "six", portmap=[binding(0, host_ip="")])
    four, six = await published(world, "a")
    assert four == ("tcp", "0.0.0.0", six[2], 80)
    assert six[:2] == ("tcp", "::")
    told = (await world.endpoints())["a"]
    assert h1.forwards == {f"0.0.0.0:{six[2]}->80/tcp": told["address"], f"[::]:{six[2]}->80/tcp": told["address6"]}
    with closing(socket.socket(socket.AF_INET6)) as other:
        other.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        other.bind(("::", free))
        other.listen()
        with pytest.raises(EngineError, match=rf"port {free}/tcp of 0\.0\.0\.0 or :: is in use on this host"):
            await h1.engine.run("b", "six", portmap=[binding(free, host_ip="")])
        assert not taken(free), "all or none"
    with pytest.raises(EngineError, match=r"the kernel leads nothing away from ::1; publish at 127\.0\.0\.1"):
        await h1.engine.run("c", "six", portmap=[binding(free, host_ip="::1")])
    await h1.stop()
    h1.forwards = {}
    await h1.start()
    await until(lambda: len(h1.forwards) == 2)
