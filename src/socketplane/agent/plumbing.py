"""What the driver needs of this host's network, as a type: no netlink, no OVSDB behind it."""

from __future__ import annotations

from typing import Protocol

from socketplane.model.forwarding import Traits
from socketplane.model.traffic import Limits


class Plumbing(Protocol):
    """An endpoint's port on Open vSwitch. Every method may be repeated, and called for many endpoints at once."""

    @property
    def traits(self) -> Traits:
        """The datapath in use."""

    @property
    def mtu(self) -> int:
        """MTU of containers' interfaces."""

    async def underlay_mtu(self) -> int:
        """Return the MTU of the link that carries the tunnels; where that is gone, its last. 0: it was never there."""

    async def resize(self, mtu: int) -> frozenset[str]:
        """Have interfaces that are made from now on this MTU; return the ids of endpoints with another one."""

    async def fit(self, endpoint_id: str, pid: int | None) -> None:
        """Give an endpoint's interface that MTU, at both ends. `pid` is a process in the container, if there is one.

        NotFound: the container's end is not there. What has the MTU is no more among what `resize` returns.
        """

    async def attach(self, endpoint_id: str, mac: str, mtu: int) -> str:
        """Make (or repair) the endpoint's veth and its port on br-int; return the name of the container's end.

        All or nothing: when it fails, what it made is gone again. Unavailable: Open vSwitch does not answer.
        """

    async def detach(self, endpoint_id: str) -> None:
        """Remove the endpoint's port and veth, wherever the container's end is now. Nothing there is fine too."""

    async def installed(self, endpoint_id: str, timeout: float) -> None:  # noqa: ASYNC109 - the bound is the contract
        """Return once this host forwards and filters the endpoint's packets.

        Unavailable after `timeout` seconds, with what is missing in its message.
        """

    async def shape(self, endpoint_id: str, limits: Limits) -> bool:
        """Hold the endpoint to its limits (empty ones lift all); return whether that changed anything.

        Connections go on, but for a few packets where limits come or go. NotFound: it has no port here.
        """

    def shaped(self) -> frozenset[str]:
        """Return the ids of endpoints that are held to limits on this host, as `ports` does."""

    def ports(self) -> frozenset[str]:
        """Return the ids of endpoints that have a port or a veth of ours on this host, finished or not.

        Of a veth that a crash left unfinished only the first twelve digits may be known: `detach` takes these too.
        """
