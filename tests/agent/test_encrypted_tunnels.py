"""Encrypted tunnels: who becomes a peer, who stays one, what the kernel is told byte for byte, and what is told of it."""

from __future__ import annotations

import asyncio
import socket
import struct
from base64 import b64decode, b64encode
from contextlib import suppress
from ipaddress import IPv4Address

import pytest
from pyroute2.netlink import nlmsg
from pyroute2.netlink.generic import wireguard

from socketplane import wire
from socketplane.agent.encryption import device
from socketplane.agent.encryption.device import Seen
from socketplane.agent.encryption.peer import Peer
from socketplane.agent.encryption.tunnels import FIRST, STALE, Tunnels
from socketplane.agent.link import Link
from socketplane.agent.state import State
from socketplane.errors import Conflict
from support.agent_parts import Client


def key(number):
    return b64encode(bytes([number]) * 32).decode()


def host(number, **changes):
    values = {
        "name": f"h{number}",
        "system_id": f"system-h{number}",
        "address": f"10.0.0.{number}",
        "gateway": IPv4Address(f"169.254.192.{number + 1}"),
        "tunnel": IPv4Address(f"169.254.208.{number + 1}"),
        "public_key": key(number),
    }
    return wire.Host(**values | changes)


def peer(number):
    return Peer.of(host(number))


class Device:
    """A device that does as it is told, and notes it."""

    public_key = key(1)

    def __init__(self):
        self.held = {}
        self.told = []
        self.broken = ""

    async def ensure(self):
        if self.broken:
            raise Conflict(self.broken)

    async def peers(self):
        return dict(self.held)

    async def change(self, add, remove):
        self.told.append(([each.host for each in add], list(remove)))
        for gone in remove:
            del self.held[gone]
        for each in add:
            before = self.held.get(each.key)
            self.held[each.key] = Seen(each.allowed, before.handshake if before else None)

    def meet(self, number, at):
        self.held[key(number)] = Seen(peer(number).allowed, at)


@pytest.fixture
def now():
    return [1000.0]


@pytest.fixture
def parts(tmp_path, now):
    link, made = Link(Client(), "h1"), Device()
    state = State(tmp_path / "agent.json")
    return link, state, made, Tunnels(state, link, made, clock=lambda: now[0], wall=lambda: now[0])


def know(link, *hosts):
    link.hosts = {each.name: each for each in hosts}
    link.synced = True


async def test_all_other_hosts_that_told_a_key_are_peers_and_nobody_else(parts):
    link, _, made, tunnels = parts
    made.held[key(9)] = Seen(frozenset({"169.254.208.9/32"}), 5.0)
    know(link, host(1), host(2), host(3), host(4, public_key=""))
    await tunnels.look()
    assert made.told == [(["h2", "h3"], [key(9)])]
    await tunnels.look()
    assert len(made.told) == 1
    know(link, host(1), host(3))
    await tunnels.look()
    assert made.told[1:] == [([], [key(2)])]
    assert set(made.held) == {key(3)}


async def test_a_new_key_takes_the_place_of_the_old_one(parts):
    link, _, made, tunnels = parts
    know(link, host(1), host(2))
    await tunnels.look()
    know(link, host(1), host(2, public_key=key(7)))
    await tunnels.look()
    assert made.told[-1] == (["h2"], [key(2)])
    assert set(made.held) == {key(7)}


async def test_a_host_that_moved_is_set_anew_and_what_was_changed_by_hand_too(parts):
    link, _, made, tunnels = parts
    know(link, host(1), host(2))
    await tunnels.look()
    know(link, host(1), host(2, address="10.0.0.99"))
    await tunnels.look()
    assert made.told[-1] == (["h2"], [])
    made.held[key(2)] = Seen(frozenset({"0.0.0.0/0"}), None)
    await tunnels.look()
    assert made.told[-1] == (["h2"], [])
    assert len(made.told) == 3


async def test_an_agent_that_starts_without_a_controller_keeps_its_peers_and_brings_them_back(parts, tmp_path):
    link, state, made, tunnels = parts
    know(link, host(1), host(2), host(3))
    await tunnels.look()
    await state.save()
    again = await asyncio.to_thread(State.load, tmp_path / "agent.json")
    assert again.peers == (peer(2), peer(3))
    told = list(made.told)
    late = Tunnels(again, Link(Client(), "h1"), made)
    await late.look()
    assert made.told == told, "an agent's restart disturbs nobody"
    made.held.clear()  # as after a reboot
    await late.look()
    assert made.told[-1] == (["h2", "h3"], [])


