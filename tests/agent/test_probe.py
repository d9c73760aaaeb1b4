"""Connections that agents try out of containers: real namespaces and packets, a real controller; Docker is played."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import threading
from contextlib import AsyncExitStack, ExitStack
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from types import SimpleNamespace

import pytest

from socketplane.agent.attempt import attempt
from socketplane.agent.link import Link
from socketplane.agent.prober import Prober
from socketplane.agent.state import EndpointRecord, State
from socketplane.errors import NotFound
from support.steps import attach, endpoint_id, lease
from support.world import allow

SERVE = ("TCP-LISTEN:80,fork,reuseaddr", "UDP-LISTEN:53,fork,reuseaddr")


def namespace(stack):
    """Return the process that holds a new network namespace."""
    holder = stack.enter_context(subprocess.Popen(["unshare", "--net", "sh", "-c", "echo; exec sleep 300"], stdout=-1))
    stack.callback(holder.kill)
    holder.stdout.readline()
    return holder.pid


def ip(pid, *lines):
    text = "\n".join(lines) + "\n"
    subprocess.run(["nsenter", "--target", str(pid), "--net", "ip", "-batch", "-"], input=text.encode(), check=True)


@pytest.fixture(scope="module")
def cable():
    """Two namespaces and a cable between them; the far one serves."""
    if os.geteuid() != 0:
        pytest.skip("needs root: network namespaces")
    with ExitStack() as stack:
        near, far = namespace(stack), namespace(stack)
        ip(near, f"link add eth0 type veth peer name eth0 netns {far}")
        for pid in (near, far):
            ip(pid, "link set lo up", "link set eth0 up")
        for service in SERVE:
            command = ["nsenter", "--target", str(far), "--net", "socat", service, "EXEC:cat"]
            server = stack.enter_context(subprocess.Popen(command))
            stack.callback(server.kill)
        yield SimpleNamespace(near=near, far=far)


class Docker:
    """The engine's answers by container."""

    def __init__(self):
        self.containers = {}

    async def inspect(self, container):
        await asyncio.sleep(0)
        if container not in self.containers:
            raise NotFound("no such container")
        pid, endpoint = self.containers[container]
        return {"State": {"Pid": pid}, "NetworkSettings": {"Networks": {"web": {"EndpointID": endpoint}}}}


@pytest.fixture
async def site(world, tmp_path, until, cable):
    """A client on h1 (endpoint 1) and a server on h2 (endpoint 2), in the two namespaces, and what tries connections."""
    async with AsyncExitStack() as stack:
        site = SimpleNamespace(docker=Docker(), states={}, clients={}, links={})
        network = await world.admin.call("POST", "/v1/networks", {"name": "web", "ipv6": True})
        for number, name in enumerate(("h1", "h2"), start=1):
            body = {"system_id": f"system-{name}", "address": f"127.0.0.{number}"}
            await world.admin.call("PUT", f"/v1/hosts/{name}", body)
            client = site.clients[name] = await stack.enter_async_context(world.controller.client(name))
            state, link = State(tmp_path / name), Link(client, name)
            site.states[name], site.links[name] = state, link
            prober = Prober(state, link, site.docker)
            for part in (link.run, prober.run):
                stack.callback(asyncio.create_task(part()).cancel)
            await until(lambda link=link: link.synced)

        async def put(number, host, pid):
            client = site.clients[host]
            more = {"labels": {"app": f"a{number}"}, "container": f"c{number}", "name": f"n{number}"}
            six = await lease(client, network, f"six{number}", version=6)
            made = await attach(client, network, number, address6=six["address"], **more)
            address, six = IPv4Address(made["address"]), IPv6Address(made["address6"])
            record = EndpointRecord(made["id"], "d", network["id"], address, 22, made["mac"], put=True, address6=six)
            site.states[host].endpoints[made["id"]] = record
            site.docker.containers[f"c{number}"] = (pid, made["id"])
            return str(address), str(six)

        async def probe(*services, source=1, destination=2, wait=2.0, version=4):
            ends = {"source": endpoint_id(source), "destination": endpoint_id(destination), "version": version}
            items = [{**ends, "protocol": kind, "port": port} for kind, port in services]
            answer = await world.admin.call("POST", "/v1/probes", {"items": items, "wait": wait})
            return [(item["outcome"], item["detail"], item["expected"], item["agrees"]) for item in answer["items"]]

        site.put, site.probe = put, probe
        near, far = await put(1, "h1", cable.near), await put(2, "h2", cable.far)
        site.far = far[0]
        for pid, (four, six) in ((cable.near, near), (cable.far, far)):
            ip(pid, "addr flush dev eth0", f"addr add {four}/22 dev eth0", f"addr add {six}/64 dev eth0 nodad")
        await until(lambda: serves(site))
        yield site


def where():
    """Return the network namespace that this thread is in."""
    return Path("/proc/thread-self/ns/net").stat().st_ino


async def serves(site):
    return [seen for seen, *_ in await site.probe(("tcp", 80), ("udp", 53))] == ["open", "open"]


