"""Multicast with real dockerd, over two hosts: members get it, others don't, and policies hold."""

from __future__ import annotations

import json

import pytest

from support.world import Host, World, allow, eventually

pytestmark = [pytest.mark.lab, pytest.mark.smoke]
GROUP = "239.1.1.1"


def _member(protocol: str, join: str) -> tuple[str, ...]:
    return ("socat", "-u", f"{protocol}-RECV:5000,{join},reuseaddr", "OPEN:/tmp/got,creat,append")


JOIN = _member("UDP4", f"ip-add-membership={GROUP}:eth0")
JOIN6 = _member("UDP6", "ipv6-join-group=[ff15::1]:eth0")


async def _labelled(host: Host, name: str, network: str, *command: str) -> None:
    await host.run(name, network, "--label", f"app={name}", command=command or ("sleep", "600"))


async def _send(host: Host, word: str, to: str = f"UDP4-DATAGRAM:{GROUP}:5000,ip-multicast-ttl=4") -> None:
    await host.inside("sender", "sh", "-c", f"echo {word} | socat -u - {to}", check=True)


async def _got(host: Host, name: str) -> list[str]:
    return (await host.inside(name, "cat", "/tmp/got")).out.split()


async def _received(host: Host, name: str) -> int:
    return int((await host.inside(name, "cat", "/sys/class/net/eth0/statistics/rx_bytes", check=True)).out)


async def _arrives(sender: Host, word: str, *members: tuple[Host, str], to: str | None = None) -> None:
    """Send a word until all members have it: a host follows a moment after who joined or what policy says."""

    async def there() -> bool:
        await _send(sender, word, *([to] if to else []))
        return all([word in await _got(host, name) for host, name in members])

    await eventually(f"{word} at {[name for _, name in members]}", there)


async def test_members_on_all_hosts_get_what_is_sent_to_a_group_and_others_do_not(world: World) -> None:
    h1, h2, _ = world.hosts
    await world.network("web")
    await _labelled(h1, "sender", "web")
    await _labelled(h1, "near", "web", *JOIN)
    await _labelled(h2, "far", "web", *JOIN)
    await _labelled(h2, "other", "web")
    await _arrives(h1, "hello", (h1, "near"), (h2, "far"))
    before = await _received(h2, "other")
    padding = "x" * 1000
    for number in range(20):
        await _send(h1, f"{number}-{padding}")
    await _arrives(h1, "last", (h1, "near"), (h2, "far"))
    assert await _received(h2, "other") - before < 2000  # queries and ARP; the datagrams are 20,000 bytes
    # A member that may not send anything stays one; another one refuses the sender.
    closed = {"podSelector": {"matchLabels": {"app": "near"}}, "policyTypes": ["Egress"]}
    policy = json.loads(allow("silent", "web", "near", None))
    await world.policy(json.dumps({**policy, "spec": closed}))
    await world.policy(allow("refuses", "web", "far", "nobody"))
    await _arrives(h1, "closed", (h1, "near"))
    assert "closed" not in await _got(h2, "far")
    told = await h1.cli("explain", "sender", f"{GROUP}:5000/udp")
    assert "members of the group" in told.out
    await world.policy(allow("refuses", "web", "far", "sender", 5000, "UDP"))
    await _arrives(h1, "opened", (h1, "near"), (h2, "far"))
    # Who may send is told by the group's address.
    await world.policy(json.dumps({**policy, "spec": {**closed, "podSelector": {"matchLabels": {"app": "sender"}}}}))
    told = await h1.cli("explain", "sender", f"{GROUP}:5000/udp", check=False)
    assert told.code == 3
    counted = await _received(h1, "near")

    async def cut() -> bool:
        nonlocal counted
        before, counted = counted, await _received(h1, "near")
        await _send(h1, f"cut-{padding}")
        return await _received(h1, "near") - counted < 500 and counted - before < 500

    await eventually("the sender is cut off", cut)


async def test_ipv6_and_internal_networks_have_it_too(world: World) -> None:
    h1, h2, _ = world.hosts
    await world.network("six", "--ipv6", "--internal")
    await _labelled(h1, "sender", "six")
    await _labelled(h2, "far", "six", *JOIN)
    await _labelled(h2, "far6", "six", *JOIN6)
    # No route leads out of an internal network: who sends to a group says from where, as with Docker's own ones.
    source = await h1.address("sender", "six")
    await _arrives(h1, "hello", (h2, "far"), to=f"UDP4-DATAGRAM:{GROUP}:5000,ip-multicast-ttl=4,ip-multicast-if={source}")
    await _arrives(h1, "hello6", (h2, "far6"), to="UDP6-DATAGRAM:[ff15::1]:5000")
