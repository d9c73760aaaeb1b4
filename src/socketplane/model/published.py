"""Published ports: what of a container is reached at its host's addresses."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Self

from socketplane.model.spec import Protocol

ANY = IPv4Address("0.0.0.0")  # noqa: S104 - a name for it, nobody listens here
ANY6 = IPv6Address("::")
_FORM = re.compile(r"([0-9.]+|\[[0-9a-f:.]+\]):(\d{1,5})->(\d{1,5})/(tcp|udp|sctp)")


@dataclass(frozen=True, slots=True)
class Published:
    """A port of a container, and where its host answers for it."""

    protocol: Protocol
    address: IPv4Address | IPv6Address
    """One of the host's addresses; ANY or ANY6: at all of them of that version of IP."""
    host_port: int
    port: int
    """The container's."""

    @property
    def local(self) -> bool:
        """Whether only the host itself reaches it."""
        return self.address.is_loopback

    @property
    def everywhere(self) -> bool:
        """Whether it is at all of the host's addresses of its version of IP."""
        return self.address in (ANY, ANY6)

    def __lt__(self, other: Self) -> bool:
        """Order by protocol, version of IP, address and ports."""
        return self._order < other._order

    @property
    def _order(self) -> tuple[Protocol, int, int, int, int]:
        return self.protocol, self.address.version, int(self.address), self.host_port, self.port

    @property
    def claim(self) -> tuple[Protocol, IPv4Address | IPv6Address, int]:
        """What no two containers of a host can have."""
        return self.protocol, self.address, self.host_port

    def __str__(self) -> str:
        """Return it as `docker ps` writes it: 0.0.0.0:8080->80/tcp."""
        where = f"[{self.address}]" if self.address.version == 6 else self.address
        return f"{where}:{self.host_port}->{self.port}/{self.protocol}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return what `str` made a text of. ValueError: it did not."""
        found = _FORM.fullmatch(text)
        if found is None:
            raise ValueError(f"{text!r} is no published port")
        address, host_port, port, protocol = found.groups()
        return cls(Protocol(protocol), ip_address(address.strip("[]")), int(host_port), int(port))
