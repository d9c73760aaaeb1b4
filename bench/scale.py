"""What OVN takes with many policies and ports: attach and policy change, end to end on one host.

    python -m bench.scale [-o json] [--endpoints 10000] [--policies 1000] [--rounds 5]

From our write into the northbound until the host's switch has it: ovn-northd, the southbound, ovn-controller, ovs-vswitchd.
All other endpoints are bound on other hosts. Each size is measured with anchors and without, whatever this OVN's schema
says.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path
from statistics import median

import uvloop

from bench import policy_intent as cluster
from bench.scale_ovn import CHASSIS, PATIENCE, Ovn, ovn, version
from socketplane.compile import Compiler, Features, Intent, operations
from socketplane.compile.names import endpoint_port
from socketplane.model.spec import Members, Policy, PolicySpec, Port, Protocol, Rule, Selector
from socketplane.model.types import Endpoint, Host, mac_of
from socketplane.ovsdb import Operation

HERE = Host("here", CHASSIS, "192.0.2.250", cluster.CLUSTER.hosts.network_address + 200)
ROUNDS = 6
WITHOUT, WITH = "", "_anchored"
TURNS = ((WITHOUT, 0), (WITH, 0), (WITH, 1), (WITHOUT, 1))
"""In which turn which half of the rounds is measured: what the machine does besides weighs on both alike."""


class Bench:
    """The cluster's intent on a running OVN."""

    def __init__(self, running: Ovn, endpoints: int, policies: int, rounds: int) -> None:
        self.ovn = running
        self.rounds = rounds
        self.figures: dict[str, list[float]] = {}
        self._others = [cluster.endpoint(number, policies) for number in range(endpoints)]
        self._hosts = [cluster.host(number) for number in range(cluster.HOSTS)]
        self._first = _endpoint(0, {"app": "app0", "tier": "back"})  # has the host take in all networks
        self._everything: list[Intent] = [HERE, *self._hosts, *self._others, self._first]
        self._everything += [cluster.network(number) for number in range(cluster.NETWORKS)]
        self._everything += [cluster.policy(number, policies) for number in range(policies)]
        self._everything += [_lonely(number, policies) for number in range(rounds)]
        self._edited = next(thing for thing in self._everything if isinstance(thing, Policy))
        self._compiler = Compiler(cluster.CLUSTER)
        self._next = 0

    async def load(self) -> None:
        """Write everything, bind it, and wait until this host has it."""
        started = time.perf_counter()
        await self.ovn.compiled(await self._write_all(anchors=False))
        await self.ovn.bind_elsewhere(
            {host.system_id: [endpoint_port(e) for e in self._others if e.host == host.name] for host in self._hosts}
        )
        await self.ovn.plug(self._first.id)
        await self.ovn.installed(self._first.id)
        await self.settle()
        self.figures["load_s"] = [time.perf_counter() - started]

    async def measure(self) -> None:
        """Measure everything without anchors and with them."""
        for suffix, half in TURNS:
            await self.ovn.enforced(await self._write_all(anchors=suffix == WITH))
            for number in range(half, self.rounds, 2):
                await self._attach(f"known{suffix}", {"app": f"app{number}", "tier": "front"})
                await self._attach(f"first{suffix}", {"only": f"lonely{number}"})
                await self._policy(f"edit{suffix}", _with_port(self._edited, 8000 + number))
                await self._policy(f"new{suffix}", _new(number))
            await self.settle(remove=[_new(number) for number in range(self.rounds)])
        for name in ("ovn-northd", "ovn-controller", "ovs-vswitchd", "sb"):
            self.figures[f"{name}_mib"] = [_resident(self.ovn.pids[name])]

    async def settle(self, put: Iterable[Intent] = (), remove: Iterable[Intent] = ()) -> None:
        """Change something, and wait until the host has it."""
        for thing in put:
            self._compiler.put(thing)
        for thing in remove:
            self._compiler.remove(thing)
        await self.ovn.enforced(await self.ovn.write(self._operations()))

    async def _write_all(self, *, anchors: bool) -> int:
        features = Features.from_schema(self.ovn.northbound.schema)
        self._compiler = Compiler(cluster.CLUSTER, replace(features, incremental=anchors))
        for thing in self._everything:
            self._compiler.put(thing)
        self._compiler.flush()
        return await self.ovn.write(operations(self._compiler.desired, self.ovn.replica))

    async def _attach(self, name: str, labels: dict[str, str]) -> None:
        self._next += 1
        endpoint = _endpoint(self._next, labels)
        await self.ovn.plug(endpoint.id)
        started = time.perf_counter()
        self._compiler.put(endpoint)
        await self.ovn.northbound.transact(*self._operations(), timeout=PATIENCE)
        await self.ovn.installed(endpoint.id)
        self._note(f"attach_{name}", started)
        await self.ovn.unplug(endpoint.id)
        started = time.perf_counter()
        await self.settle(remove=[endpoint])
        self._note(f"remove_{name}", started)

    async def _policy(self, name: str, policy: Policy) -> None:
        started = time.perf_counter()
        await self.settle([policy])
        self._note(f"policy_{name}", started)

    def _operations(self) -> list[Operation]:
        return operations(self._compiler.flush(), self.ovn.replica)

    def _note(self, name: str, started: float) -> None:
        self.figures.setdefault(f"{name}_ms", []).append((time.perf_counter() - started) * 1000)


