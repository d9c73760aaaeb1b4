"""A whole OVN with one host, in a directory: databases, ovn-northd, ovn-controller, and a switch beside the machine's.

The switch has the userspace datapath and a network namespace that goes with its process.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID, uuid4

from socketplane.compile import TABLES
from socketplane.ovsdb import Client, Operation, Replica, by_uuid, insert, mutate, update

CHASSIS = "chassis-here"
BRIDGE = "br-int"
PATIENCE = 240.0
"""Seconds for what may take as long as loading everything."""
COUNT = mutate("NB_Global", (), [("nb_cfg", "+=", 1)])


async def version() -> str:
    """Return the release of OVN."""
    return (await _run("ovn-northd", "--version")).splitlines()[0].split()[-1]


@dataclass(frozen=True)
class Ovn:
    """The running parts."""

    northbound: Client
    replica: Replica
    southbound: Client
    local: Client
    switch: Replica
    pids: dict[str, int]

    async def write(self, operations: Sequence[Operation]) -> int:
        """Write to the northbound, and count; return the number that tells when hosts have it."""
        await self.northbound.transact(*operations, COUNT, timeout=PATIENCE)
        return max(int(row["nb_cfg"]) for row in self.replica["NB_Global"].values())

    async def compiled(self, number: int) -> None:
        """Return when ovn-northd has compiled the writes up to that one."""
        await self.replica.wait_for(lambda t: all(r["sb_cfg"] >= number for r in t["NB_Global"].values()), PATIENCE)

    async def enforced(self, number: int) -> None:
        """Return when the host has installed the writes up to that one."""
        await self.switch.wait_for(lambda t: _enforced(t) >= number, PATIENCE)

    async def plug(self, endpoint: str) -> None:
        """Add an interface for an endpoint's port, as the agent does; returns once the switch has it."""
        name = f"p{endpoint[-8:]}"
        interface, port = uuid4(), uuid4()
        ids = {"iface-id": f"sp-{endpoint}", "iface-id-ver": endpoint}
        bridge = next(uuid for uuid, row in self.switch["Bridge"].items() if row["name"] == BRIDGE)
        await self.local.transact(
            insert("Interface", {"name": name, "type": "internal", "external_ids": ids}, uuid=interface),
            insert("Port", {"name": name, "interfaces": frozenset({interface})}, uuid=port),
            mutate("Bridge", by_uuid(bridge), [("ports", "insert", frozenset({port}))]),
        )
        await self.switch.wait_for(lambda t: (t["Interface"][interface]["ofport"] or 0) > 0, PATIENCE)

    async def installed(self, endpoint: str) -> None:
        """Return when ovn-controller says that an endpoint's flows are there."""
        await self.switch.wait_for(lambda t: "ovn-installed" in _interface(t, endpoint)[1]["external_ids"], PATIENCE)

    async def unplug(self, endpoint: str) -> None:
        """Take an endpoint's interface out again."""
        interface, _ = _interface(self.switch, endpoint)
        port = next(uuid for uuid, row in self.switch["Port"].items() if interface in row["interfaces"])
        bridge = next(uuid for uuid, row in self.switch["Bridge"].items() if row["name"] == BRIDGE)
        await self.local.transact(mutate("Bridge", by_uuid(bridge), [("ports", "delete", frozenset({port}))]))

    async def bind_elsewhere(self, chassis: dict[str, Sequence[str]]) -> None:
        """Bind logical ports to hosts that only the southbound knows: their names to their ports' names."""
        operations: list[Operation] = []
        bindings = await self.southbound.monitor({"Port_Binding": ["logical_port"]})
        by_name = {row["logical_port"]: uuid for uuid, row in bindings["Port_Binding"].items()}
        await self.southbound.cancel_monitor(bindings)
        for number, (name, ports) in enumerate(chassis.items(), start=1):
            encap, host = uuid4(), uuid4()
            ends = {"type": "geneve", "ip": f"198.51.100.{number}", "chassis_name": name}
            operations.append(insert("Encap", ends, uuid=encap))
            operations.append(insert("Chassis", {"name": name, "hostname": name, "encaps": frozenset({encap})}, uuid=host))
            bound = {"chassis": host, "up": True}
            operations += [update("Port_Binding", by_uuid(by_name[port]), bound) for port in ports]
        await self.southbound.transact(*operations, timeout=PATIENCE)


@contextlib.asynccontextmanager
async def northbound(directory: Path) -> AsyncIterator[Client]:
    """Run a northbound alone, in a directory that is there."""
    async with contextlib.AsyncExitStack() as ends:
        remote, _ = await _database(ends, directory, "nb", "ovn/ovn-nb")
        yield await ends.enter_async_context(Client([remote], "OVN_Northbound", probe_interval=0))


