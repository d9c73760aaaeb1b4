"""What we did to this machine, kept so that `down` undoes that and no more."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from socketplane.errors import InvalidInput
from socketplane.files import private_directory, write_atomic
from socketplane.model.forwarding import KERNEL, USERSPACE, Traits


@dataclass(frozen=True, slots=True)
class Moved:
    """A NIC whose addresses and routes were moved to `br-phy`: how it was before."""

    nic: str
    mac: str
    mtu: int
    addresses: tuple[str, ...]
    """As `ip address add` takes them: address/length."""
    routes: tuple[tuple[str, ...], ...]
    """As `ip route add` takes them, without the device."""


@dataclass(frozen=True, slots=True)
class Record:
    """What is ours on this machine."""

    started: Mapping[str, str] = field(default_factory=dict)
    """Daemon -> boot in which we started it (without systemd), or `systemd`: we enabled its units."""
    external_ids: Mapping[str, str | None] = field(default_factory=dict)
    """Keys of Open_vSwitch that we set -> what stood there before, None for nothing."""
    moved: Moved | None = None
    containers: tuple[str, ...] = ()
    """Containers that `down` stopped and the next `up` starts again."""
    kernel: bool | None = None
    """Which datapath was chosen: the kernel's, or (False) Open vSwitch's own; None before the choice."""
    files: tuple[str, ...] = ()
    """Files outside our own folders that we made."""
    firewall: str = ""
    """Of which firewall we said what it has to let in."""
    segmentation: Literal["", "wanted", "on"] = ""
    """Whether we had Open vSwitch's own datapath take over segmentation; `wanted`: its process may not know yet."""

    @property
    def traits(self) -> Traits:
        """What the datapath is like; before the choice, as the kernel's."""
        return USERSPACE if self.kernel is False else KERNEL

    @staticmethod
    def load(path: Path) -> Record:
        """Read the record; an absent one is empty. Raises InvalidInput: it can't be understood."""
        try:
            data: dict[str, Any] = json.loads(path.read_text())
        except FileNotFoundError:
            return Record()
        except ValueError as error:
            raise InvalidInput(f"can't be understood: {error}", field=str(path)) from error
        known = {item.name for item in fields(Record)}
        data = {name: value for name, value in data.items() if name in known}
        if moved := data.pop("moved", None):
            routes = tuple(tuple(route) for route in moved.pop("routes"))
            data["moved"] = Moved(**moved | {"addresses": tuple(moved["addresses"]), "routes": routes})
        return Record(**data | {name: tuple(data.get(name, ())) for name in ("containers", "files")})

    def save(self, path: Path) -> None:
        """Write the record whole or not at all."""
        private_directory(path.parent)
        write_atomic(path, json.dumps(asdict(self), indent=2) + "\n")
