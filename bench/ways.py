"""The ways between two containers that are compared, and the containers at their ends."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bench.peers import Peers, address
from socketplane.lab.images import IMAGE
from socketplane.lab.machine import Machine

ACROSS, ONE_HOST = "across", "one host"
POLICED, UNLABELLED, SECRET_OVERLAY = "bench-policed", "bench-unlabelled", "bench-secret"
VXLAN = "bench-vxlan"
"""No network of Docker's: a bridge and a VXLAN device on each host, as Linux has them."""
POLICIES, SELECTING = 100, 10
_PATIENCE = 300.0
"""Seconds: an emulated machine is slow."""
_SWITCH, _MTU = "bench-switch", "1450"
_SPI = "0x5ec4e7"
_TRIAL = f"src 192.0.2.1 dst 192.0.2.2 proto esp spi {_SPI} mode transport aead rfc4106(gcm(aes)) 0x{'0a' * 20} 64"


@dataclass(frozen=True, slots=True)
class End:
    """A container: its machine, the process that holds its network namespace, and its address."""

    machine: Machine
    pid: int
    address: str

    def inside(self, *argv: str) -> list[str]:
        """Return the command, for the machine, that runs a program of the host's in the container's network."""
        return ["nsenter", "--target", str(self.pid), "--net", *argv]


@dataclass(frozen=True, slots=True)
class Way:
    """From a client to a server, `where` it is: on the same host or across two."""

    name: str
    where: str
    client: End
    server: End


async def ends(peers: Peers, network: str, wheres: Sequence[str]) -> dict[str, tuple[End, End]]:
    """Start a client on the near host, and a server at each place; return them by place."""
    client = await _start(peers.near, f"{network}-client", network)
    hosts = {ONE_HOST: peers.near, ACROSS: peers.far}
    return {where: (client, await _start(hosts[where], f"{network}-server", network)) for where in wheres}


async def _start(machine: Machine, name: str, network: str) -> End:
    plain = network == VXLAN
    options = ("--network", "none") if plain else ("--network", network)
    await machine.run(
        "docker", "run", "-d", "--name", name, "--label", "app=bench", *options, IMAGE, "sleep", "7200", timeout=_PATIENCE
    )
    pid = int((await machine.run("docker", "inspect", "-f", "{{.State.Pid}}", name)).out)
    if plain:
        number = "1" if name.endswith("client") else "2"
        return End(machine, pid, await _onto_vxlan(machine, pid, number))
    return End(machine, pid, await address(machine, name, network))


async def make_vxlan(peers: Peers) -> None:
    """Make a bridge with a VXLAN device for each host, in a namespace of its own as Swarm has it: no firewall sees it."""
    for here, there in ((peers.near, peers.far), (peers.far, peers.near)):
        tunnel = f"type vxlan id 77 dstport 4799 local {here.management} remote {there.management} dev eth0"
        await here.run("ip", "netns", "add", _SWITCH)
        await here.run("ip", "link", "add", "tunnel", "mtu", _MTU, *tunnel.split())
        await here.run("ip", "link", "set", "tunnel", "netns", _SWITCH)
        inside = ("ip", "-netns", _SWITCH, "link")
        await here.run(*inside, "add", "switch", "mtu", _MTU, "type", "bridge")
        await here.run(*inside, "set", "tunnel", "master", "switch", "up")
        await here.run(*inside, "set", "switch", "up")


async def _onto_vxlan(machine: Machine, pid: int, number: str) -> str:
    """Give a container without network a cable to the bridge."""
    found = f"10.201.0.{number}"
    inside, port = ("nsenter", "--target", str(pid), "--net", "ip"), f"port{number}"
    peer = ("peer", "name", "eth0", "netns", str(pid), "mtu", _MTU)
    await machine.run("ip", "link", "add", port, "netns", _SWITCH, "mtu", _MTU, "type", "veth", *peer)
    await machine.run("ip", "-netns", _SWITCH, "link", "set", port, "master", "switch", "up")
    await machine.run(*inside, "address", "add", f"{found}/24", "dev", "eth0")
    await machine.run(*inside, "link", "set", "eth0", "up")
    return found


async def make_policed(peers: Peers) -> None:
    """Make two networks with as many policies each, of which some select the ends; one is to lose its rules' labels."""
    for number, network in enumerate((POLICED, UNLABELLED)):
        await peers.near.run(
            "socketplane", "network", "create", network, "--subnet", f"10.200.{64 + number}.0/24", timeout=_PATIENCE
        )
        documents = [_document(network, each) for each in range(POLICIES)]
        text = "\n---\n".join(json.dumps(document) for document in documents)
        await peers.near.run("socketplane", "policy", "apply", "-f", "-", stdin=text, timeout=_PATIENCE)
        async with asyncio.timeout(_PATIENCE):
            while (await peers.far.run("docker", "network", "inspect", network, check=False)).code:
                await asyncio.sleep(0.1)
    await peers.near.run("ovn-nbctl", "--wait=hv", "sync", timeout=_PATIENCE)


def _document(network: str, number: int) -> dict[str, Any]:
    """Return a policy; the last of those that select the ends lets them talk, all others speak of other ports."""
    selecting = number < SELECTING
    peer = [{"podSelector": {"matchLabels": {"app": "bench" if selecting else f"app{number + 1}"}}}]
    ports = (
        {} if number == SELECTING - 1 else {"ports": [{"port": 20000 + number}, {"port": 30000 + number, "endPort": 30999}]}
    )
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": f"bench{number}", "namespace": network},
        "spec": {
            "podSelector": {"matchLabels": {"app": "bench" if selecting else f"app{number}"}},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [{"from": peer, **ports}],
            "egress": [{"to": peer, **ports}],
        },
    }


async def unlabel(peers: Peers) -> None:
    """Take the labels off one network's rules, by hand; a full pass of the controller brings them back."""
    columns = ("--format=json", "--columns=_uuid,external_ids,label")
    rows = json.loads((await peers.near.run("ovn-nbctl", *columns, "list", "ACL")).out)["data"]
    unit = f"policy/{UNLABELLED}/"
    commands: list[str] = []
    for (_, uuid), (_, notes), label in rows:
        if label and dict(notes).get("socketplane:unit", "").startswith(unit):
            commands += ["--", "set", "ACL", uuid, "label=0"]
    if commands:
        await peers.near.run("ovn-nbctl", "--wait=hv", *commands[1:], timeout=_PATIENCE)


async def make_secret(peers: Peers) -> bool:
    """Make an overlay that Swarm encrypts; return whether this kernel can."""
    await peers.near.run(
        "docker",
        "network",
        "create",
        "-d",
        "overlay",
        "--attachable",
        "--opt",
        "encrypted",
        SECRET_OVERLAY,
        timeout=_PATIENCE,
    )
    done = await peers.near.run("ip", "xfrm", "state", "add", *_TRIAL.split(), check=False)
    if done.code == 0:
        await peers.near.run("ip", "xfrm", "state", "deleteall", "proto", "esp", "spi", _SPI, check=False)
    return done.code == 0
