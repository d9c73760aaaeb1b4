"""What OVN makes of ACLs, in a few lines: enough of its match language to judge a packet by what we compiled.

tests/northd asks the real OVN the same questions.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from typing import Any
from uuid import UUID

from socketplane.compile import Desired
from socketplane.compile.names import endpoint_port, host_port
from socketplane.model.types import Cluster, Endpoint, Host
from socketplane.model.verdict import Party, View


@dataclass(frozen=True)
class Packet:
    """The first packet of a connection."""

    source: IPv4Address
    destination: IPv4Address
    protocol: str
    """tcp, udp or icmp4."""
    port: int = 0


class Acls:
    """The ACLs and port groups of compiled rows. An ACL holds on every switch that has a port of its group."""

    def __init__(self, desired: Desired) -> None:
        rows = {key.uuid: row for key, row in desired.rows.items()}
        self._groups: dict[str, set[str]] = {}
        self._addresses: dict[str, set[IPv4Address]] = {}
        self._acls: list[tuple[str, Any]] = []
        switches: dict[str, UUID] = {}
        for key, row in desired.rows.items():
            if key.table == "Port_Group":
                self._groups[row["name"]] = set()
                self._addresses[row["name"]] = set()
        for edge in desired.edges:
            if edge.table == "Logical_Switch":
                switches[rows[edge.child]["name"]] = edge.parent
            if edge.table != "Port_Group":
                continue
            group = rows[edge.parent]["name"]
            if edge.column == "acls":
                self._acls.append((group, rows[edge.child]))
            else:
                self._groups[group].add(rows[edge.child]["name"])
                self._addresses[group] |= {
                    IPv4Address(text.split()[1]) for text in rows[edge.child]["addresses"] if " " in text
                }
        self._switch_of = switches
        self._switches = {group: {switches[port] for port in ports} for group, ports in self._groups.items()}

    def judge(self, stage: str, port: str, packet: Packet, host: str) -> tuple[bool, set[str]]:
        """Return whether a port's ACLs of a stage let a packet through, and the names of those that decide."""
        switch = self._switch_of[port]
        here = [acl for group, acl in self._acls if acl["direction"] == stage and switch in self._switches[group]]
        found = [acl for acl in here if self._matches(acl["match"], stage, port, packet, host)]
        if not found:
            return True, set()
        top = max(acl["priority"] for acl in found)
        deciding = [acl for acl in found if acl["priority"] == top]
        assert len({acl["action"] for acl in deciding}) == 1, "allow and drop at one priority"
        return deciding[0]["action"] != "drop", {acl["name"] for acl in deciding}

    def _matches(self, match: str, stage: str, port: str, packet: Packet, host: str) -> bool:
        return all(self._holds(term, stage, port, packet, host) for term in match.split(" && "))

    def _holds(self, term: str, stage: str, port: str, packet: Packet, host: str) -> bool:
        if term.startswith("is_chassis_resident("):
            return term == f'is_chassis_resident("{host_port(host)}")'
        if " == " not in term:
            return term in ("ip", "ip4", packet.protocol)
        field, value = term.split(" == ")
        if field in ("inport", "outport"):
            assert field == ("inport" if stage == "from-lport" else "outport"), "a field of the other stage"
            return port in self._groups[value.removeprefix("@")]
        if field in ("ip4.src", "ip4.dst"):
            address = packet.source if field == "ip4.src" else packet.destination
            if value.startswith("$"):
                return address in self._addresses[value[1:].removesuffix("_ip4")]
            return address in IPv4Network(value)
        protocol, _, attribute = field.partition(".")
        assert attribute == "dst"
        return packet.protocol == protocol and packet.port in {int(n) for n in value.strip("{}").split(", ")}


def passes(view: View, acls: Acls, source: Party, destination: Party, protocol: str, port: int) -> bool:
    """Return whether a packet between two ends passes: source's ACLs, the router, destination's ACLs."""
    packet = Packet(address(source), address(destination), protocol, port)
    if isinstance(source, Endpoint) and not acls.judge("from-lport", endpoint_port(source), packet, source.host)[0]:
        return False
    networks = {end.network for end in (source, destination) if isinstance(end, Endpoint)}
    routed = len(networks) != 1 or not (isinstance(source, Endpoint) and isinstance(destination, Endpoint))
    if routed and any(view.networks[uuid].internal for uuid in networks):
        return False
    if not isinstance(destination, Endpoint):
        return not in_pool(view.cluster, destination)
    return acls.judge("to-lport", endpoint_port(destination), packet, destination.host)[0]


def in_pool(cluster: Cluster, party: Party) -> bool:
    """Return whether an end is a pool's address."""
    return isinstance(party, IPv4Address) and party in cluster.pool


def address(party: Party) -> IPv4Address:
    """Return an end's address."""
    if isinstance(party, Endpoint):
        return party.address
    return party.gateway if isinstance(party, Host) else party