@contextlib.asynccontextmanager
async def ovn(directory: Path) -> AsyncIterator[Ovn]:
    """Run it all in a directory that is there; end it afterwards."""
    async with contextlib.AsyncExitStack() as ends:
        pids: dict[str, int] = {}
        remotes = {}
        for name, schema in (("nb", "ovn/ovn-nb"), ("sb", "ovn/ovn-sb"), ("conf", "openvswitch/vswitch")):
            remotes[name], pids[name] = await _database(ends, directory, name, schema)
        northern = await ends.enter_async_context(Client([remotes["nb"]], "OVN_Northbound", probe_interval=0))
        southbound = await ends.enter_async_context(Client([remotes["sb"]], "OVN_Southbound", probe_interval=0))
        local = await ends.enter_async_context(Client([remotes["conf"]], "Open_vSwitch", probe_interval=0))
        settings = {
            "system-id": CHASSIS,
            "ovn-remote": remotes["sb"],
            "ovn-encap-type": "geneve",
            "ovn-encap-ip": "127.0.0.1",
            "ovn-bridge-datapath-type": "netdev",
            "ovn-monitor-all": "true",
            "ovn-remote-probe-interval": "0",
            "ovn-openflow-probe-interval": "0",
        }
        await local.transact(insert("Open_vSwitch", {"external_ids": settings}))
        command = ["ovs-vswitchd", remotes["conf"], "--disable-system"]
        pids["ovs-vswitchd"] = await _daemon(ends, directory, "ovs-vswitchd", command, alone=True)
        command = ["ovn-northd", f"--ovnnb-db={remotes['nb']}", f"--ovnsb-db={remotes['sb']}"]
        pids["ovn-northd"] = await _daemon(ends, directory, "ovn-northd", command)
        pids["ovn-controller"] = await _daemon(ends, directory, "ovn-controller", ["ovn-controller", remotes["conf"]])
        replica = await northern.monitor({**TABLES, "NB_Global": ["nb_cfg", "sb_cfg"]})
        switch = await local.monitor(
            {"Bridge": ["name", "external_ids"], "Port": ["interfaces"], "Interface": ["external_ids", "ofport"]}
        )
        await replica.wait_for(lambda tables: tables["NB_Global"], PATIENCE)
        await switch.wait_for(lambda tables: any(row["name"] == BRIDGE for row in tables["Bridge"].values()), PATIENCE)
        yield Ovn(northern, replica, southbound, local, switch, pids)


async def _database(ends: contextlib.AsyncExitStack, directory: Path, name: str, schema: str) -> tuple[str, int]:
    """Start a database server; return how to reach it, and its process."""
    await _run("ovsdb-tool", "create", str(directory / name), f"/usr/share/{schema}.ovsschema")
    socket = directory / f"{name}.sock"
    pid = await _daemon(
        ends, directory, f"ovsdb-{name}", ["ovsdb-server", f"--remote=punix:{socket}", str(directory / name)]
    )
    return f"unix:{socket}", pid


async def _daemon(
    ends: contextlib.AsyncExitStack, directory: Path, name: str, command: Sequence[str], *, alone: bool = False
) -> int:
    """Start a daemon, which is ended with the stack; `alone` gives it a network namespace of its own."""
    options = ["--verbose=console:off", f"--log-file={directory / name}.log"]
    first = ["unshare", "--net"] if alone else []
    folder = str(directory)
    env = {**os.environ, "OVS_RUNDIR": folder, "OVN_RUNDIR": folder, "OVS_SYSCONFDIR": folder, "OVS_DBDIR": folder}
    process = await asyncio.create_subprocess_exec(*first, *command, *options, env=env)
    ends.push_async_callback(_end, process)
    control = directory / f"{command[0]}.{process.pid}.ctl"
    async with asyncio.timeout(15):
        while not await asyncio.to_thread(control.exists):
            if process.returncode is not None:
                raise RuntimeError(f"{name} ended: see {directory / name}.log")
            await asyncio.sleep(0.02)
    return process.pid


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.terminate()
        try:
            async with asyncio.timeout(20):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()


async def _run(*command: str) -> str:
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    out, _ = await process.communicate()
    if process.returncode:
        raise RuntimeError(f"{command[0]}: exit {process.returncode}")
    return out.decode()


def _enforced(tables: Replica) -> int:
    found = (row["external_ids"].get("ovn-nb-cfg", "0") for row in tables["Bridge"].values() if row["name"] == BRIDGE)
    return max((int(number) for number in found), default=0)


def _interface(tables: Replica, endpoint: str) -> tuple[UUID, dict[str, dict[str, str]]]:
    wanted = f"sp-{endpoint}"
    return next(
        (uuid, dict(row)) for uuid, row in tables["Interface"].items() if row["external_ids"].get("iface-id") == wanted
    )
