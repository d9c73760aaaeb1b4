"""What agents do about open UDP streams after a change of policy; Open vSwitch is played, the controller is real."""

import asyncio
import json
from contextlib import AsyncExitStack
from ipaddress import IPv4Address
from types import SimpleNamespace

import pytest

from socketplane import wire
from socketplane.agent.conntrack import Stream
from socketplane.agent.cut import Cutter
from socketplane.agent.link import Link
from socketplane.agent.state import EndpointRecord, State
from socketplane.errors import Unavailable
from socketplane.model.forwarding import USERSPACE
from socketplane.ovsdb import insert
from support.steps import attach
from support.world import allow


class Tables:
    """A host's connections: what is open is told; an interruption closes it at both ends."""

    def __init__(self):
        self.open = set()
        self.sent = []
        self.looks = 0
        self.forgotten = []
        self.broken = False
        self.peers = [self]

    async def streams(self, kind, zones):
        self.looks += 1
        if self.broken:
            raise Unavailable("no switch")
        return {each: 30 for each in self.open if each.zone in zones}

    async def forget(self, kind):
        await asyncio.sleep(0)
        self.forgotten.append((kind, self.looks))

    async def settled(self):
        await asyncio.sleep(0)

    async def interrupt(self, port, packet):
        self.sent.append((port, str(packet.source), packet.source_port, str(packet.destination), packet.port))
        for peer in self.peers:
            peer.open = {each for each in peer.open if (each.source, each.source_port) != self.sent[-1][1:3]}


class Ports:
    """Zones by port, and which flows are installed."""

    def __init__(self):
        self.named = {}
        self.installed = asyncio.Event()
        self.installed.set()

    def zones(self):
        return self.named

    async def reached(self, sequence):
        await self.installed.wait()


@pytest.fixture
async def site(world, tmp_path, until):
    """A client on h1 and a server on h2 with a stream between them, and the means to run cutters."""
    async with AsyncExitStack() as stack:
        site = SimpleNamespace(tables={}, ports={}, clients={}, states={}, links={}, records={})
        await world.controller.active.reconciler.northbound.write([insert("NB_Global", {})])
        network = await world.admin.call("POST", "/v1/networks", {"name": "web"})
        for number, name in enumerate(("h1", "h2"), start=1):
            body = {"system_id": f"system-{name}", "address": f"127.0.0.{number}"}
            await world.admin.call("PUT", f"/v1/hosts/{name}", body)
            client = await stack.enter_async_context(world.controller.client(name))
            site.tables[name], site.ports[name], site.clients[name] = Tables(), Ports(), client
            label = {"app": "client" if name == "h1" else "server"}
            made = await attach(client, network, number, labels=label)
            address = IPv4Address(made["address"])
            record = EndpointRecord(made["id"], "d", made["network"], address, 22, made["mac"], put=True)
            site.states[name], site.links[name] = State(tmp_path / name), Link(client, name)
            site.records[name] = site.states[name].endpoints[made["id"]] = record
            stack.callback(asyncio.create_task(site.links[name].run()).cancel)
            await until(lambda name=name: site.links[name].synced)
            site.ports[name].named = {number: f"sp-{made['id']}", 99: "sp-gone"}
        for tables in site.tables.values():
            tables.peers = list(site.tables.values())
        one, two = (str(site.records[name].address) for name in ("h1", "h2"))
        site.tables["h1"].open = {Stream(1, one, 5000, two, 9), Stream(99, one, 5001, two, 9)}
        site.tables["h2"].open = {Stream(2, one, 5000, two, 9)}

        def run(name):
            parts = site.states[name], site.links[name], site.ports[name], site.tables[name]
            cutter = Cutter(*parts, traits=lambda: USERSPACE)
            tasks = [asyncio.create_task(part()) for part in (cutter.run, cutter.serve)]
            for task in tasks:
                stack.callback(task.cancel)
            return tasks

        async def policy(peer):
            document = json.loads(allow("only", "web", "server", peer))
            await world.admin.call("POST", "/v1/policies", {"documents": [document]})

        site.run, site.policy, site.server = run, policy, two

        def done(name):
            rules = world.controller.active.rules()
            return site.states[name].rules == f"{rules.revision}@{rules.sequence}"

        site.done = done
        yield site


