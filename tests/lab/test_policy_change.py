"""Changes of policy and what is open: what they still allow does not notice, what they forbid ends; ids tell of both."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from support.world import SERVE, Host, World, eventually

pytestmark = [pytest.mark.lab, pytest.mark.smoke]

COUNT = "i=0; while echo $i; do i=$((i+1)); sleep 0.02; done"
PUSH, ECHO, HTTP = 9, 7, 8080
OVN_LOG = "/var/log/ovn/ovn-controller.log"
SERVER = f"""
echo '{COUNT}' > /tmp/count
socat UDP-LISTEN:{PUSH},fork,reuseaddr EXEC:'sh /tmp/count' &
socat TCP-LISTEN:{PUSH},fork,reuseaddr EXEC:'sh /tmp/count' &
socat UDP-LISTEN:{ECHO},fork,reuseaddr EXEC:cat &
exec {" ".join(SERVE)}
"""
CLIENT = f"""
(echo hello; sleep 600) | socat - UDP:$SERVER:{PUSH} > /tmp/pushed &
socat -u TCP:$SERVER:{PUSH} CREATE:/tmp/stream &
({COUNT}) | socat -t 600 - UDP:$SERVER:{ECHO} > /tmp/echoed
"""
CALLER = f"(echo hello; sleep 600) | socat - UDP:$SERVER:{PUSH} > /tmp/pushed"
STREAMS = ("pushed", "stream", "echoed")
"""What a client receives: UDP that the server alone sends, TCP that it alone sends, and its own UDP sent back."""
Rules = list[dict[str, Any]]


def policy(name: str, subject: str, **rules: Rules) -> str:
    """Return a policy of those labelled app=subject, with the directions that are given."""
    spec = {"podSelector": {"matchLabels": {"app": subject}}, "policyTypes": [key.title() for key in rules], **rules}
    kind = {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy"}
    return json.dumps({**kind, "metadata": {"name": name, "namespace": "web"}, "spec": spec})


def peers(app: str, *ports: tuple[str, int], way: str = "from") -> dict[str, Any]:
    """Return a rule about those labelled app=APP, on some ports or all."""
    rule: dict[str, Any] = {way: [{"podSelector": {"matchLabels": {"app": app}}}]}
    return {**rule, "ports": [{"protocol": kind, "port": port} for kind, port in ports]} if ports else rule


async def change(world: World, *documents: str, remove: str = "") -> None:
    """Change policies, and return when every host's agent has looked at its connections since."""

    async def seen() -> set[str]:
        files = [host.machine.path("/var/lib/socketplane/agent.json") for host in world]
        return {json.loads(text)["rules"] for text in [await asyncio.to_thread(file.read_text) for file in files]}

    async def settled() -> bool:
        now = await seen()
        return len(now) == 1 and now.isdisjoint(before)

    before = await seen()
    if remove:
        await world.first.cli("policy", "rm", remove)
    else:
        await world.policy("\n---\n".join(documents))
    await eventually("the change is everywhere", settled)


async def received(host: Host, name: str, *streams: str) -> dict[str, list[int]]:
    """Return the numbers that each stream brought to a client, without the line that is being written."""
    texts = [(await host.inside(name, "cat", f"/tmp/{stream}", check=True)).out for stream in streams]
    lines = {stream: text.split("\n")[:-1] for stream, text in zip(streams, texts, strict=True)}
    for stream, found in lines.items():
        strange = [(number, line) for number, line in enumerate(found) if not line.isdigit()]
        assert not strange, f"{name}'s {stream} has {strange} among {len(found)} lines"
    return {stream: [int(line) for line in found] for stream, found in lines.items()}


@asynccontextmanager
async def in_background(machine: Any, *command: str) -> AsyncIterator[None]:
    """Run a program on a machine; it is killed at the end."""
    task = asyncio.create_task(machine.run(*command, stdin="hello\n", check=False, timeout=120.0))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


class Site:
    """A server and its clients: on its host, on another, another host itself; and a container that hears from outside."""

    def __init__(self, world: World, server: str) -> None:
        self.world = world
        self.server = server
        h1, h2, _ = world.hosts
        self.clients = [("near", h2, STREAMS), ("far", h1, STREAMS), ("caller", h1, ("pushed",))]

    async def lengths(self) -> dict[str, int]:
        """Return how many numbers each stream brought, if none is missing (of UDP: but one; a cut takes more)."""
        found = {}
        for name, host, streams in self.clients:
            for stream, numbers in (await received(host, name, *streams)).items():
                lost = sorted(set(range(numbers[-1] + 1 if numbers else 0)) - set(numbers))
                assert numbers == sorted(set(numbers)) and len(lost) <= (stream != "stream"), (
                    f"{name}'s {stream}: {lost} lost"
                )
                found[f"{name}'s {stream}"] = len(numbers)
        own = await asyncio.to_thread(self.world.first.machine.path("/tmp/own").read_text)
        return {**found, "h1's own": own.count("\n")}

    async def flows(self) -> None:
        """Fail unless every stream goes on, without a gap."""
        before = await self.lengths()

        async def grown() -> bool:
            now = await self.lengths()
            return all(now[key] > size for key, size in before.items())

        await eventually("all streams go on", grown)

    async def stopped(self) -> None:
        """Fail unless every stream ends."""
        last = await self.lengths()

        async def still() -> bool:
            nonlocal last
            before, last = last, await self.lengths()  # a look at all of them takes as long as many a number
            return before == last

        await eventually("all streams have ended", still)

    async def retransmitted(self) -> int:
        """Return how many TCP segments the server had to send again."""
        text = (await self.world.hosts[1].inside("server", "grep", "^Tcp:", "/proc/net/snmp")).out
        names, values = (line.split() for line in text.splitlines())
        return int(dict(zip(names, values, strict=True))["RetransSegs"])


