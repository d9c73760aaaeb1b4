"""Floating addresses on real engines: a stranger on the LAN meets them, policy judges him, and they move."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator

import pytest

from support.world import ECHO, Host, World, allow, eventually

pytestmark = pytest.mark.lab

WHO = (
    "sh",
    "-c",
    " & ".join(f"socat {kind}:80,fork,reuseaddr SYSTEM:'echo $SOCAT_PEERADDR'" for kind in ("UDP-LISTEN", "TCP-LISTEN")),
)
FIRST, SECOND, TAKEN = "198.18.0.100", "198.18.0.101", "198.18.0.102"
NOBODY = "169.254.207.254"


@pytest.fixture
async def lan(world: World) -> AsyncIterator[World]:
    """A pool of addresses of the management network; the fabric is a stranger there."""
    await world.first.cli("pool", "create", "lan", f"{FIRST}-198.18.0.110")
    await world.network("web")
    yield world
    for each in await world.first.read("expose", "ls"):
        await world.first.cli("expose", "rm", each["address"])
    await world.first.cli("pool", "rm", "lan")


def asking(address: str, protocol: str = "TCP") -> tuple[str, ...]:
    """Return the command that prints whom a server takes us for; nothing where there is no answer."""
    if protocol == "TCP":
        return "socat", "-u", "-T2", f"TCP:{address}:80,connect-timeout=1", "-"
    return "sh", "-c", f"for i in 1 2 3; do echo | socat -T1 - UDP:{address}:80 | grep . && exit; done"


async def stranger(world: World, address: str, protocol: str = "TCP") -> str:
    """Return as whom the fabric reaches an address."""
    return (await world.lab.fabric.run(*asking(address, protocol), check=False)).out.strip()


async def seen(host: Host, address: str, inside: str = "") -> str:
    """Return as whom a container (or a host) reaches an address."""
    command = asking(address)
    done = await (host.inside(inside, *command) if inside else host.machine.run(*command, check=False))
    return done.out.strip()


async def state(world: World, address: str) -> str:
    """Return how an address is, and where."""
    (found,) = [each for each in await world.first.read("expose", "ls") if each["address"] == address]
    return f"{found['state']} {found['host']} {found['problem']}".strip()


async def test_who_meets_a_floating_address_and_as_whom(lan: World) -> None:
    h1, h2, _ = lan.hosts
    outside, gateway = str(lan.lab.fabric.management), (await h1.read("host", "inspect", "h1"))[0]["gateway"]
    await lan.network("other")
    await h1.run("shop", "web", "--label", "app=shop", "-p", "8080:80", command=WHO)
    near, far, _ = await asyncio.gather(
        h1.run("near", "web"), h2.run("far", "web", "--label", "app=far"), h2.run("stray", "other")
    )
    assert (await h1.cli("expose", "shop")).out == f"{FIRST}\n"

    async def claimed() -> bool:
        return await state(lan, FIRST) == "claimed h1"

    await eventually("the address is claimed", claimed)
    answers = await asyncio.gather(
        stranger(lan, FIRST),
        stranger(lan, FIRST, "UDP"),
        seen(h1, FIRST),
        seen(h2, FIRST),
        *(seen(host, FIRST, name) for host, name in ((h1, "near"), (h2, "far"), (h1, "shop"), (h2, "stray"))),
    )
    assert answers == [outside, outside, gateway, str(h2.machine.management), near, far, NOBODY, ""]
    pings = [
        await host.inside(name, "ping", "-c1", "-W2", FIRST) for host, name in ((h2, "far"), (h1, "near"), (h1, "shop"))
    ]
    assert [ping.code for ping in pings] == [0, 0, 0]
    listen = "socat -T3 TCP-LISTEN:999,reuseaddr SYSTEM:'echo $SOCAT_PEERADDR'"
    server = asyncio.create_task(lan.lab.fabric.run("sh", "-c", listen, check=False))

    async def opened() -> str:
        return (await h1.inside("shop", "socat", "-u", "-T2", f"TCP:{outside}:999,connect-timeout=1", "-")).out.strip()

    assert await eventually("what it opens comes from there", opened) == FIRST
    await server
    ((endpoint,), listed) = await h1.read("endpoint", "inspect", "shop"), (await h1.cli("endpoint", "ls")).out
    assert endpoint["floating"] == [FIRST]
    assert FIRST in listed
    assert "0.0.0.0:8080->80/tcp" in listed
    assert "1 floating address" in (await h1.cli("status")).out

    office = json.loads(allow("shop", "web", "shop", "far"))
    office["spec"]["ingress"].append({"from": [{"ipBlock": {"cidr": f"{outside}/32"}}]})
    await lan.policy(json.dumps(office))

    async def judged() -> bool:
        answers = [
            await stranger(lan, FIRST),
            await seen(h2, FIRST),
            await seen(h2, FIRST, "far"),
            await seen(h1, FIRST, "near"),
        ]
        return answers == [outside, "", far, ""]

    await eventually("policy judges the real ends", judged, timeout=30.0)
    assert (await h1.cli("explain", outside, "shop:80", check=False)).code == 0
    assert (await h1.cli("explain", str(h2.machine.management), f"{FIRST}:80", check=False)).code == 3


async def test_it_moves_with_the_container(lan: World) -> None:
    h1, h2, _ = lan.hosts
    fabric, outside = lan.lab.fabric, str(lan.lab.fabric.management)
    await h1.run("shop", "web", command=ECHO)
    await h1.cli("expose", "shop", "--address", SECOND)

    async def here() -> bool:
        return await state(lan, SECOND) == "claimed h1"

    await eventually("claimed on the first host", here)
    talk = f"while echo x; do sleep 0.1; done | socat -T20 - TCP:{SECOND}:7"
    stream = asyncio.create_task(fabric.run("sh", "-c", talk, check=False, timeout=40))
    await h1.docker("rm", "-f", "shop")

    async def vacant() -> bool:
        return await state(lan, SECOND) == "vacant"

    await eventually("nobody has it", vacant)

    async def released() -> bool:
        return SECOND not in (await h1.machine.run("ip", "address", "show", "dev", "lo")).out

    await eventually("its host does not answer any more", released)
    await h2.run("shop", "web", command=WHO)
    began = time.monotonic()

    async def again() -> bool:
        return await stranger(lan, SECOND) == outside

    await eventually("it answers on the second host", again)
    assert time.monotonic() - began < 5, "about a second on a machine with nothing else to do"
    assert re.search("reset|Broken pipe", (await stream).err), "who talked with the first one hears that it is over"
    assert await state(lan, SECOND) in ("claimed h2", "pending h2")


async def test_agents_and_controller_may_be_away_and_strangers_there(lan: World) -> None:
    h1, _, _ = lan.hosts
    fabric, outside = lan.lab.fabric, str(lan.lab.fabric.management)
    await h1.run("shop", "web", command=WHO)
    await h1.cli("expose", "shop")
    await fabric.network(f"address add {TAKEN}/32 dev mgmt")
    try:
        await h1.cli("expose", "-l", "socketplane.io/container=shop", "--address", TAKEN)

        async def alarm() -> bool:
            return f"floating address {TAKEN} is not claimed" in (await h1.cli("status")).out

        await eventually("an alarm about who has it", alarm, timeout=20.0)
        assert "has it" in await state(lan, TAKEN)
    finally:
        await fabric.network(f"address del {TAKEN}/32 dev mgmt")

    async def answers() -> bool:
        return [await stranger(lan, FIRST), await stranger(lan, TAKEN)] == [outside, outside]

    await eventually("both answer, when the stranger is gone", answers, timeout=20.0)
    await h1.machine.run("sh", "-c", "kill -KILL $(cat /run/socketplane/agent.pid) $(cat /run/socketplane/controller.pid)")
    assert await answers(), "what is claimed needs neither"
    # A packet may get lost on a busy machine, and is sent again after a second; where nobody answers, none of three is.
    talk = f"for i in $(seq 100); do socat -u -T3 TCP:{FIRST}:80,connect-timeout=3 - || exit 1; sleep 0.02; done"
    gap = asyncio.create_task(fabric.run("sh", "-c", talk, check=False, timeout=60))
    await h1.cli("up", timeout=60)
    done = await gap
    assert (done.code, set(done.out.split())) == (0, {outside}), "no gap while they start"
    assert await answers()
