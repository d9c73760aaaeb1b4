"""Published ports on real engines: who gets in and as whom, policy, and what is gone with the container."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from socketplane.lab.machine import Machine
from support.world import Host, World, allow, eventually

pytestmark = [pytest.mark.lab, pytest.mark.smoke]

# Tells each client its address: TCP on 80, UDP on 53.
WHO = (
    "sh",
    "-c",
    "socat -T1 UDP-LISTEN:53,fork,reuseaddr SYSTEM:'echo $SOCAT_PEERADDR' &"
    " exec socat TCP-LISTEN:80,fork,reuseaddr SYSTEM:'echo $SOCAT_PEERADDR'",
)
NOBODY = "169.254.207.254"
PORTS = ("-p", "8080:80", "-p", "5353:53/udp", "-p", "127.0.0.1:8081:80", "-p", "80")


def asking(address: str, port: int, protocol: str = "TCP") -> tuple[str, ...]:
    """Return the command that prints whom a server takes us for; nothing where there is no answer."""
    if protocol == "TCP":
        return "socat", "-u", "-T2", f"TCP:{address}:{port},connect-timeout=2", "-"
    once = f"echo | socat -t$t -T$t - UDP:{address}:{port}"
    return "sh", "-c", f"for t in 0.5 2 5; do {once} | grep . && exit; done"  # a datagram may get lost, or a server be slow


async def seen(where: Host, address: str, port: int, protocol: str = "TCP", inside: str = "") -> str:
    """Return as whom a container (or a host) reaches a published port; empty where it does not."""
    command = asking(address, port, protocol)
    done = await (where.inside(inside, *command) if inside else where.machine.run(*command, check=False))
    return done.out.strip()


async def ephemeral(host: Host, name: str) -> int:
    """Return the port that the host chose for a container."""
    (endpoint,) = await host.read("endpoint", "inspect", name)
    known = (8080, 8081, 5353)
    return next(int(port["host_port"]) for port in endpoint["published"] if port["host_port"] not in known)


async def test_who_reaches_published_ports_and_as_whom(world: World) -> None:
    h1, h2, h3 = world.hosts
    await asyncio.gather(world.network("web"), world.network("other"))
    a1, a2 = (str(host.machine.underlay) for host in (h1, h2))
    await h1.run("shop", "web", "--label", "app=shop", *PORTS, command=WHO)
    await asyncio.gather(h1.run("near", "web"), h2.run("far", "web"), h2.run("stranger", "other"))
    await h1.docker("run", "-d", "--name", "bridged", "socketplane/lab", "sleep", "600")
    near, far = await h1.address("near", "web"), await h2.address("far", "web")
    free = await ephemeral(h1, "shop")

    async def serves() -> bool:
        return await seen(h2, a1, 8080) == a2

    await eventually("the port answers", serves)
    gateway = await _gateway(h1)
    expected = {
        "a LAN host": (h2, a1, free, "TCP", "", a2),
        "by UDP": (h2, a1, 5353, "UDP", "", a2),
        "a container by its own host": (h1, a1, 8080, "TCP", "near", near),
        "a container of another host": (h2, a1, 8080, "TCP", "far", far),
        "the same by UDP": (h2, a1, 5353, "UDP", "far", far),
        "itself": (h1, a1, 8080, "TCP", "shop", NOBODY),
        "the host at 127.0.0.1": (h1, "127.0.0.1", 8081, "TCP", "", gateway),
        "the host at its address, by UDP": (h1, a1, 5353, "UDP", "", gateway),
        "the host at its address": (h1, a1, 8080, "TCP", "", gateway),
        "one on docker0": (h1, a1, 8080, "TCP", "bridged", await _bridge_address(h1)),
    }
    answers = {what: await seen(*asked) for what, (*asked, _) in expected.items()}
    assert answers == {what: wanted for what, (*_, wanted) in expected.items()}
    refused = {
        "at another host": seen(h3, a2, 8080),
        "the LAN at 127.0.0.1's": seen(h2, a1, 8081),
        "a container at 127.0.0.1's": seen(h2, a1, 8081, inside="far"),
        "one of another network": seen(h2, a1, 8080, inside="stranger"),
    }
    answers = dict(zip(refused, await asyncio.gather(*refused.values()), strict=True))
    assert answers == dict.fromkeys(refused, "")

    listed = (await h1.cli("endpoint", "ls")).out
    assert f"0.0.0.0:8080->80/tcp, 0.0.0.0:{free}->80/tcp, 127.0.0.1:8081->80/tcp, 0.0.0.0:5353->53/udp" in listed
    assert "4 published ports" in (await h1.cli("status")).out

    second = await h1.docker("run", "-d", "--network", "web", "-p", "8080:80", "socketplane/lab", "sleep", "9", check=False)
    assert second.code != 0
    assert "--publish: port 8080/tcp of 0.0.0.0 is in use on this host" in second.err

    await h1.docker("rm", "-f", "shop")
    assert await seen(h2, a1, 8080) == ""
    await h1.run("next", "web", *PORTS, command=WHO)
    await eventually("the next container's port answers", serves)


async def test_a_published_port_opens_nothing_that_policy_denies(world: World) -> None:
    h1, h2, h3 = world.hosts
    await world.network("web")
    a1, a2, a3 = (str(host.machine.underlay) for host in world.hosts)
    await h1.run("shop", "web", "--label", "app=shop", "-p", "8080:80", command=WHO)
    far = await h2.run("far", "web", "--label", "app=far")

    async def open_to_all() -> bool:
        return (await seen(h2, a1, 8080), await seen(h3, a1, 8080)) == (a2, a3)

    await eventually("open without a policy", open_to_all)
    policy = json.loads(allow("shop", "web", "shop", "far"))
    plan = await h1.cli("policy", "plan", "-f", "-", stdin=json.dumps(policy))
    assert "nobody outside reaches what is published: 0.0.0.0:8080->80/tcp of shop" in plan.err + plan.out
    await world.policy(json.dumps(policy))

    async def only_far() -> bool:
        answers = [await seen(h2, a1, 8080), await seen(h3, a1, 8080), await seen(h2, a1, 8080, inside="far")]
        return answers == ["", "", far]

    await eventually("judged as the container that it is", only_far, timeout=30.0)
    assert await seen(h1, a1, 8080, inside="shop") == NOBODY, "a container always reaches itself"
    assert await seen(h1, a1, 8080) == await _gateway(h1), "and its host it, afterwards too"
    policy["spec"]["ingress"] = [{"from": [{"ipBlock": {"cidr": f"{a3}/32"}}]}]
    await world.policy(json.dumps(policy))

    async def only_h3() -> bool:
        answers = [await seen(h2, a1, 8080), await seen(h3, a1, 8080), await seen(h2, a1, 8080, inside="far")]
        return answers == ["", a3, ""]

    await eventually("judged by the client's own address", only_h3, timeout=30.0)
    assert (await h1.cli("explain", a2, f"{a1}:8080", check=False)).code == 3
    assert (await h1.cli("explain", a3, f"{a1}:8080", check=False)).code == 0


async def test_ports_outlast_the_agent_and_whoever_flushes_rules(world: World) -> None:
    h1, h2, _ = world.hosts
    await world.network("web")
    a1, a2 = (str(host.machine.underlay) for host in (h1, h2))
    await h1.run("shop", "web", "-p", "8080:80", command=WHO)

    async def answers() -> bool:
        return await seen(h2, a1, 8080) == a2

    await eventually("the port answers", answers)
    for damage in ("nft delete table inet socketplane", "iptables -D FORWARD -j SOCKETPLANE"):
        await h1.machine.run("sh", "-c", damage)
        await eventually(f"open again after {damage}", answers)
    await h1.machine.run("sh", "-c", "kill -KILL $(cat /run/socketplane/agent.pid)")
    assert await answers(), "what is open needs no agent"
    await h1.cli("up", timeout=60)
    assert await answers()

    async def held() -> bool:
        return ":8080 " in (await h1.machine.run("ss", "-Hlnt", "sport = 8080")).out

    await eventually("the port is reserved again", held)


PUSH = """
echo 'i=0; while echo $i; do i=$((i+1)); sleep 0.02; done' > /tmp/count
socat UDP-LISTEN:9,fork,reuseaddr EXEC:'sh /tmp/count' &
exec socat TCP-LISTEN:9,fork,reuseaddr EXEC:'sh /tmp/count'
"""
UDP_CLIENT = "(echo hello; sleep 120) | socat -t 120 - UDP:$AT:{port} > /tmp/{name}"
TCP_CLIENT = "socat -u TCP:$AT:{port} CREATE:/tmp/{name}"


@asynccontextmanager
async def receiving(machine: Machine, address: str, **scripts: str) -> AsyncIterator[None]:
    """Run clients on a machine, which write what they receive to files; they are killed at the end."""
    tasks = [
        asyncio.create_task(machine.run("sh", "-c", f"AT={address}; {script}", check=False, timeout=150.0))
        for script in scripts.values()
    ]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


async def test_policy_ends_what_the_outside_has_open(world: World) -> None:
    """TCP and UDP that the server alone sends: to a machine outside, and to a container that came by the host's address."""
    h1, h2, _ = world.hosts
    outside = world.lab.fabric
    await world.network("web")
    underlay, lan = str(h1.machine.underlay), str(h1.machine.management)
    ports = ("-p", "9009:9", "-p", "9009:9/udp")
    await h1.run("shop", "web", "--label", "app=shop", *ports, command=("sh", "-c", PUSH))
    await h2.run("far", "web", "--label", "app=far")
    names = {"pushed": UDP_CLIENT, "stream": TCP_CLIENT}
    scripts = {name: script.format(port=9009, name=name) for name, script in names.items()}
    for script in scripts.values():
        await h2.docker("exec", "-d", "far", "sh", "-c", f"AT={underlay}; {script}")

    async def lengths() -> list[int]:
        texts = [(await outside.run("cat", f"/tmp/{name}", check=False)).out for name in scripts]
        texts += [(await h2.inside("far", "cat", f"/tmp/{name}")).out for name in scripts]
        return [len(text) for text in texts]

    async def flow() -> None:
        before = await lengths()

        async def grown() -> bool:
            return all(now > was for now, was in zip(await lengths(), before, strict=True))

        await eventually("all streams go on", grown, timeout=30.0)

    async def ended(*places: int) -> None:
        last = await lengths()

        async def still() -> bool:
            nonlocal last
            before, last = last, await lengths()
            return all(before[place] == last[place] for place in places)

        await eventually("these streams have ended", still, timeout=60.0)

    policy = json.loads(allow("shop", "web", "shop", "far"))
    block = {"ipBlock": {"cidr": f"{outside.management}/32"}}
    async with receiving(outside, lan, **scripts):
        await flow()
        policy["spec"]["ingress"][0]["from"].append(block)
        await world.policy(json.dumps(policy))
        await flow()
        policy["spec"]["ingress"] = [{"from": [block]}]
        await world.policy(json.dumps(policy))
        await ended(2, 3)
        before = await lengths()
        await eventually("the outside's go on", lambda: _longer(lengths, before[:2]))
        policy["spec"]["ingress"] = []
        await world.policy(json.dumps(policy))
        await ended(0, 1, 2, 3)


async def _longer(lengths: Callable[[], Awaitable[list[int]]], before: list[int]) -> bool:
    return all(now > was for now, was in zip(await lengths(), before, strict=False))


async def _gateway(host: Host) -> str:
    found = await host.read("host", "inspect", host.name)
    return str(found[0]["gateway"])


async def _bridge_address(host: Host) -> str:
    seen = json.loads((await host.docker("inspect", "bridged")).out)[0]
    return str(seen["NetworkSettings"]["IPAddress"])
