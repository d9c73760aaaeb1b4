"""The local database and its daemons: wrong, late, gone and back."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from ipaddress import IPv4Address

import pytest
import topology
from datapath_site import Start
from machine import Machine, eventually
from traffic import connected, ping

from socketplane.agent.datapath import Datapath
from socketplane.agent.gather import Gatherer
from socketplane.agent.switch import Switch
from socketplane.errors import Unavailable
from socketplane.model.forwarding import KERNEL, USERSPACE
from socketplane.ovsdb import ConstraintViolation, Disconnected, Operation, comment

MAC = "02:53:0a:c0:00:63"


@pytest.fixture
def without_controller(machine: Machine) -> Iterator[None]:
    """ovn-controller would repair the bridge too."""
    machine.kill(machine.ovn, "ovn-controller")
    yield
    machine.start_controller()


@pytest.fixture
def other_bridge(machine: Machine) -> Iterator[None]:
    """A bridge that is none of our business."""
    machine.vsctl("add-br", "br-other", "--", "set", "bridge", "br-other", "datapath_type=netdev")
    yield
    machine.vsctl("del-br", "br-other")


@pytest.mark.parametrize(
    "damage",
    [
        "del-br br-int",
        "set-fail-mode br-int standalone",
        "set bridge br-int datapath_type=system",
        "set bridge br-int other_config:disable-in-band=false",
        "remove open . external_ids ovn-bridge-datapath-type",
    ],
)
async def test_the_bridge_is_repaired(
    machine: Machine, switch: Switch, without_controller: None, other_bridge: None, damage: str
) -> None:
    before = machine.vsctl("list", "bridge", "br-other")
    machine.vsctl("--no-wait", *damage.split())
    await switch.ensure_bridge(USERSPACE)
    assert machine.vsctl(
        "get", "bridge", "br-int", "fail_mode", "datapath_type", "other_config:disable-in-band"
    ).split() == [
        "secure",
        "netdev",
        '"true"',
    ]
    assert machine.vsctl("get", "open", ".", "external_ids:ovn-bridge-datapath-type") == "netdev"
    assert machine.vsctl("get", "open", ".", "external_ids:system-id") == "chassis-1"
    assert machine.vsctl("list", "bridge", "br-other") == before


async def test_a_bridge_that_is_right_is_left_alone(machine: Machine, switch: Switch, without_controller: None) -> None:
    await switch.ensure_bridge(USERSPACE)
    before = machine.vsctl("list", "bridge", "br-int"), machine.vsctl("get", "open", ".", "next_cfg")
    await switch.ensure_bridge(USERSPACE)
    assert (machine.vsctl("list", "bridge", "br-int"), machine.vsctl("get", "open", ".", "next_cfg")) == before


async def test_attach_makes_a_bridge_that_somebody_deleted(
    machine: Machine, datapath: Datapath, without_controller: None
) -> None:
    machine.vsctl("del-br", "br-int")
    endpoint_id = secrets.token_hex(32)
    await datapath.attach(endpoint_id, MAC, 1442)
    assert machine.vsctl("port-to-br", f"sp{endpoint_id[:12]}") == "br-int"


async def test_ports_of_others_stay(machine: Machine, datapath: Datapath) -> None:
    machine.vsctl("add-port", "br-int", "theirs", "--", "set", "interface", "theirs", "type=internal")
    endpoint_id = secrets.token_hex(32)
    before = machine.vsctl("list", "port", "theirs")
    await datapath.attach(endpoint_id, MAC, 1442)
    await datapath.detach(endpoint_id)
    await datapath.detach("theirs")
    assert machine.vsctl("list", "port", "theirs") == before
    machine.vsctl("del-port", "theirs")


@pytest.mark.parametrize("daemon", ["ovsdb-server", "ovn-controller"])
async def test_a_daemon_crashes_and_attach_works_after(
    machine: Machine, datapath: Datapath, start: Start, daemon: str
) -> None:
    one, two = await start(address="10.192.0.10"), await start(address="10.192.0.11")
    with connected(one.namespace, two.namespace, two.address) as open_before:
        if daemon == "ovsdb-server":
            machine.kill(machine.ovs, daemon)
            machine.start_local_database()
        else:
            machine.kill(machine.ovn, daemon)
            machine.start_controller()
        three = await start(address="10.192.0.12")
        eventually(lambda: ping(three.namespace, one.address), "a new container talks to an old one")
        open_before.exchange(100_000)
    await datapath.detach(three.id)
    assert datapath.ports() == {one.id, two.id}


@pytest.fixture
async def impatient(machine: Machine) -> AsyncIterator[Switch]:
    async with Switch(machine.paths, patience=0.5) as switch:
        yield switch


async def test_without_the_database_requests_are_refused_in_time(
    machine: Machine, impatient: Switch, datapath: Datapath
) -> None:
    """And a veth goes all the same; what is left is seen, and goes, later."""
    hasty = Datapath(impatient, datapath._netlink, "192.0.2.1")
    kept, refused = secrets.token_hex(32), secrets.token_hex(32)
    await hasty.attach(kept, MAC, 1442)
    machine.kill(machine.ovs, "ovsdb-server")
    try:
        began = time.monotonic()
        with pytest.raises(Unavailable, match="does not answer") as caught:
            await hasty.attach(refused, MAC, 1442)
        assert "ovsdb-server" in str(caught.value)
        with pytest.raises(Unavailable):
            await hasty.detach(kept)
        assert time.monotonic() - began < 5
        links = machine.run("ip", "-o", "link")
        assert kept[:12] not in links
        assert refused[:12] not in links
        assert hasty.ports() == {kept}
    finally:
        machine.start_local_database()
    async with asyncio.timeout(10):
        while hasty.ports():
            try:
                await hasty.detach(kept)
            except Unavailable:
                await asyncio.sleep(0.05)


async def test_a_port_that_vswitchd_did_not_take(machine: Machine, impatient: Switch, datapath: Datapath) -> None:
    endpoint_id = secrets.token_hex(32)
    machine.kill(machine.ovs, "ovs-vswitchd")
    try:
        await datapath.attach(endpoint_id, MAC, 1442)
        with pytest.raises(Unavailable, match="ovs-vswitchd has not taken the port"):
            await datapath.installed(endpoint_id, 0.3)
        with pytest.raises(Unavailable, match="ovs-vswitchd does not answer"):
            await impatient.settled()
    finally:
        machine.start_vswitchd()
    topology.add_port(machine, "web", endpoint_id, IPv4Address("10.192.0.99"))
    await datapath.installed(endpoint_id, 10)
    topology.remove_port(machine, endpoint_id)


async def test_a_switch_can_be_entered_before_the_database_runs(machine: Machine) -> None:
    machine.kill(machine.ovs, "ovsdb-server")
    async with Switch(machine.paths) as switch:
        assert not switch.connected
        asking = asyncio.create_task(switch.ensure_bridge(USERSPACE))
        await asyncio.sleep(0.2)
        machine.start_local_database()
        await asking
        assert switch.connected


class Recorder:
    """A database that takes its time, and notes transactions; `fault` is refused."""

    def __init__(self) -> None:
        self.transactions: list[list[str]] = []
        self.go_on = asyncio.Event()
        self.broken = False

    async def transact(self, *operations: Operation) -> None:
        texts = [str(getattr(operation, "text", "")) for operation in operations]
        self.transactions.append(texts)
        await self.go_on.wait()
        if self.broken:
            raise Disconnected("gone")
        if "fault" in texts:
            raise ConstraintViolation(0, "constraint violation")


async def _gather(recorder: Recorder, texts: Sequence[str]) -> list[asyncio.Task[None]]:
    gatherer = Gatherer(recorder)
    tasks = []
    for text in texts:
        tasks.append(asyncio.create_task(gatherer.transact([comment(text)])))
        await asyncio.sleep(0)
    await asyncio.sleep(0)
    return tasks


async def test_what_comes_meanwhile_goes_together() -> None:
    recorder = Recorder()
    tasks = await _gather(recorder, "abc")
    recorder.go_on.set()
    await asyncio.gather(*tasks)
    assert recorder.transactions == [["a"], ["b", "c"]]


async def test_the_fault_of_one_is_not_the_others() -> None:
    recorder = Recorder()
    tasks = await _gather(recorder, ["a", "b", "fault", "c"])
    recorder.go_on.set()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [type(None), type(None), ConstraintViolation, type(None)]
    assert recorder.transactions[1:] == [["b", "fault", "c"], ["b"], ["fault"], ["c"]]


async def test_a_broken_connection_is_everybodys() -> None:
    recorder = Recorder()
    recorder.broken = True
    tasks = await _gather(recorder, "abc")
    recorder.go_on.set()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [Disconnected] * 3


async def test_a_caller_that_is_gone_before_its_turn_is_left_out() -> None:
    recorder = Recorder()
    tasks = await _gather(recorder, "abc")
    tasks[1].cancel()
    tasks[0].cancel()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert tasks[1].cancelled()
    assert not tasks[0].done(), "it was sent: its caller must know the outcome to undo it"
    recorder.go_on.set()
    await asyncio.wait(tasks)
    assert tasks[0].cancelled()
    assert recorder.transactions == [["a"], ["c"]]


async def test_the_chosen_datapath_is_read_from_the_database(machine: Machine, switch: Switch, datapath: Datapath) -> None:
    await switch.replica()
    assert (switch.chosen, datapath.traits) == (USERSPACE, USERSPACE)
    machine.vsctl("set", "open", ".", "external_ids:ovn-bridge-datapath-type=system")
    try:
        await asyncio.to_thread(eventually, lambda: datapath.traits == KERNEL, "the choice is read")
    finally:
        machine.vsctl("set", "open", ".", "external_ids:ovn-bridge-datapath-type=netdev")
