"""Other firewalls on a host, with real packets: ours passes, what they close stays closed, whoever reloads or flushes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from ipaddress import IPv4Address

import firewalls
import pytest
import topology
from datapath_site import OUTSIDE, UPLINK, Container, Start, running, until
from machine import Machine, Namespace
from traffic import connects, listening, seen_from, udp

from socketplane.agent.floating.rules import Claim
from socketplane.agent.gateway import Gateway
from socketplane.agent.ruleset import Forward
from socketplane.config import GENEVE_PORT as GENEVE
from socketplane.config import RESOLVER_PORT
from socketplane.model.published import ANY, Published
from socketplane.model.spec import Protocol

GATEWAY, NAMES = str(topology.GATEWAY), "198.51.100.53"
FLOATING = "203.0.113.70"
PORT, PUBLISHED = 8000, 8080
EVERYTHING = {"egress", "published", "floating", "questions", "questions by TCP", "tunnels", "its host", "its host asks"}
CLOSED_BY_THEM = {"the host's services", "the host's services from outside"}


@pytest.fixture(scope="module")
def fortress(machine: Machine, request: pytest.FixtureRequest) -> Machine:
    """A machine that has the programs of both firewalls."""
    firewalls.lay_over(machine, firewalls.unpack(request.config.cache.mkdir("firewalls")))  # type: ignore[union-attr]
    return machine


@pytest.fixture
async def shop(start: Start, gateway: Gateway) -> Container:
    """A container that publishes a port and asks for names."""
    container = await start()
    published = Published(Protocol.TCP, ANY, PUBLISHED, PORT)
    await gateway.set_resolvers([IPv4Address(NAMES)])
    await gateway.forward([Forward(published, IPv4Address(container.address))])
    await gateway.lead_floating([Claim(IPv4Address(FLOATING), IPv4Address(container.address), link="")])
    return container


@pytest.fixture
def passing(shop: Container, machine: Machine, outside: Namespace) -> Iterator[Callable[[], set[str]]]:
    """Return what tells which kinds of traffic pass now."""
    outside.run("ip", "route", "replace", FLOATING, "via", UPLINK)
    with listening(outside) as there, listening(machine) as host, listening(machine, RESOLVER_PORT):
        inside = shop.namespace

        tries: dict[str, Callable[[], bool]] = {
            "egress": lambda: connects(inside, OUTSIDE, there.getsockname()[1]),
            "published": lambda: seen_from(outside, inside, UPLINK, PUBLISHED, PORT) == OUTSIDE,
            "floating": lambda: seen_from(outside, inside, FLOATING, PORT + 2, PORT + 2) == OUTSIDE,
            "questions": lambda: _arrives(inside, machine, (NAMES, 53), (GATEWAY, RESOLVER_PORT)),
            "questions by TCP": lambda: connects(inside, NAMES, 53),
            "tunnels": lambda: _arrives(outside, machine, (UPLINK, GENEVE), (UPLINK, GENEVE)),
            "its host": lambda: seen_from(machine, inside, shop.address, PORT + 1, PORT + 1) == GATEWAY,
            "its host asks": lambda: connects(machine, OUTSIDE, there.getsockname()[1]),
            "the host's services": lambda: connects(inside, UPLINK, host.getsockname()[1]),
            "the host's services from outside": lambda: connects(outside, UPLINK, host.getsockname()[1]),
        }

        def passing() -> set[str]:
            with ThreadPoolExecutor(len(tries)) as pool:
                found = {what: pool.submit(attempt) for what, attempt in tries.items()}
            return {what for what, attempt in found.items() if attempt.result()}

        yield passing


def _arrives(source: Namespace, target: Namespace, to: tuple[str, int], at: tuple[str, int]) -> bool:
    with udp(target, *at) as listener, udp(source, "0.0.0.0", 0) as sender:
        listener.settimeout(0.5)
        with suppress(OSError):  # a firewall may refuse, and say so
            sender.sendto(b"?", to)
        with suppress(TimeoutError):
            return listener.recv(1) == b"?"
        return False


async def test_without_a_firewall_iptables_is_left_alone(
    gateway: Gateway, machine: Machine, passing: Callable[[], set[str]]
) -> None:
    assert passing() == EVERYTHING | CLOSED_BY_THEM
    assert "SOCKETPLANE" not in machine.run("iptables-save", "-t", "filter")


async def test_with_ufw(gateway: Gateway, fortress: Machine, passing: Callable[[], set[str]]) -> None:
    with firewalls.ufw(fortress):
        assert passing() == {"its host", "its host asks"}, "ufw knows nothing of us"
        async with running(gateway):
            assert passing() == EVERYTHING
            for damage in (
                "ufw reload; iptables -t nat -F",
                "nft flush ruleset; ufw --force disable; ufw --force enable",
            ):
                fortress.run("sh", "-c", damage)
                await until(lambda: passing() == EVERYTHING, f"what is ours passes after {damage}")
            fortress.run("iptables", "-F")
            await until(lambda: passing() == EVERYTHING - {"its host asks"}, "and where the host shut itself in")
        await gateway.remove()
        assert "SOCKETPLANE" not in fortress.run("iptables-save")


@pytest.mark.parametrize("backend", ["nftables", "iptables"])
async def test_with_firewalld(gateway: Gateway, fortress: Machine, passing: Callable[[], set[str]], backend: str) -> None:
    with firewalls.firewalld(fortress, backend=backend):
        closed = {"published", "floating", "questions", "questions by TCP", "its host", "its host asks"}
        assert passing() == closed, "what had its destination rewritten passes by itself"
        async with running(gateway):
            await until(lambda: passing() >= EVERYTHING, "what is ours passes")
            assert "the host's services from outside" not in passing()
            for damage in ("--reload", "--complete-reload") if backend == "nftables" else ("--reload",):
                firewalls.firewall_cmd(fortress, damage)
                await until(lambda: passing() >= EVERYTHING, f"what is ours passes after {damage}")
        await gateway.remove()
        assert firewalls.firewall_cmd(fortress, "--zone=trusted", "--list-interfaces").strip() == ""
        assert firewalls.firewall_cmd(fortress, "--list-ports").strip() == ""
