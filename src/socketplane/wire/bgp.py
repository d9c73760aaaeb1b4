"""BGP: what is wanted, what hosts are told, and how their sessions are."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field, StringConstraints

from socketplane.wire.base import Name, Wire
from socketplane.wire.floating import AnyAddress

_RESERVED = (23456, 65535)


def _usable(asn: int) -> int:
    if asn in _RESERVED:
        raise ValueError(f"{asn} is reserved")
    return asn


Asn = Annotated[int, Field(ge=1, le=4294967294), AfterValidator(_usable)]
Password = Annotated[str, StringConstraints(pattern=r"^[!-~]{0,80}$"), Field(repr=False)]
"""What TCP MD5 takes, of what can be typed; a space is none of it."""


class BgpPut(Wire):
    """The AS number of the hosts, all the same."""

    asn: Asn


class BgpPeerCreate(Wire):
    """A router to tell of containers: by IPv4 of their IPv4 addresses, by IPv6 of those of IPv6.

    The same AS number as the hosts' makes it an internal peer.
    """

    address: AnyAddress
    asn: Asn
    host: Name | Annotated[str, StringConstraints(max_length=0)] = ""
    """The one host that has it; empty: all."""
    password: Password = ""


class BgpPeer(Wire):
    """A peer, without its password."""

    address: AnyAddress
    asn: int
    host: str = ""
    password: bool = False
    """Whether it has one."""


class BgpNeighbour(Wire):
    """A peer as its host is told."""

    address: AnyAddress
    asn: int
    password: str = Field(default="", repr=False)


class BgpSettings(Wire):
    """What a host is told; without `asn` it speaks no BGP."""

    asn: int | None = None
    peers: list[BgpNeighbour] = []


class BgpSession(Wire):
    """A host's session with a peer."""

    peer: AnyAddress
    established: bool = False
    since: float | None = None
    """Seconds since the epoch; while it is established."""
    reason: Annotated[str, StringConstraints(max_length=200)] = ""
    """Why it is not, as far as anybody knows."""
    refused: bool = False
    """Whether one of the two has said so: waiting does not help."""


class BgpStatus(Wire):
    """How BGP is on a host."""

    running: bool
    """Whether our bgpd answers."""
    version: str = ""
    sessions: Annotated[list[BgpSession], Field(max_length=1000)] = []
    announced: int = 0
    """Addresses that it tells its peers."""
    announced6: int = 0
    """Of these, those of IPv6: peers at IPv6 addresses are told of them, the others of the rest."""


class BgpHost(Wire):
    """A host, for whom wants to see all of it."""

    host: str
    silent: bool = False
    """Whether its agent was not heard for so long that the host is probably gone."""
    status: BgpStatus | None = None
    announced: list[AnyAddress] = []
    """The addresses that it has to announce."""


class Bgp(Wire):
    """BGP of the cluster; without `asn` there is none."""

    asn: int | None = None
    peers: list[BgpPeer] = []
    hosts: list[BgpHost] = []
