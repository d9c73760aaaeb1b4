"""IPv6 beside IPv4, with real dockerd: on one host and across, between networks, policy, and nothing around it."""

from __future__ import annotations

import asyncio
import json

import pytest

from socketplane.lab.images import IMAGE
from support.world import Host, World, allow, eventually

pytestmark = pytest.mark.lab
ECHO = ("socat", "TCP6-LISTEN:7,fork,reuseaddr", "EXEC:cat")
MEGABYTE = "1000000"


async def _run(host: Host, name: str, network: str, *command: str) -> str:
    """Start a container labelled app=NAME; return its IPv6 address."""
    await host.docker("run", "-d", "--name", name, "--network", network, "--label", f"app={name}", IMAGE, *command)
    seen = json.loads((await host.docker("inspect", name)).out)[0]
    return str(seen["NetworkSettings"]["Networks"][network]["GlobalIPv6Address"])


async def _pushes(host: Host, name: str, address: str) -> bool:
    """Return whether a megabyte comes back from an echo server."""
    command = f"head -c {MEGABYTE} /dev/zero | socat -t 10 - TCP6:[{address}]:7,connect-timeout=1 | wc -c"
    return (await host.inside(name, "sh", "-c", command)).out.strip() == MEGABYTE


async def _pings(host: Host, name: str, address: str) -> bool:
    return (await host.inside(name, "ping", "-6", "-c", "1", "-W", "2", address)).code == 0


async def test_ipv6_on_one_host_and_across_and_policy_cuts_it(world: World) -> None:
    h1, h2, _ = world.hosts
    await world.network("six", "--ipv6")
    addresses = await asyncio.gather(
        _run(h1, "near", "six", *ECHO), _run(h2, "far", "six", *ECHO), _run(h1, "client", "six", "sleep", "600")
    )
    near, far, client = addresses
    for address in (near, far):
        assert await _pings(h1, "client", address)
        assert await _pushes(h1, "client", address)
    assert await _pushes(h2, "far", near)
    # By link-local addresses, which no policy knows, nobody is reached; neighbours are found all the same.
    links = (await h1.inside("near", "ip", "-6", "addr", "show", "dev", "eth0", "scope", "link")).out
    link_local = next(word for word in links.split() if word.startswith("fe80:")).partition("/")[0]
    assert not await _pings(h1, "client", f"{link_local}%eth0")
    await world.policy(allow("near", "six", "near", "far", 7))
    assert await _pushes(h2, "far", near)
    assert not await _pushes(h1, "client", near)
    assert not await _pings(h1, "client", near)
    assert await _pushes(h1, "client", far)
    told = await h1.cli("explain", client, f"[{near}]:7", check=False)
    assert "six/near" in told.out
    assert ".ingress" in told.out, told.out


async def test_ipv6_between_networks_as_policy_opens_them_and_not_out(world: World) -> None:
    """Networks made with Docker itself, a container on two, and an answer at once for what leads nowhere."""
    h1, h2, _ = world.hosts
    create = ("network", "create", "-d", "socketplane", "--ipam-driver", "socketplane")
    await h1.docker(*create, "--ipv6", "front")
    await h1.docker(*create, "--ipv6", "back")

    async def there() -> bool:
        return {"front", "back"} <= await h2.networks()

    await eventually("both networks on h2", there)
    server = await _run(h2, "server", "back", *ECHO)
    await _run(h1, "client", "front", "sleep", "600")
    assert not await _pushes(h1, "client", server)
    policy = json.loads(allow("open", "back", "server", None))
    policy["spec"]["ingress"] = [{"from": [{"namespaceSelector": {}}]}]
    await world.policy(json.dumps(policy))
    assert await _pushes(h1, "client", server)
    await h1.docker("network", "connect", "back", "client")
    assert await _pushes(h1, "client", server)
    out = await h1.inside("client", "socat", "-u", "OPEN:/dev/null", "TCP6:[2001:db8::1]:80,connect-timeout=20")
    assert "refused" in out.err, out
