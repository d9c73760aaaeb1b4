"""What this machine is in its cluster: `host.json`, written by `up` and `join`, read by controller and agent."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any, Literal

from socketplane.encryption import Encryption
from socketplane.errors import InvalidInput, NotFound
from socketplane.files import private_directory, write_atomic

FORMAT = 1
"""Version of host.json; a higher one was written by a later release."""

Role = Literal["manager", "member"]


@dataclass(frozen=True, slots=True)
class HostIdentity:
    """This host's place in the cluster. All of it is known to the controller too; nothing of it is secret."""

    name: str
    system_id: str
    """OVN chassis name, `external_ids:system-id` of Open vSwitch, common name of the host's certificate."""
    role: Role
    address: IPv4Address
    """Underlay address: the tunnel's end, and where a manager is reached."""
    controllers: tuple[str, ...]
    """`address:port` of each manager's REST API."""
    southbound: tuple[str, ...]
    """OVSDB remotes for ovn-controller, `ssl:address:port`."""
    gateway: IPv4Address
    """Address of `sp0`, this host's own port on the switch of hosts."""
    uplink: str | None = None
    """NIC that was moved into `br-phy` (userspace datapath only)."""
    pool: IPv4Network = IPv4Network("10.192.0.0/10")
    hosts: IPv4Network = IPv4Network("169.254.192.0/20")
    prefix: int = 22
    """Prefix length of networks that are cut from the pool (decided on the first manager)."""
    encryption: Encryption | None = None
    """How hosts encrypt what they send one another (decided on the first manager); None: they don't."""

    @property
    def manager(self) -> bool:
        """Whether the cluster's databases and a controller are on this host."""
        return self.role == "manager"

    @property
    def tunnel(self) -> IPv4Address:
        """Where other hosts' tunnels end here."""
        return self.encryption.address(self.gateway, self.hosts) if self.encryption else self.address

    @staticmethod
    def load(path: Path) -> HostIdentity:
        """Read host.json. NotFound: this machine is in no cluster; InvalidInput: the file can't be understood."""
        try:
            text = path.read_text()
        except FileNotFoundError:
            remedy = "run `socketplane up` for a first host, or `socketplane join TOKEN`"
            raise NotFound("this machine is not a SocketPlane host yet", remedy=remedy) from None
        try:
            return _from_json(json.loads(text))
        except (ValueError, KeyError, TypeError) as error:
            remedy = "restore it, or start over with `socketplane down --purge`"
            raise InvalidInput(f"can't be understood: {error}", field=str(path), remedy=remedy) from error

    def save(self, path: Path) -> None:
        """Write host.json whole or not at all."""
        private_directory(path.parent)
        write_atomic(path, json.dumps(_to_json(self), indent=2) + "\n")


def _to_json(identity: HostIdentity) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "name": identity.name,
        "system_id": identity.system_id,
        "role": identity.role,
        "address": str(identity.address),
        "controllers": list(identity.controllers),
        "southbound": list(identity.southbound),
        "gateway": str(identity.gateway),
        "uplink": identity.uplink,
        "pool": str(identity.pool),
        "hosts": str(identity.hosts),
        "prefix": identity.prefix,
        "encryption": identity.encryption
        and {
            "network": str(identity.encryption.network),
            "port": identity.encryption.port,
        },
    }


def _from_json(data: Mapping[str, Any]) -> HostIdentity:
    if data["format"] != FORMAT:
        raise ValueError(f"format {data['format']}, this release reads {FORMAT}")
    if data["role"] not in ("manager", "member"):
        raise ValueError(f"role {data['role']!r}")
    if not (isinstance(data["name"], str) and isinstance(data["system_id"], str)):
        raise TypeError("name and system_id must be text")
    return HostIdentity(
        name=data["name"],
        system_id=data["system_id"],
        role=data["role"],
        address=IPv4Address(data["address"]),
        controllers=tuple(map(str, data["controllers"])),
        southbound=tuple(map(str, data["southbound"])),
        gateway=IPv4Address(data["gateway"]),
        uplink=None if data.get("uplink") is None else str(data["uplink"]),
        pool=IPv4Network(data["pool"]),
        hosts=IPv4Network(data["hosts"]),
        prefix=int(data["prefix"]),
        encryption=_encryption(data.get("encryption")),
    )


def _encryption(data: Mapping[str, Any] | None) -> Encryption | None:
    return Encryption(IPv4Network(data["network"]), int(data["port"])) if data else None
