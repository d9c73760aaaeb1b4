"""This machine's addresses, routes and ports, as the kernel tells them."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from typing import Any

from socketplane.cluster.run import run
from socketplane.encryption import DEVICE, Encryption
from socketplane.errors import Conflict, InvalidInput, NotFound

OWN_LINKS = frozenset({"sp0", DEVICE})
"""Our own interfaces: their routes are no conflict."""


def addresses() -> dict[str, list[IPv4Interface]]:
    """Return each interface's IPv4 addresses; loopback's last."""
    links = ip("-4", "address", "show")
    found = {
        link["ifname"]: [IPv4Interface(f"{item['local']}/{item['prefixlen']}") for item in link["addr_info"]]
        for link in links
        if link
    }
    return dict(sorted(found.items(), key=lambda item: item[0] == "lo"))


def default_interface() -> str | None:
    """Return the interface of the default route, None where there is no such route."""
    routes = ip("-4", "route", "show", "default")
    return min(routes, key=lambda route: route.get("metric", 0))["dev"] if routes else None


def choose_address(uplink: str | None) -> IPv4Address:
    """Return the underlay address: the uplink's first, or that of the default route's interface.

    Raises NotFound: neither tells.
    """
    interface = uplink or default_interface()
    if interface is None:
        raise NotFound("there is no default route to take this host's address from", remedy="give it: --address ADDRESS")
    known = addresses()
    if interface not in known:
        raise NotFound(f"interface {interface} has no IPv4 address", remedy="give one of this machine's: --address ADDRESS")
    return known[interface][0].ip


def interface_of(address: IPv4Address) -> str | None:
    """Return the interface that holds an address, None where none does."""
    for interface, held in addresses().items():
        if any(item.ip == address for item in held):
            return interface
    return None


def require_own(address: IPv4Address) -> None:
    """Raise InvalidInput where no interface of this machine holds the address."""
    if interface_of(address) is None:
        held = ", ".join(str(item.ip) for items in addresses().values() for item in items)
        raise InvalidInput(f"{address} is not an address of this machine", field="address", remedy=f"it has {held}")


def require_free(pool: IPv4Network, hosts: IPv4Network, encryption: Encryption | None) -> None:
    """Raise Conflict where containers' addresses would take traffic away from a network that this machine knows."""
    for destination, link in _routes():
        if link in OWN_LINKS:
            continue
        if destination.overlaps(pool):
            remedy = "choose another for the first host: --pool CIDR"
            raise Conflict(f"{pool} overlaps {destination} on {link}", field="pool", remedy=remedy)
        if destination.subnet_of(hosts):
            raise Conflict(f"{hosts} overlaps {destination} on {link}", field="hosts", remedy=f"move {destination} away")
        if encryption is not None and destination.subnet_of(encryption.network):
            remedy = "choose another for the first host: --encrypt-range CIDR"
            raise Conflict(f"{encryption.network} overlaps {destination} on {link}", field="encrypt-range", remedy=remedy)


def _routes() -> Iterable[tuple[IPv4Network, str]]:
    for route in ip("-4", "route", "show", "table", "main"):
        if route["dst"] != "default" and "dev" in route:
            yield IPv4Network(route["dst"]), route["dev"]


def require_free_port(port: int, what: str) -> None:
    """Raise Conflict, naming the holder, where another program listens on a TCP port that we need."""
    with socket.socket() as test:
        test.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            test.bind(("", port))
        except OSError:
            holder = run(["ss", "-Hltnp", f"sport = :{port}"], check=False).out.split()
            who = f" by {holder[-1]}" if holder and "users" in holder[-1] else ""
            raise Conflict(f"port {port} is taken{who}", remedy=f"{what} needs it: stop the other program") from None


def ip(*arguments: str) -> list[dict[str, Any]]:
    """Return what `ip -json` answers."""
    rows: list[dict[str, Any]] = json.loads(run(["ip", "-json", *arguments]).out or "[]")
    return [row for row in rows if row]
