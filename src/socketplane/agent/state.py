"""What the agent must know across its own restarts: which Docker network is which of the cluster's, and who is attached."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Any, Self
from uuid import UUID

import orjson
import structlog

from socketplane import wire
from socketplane.agent.asked import Asked
from socketplane.agent.encryption.peer import Peer
from socketplane.files import private_directory, write_atomic
from socketplane.model.published import Published
from socketplane.model.types import Address, Subnet, pool6_around

FORMAT = 1
_GONE_FOR = 600.0
_GONE_AT_MOST = 1000
_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class NetworkRecord:
    """A Docker network of this engine that is ours."""

    docker: str
    """Docker's id: another one on each host."""
    id: UUID
    subnet: IPv4Network
    gateway: IPv4Address
    internal: bool
    created: float
    """Seconds since the epoch."""
    subnet6: IPv6Network | None = None
    gateway6: IPv6Address | None = None


@dataclass(frozen=True, slots=True)
class EndpointRecord:
    """An endpoint that dockerd made and has not deleted."""

    id: str
    docker: str
    """Docker's id of the network."""
    network: UUID
    address: IPv4Address
    prefix: int
    mac: str
    put: bool = False
    """Whether the controller was told (or may have been)."""
    rate: int | None = None
    """What the user asked for with driver options, as `labels`."""
    labels: Mapping[str, str] = field(default_factory=dict)
    address6: IPv6Address | None = None
    published: tuple[Published, ...] = ()
    aliases: tuple[str, ...] | None = None
    """What else it is called on this network; None until Docker was asked."""

    @property
    def asked(self) -> Asked:
        """What the user asked for."""
        return Asked(self.rate, self.labels)

    @property
    def addresses(self) -> tuple[Address, ...]:
        """Its addresses, IPv4's first."""
        return (self.address,) if self.address6 is None else (self.address, self.address6)

    @property
    def places(self) -> tuple[tuple[UUID, Address], ...]:
        """The same, each with the network."""
        return tuple((self.network, address) for address in self.addresses)


