"""The agent's part that keeps floating addresses, and what a LAN knows of them."""

from __future__ import annotations

import json
import socket
from ipaddress import IPv4Address, IPv6Address
from types import SimpleNamespace
from uuid import uuid4

import pytest
from datapath_site import Container
from machine import Machine, Namespace

from socketplane.agent.floating.claimer import Claimer
from socketplane.agent.floating.ground import Ground
from socketplane.agent.gateway import Gateway
from socketplane.agent.netlink import Netlink
from socketplane.agent.state import EndpointRecord, State
from socketplane.model.types import Address


class ClaimingHost:
    """The agent's part that keeps floating addresses, with the state file as the controller and Docker left it."""

    def __init__(self, state: State, netlink: Netlink, gateway: Gateway) -> None:
        self.link = SimpleNamespace(
            on_floating=lambda hear: setattr(self, "hear", hear), on_bgp=lambda _: None, synced=True
        )
        self.state = state
        self.claimer = Claimer(self.state, self.link, Ground(netlink, gateway.lead_floating))  # type: ignore[arg-type]

    async def give(self, *given: tuple[Address, Container]) -> None:
        """Have the controller say who has which address, and do it."""
        for _, container in given:
            self.state.endpoints[container.id] = EndpointRecord(
                container.id,
                "",
                uuid4(),
                IPv4Address(container.address),
                22,
                "",
                address6=IPv6Address(container.address6),
            )
        self.hear({address: container.id for address, container in given})  # type: ignore[attr-defined]
        await self.claimer.reconcile()
        await self.state.save()

    def said(self) -> dict[str, str]:
        """Return what the controller is told: where each address is claimed, or why not."""
        return {str(claim.address): claim.link or claim.problem for claim in self.claimer.claims}


async def end_with_the_claim(later: ClaimingHost, address: Address, other: Container, *ends: socket.socket) -> None:
    """Give an address to another container; of a connection open by it, both ends hear nothing of one another any more."""
    ours, theirs = ends
    await later.give((address, other))
    ours.sendall(b"and now?")
    with pytest.raises(ConnectionResetError):
        ours.recv(1)
    theirs.settimeout(0.2)
    with pytest.raises(TimeoutError):
        theirs.recv(1)


def hardware(where: Namespace | Machine, link: str) -> str:
    """Return a link's MAC."""
    return str(json.loads(where.run("ip", "-json", "link", "show", link))[0]["address"])


def neighbour(outside: Namespace, address: object) -> str:
    """Return what a machine of the LAN knows of an address."""
    return outside.run("ip", "neigh", "show", str(address)).strip()
