"""Routed networks on this host: the subnets that the outside uses as they are, as the controller told them last."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from ipaddress import IPv4Address

from socketplane.agent.link import Link
from socketplane.agent.state import State
from socketplane.model.types import Subnet

Admit = Callable[[frozenset[Subnet], frozenset[IPv4Address]], Awaitable[None]]


class Routed:
    """Keeps the gateway open for the subnets of all routed networks, and for nothing else.

    Of all, whether or not they are in this Docker: a router may send here what is for a container of another host.
    """

    def __init__(self, state: State, link: Link, admit: Admit | None) -> None:
        """`admit` lets these subnets in and out, and keeps these addresses (of the cluster's hosts) apart."""
        self._state = state
        self._link = link
        self._admit = admit
        self._changed = asyncio.Event()
        self._admitted: tuple[frozenset[Subnet], frozenset[IPv4Address]] | None = None
        link.on_change(self._changed.set)

    async def run(self) -> None:
        """Keep it so for ever."""
        while True:
            self._changed.clear()
            if self._link.synced:
                self._remember()
            await self.apply()
            await self._changed.wait()

    async def apply(self) -> None:
        """Have the gateway as the state says."""
        wanted = self._state.routed, self._state.neighbours
        if self._admit is not None and wanted != self._admitted:
            self._admitted = None  # until it is: a failure is tried again
            await self._admit(*wanted)
            self._admitted = wanted

    def _remember(self) -> None:
        open_ones = [network for network in self._link.networks.values() if network.routed]
        routed: frozenset[Subnet] = frozenset(
            subnet for network in open_ones for subnet in (network.subnet, network.subnet6) if subnet is not None
        )
        neighbours = frozenset(IPv4Address(host.address) for host in self._link.hosts.values())
        if (routed, neighbours) != (self._state.routed, self._state.neighbours):
            self._state.routed, self._state.neighbours = routed, neighbours
            self._state.changed()
