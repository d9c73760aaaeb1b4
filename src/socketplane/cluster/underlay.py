"""The underlay of Open vSwitch's own datapath: the NIC inside a bridge, its addresses on the bridge.

That datapath reaches tunnels' other ends only through a bridge of its own; the kernel's needs none of this. What is
moved is noted before it is moved, so that `down`, or the next `up` after a crash, knows how it was.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from socketplane.cluster import network
from socketplane.cluster.machine import Machine
from socketplane.cluster.openvswitch import vsctl
from socketplane.cluster.record import Moved
from socketplane.cluster.run import CommandFailed, run
from socketplane.errors import InvalidInput, NotFound

BRIDGE = "br-phy"
TABLE = "socketplane_underlay"


def wanted(machine: Machine) -> bool:
    """Return whether this host's NIC belongs into the bridge."""
    return not machine.record.traits.borrows_underlay and machine.identity.uplink is not None


def stands(machine: Machine) -> bool:
    """Return whether nothing is to be done: all is moved, or nothing has to be."""
    if not wanted(machine):
        return True
    moved = machine.record.moved
    held = network.addresses().get(BRIDGE, [])
    if moved is None or all(item.ip != machine.identity.address for item in held):
        return False
    return _bridge_of(machine, moved.nic) == BRIDGE and _table_stands()


def move(machine: Machine) -> str:
    """Move the NIC's addresses and routes to the bridge.

    Raises InvalidInput (field `uplink`): no such NIC, or it does not hold this host's address. NotFound: it is gone.
    Whatever fails on the way, the NIC is put back as it was.
    """
    identity = machine.identity
    nic = identity.uplink or ""
    if machine.record.moved is None:
        before = _snapshot(nic)
        if all(not address.startswith(f"{identity.address}/") for address in before.addresses):
            raise InvalidInput(f"{nic} does not hold this host's address {identity.address}", field="uplink")
        machine.note(moved=before)
    moved = machine.record.moved
    if moved is None:
        raise NotFound(f"how {nic} was before is not noted")
    try:
        _make_bridge(machine, moved)
        _readdress(moved, source=nic, target=BRIDGE)
        _ignore(nic)
    except BaseException:
        with contextlib.suppress(CommandFailed):
            put_back(machine)
        raise
    return f"{nic} is in {BRIDGE}"


def put_back(machine: Machine) -> None:
    """Undo `move`, as far as it came."""
    moved = machine.record.moved
    if moved is None:
        return
    run(["nft", "delete", "table", "inet", TABLE], check=False)
    present = {link["ifname"] for link in network.ip("link", "show")}
    with contextlib.suppress(CommandFailed):
        vsctl(machine.paths, "--if-exists", "del-br", BRIDGE)
    if moved.nic in present:
        _readdress(moved, source=None, target=moved.nic)
    machine.note(moved=None)


def _snapshot(nic: str) -> Moved:
    links = {link["ifname"]: link for link in network.ip("address", "show")}
    if nic not in links:
        raise InvalidInput(f"there is no interface {nic}", field="uplink", remedy=f"there are {', '.join(links)}")
    link = links[nic]
    addresses = tuple(f"{item['local']}/{item['prefixlen']}" for item in link["addr_info"] if item.get("scope") == "global")
    routes = [(family, route) for family in ("-4", "-6") for route in network.ip(family, "route", "show", "dev", nic)]
    return Moved(nic, link["address"], link["mtu"], addresses, tuple(_routes(routes)))


def _routes(routes: Iterable[tuple[str, Mapping[str, Any]]]) -> Iterator[tuple[str, ...]]:
    """Yield routes as `ip route add` takes them; those that come with addresses come by themselves."""
    for family, route in routes:
        if route.get("protocol") == "kernel" or route.get("type", "unicast") != "unicast":
            continue
        words = [family, str(route["dst"])]
        for key, word in (("gateway", "via"), ("prefsrc", "src"), ("metric", "metric"), ("protocol", "proto")):
            if key in route:
                words += [word, str(route[key])]
        yield (*words, *(flag for flag in route.get("flags", []) if flag == "onlink"))


def _make_bridge(machine: Machine, moved: Moved) -> None:
    settings = [
        f"datapath_type={machine.record.traits.bridge_type}",
        f'other_config:hwaddr="{moved.mac}"',
        "external_ids:socketplane=underlay",
    ]
    commands = ["--may-exist", "add-br", BRIDGE, "--", "set", "Bridge", BRIDGE, *settings]
    # Without a request of its own the bridge's MTU is the NIC's, and follows it.
    commands += ["--", "clear", "Interface", BRIDGE, "mtu_request"]
    vsctl(machine.paths, *commands, "--", "--may-exist", "add-port", BRIDGE, moved.nic)


def _readdress(moved: Moved, *, source: str | None, target: str) -> None:
    """Give the noted addresses and routes to `target`, taking them from `source`; in one go, so that sessions live."""
    present = {link["ifname"]: link for link in network.ip("address", "show")}
    lines = []
    if source:
        held = [item for item in present[source]["addr_info"] if item.get("scope") == "global"]
        lines += [f"address delete {item['local']}/{item['prefixlen']} dev {source}" for item in held]
    lines.append(f"link set {target} up")
    for address in moved.addresses:
        extra = " nodad" if ":" in address else " broadcast +"
        lines.append(f"address replace {address} dev {target}{extra}")
    _batch(lines)
    # A gateway must be on a known network before a route can go through it: plain ones first.
    for route in sorted(moved.routes, key=lambda words: "via" in words):
        family, *words = route
        run(["ip", family, "route", "replace", *words, "dev", target])


def _batch(lines: list[str]) -> None:
    run(["ip", "-batch", "-"], stdin="\n".join(lines) + "\n")


def _ignore(nic: str) -> None:
    """Keep the kernel's own stack from answering packets that it sees on the NIC beside the switch."""
    run(["nft", "-f", "-"], stdin=_table(nic))


def _table(nic: str) -> str:
    return f"""\
table inet {TABLE}
delete table inet {TABLE}
table inet {TABLE} {{
    chain prerouting {{
        type filter hook prerouting priority -350; policy accept;
        iifname "{nic}" drop
    }}
}}
"""


def _table_stands() -> bool:
    return run(["nft", "list", "table", "inet", TABLE], check=False).code == 0


def _bridge_of(machine: Machine, port: str) -> str:
    try:
        return vsctl(machine.paths, "port-to-br", port).strip()
    except CommandFailed:
        return ""