def _endpoint(number: int, labels: dict[str, str]) -> Endpoint:
    """Return an endpoint of this host, on the first network, whose last addresses nobody else has."""
    on = cluster.network(0)
    address = IPv4Address(int(on.subnet.broadcast_address) - 1 - number % 256)
    name = f"{0xBE << 24 | number:064x}"
    return Endpoint(name, on.id, HERE.name, address, mac_of(address), name, f"here{number}", labels)


def _lonely(number: int, policies: int) -> Policy:
    """Return a policy about an application that nobody runs yet."""
    rules = (Rule((Members(Selector.of({"app": "app1"})),), (Port(Protocol.TCP, 80),)),)
    spec = PolicySpec(Selector.of({"only": f"lonely{number}"}), rules, rules)
    return Policy("net0", f"lonely{number}", policies + 1 + number, spec)


def _new(number: int) -> Policy:
    rules = (Rule((Members(Selector.of({"app": "app2"})),), (Port(Protocol.TCP, 80),)),)
    return Policy("net1", f"new{number}", 10_000 + number, PolicySpec(Selector.of({"app": f"app{number}"}), rules))


def _with_port(policy: Policy, port: int) -> Policy:
    spec = policy.spec
    if not isinstance(spec, PolicySpec) or not spec.ingress:
        raise ValueError(f"{policy.title} has no ingress rule to edit")
    first = replace(spec.ingress[0], ports=(Port(Protocol.TCP, port),))
    return replace(policy, spec=replace(spec, ingress=(first, *spec.ingress[1:])))


def _resident(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS"))


async def measure(endpoints: int, policies: int, rounds: int = ROUNDS) -> dict[str, list[float]]:
    """Return all figures of one size."""
    with tempfile.TemporaryDirectory(prefix="socketplane-scale-") as directory:
        async with ovn(Path(directory)) as running:
            bench = Bench(running, endpoints, policies, rounds)
            await bench.load()
            await bench.measure()
            return bench.figures


async def main() -> None:
    """Measure one size."""
    parser = argparse.ArgumentParser(description="OVN with many policies and ports.")
    parser.add_argument("-o", "--output", choices=("table", "json"), default="table")
    parser.add_argument("--endpoints", type=int, default=10_000)
    parser.add_argument("--policies", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    options = parser.parse_args()
    figures = await measure(options.endpoints, options.policies, options.rounds)
    if options.output == "json":
        json.dump({"ovn": await version(), "figures": figures}, sys.stdout)
        return
    print(f"OVN {await version()}")
    for name, values in figures.items():
        print(f"  {name:<32} {median(values):>10.1f}   {min(values):.1f} to {max(values):.1f}")


if __name__ == "__main__":
    uvloop.run(main())