async def test_a_peer_that_does_not_answer_is_an_alarm_unless_it_is_known_to_be_gone(parts, now):
    link, _, made, tunnels = parts
    know(link, host(1), host(2), host(3))
    await tunnels.look()
    assert tunnels.alarms == []
    now[0] += FIRST + 1
    titles = [alarm.partition(":")[0] for alarm in tunnels.alarms]
    assert titles == ["no encrypted tunnel to h2", "no encrypted tunnel to h3"]
    made.meet(2, now[0])
    made.meet(3, now[0])
    await tunnels.look()
    assert tunnels.alarms == []
    assert [(each.host, each.handshake) for each in tunnels.peers] == [("h2", now[0]), ("h3", now[0])]
    now[0] += STALE + 1
    made.meet(2, now[0])
    await tunnels.look()
    (alarm,) = tunnels.alarms
    assert "no encrypted tunnel to h3: no answer for 201 s from 10.0.0.3" in alarm
    link.hosts["h3"] = host(3, silent=True)
    assert tunnels.alarms == []


async def test_a_device_that_can_not_be_made_is_an_alarm_until_it_can(parts):
    _, _, made, tunnels = parts
    made.broken = "a program has UDP port 51820"
    running = asyncio.create_task(tunnels.run())
    async with asyncio.timeout(5):
        while not tunnels.alarms:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert tunnels.alarms == [f"nothing is sent to other hosts: {made.broken}"]
    made.broken = ""
    tunnels.wake()
    async with asyncio.timeout(5):
        while tunnels.alarms:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running


@pytest.fixture
def sent(monkeypatch):
    """Messages that WireGuard's side of the kernel would get."""
    messages = []

    async def done(*_, **__):
        yield nlmsg({"header": {"error": None}})

    async def nothing(*_):
        return None

    monkeypatch.setattr(wireguard.AsyncWireGuard, "setup_endpoint", nothing, raising=False)
    monkeypatch.setattr(wireguard.AsyncWireGuard, "prid", 38, raising=False)
    monkeypatch.setattr(wireguard.AsyncWireGuard, "sendto", lambda _, data, __: messages.append(bytes(data)), raising=False)
    monkeypatch.setattr(wireguard.AsyncWireGuard, "get", done, raising=False)
    return messages


def attributes(data):
    """Return netlink attributes by number: `struct nlattr`, each padded to four bytes."""
    found = {}
    while data:
        length, kind = struct.unpack_from("=HH", data)
        found.setdefault(kind & 0x3FFF, data[4:length])
        data = data[(length + 3) & ~3 :]
    return found


def message(data):
    """Return command and attributes of a generic netlink message: `nlmsghdr`, `genlmsghdr`, attributes."""
    length, kind, flags, _, _ = struct.unpack_from("=IHHII", data)
    command, version = struct.unpack_from("=BB", data, 16)
    assert (length, kind, version) == (len(data), 38, 1)
    assert flags & 0x5 == 0x5, "a request that wants an answer"
    return command, attributes(data[20:])


def test_the_kernel_is_told_of_a_peer_as_wireguards_uapi_has_it(sent):
    device.put(peer(2), 51820)
    (data,) = sent
    command, told = message(data)
    assert command == 1, "WG_CMD_SET_DEVICE"
    assert told[2] == b"sp-wg0\0"
    assert set(told) == {2, 8}, "name and peers: the device's own key and port stay"
    (entry,) = attributes(told[8]).values()
    values = attributes(entry)
    assert values[1] == b64decode(key(2))
    assert struct.unpack("=I", values[3]) == (2,), "WGPEER_F_REPLACE_ALLOWEDIPS, and nothing that adds to others'"
    family, port, address = struct.unpack_from("=H2s4s", values[4])
    assert (family, int.from_bytes(port, "big"), socket.inet_ntoa(address)) == (socket.AF_INET, 51820, "10.0.0.2")
    assert struct.unpack("=H", values[5]) == (25,)
    (allowed,) = attributes(values[9]).values()
    parts = attributes(allowed)
    assert (struct.unpack("=H", parts[1]), socket.inet_ntoa(parts[2]), parts[3][0]) == ((2,), "169.254.208.3", 32)


def test_the_kernel_is_told_to_forget_a_peer(sent):
    device.drop(key(3))
    (data,) = sent
    _, told = message(data)
    (entry,) = attributes(told[8]).values()
    values = attributes(entry)
    assert (values[1], struct.unpack("=I", values[3])) == (b64decode(key(3)), (1,)), "WGPEER_F_REMOVE_ME"
