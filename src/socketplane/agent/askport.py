"""Ports by which containers of internal networks ask this host's resolver: `spn...` on br-int, one for each network.

They have no address, and nothing else leads there: the firewall takes questions in and lets answers out (`rules`), OVN
sends nothing else there and takes nothing else from there (`compile.asking`), and the kernel forwards nothing. Functions
that take an IPRoute block: run them through `Netlink.call`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import partial
from ipaddress import IPv4Address, IPv4Network
from uuid import UUID

import structlog
from pyroute2 import IPRoute

from socketplane.agent import poolroute, sysctl
from socketplane.agent.netlink import Netlink, find_link
from socketplane.agent.rows import SwitchPort
from socketplane.agent.switch import Switch
from socketplane.errors import Unavailable
from socketplane.model.types import mac_of

PREFIX = "spn"
_OWNER = "names"
_DIGITS = 12  # with the prefix as long as a link's name may be
_UP = 0x1
_SETTINGS = {
    "forwarding": "0",
    "rp_filter": "1",
    "arp_ignore": "8",  # no address of this host is told there
    "accept_redirects": "0",
    "send_redirects": "0",
}
_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Asking:
    """An internal network that has containers on this host."""

    network: UUID
    subnet: IPv4Network
    gateway: IPv4Address

    @property
    def link(self) -> str:
        """Name of the port."""
        return f"{PREFIX}{self.network.hex[:_DIGITS]}"

    def port(self, mtu: int) -> SwitchPort:
        """The port as Open vSwitch should have it."""
        ids = {"iface-id": f"sp-ask-{self.network}"}
        return SwitchPort(self.link, _OWNER, ids, type="internal", mac=mac_of(self.gateway), mtu=mtu)


@dataclass(frozen=True, slots=True)
class Rules:
    """What the firewall says of these ports, in the first, the forwarding and the last chain that packets meet."""

    arriving: list[str]
    forwarded: list[str]
    leaving: list[str]


class AskPorts:
    """This host's ports of that kind. `ensure` is idempotent and repairs; before `want` nothing is touched."""

    def __init__(self, switch: Switch, netlink: Netlink, mtu: int) -> None:
        self._switch = switch
        self._netlink = netlink
        self._mtu = mtu
        self._wanted: dict[str, Asking] | None = None
        self._lock = asyncio.Lock()

    async def want(self, networks: Iterable[Asking]) -> None:
        """Have ports for these networks and no others. Unavailable: Open vSwitch does not answer."""
        self._wanted = {asking.link: asking for asking in networks}
        await self.ensure()

    async def resize(self, mtu: int) -> None:
        """Give them that MTU."""
        self._mtu = mtu
        await self.ensure()

    async def ensure(self) -> None:
        """Set right what is not as it should be. Unavailable: Open vSwitch does not answer."""
        async with self._lock:
            wanted = self._wanted
            if wanted is None:
                return
            await self._switch.replica()
            for name in sorted(self._present() - wanted.keys()):
                await self._switch.retire(name, _OWNER)
                _log.info("names.port_removed", port=name)
            made = [asking for asking in wanted.values() if await self._switch.put(asking.port(self._mtu))]
            if made:
                await self._switch.settled()  # setting a tap's MAC takes it down
            await self._set_up(wanted.values())

    async def remove(self) -> None:
        """Take all away. Unavailable: Open vSwitch does not answer."""
        async with self._lock:
            self._wanted = None
            await self._switch.replica()
            if gone := [name for name in sorted(self._present()) if await self._switch.delete(name, _OWNER)]:
                await self._switch.settled()
                _log.info("names.ports_removed", ports=gone)

    def _present(self) -> set[str]:
        return {str(row["name"]) for row in self._switch.interfaces(_OWNER)}

    async def _set_up(self, wanted: Collection[Asking]) -> None:
        for asking in wanted:
            done = await self._netlink.call(partial(set_up, want=asking, mtu=self._mtu))
            if done is None:
                await self._switch.settled()
                done = await self._netlink.call(partial(set_up, want=asking, mtu=self._mtu))
            if done is None:
                raise Unavailable(f"ovs-vswitchd has not made {asking.link}", remedy="see ovs-vswitchd's log")
            if done:
                _log.info("names.port_set_up", port=asking.link, changed=done)


def set_up(ipr: IPRoute, want: Asking, mtu: int) -> list[str] | None:
    """Set right what is wrong with the link; return what that was, or None when there is no such link."""
    link = find_link(ipr, ifname=want.link)
    if link is None:
        return None
    done = [key for key, value in _SETTINGS.items() if sysctl.set_ipv4(want.link, key, value)]
    if sysctl.set_ipv6(want.link, "disable_ipv6", "1"):
        done.append("ipv6 off")
    if link.get("mtu") != mtu or not link["flags"] & _UP:
        ipr.link("set", index=link["index"], mtu=mtu, flags=_UP, change=_UP)
        done.append("link")
    if poolroute.ensure_part(ipr, want.subnet, index=link["index"]):
        done.append("route")
    return done


def rules(resolvers: str) -> Rules:
    """Return the firewall's rules for these ports; `resolvers` is the set of addresses that are asked, as nft writes it."""
    name = f'"{PREFIX}*"'
    asks = f"iifname {name} ip saddr @internal ip daddr {resolvers} meta l4proto {{ tcp, udp }} th dport 53 accept"
    return Rules(
        arriving=[
            *([asks] if resolvers else []),
            f'iifname {name} drop comment "internal networks ask for names, and that is all"',
        ],
        forwarded=[f"iifname {name} drop", f"oifname {name} drop"],
        leaving=[f"oifname {name} ct direction reply ct status dnat accept", f"oifname {name} drop"],
    )