def test_attempts_on_loopback():
    with socket.socket() as tcp, socket.socket(type=socket.SOCK_DGRAM) as silent, socket.socket() as free:
        for sock in (tcp, silent, free):
            sock.bind(("127.0.0.1", 0))
        tcp.listen()
        tcp_port, silent_port, free_port = (sock.getsockname()[1] for sock in (tcp, silent, free))
        targets = [("tcp", "127.0.0.1", tcp_port), ("udp", "127.0.0.1", silent_port), ("tcp", "127.0.0.1", free_port)]
        assert attempt(targets, 0.2) == ["open", "timeout", "refused"]
        silent.close()
        assert attempt([("udp", "127.0.0.1", silent_port)], 2) == ["refused"]
    assert attempt([], 5) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: raw sockets")
def test_a_ping_hears_its_own_answer_only():
    # All of them hear all answers; the destination differs, and the token.
    targets = [("icmp", f"127.0.0.{number}", 0) for number in (1, 1, 2, 3)]
    assert attempt([*targets, ("icmp", "255.255.255.255", 0)], 2) == [*["open"] * 4, "unreachable"]


async def test_connections_are_made_in_the_containers_namespace(site):
    ours = where()
    seen = await site.probe(("tcp", 80), ("tcp", 81), ("udp", 53), ("udp", 54), ("icmp", None))
    reached = ("", "allow", True)
    assert seen == [
        ("open", *reached),
        ("refused", *reached),
        ("open", *reached),
        ("refused", *reached),
        ("open", *reached),
    ]
    for _ in range(8):  # whatever thread serves others is where it was
        assert await asyncio.to_thread(where) == ours
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("probe") and thread.is_alive()]


def test_loopback_with_ipv6():
    with socket.socket(socket.AF_INET6) as tcp:
        tcp.bind(("::1", 0))
        tcp.listen()
        port = tcp.getsockname()[1]
        targets = [("tcp", "::1", port), ("icmp", "::1", 0), ("icmp", "::1", 0)]
        assert attempt(targets, 2) == ["open", "open", "open"]


async def test_connections_with_ipv6(site):
    assert await site.probe(("tcp", 80), ("icmp", None), version=6) == [
        ("refused", "", "allow", True),  # it is served with IPv4
        ("open", "", "allow", True),
    ]


async def test_what_is_seen_is_compared_with_policy(site, world):
    """Nothing enforces it here, so that what should be denied is reached."""
    await world.admin.call("POST", "/v1/policies", {"documents": [json.loads(allow("only", "web", "a2", "a1", 80))]})
    seen = await site.probe(("tcp", 80), ("tcp", 81), ("udp", 53), ("icmp", None))
    assert seen == [
        ("open", "", "allow", True),
        ("refused", "", "deny", False),
        ("open", "", "deny", False),
        ("open", "", "deny", False),
    ]


async def test_silence_is_no_answer(site, world):
    await site.put(3, "h2", os.getpid())  # nobody has its address
    seen = await site.probe(("tcp", 80), ("udp", 53), ("icmp", None), destination=3, wait=0.2)
    assert seen == [("timeout", "", "allow", False), ("timeout", "", "allow", None), ("timeout", "", "allow", False)]


async def test_only_what_is_meant_is_tried(site, cable, world):
    gone = ("skipped", "the container is gone", "allow", None)
    pid, endpoint = site.docker.containers.pop("c1")
    assert await site.probe(("tcp", 80)) == [gone], "Docker knows it no more"
    site.docker.containers["c1"] = (0, endpoint)
    assert await site.probe(("tcp", 80)) == [gone], "it does not run"
    site.docker.containers["c1"] = (pid, endpoint_id(9))
    assert await site.probe(("tcp", 80)) == [gone], "it was started again, and is another endpoint's"
    site.docker.containers["c1"] = (cable.far, endpoint)
    ((outcome, detail, *_),) = await site.probe(("tcp", 80))
    assert (outcome, detail) == ("skipped", f"the container sends there from {site.far}")
    site.docker.containers["c1"] = (2**22 + 1, endpoint)
    assert await site.probe(("tcp", 80)) == [gone], "no such process"
    site.docker.containers["c1"] = (pid, endpoint)
    networks, site.links["h1"].networks = site.links["h1"].networks, {}
    ((outcome, detail, *_),) = await site.probe(("tcp", 80))
    assert (outcome, detail) == ("skipped", f"no network that this host knows has {site.far}")
    site.links["h1"].networks = networks
    assert (await site.probe(("tcp", 80)))[0][0] == "open"
    del site.states["h1"].endpoints[endpoint]
    assert await site.probe(("tcp", 80)) == [gone], "this host has no such endpoint"


async def test_a_container_without_a_way_there(site, cable, world):
    ip(cable.near, "addr flush dev eth0")
    seen = await site.probe(("tcp", 80))
    assert seen == [("unreachable", "Network is unreachable", "allow", False)]
