"""Rows of the Open_vSwitch database as we want them: pure, from what is there to the operations that change it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from uuid import UUID, uuid4

from socketplane.errors import Conflict, Unavailable
from socketplane.model import forwarding
from socketplane.model.forwarding import Traits
from socketplane.ovsdb import Operation, Row, by_uuid, insert, mutate, update

BRIDGE = "br-int"
"""OVN's integration bridge."""
OWNER = "socketplane"
"""Key in `external_ids` of every row that we made; the value says what for."""
TABLES: dict[str, tuple[str, ...]] = {
    "Open_vSwitch": ("bridges", "external_ids", "other_config", "next_cfg", "cur_cfg", "datapaths"),
    "Bridge": ("name", "ports", "datapath_type", "fail_mode", "other_config", "external_ids"),
    "Port": ("name", "interfaces", "external_ids"),
    "Interface": ("name", "type", "mac", "mtu_request", "ofport", "error", "external_ids"),
    "Datapath": ("capabilities",),
}
"""What we watch: no statistics, which change every few seconds."""
_ZERO_SNAT = "ct_zero_snat"

Tables = Mapping[str, Mapping[UUID, Row]]


@dataclass(frozen=True, slots=True)
class SwitchPort:
    """A port of br-int with its one interface."""

    name: str
    owner: str
    """What it is for: the value of our mark."""
    external_ids: Mapping[str, str]
    """Of the interface: how OVN recognises it. Other keys there are OVN's and stay."""
    type: str = ""
    mac: str | None = None
    mtu: int | None = None

    @property
    def _columns(self) -> dict[str, object]:
        return {"type": self.type, "mac": self.mac, "mtu_request": self.mtu}


@dataclass(slots=True)
class Index:
    """Names of the rows of Bridge, Port and Interface."""

    bridges: dict[str, UUID] = field(default_factory=dict)
    ports: dict[str, UUID] = field(default_factory=dict)
    interfaces: dict[str, UUID] = field(default_factory=dict)

    def note(self, table: str, uuid: UUID, old: Row | None, new: Row | None) -> None:
        """Follow a row's change."""
        names = {"Bridge": self.bridges, "Port": self.ports, "Interface": self.interfaces}.get(table)
        if names is None:
            return
        if new is not None:
            names[new["name"]] = uuid
        elif old is not None and names.get(old["name"]) == uuid:
            del names[old["name"]]


def bridge_operations(tables: Tables, index: Index, traits: Traits) -> list[Operation]:
    """Return what makes br-int what OVN expects: ovn-controller would make it the same way."""
    root = root_uuid(tables)
    datapath_type = traits.bridge_type
    operations = _set_keys("Open_vSwitch", root, tables["Open_vSwitch"][root], {"ovn-bridge-datapath-type": datapath_type})
    bridge = index.bridges.get(BRIDGE)
    if bridge is None:
        return operations + _new_bridge(root, datapath_type)
    row = tables["Bridge"][bridge]
    wanted: dict[str, object] = {}
    if row["fail_mode"] != "secure":
        wanted["fail_mode"] = "secure"
    if (row["datapath_type"] or "system") != datapath_type:
        wanted["datapath_type"] = datapath_type
    if wanted:
        operations.append(update("Bridge", by_uuid(bridge), wanted))
    return operations + _set_keys("Bridge", bridge, row, {"disable-in-band": "true"}, column="other_config")


def _new_bridge(root: UUID, datapath_type: str) -> list[Operation]:
    interface, port, bridge = uuid4(), uuid4(), uuid4()
    row = {
        "name": BRIDGE,
        "ports": frozenset({port}),
        "datapath_type": datapath_type,
        "fail_mode": "secure",
        "other_config": {"disable-in-band": "true"},
        "external_ids": {OWNER: "bridge"},
    }
    return [
        insert("Interface", {"name": BRIDGE, "type": "internal"}, uuid=interface),
        insert("Port", {"name": BRIDGE, "interfaces": frozenset({interface})}, uuid=port),
        insert("Bridge", row, uuid=bridge),
        mutate("Open_vSwitch", by_uuid(root), [("bridges", "insert", frozenset({bridge}))]),
    ]


def port_operations(tables: Tables, index: Index, want: SwitchPort) -> list[Operation]:
    """Return what makes or repairs a port. Conflict: one of that name is not ours, or not ours in this role."""
    bridge = bridge_uuid(index)
    port = index.ports.get(want.name)
    if port is None:
        return _new_port(bridge, want)
    _check_owner(tables["Port"][port], want.name, want.owner)
    operations: list[Operation] = []
    if port not in tables["Bridge"][bridge]["ports"]:
        operations.append(mutate("Bridge", [("name", "!=", BRIDGE)], [("ports", "delete", frozenset({port}))]))
        operations.append(mutate("Bridge", by_uuid(bridge), [("ports", "insert", frozenset({port}))]))
    interface = index.interfaces.get(want.name)
    if interface is None or tables["Port"][port]["interfaces"] != {interface}:
        return [*operations, *_new_interface(port, want)]
    row = tables["Interface"][interface]
    wrong = {name: value for name, value in want._columns.items() if row[name] != value}
    if wrong:
        operations.append(update("Interface", by_uuid(interface), wrong))
    return operations + _set_keys("Interface", interface, row, want.external_ids)


def _interface_row(want: SwitchPort) -> dict[str, object]:
    return {"name": want.name, "external_ids": {OWNER: want.owner, **want.external_ids}, **want._columns}