async def test_a_stream_ends_when_policy_forbids_it_and_only_then(site, until):
    site.run("h1")
    site.run("h2")
    await site.policy("client")
    await until(lambda: site.done("h1") and site.done("h2"))
    assert site.tables["h1"].sent == site.tables["h2"].sent == []
    looks = site.tables["h2"].looks
    await site.policy("nobody")
    await until(lambda: site.done("h1") and site.done("h2"))
    (sent,) = set(site.tables["h1"].sent)
    assert sent == (f"sp-{site.records['h1'].id}", str(site.records["h1"].address), 5000, site.server, 9)
    assert site.tables["h2"].open == set() and site.tables["h2"].sent == []
    assert looks >= 2, "a second time, once no packet is handled by older flows"
    assert site.states["h2"].rules


async def test_nothing_is_looked_at_before_the_flows_are_installed(site, until):
    site.run("h1")
    site.run("h2")
    await until(lambda: site.done("h2"))
    looks = site.tables["h2"].looks
    site.ports["h2"].installed.clear()
    await site.policy("nobody")
    await until(lambda: site.done("h1"))
    forgotten = list(site.tables["h2"].forgotten)
    assert site.tables["h2"].looks == looks and not site.done("h2")
    site.ports["h2"].installed.set()
    await until(lambda: site.done("h2"))
    assert site.tables["h1"].sent
    assert site.tables["h2"].forgotten == [*forgotten, (USERSPACE, looks)], "once, and before anything else"


async def test_an_agent_that_was_down_makes_up_for_it(site, until):
    await site.policy("nobody")
    site.run("h2")
    await until(lambda: site.tables["h2"].looks > 2)
    assert not site.done("h2"), "it asks until somebody ends it"
    site.run("h1")
    await until(lambda: site.done("h2"))
    assert site.tables["h2"].open == set()
    tables = site.tables["h2"]
    for task in site.run("h2"):  # started again, with nothing new
        looks = tables.looks
        await asyncio.sleep(0)
        task.cancel()
    assert tables.looks == looks


async def test_newer_rules_end_the_work_for_older_ones(site, until):
    site.run("h2")
    await site.policy("nobody")
    await until(lambda: site.tables["h2"].looks > 2)
    await site.policy("client")
    await until(lambda: site.done("h2"))
    assert site.tables["h2"].open


async def test_a_stream_whose_source_is_gone_is_nobodys(site, until):
    site.run("h2")
    await site.policy("nobody")
    await until(lambda: site.tables["h2"].looks > 2)
    await site.clients["h1"].call("DELETE", f"/v1/endpoints/{site.records['h1'].id}")
    await until(lambda: site.done("h2"))
    assert site.tables["h2"].open


async def test_many_streams_are_ended_a_thousand_at_a_time(site, until):
    site.run("h1")
    site.run("h2")
    tables = site.tables["h2"]
    (one,) = tables.open
    tables.open = {one._replace(source_port=port) for port in range(1, 2501)}
    await site.policy("nobody")
    await until(lambda: site.done("h2"), 20)
    assert tables.open == set()


async def test_rules_that_came_back_are_not_those_of_before(site, until):
    """What was opened while others held is not theirs."""
    site.tables["h2"].open = set()
    tasks = site.run("h2")
    await site.policy("nobody")
    await until(lambda: site.done("h2"))
    tasks[0].cancel()
    await site.policy("client")
    site.tables["h2"].open = {stream._replace(zone=2) for stream in site.tables["h1"].open}
    await site.policy("nobody")
    site.run("h1")
    site.run("h2")
    await until(lambda: site.done("h2"))
    assert site.tables["h1"].sent and site.tables["h2"].open == set()


async def test_a_switch_that_does_not_answer_is_asked_again(site, until):
    tables = site.tables["h2"]
    tables.broken = True
    cutter, _ = site.run("h2")
    await until(cutter.done)
    assert isinstance(cutter.exception(), Unavailable), "whoever keeps it running starts it anew"
    tables.broken = False
    site.run("h2")
    await until(lambda: site.done("h2"))


async def test_a_packet_is_sent_only_from_what_is_here(site, until):
    site.run("h1")
    record = site.records["h1"]
    await until(lambda: site.done("h1"))
    link = site.links["h1"]
    packets = []
    for endpoint, source in (
        (record.id, site.server),
        ("f" * 64, str(record.address)),
        ("", "169.254.192.3"),
        ("", "169.254.192.2"),
    ):
        packet = {"endpoint": endpoint, "source": source, "source_port": 1, "destination": site.server, "port": 9}
        macs = {"source_mac": "02:53:00:00:00:01", "destination_mac": "02:53:00:00:00:02"}
        packets.append({**packet, **macs})
    for listener in link._interruption_listeners:
        listener([wire.Interruption.model_validate(packet) for packet in packets])
    await until(lambda: site.tables["h1"].sent)
    assert site.tables["h1"].sent == [("sp0-h1", "169.254.192.2", 1, site.server, 9)]
