"""A connection that has expired and is used again: Open vSwitch 3.1 ends, unless OVN is kept from what leads there."""

from __future__ import annotations

import asyncio
import re

from datapath_site import Start
from machine import Machine, eventually
from traffic import udp

from socketplane.agent.switch import Switch


async def test_a_datagram_from_the_same_port_after_a_while(machine: Machine, switch: Switch, start: Start) -> None:
    capability = "list", "Datapath"
    claimed = 'ct_zero_snat="true"'
    eventually(lambda: claimed in machine.vsctl(*capability), "ovs-vswitchd says what it can")
    restrained = asyncio.create_task(switch.restrain())
    try:
        client = await start(address="10.192.0.10")
        server = await start(address="10.192.0.11")
        assert claimed not in machine.vsctl(*capability)
        for zone in switch.zones():
            machine.vsctl("add-zone-tp", "netdev", f"zone={zone}", "udp_first=1", "udp_single=1", "udp_multiple=1")
        process = machine.pid_of(machine.ovs, "ovs-vswitchd")

        def expired() -> bool:
            """It is not shown any more, or (3.5) without time left; that it is cleaned up comes later, every 5 to 20 s."""
            table = machine.run("ovs-appctl", "-t", f"{machine.ovs}/vswitchd.ctl", "dpctl/dump-conntrack", "-s")
            ours = [line for line in table.splitlines() if f"src={client.address},dst={server.address},sport=5000" in line]
            return all(re.search(r"timeout=0\b", line) for line in ours)

        with udp(client.namespace, client.address, 5000) as ours, udp(server.namespace, server.address, 9) as theirs:
            for _ in range(2):
                ours.sendto(b"ping", (server.address, 9))
                assert theirs.recv(100) == b"ping"
                theirs.sendto(b"pong", (client.address, 5000))
                assert ours.recv(100) == b"pong"
                eventually(expired, "the connection has expired", 45.0)  # 3.5 keeps to its own 30 s, whatever a zone says
        assert machine.run("kill", "-0", process) == ""
        # ovs-vswitchd claims it anew when it starts.
        machine.stop_vswitchd()
        machine.start_vswitchd()
        refused = 'ct_zero_snat="false"'
        await asyncio.to_thread(eventually, lambda: refused in machine.vsctl(*capability), "it is refused again")
    finally:
        restrained.cancel()
        for zone in switch.zones():
            machine.vsctl("--if-exists", "del-zone-tp", "netdev", f"zone={zone}")
