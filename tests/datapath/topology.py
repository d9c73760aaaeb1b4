"""Logical networks as the controller makes them, written by hand: what is tested here is the host's side."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from itertools import chain
from uuid import UUID

from machine import Machine

from socketplane.model.types import host6, hosts6, mac_of

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
POOL6 = IPv6Network("fd53:1:2::/48")
WEB6, INTERNAL6 = IPv6Network("fd53:1:2::/64"), IPv6Network("fd53:1:2:1::/64")
HOSTS6, GATEWAY6 = hosts6(HOSTS), host6(GATEWAY)


def address6(address: IPv4Address) -> IPv6Address:
    """Return the IPv6 address of the container with an IPv4 one."""
    return subnet6(address)[int(address) & 1023]


def subnet6(address: IPv4Address) -> IPv6Network:
    """Return the IPv6 subnet beside an IPv4 address'."""
    return IPv6Network((int(POOL6[0]) + ((int(address) - int(POOL[0]) >> 10) << 64), 64))


def make(machine: Machine) -> None:
    """Make two networks, the switch of hosts and the router that joins them."""
    commands = [
        ["lr-add", "router"],
        *_network("web", WEB, WEB6),
        *_network("internal", INTERNAL, INTERNAL6),
        *_network("hosts", HOSTS, HOSTS6),
        *_port("hosts", f"sp0-{HOST}", GATEWAY, GATEWAY6),
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
        ["lr-policy-add", "router", "200", f"ip6.dst == {{{POOL6}, {HOSTS6}}}", "allow"],
        ["lr-policy-add", "router", "100", f"ip6.src == {POOL6}", "reroute", str(GATEWAY6)],
        ["lr-route-add", "router", "::/0", str(HOSTS6[-2])],
    ]
    machine.nbctl(*_joined(commands))


def add_port(machine: Machine, network: str, endpoint_id: str, address: IPv4Address) -> None:
    """Make an endpoint's logical port, segmented as from the baseline: answers pass."""
    name = f"sp-{endpoint_id}"
    machine.nbctl(
        *_joined(_port(network, name, address, address6(address))),
        "--",
        "set",
        "logical_switch_port",
        name,
        f"options:iface-id-ver={endpoint_id}",
    )


def remove_port(machine: Machine, endpoint_id: str) -> None:
    """Remove an endpoint's logical port."""
    machine.nbctl("--if-exists", "lsp-del", f"sp-{endpoint_id}")


def _network(name: str, subnet: IPv4Network, subnet6: IPv6Network) -> list[list[str]]:
    addresses = [f"{net[1]}/{net.prefixlen}" for net in (subnet, subnet6)]
    return [
        ["ls-add", name],
        ["lrp-add", "router", f"router-{name}", mac_of(subnet[1]), *addresses],
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
        *_port(name, port, gateway, address6(gateway)),
        ["lsp-set-type", port, "localport"],
        ["acl-add", name, "to-lport", "1", "ip", "allow-related"],
        ["acl-add", name, "from-lport", "1", "ip", "allow-related"],
    ]


def _port(network: str, name: str, address: IPv4Address, address6: IPv6Address) -> list[list[str]]:
    value = f"{mac_of(address)} {address} {address6}"
    return [["lsp-add", network, name], ["lsp-set-addresses", name, value]]


def _joined(commands: list[list[str]]) -> list[str]:
    return list(chain.from_iterable(["--", *command] for command in commands))[1:]
