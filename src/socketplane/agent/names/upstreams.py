"""Which name servers this host uses, and which of them Docker hands to containers. Pure but for reading files."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path

import orjson

AT_MOST = 3
"""As in resolv.conf(5)."""
_STUB = IPv4Address("127.0.0.53")
_DOCKERS_OWN = (IPv4Address("8.8.8.8"), IPv4Address("8.8.4.4"))


@dataclass(frozen=True, slots=True)
class Servers:
    """`asked` are those that our resolver asks, in order; `handed` those that Docker's resolver asks for containers."""

    asked: tuple[IPv4Address, ...] = ()
    handed: tuple[IPv4Address, ...] = ()
    of_docker: bool = False
    """Whether Docker's own settings name them: then it asks from the container, whatever its version."""
    complaint: str = ""
    """Why Docker's own settings could not be read."""

    @property
    def loopback_only(self) -> bool:
        """Whether Docker asks only servers on this host's loopback, from where we can't tell who asks."""
        return bool(self.handed) and all(address.is_loopback for address in self.handed)


def read(root: Path, own: Sequence[IPv4Address]) -> Servers:
    """Read the host's settings and Docker's; `own` are our own addresses, which are never asked. Blocks on the disk."""
    listed = _nameservers(_text(root / "etc/resolv.conf"))
    handed, complaint = _of_docker(root / "etc/docker/daemon.json")
    # Whom Docker would ask for containers knows what they should know.
    for_containers = tuple(address for address in handed if not address.is_loopback and address not in own)
    asked = (for_containers or tuple(address for address in listed if address not in own))[:AT_MOST]
    of_docker = bool(handed)
    if not of_docker:
        handed = listed
        if listed == (_STUB,):  # Docker looks behind systemd's stub
            handed = _nameservers(_text(root / "run/systemd/resolve/resolv.conf")) or listed
    return Servers(asked or _DOCKERS_OWN, handed or _DOCKERS_OWN, of_docker, complaint)


def _of_docker(path: Path) -> tuple[tuple[IPv4Address, ...], str]:
    text = _text(path)
    if not text.strip():
        return (), ""
    try:
        told = orjson.loads(text)
        listed = told.get("dns") or []
        return tuple(address for address in map(_address, listed) if address is not None), ""
    except (ValueError, AttributeError, TypeError) as error:
        return (), f"{path} can't be understood: {error}"


def _nameservers(text: str) -> tuple[IPv4Address, ...]:
    words = (line.split() for line in text.splitlines())
    found = (_address(word[1]) for word in words if len(word) > 1 and word[0] == "nameserver")
    return tuple(dict.fromkeys(address for address in found if address is not None))


def _address(text: object) -> IPv4Address | None:
    with suppress(ValueError):
        return IPv4Address(str(text))
    return None


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
