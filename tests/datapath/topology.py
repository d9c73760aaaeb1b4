"""Logical networks as the controller makes them, written by hand: what is tested here is the host's side."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network
from itertools import chain
from uuid import UUID

from machine import Machine

from socketplane.model.types import mac_of

POOL = IPv4Network("10.192.0.0/10")
HOSTS = IPv4Network("169.254.192.0/20")
GATEWAY = IPv4Address("169.254.192.2")
WEB = IPv4Network("10.192.0.0/22")
INTERNAL = IPv4Network("10.192.4.0/22")
CLOSED = IPv4Network("10.192.8.0/22")
"""Of a network without a port on the router, but one where questions for names go; with `ALSO` there are two."""
ALSO = IPv4Network("10.192.12.0/22")
CLOSED_IDS = {UUID(f"{number:08x}-0000-4000-8000-000000000000"): subnet for number, subnet in ((8, CLOSED), (12, ALSO))}
HOST = "h1"


def make(machine: Machine) -> None:
    """Make two networks, the switch of hosts and the router that joins them."""
    commands = [
        ["lr-add", "router"],
        *_network("web", str(WEB[1]), WEB.prefixlen),
        *_network("internal", str(INTERNAL[1]), INTERNAL.prefixlen),
        *_network("hosts", str(HOSTS[1]), HOSTS.prefixlen),
        *_port("hosts", f"sp0-{HOST}", GATEWAY),
        *chain.from_iterable(_closed(name, network) for name, network in zip(("closed", "also"), CLOSED_IDS, strict=True)),
        ["lr-policy-add", "router", "200", f"ip4.dst == {{{POOL}, {HOSTS}}}", "allow"],
        [
            "lr-policy-add",
            "router",
            "100",
            f'ip4.src == {POOL} && is_chassis_resident("sp0-{HOST}")',
            "reroute",
            str(GATEWAY),
        ],
        ["lr-route-add", "router", "0.0.0.0/0", str(HOSTS[-2])],
    ]
    machine.nbctl(*_joined(commands))


def add_port(machine: Machine, network: str, endpoint_id: str, address: IPv4Address) -> None:
    """Make an endpoint's logical port, segmented as from the baseline: answers pass."""
    name = f"sp-{endpoint_id}"
    machine.nbctl(
        *_joined(_port(network, name, address)),
        "--",
        "set",
        "logical_switch_port",
        name,
        f"options:iface-id-ver={endpoint_id}",
    )


def remove_port(machine: Machine, endpoint_id: str) -> None:
    """Remove an endpoint's logical port."""
    machine.nbctl("--if-exists", "lsp-del", f"sp-{endpoint_id}")


def _network(name: str, router: str, prefix: int) -> list[list[str]]:
    mac = mac_of(IPv4Address(router))
    return [
        ["ls-add", name],
        ["lrp-add", "router", f"router-{name}", mac, f"{router}/{prefix}"],
        ["lsp-add", name, f"{name}-router"],
        ["lsp-set-type", f"{name}-router", "router"],
        ["lsp-set-addresses", f"{name}-router", "router"],
        ["lsp-set-options", f"{name}-router", f"router-port=router-{name}"],
        ["acl-add", name, "to-lport", "1", "ip", "allow-related"],
        ["acl-add", name, "from-lport", "1", "ip", "allow-related"],
    ]


def _closed(name: str, network: UUID) -> list[list[str]]:
    """Return a network as an internal one, without the ACLs of its port for questions: the host's side is tested."""
    port, gateway = f"sp-ask-{network}", CLOSED_IDS[network][1]
    return [
        ["ls-add", name],
        *_port(name, port, gateway),
        ["lsp-set-type", port, "localport"],
        ["acl-add", name, "to-lport", "1", "ip", "allow-related"],
        ["acl-add", name, "from-lport", "1", "ip", "allow-related"],
    ]


def _port(network: str, name: str, address: IPv4Address) -> list[list[str]]:
    value = f"{mac_of(address)} {address}"
    return [["lsp-add", network, name], ["lsp-set-addresses", name, value]]


def _joined(commands: list[list[str]]) -> list[str]:
    return list(chain.from_iterable(["--", *command] for command in commands))[1:]