@pytest.fixture
async def site(world: World) -> AsyncIterator[Site]:
    h1, h2, _ = world.hosts
    await world.network("web")
    server = await h2.run("server", "web", "--label", "app=server", command=("sh", "-c", SERVER))
    outside = str(world.lab.fabric.management)
    own = ("socat", "-t", "600", "-!!CREATE:/tmp/own", f"UDP:{server}:{PUSH}")
    async with (
        in_background(world.lab.fabric, "socat", f"UDP-LISTEN:{PUSH},reuseaddr", f"SYSTEM:{COUNT}"),
        in_background(h1.machine, *own),
    ):
        for name, host, target, script in (
            ("near", h2, server, CLIENT),
            ("far", h1, server, CLIENT),
            ("caller", h1, outside, CALLER),
        ):
            command = ("sh", "-c", f"SERVER={target}; {script}")
            await host.run(name, "web", "--label", f"app={'caller' if name == 'caller' else 'client'}", command=command)
        site = Site(world, server)
        await site.flows()
        yield site


async def explained(world: World, source: str, target: str) -> dict[str, Any]:
    return dict(json.loads((await world.first.cli("explain", source, target, "-o", "json", check=False)).out))


async def test_what_is_open_when_policy_changes(world: World, site: Site) -> None:
    h1, h2, _ = world.hosts
    again = await site.retransmitted()
    ports = (("UDP", PUSH), ("TCP", PUSH), ("UDP", ECHO))
    # What is still allowed does not notice: a first policy, others, other rules, other ids of the same ones.
    hosts: dict[str, Any] = {"from": [{"ipBlock": {"cidr": "169.254.192.0/20"}}]}
    await change(world, policy("server", "server", ingress=[peers("client"), hosts]))
    await change(world, policy("client", "client", ingress=[]), policy("caller", "caller", ingress=[]))
    await change(world, policy("server", "server", ingress=[hosts, peers("nobody"), peers("client", *ports)]))
    out = [peers("server", way="to"), {"to": [{"ipBlock": {"cidr": "0.0.0.0/0"}}]}]
    await change(world, policy("client", "client", egress=out), policy("caller", "caller", egress=out))
    await site.flows()
    assert await site.retransmitted() == again
    # The id of the rule that allows one is the label of its connection.
    for client in ("near", "far"):
        said = await explained(world, f"web/{client}", f"web/server:{PUSH}/tcp")
        address = next(e["address"] for e in await world.endpoints() if e["name"] == client)
        table = (await h2.machine.run("ovs-appctl", "dpctl/dump-conntrack")).out
        labels = re.findall(rf"^tcp,orig=\(src={address},dst={site.server},.*labels=(0x\w+)", table, re.MULTILINE)
        ids = {f"r{int(label, 0) >> 96 >> 12}.{int(label, 0) >> 96 & 0xFFF}" for label in labels}
        assert said["verdict"] == "allow" and said["rule"] in ids, (said, labels)
    # The id of the rule that denies one is what the log says of it, and what the controller hears.
    earlier = len((await h2.machine.run("cat", OVN_LOG)).out)  # tests before this one had containers at these addresses
    assert not await h1.connects("caller", site.server, HTTP, timeout=1)
    said = await explained(world, "web/caller", f"web/server:{HTTP}/tcp")
    log = (await h2.machine.run("cat", OVN_LOG)).out[earlier:]
    logged = re.findall(rf'name="([^"]*)", verdict=drop.*: tcp,.*nw_dst={site.server},.*tp_dst={HTTP}', log)
    assert said["verdict"] == "deny" and set(logged) == {said["rule"]}

    async def told() -> bool:
        metrics = ("curl", "-s", "--unix-socket", "/run/socketplane/controller.sock", "http://x/metrics")
        return f'socketplane_denied_packets_total{{rule="{said["rule"]}"}}' in (await h1.machine.run(*metrics)).out

    await eventually("the controller knows what was refused", told)
    # What is forbidden ends, whoever sends.
    shut = policy("caller", "caller", egress=[peers("server", way="to")])
    await change(world, policy("server", "server", ingress=[peers("nobody")]), shut)
    await site.stopped()