class State:
    """In memory, and in agent.json by atomic replacement. Changes are made on the loop; `save` makes them last."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._saving = asyncio.Lock()
        self._written = b""
        self._changed = asyncio.Event()
        self._listeners: list[Callable[[], None]] = []
        self.networks: dict[str, NetworkRecord] = {}
        """By Docker's id."""
        self.pools: dict[UUID, float] = {}
        """Pending networks that a RequestPool made, and when (seconds since the epoch); CreateNetwork takes them out."""
        self.tombstones: set[UUID] = set()
        """Networks that were removed with `docker network rm` while no controller could be told."""
        self.endpoints: dict[str, EndpointRecord] = {}
        self.unsettled: set[str] = set()
        """Endpoints that joined before Docker said who they are. In memory only."""
        self.gone: dict[str, float] = {}
        """Endpoints that were deleted lately, and when: what was listed before that must not bring them back."""
        self.removing: set[str] = set()
        """Docker networks that the agent itself removes: DeleteNetwork is not a user's wish. In memory only."""
        self.appearing: dict[Subnet, UUID] = {}
        """Networks that the agent is making in Docker now: the pools that dockerd asks for are theirs. In memory only."""
        self.floating: dict[Address, str] = {}
        """Floating addresses and the endpoints here that hold them, as the controller told it last."""
        self.rules = ""
        """The rules by which this host's connections were last looked at."""
        self.mtu = 0
        """Of containers, as it was last; 0 where that is not known."""
        self.log: tuple[int, int] | None = None
        """Inode and position of ovn-controller's log, up to which the controller knows what was refused."""
        self.routed: frozenset[Subnet] = frozenset()
        """Subnets of all routed networks, IPv6's too, as the controller told them last."""
        self.neighbours: frozenset[IPv4Address] = frozenset()
        """The underlay addresses of the cluster's hosts, likewise."""
        self.peers: tuple[Peer, ...] = ()
        """Whom this host has encrypted tunnels to, likewise."""
        self.deleting: dict[str, float] = {}
        """Docker networks between DeleteNetwork and their end in Docker, and when. In memory only."""

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read the file. One that can't be understood is put aside: Docker and the controller know enough to go on."""
        state = cls(path)
        try:
            state._fill(orjson.loads(path.read_bytes()))
        except FileNotFoundError:
            pass
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            aside = path.with_name(path.name + ".broken")
            path.replace(aside)
            _log.error("state.unreadable", reason=str(error), kept=str(aside))
            return cls(path)
        return state

    def by_network(self, network: UUID) -> NetworkRecord | None:
        """Return the Docker network that stands for the cluster's network on this engine."""
        return next((record for record in self.networks.values() if record.id == network), None)

    def on_change(self, listener: Callable[[], None]) -> None:
        """Have `listener` called whenever something may have changed."""
        self._listeners.append(listener)

    def changed(self) -> None:
        """Have the state written soon, without waiting for it: for what can be rebuilt from Docker."""
        self._changed.set()
        for listener in self._listeners:
            listener()

    def remember_mtu(self, mtu: int) -> None:
        """Note what MTU containers have."""
        if mtu != self.mtu:
            self.mtu = mtu
            self.changed()

    def mark_put(self, endpoint: str) -> None:
        """Note that the controller may know the endpoint from now on."""
        record = self.endpoints.get(endpoint)
        if record and not record.put:
            self.endpoints[endpoint] = replace(record, put=True)
            self.changed()

    def drop_endpoint(self, endpoint: str, now: float) -> EndpointRecord | None:
        """Forget an endpoint, and remember for a while that it is gone: Docker never uses its id again."""
        if len(self.gone) >= _GONE_AT_MOST:
            self.gone = {key: at for key, at in self.gone.items() if now - at < _GONE_FOR}
        self.gone[endpoint] = now
        self.unsettled.discard(endpoint)
        record = self.endpoints.pop(endpoint, None)
        self.changed()
        return record

    async def save(self) -> None:
        """Write the state as it is now; returns once it would survive a power cut."""
        async with self._saving:
            self._changed.clear()
            data = orjson.dumps(self._as_json(), option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS)
            if data == self._written:
                return
            await asyncio.to_thread(self._write, data)
            self._written = data

    async def run(self) -> None:
        """Write what `changed` announced, several changes at a time."""
        while True:
            await self._changed.wait()
            await asyncio.sleep(0.1)
            try:
                await self.save()
            except OSError as error:
                _log.error("state.unwritable", path=str(self._path), reason=str(error))
                await asyncio.sleep(5)
                self._changed.set()

    def _write(self, data: bytes) -> None:
        private_directory(self._path.parent)
        write_atomic(self._path, data)

    def _as_json(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "networks": [_plain(record) for record in self.networks.values()],
            "pools": {str(key): value for key, value in self.pools.items()},
            "tombstones": sorted(map(str, self.tombstones)),
            "endpoints": [_plain(record) for record in self.endpoints.values()],
            "floating": {str(address): endpoint for address, endpoint in self.floating.items()},
            "rules": self.rules,
            "log": self.log,
            "routed": sorted(map(str, self.routed)),
            "neighbours": sorted(map(str, self.neighbours)),
            "mtu": self.mtu,
            "peers": [peer.stored() for peer in self.peers],
        }

    def _fill(self, data: Mapping[str, Any]) -> None:
        if data["format"] != FORMAT:
            raise ValueError(f"format {data['format']}, this release reads {FORMAT}")
        for entry in data["networks"]:
            record = NetworkRecord(
                docker=entry["docker"],
                id=UUID(entry["id"]),
                subnet=IPv4Network(entry["subnet"]),
                gateway=IPv4Address(entry["gateway"]),
                internal=bool(entry["internal"]),
                created=float(entry["created"]),
                subnet6=IPv6Network(entry["subnet6"]) if entry.get("subnet6") else None,
                gateway6=IPv6Address(entry["gateway6"]) if entry.get("gateway6") else None,
            )
            self.networks[record.docker] = record
        self.pools = {UUID(key): float(value) for key, value in data["pools"].items()}
        self.tombstones = {UUID(entry) for entry in data["tombstones"]}
        self.floating = {ip_address(key): str(value) for key, value in (data.get("floating") or {}).items()}
        self.rules = str(data.get("rules", ""))
        self.routed = frozenset(map(ip_network, data.get("routed") or ()))
        self.neighbours = frozenset(map(IPv4Address, data.get("neighbours") or ()))
        inode, position = data.get("log") or (0, 0)
        self.log = (int(inode), int(position)) if inode else None
        self.mtu = int(data.get("mtu", 0))
        self.peers = tuple(map(Peer.read, data.get("peers") or ()))
        for entry in data["endpoints"]:
            endpoint = EndpointRecord(
                id=entry["id"],
                docker=entry["docker"],
                network=UUID(entry["network"]),
                address=IPv4Address(entry["address"]),
                prefix=int(entry["prefix"]),
                mac=entry["mac"],
                put=bool(entry["put"]),
                rate=entry.get("rate"),
                labels=dict(entry.get("labels") or {}),
                address6=IPv6Address(entry["address6"]) if entry.get("address6") else None,
                published=tuple(map(Published.parse, entry.get("published") or ())),
                aliases=None if entry.get("aliases") is None else tuple(map(str, entry["aliases"])),
            )
            self.endpoints[endpoint.id] = endpoint


def pool6_of(networks: Iterable[wire.Network | NetworkRecord]) -> IPv6Network | None:
    """Return from what networks have IPv6; None where none that leads out has it."""
    subnets = (network.subnet6 for network in networks if network.subnet6 and not network.internal)
    return next(map(pool6_around, subnets), None)


def _plain(record: NetworkRecord | EndpointRecord) -> dict[str, Any]:
    return {
        key: value if value is None or isinstance(value, bool | int | float | str | dict | tuple) else str(value)
        for key, value in asdict(record).items()
        if key != "published"
    } | ({"published": list(map(str, record.published))} if isinstance(record, EndpointRecord) else {})