def _new_port(bridge: UUID, want: SwitchPort) -> list[Operation]:
    # Never a computed UUID here: deleted and made again within one look of ovs-vswitchd, the row would seem unchanged.
    interface, port = uuid4(), uuid4()
    row = {"name": want.name, "interfaces": frozenset({interface}), "external_ids": {OWNER: want.owner}}
    return [
        insert("Interface", _interface_row(want), uuid=interface),
        insert("Port", row, uuid=port),
        mutate("Bridge", by_uuid(bridge), [("ports", "insert", frozenset({port}))]),
    ]


def _new_interface(port: UUID, want: SwitchPort) -> list[Operation]:
    interface = uuid4()
    return [
        insert("Interface", _interface_row(want), uuid=interface),
        update("Port", by_uuid(port), {"interfaces": frozenset({interface})}),
    ]


def delete_operations(tables: Tables, index: Index, name: str, owner: str) -> list[Operation]:
    """Return what removes a port of ours; nothing if there is none, or it is not ours."""
    port = index.ports.get(name)
    if port is None or tables["Port"][port]["external_ids"].get(OWNER) != owner:
        return []
    holders = [uuid for uuid, row in tables["Bridge"].items() if port in row["ports"]]
    return [mutate("Bridge", by_uuid(uuid), [("ports", "delete", frozenset({port}))]) for uuid in holders]


def release_operations(tables: Tables, index: Index, name: str, owner: str) -> list[Operation]:
    """Return what makes OVN let go of a port of ours, and say so by taking `ovn-installed` away."""
    interface = index.interfaces.get(name)
    ids = {} if interface is None else tables["Interface"][interface]["external_ids"]
    if interface is None or ids.get(OWNER) != owner or "iface-id" not in ids:
        return []
    return [mutate("Interface", by_uuid(interface), [("external_ids", "delete", frozenset({"iface-id"}))])]


def restrain_operations(tables: Tables) -> list[Operation]:
    """Return what keeps OVN from having the userspace datapath rewrite sources to what they are (`ct_zero_snat`).

    OVN does that with every connection where the datapath says that it can, for the sake of NAT, which we don't have.
    Open vSwitch 3.1 ends with a failed assertion at the first packet of a connection of that kind that has expired and is
    not cleaned up yet: whoever sent a datagram from the same port again half a minute later ended ovs-vswitchd.
    """
    datapaths = [
        row["datapaths"].get(traits.bridge_type)
        for traits in forwarding.BY_KIND.values()
        if traits.dies_of_zero_snat
        for row in tables["Open_vSwitch"].values()
    ]
    return [
        operation
        for uuid in datapaths
        if uuid is not None and (row := tables["Datapath"].get(uuid)) is not None
        for operation in _set_keys("Datapath", uuid, row, {_ZERO_SNAT: "false"}, column="capabilities")
    ]


def is_installed(interface: Row | None) -> bool:
    """Return whether OVN and Open vSwitch say that the port works."""
    return interface is not None and bool(interface["external_ids"].get("ovn-installed") == "true")


def not_installed(tables: Tables | None, interface: Row | None, name: str, waited: float) -> Unavailable:
    """Return the error for a port that does not work yet: what is missing."""
    if tables is None:
        missing, remedy = "Open vSwitch's database does not answer", "see that ovsdb-server runs"
    elif interface is None:
        missing, remedy = "Open vSwitch has no such port", "attach the endpoint anew"
    elif interface["error"]:
        missing, remedy = f"Open vSwitch says: {interface['error']}", "see ovs-vswitchd's log"
    elif interface["ofport"] is None:
        missing, remedy = "ovs-vswitchd has not taken the port", "see that ovs-vswitchd runs"
    elif "ovn-remote" not in tables["Open_vSwitch"][root_uuid(tables)]["external_ids"]:
        missing, remedy = "this host is no chassis of OVN", "run `socketplane up` or `socketplane join`"
    else:
        missing = f"ovn-controller has not bound {interface['external_ids'].get('iface-id')}"
        remedy = "see that ovn-controller runs and reaches the southbound database"
    return Unavailable(f"port {name} is not ready after {waited:g} s: {missing}", remedy=remedy)


def root_uuid(tables: Tables) -> UUID:
    """Return the row of Open_vSwitch. Unavailable: the database was never initialised."""
    for uuid in tables["Open_vSwitch"]:
        return uuid
    raise Unavailable("Open vSwitch's database is empty", remedy="start ovs-vswitchd, or run `ovs-vsctl init`")


def bridge_uuid(index: Index) -> UUID:
    """Return br-int's row. Unavailable: there is none (yet)."""
    try:
        return index.bridges[BRIDGE]
    except KeyError:
        raise Unavailable(f"there is no bridge {BRIDGE}", remedy="start the agent anew: it makes the bridge") from None


def _check_owner(row: Row, name: str, owner: str) -> None:
    if row["external_ids"].get(OWNER) != owner:
        remedy = f"remove it: ovs-vsctl del-port {name}"
        raise Conflict(f"Open vSwitch has a port {name} that SocketPlane did not make", remedy=remedy)


def _set_keys(table: str, uuid: UUID, row: Row, wanted: Mapping[str, str], column: str = "external_ids") -> list[Operation]:
    """Set keys of a map and leave the others alone. (`insert` alone would keep a wrong value.)"""
    wrong = {key: value for key, value in wanted.items() if row[column].get(key) != value}
    if not wrong:
        return []
    return [mutate(table, by_uuid(uuid), [(column, "delete", frozenset(wrong)), (column, "insert", wrong)])]
