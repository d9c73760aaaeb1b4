"""Endpoints' ports with and without a detour (see `shaping_links`): which end is Open vSwitch's, and how that changes."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import partial

from pyroute2 import IPRoute

from socketplane.agent import shaping_links as links
from socketplane.agent.netlink import Netlink, find_link
from socketplane.agent.rows import SwitchPort
from socketplane.agent.shaping_links import switch_end
from socketplane.agent.switch import Switch
from socketplane.agent.veth import host_end
from socketplane.errors import NotFound, Unavailable
from socketplane.model.traffic import Limits

_TAKEN = 2.0
"""Seconds that OVN has to take a port in."""
_KEYS = ("iface-id", "iface-id-ver", "attached-mac")
"""What goes along in `external_ids` when a port moves; the rest is OVN's to say anew."""


class Detours:
    """Takes endpoints by way of a second veth pair and back. Callers hold the endpoint's lock."""

    def __init__(self, switch: Switch, netlink: Netlink, owner: str) -> None:
        self._switch = switch
        self._netlink = netlink
        self._owner = owner
        self._known: set[str] = set()

    async def look(self) -> None:
        """Find what is there: once, before anything else."""
        self._known = set(await self._netlink.call(links.present))

    def all(self) -> frozenset[str]:
        """Return the ids of endpoints that have a detour, finished or not."""
        rows = self._switch.interfaces(self._owner)
        named = {row["external_ids"].get("iface-id-ver") or row["name"][2:] for row in rows if row["name"][:2] == "sw"}
        return frozenset(named | self._known)

    def port(self, endpoint_id: str) -> str:
        """Return the name of the endpoint's port on br-int."""
        taken = self._switch.interface(switch_end(endpoint_id)) is not None
        return switch_end(endpoint_id) if taken else host_end(endpoint_id)

    async def take(self, endpoint_id: str, limits: Limits) -> bool:
        """Have all of the endpoint's packets pass its limits; return whether there was something to do.

        NotFound: the endpoint has no port here.
        """
        own, end = host_end(endpoint_id), switch_end(endpoint_id)
        if self._switch.interface(end) is not None and not await self._netlink.call(partial(find_link, ifname=end)):
            await self._move(end, own)  # somebody took the pair away: its port is dead
        ensure = partial(links.ensure, endpoint_id=endpoint_id, limits=limits)
        self._forget(endpoint_id)  # of an unfinished one less than its whole id is known
        self._known.add(endpoint_id)
        try:
            await self._netlink.call(partial(links.ensure_pair, endpoint_id=endpoint_id))
            moved = await self._move(own, end, ensure)
            # ovs-vswitchd takes what it finds on a port of its own away: only now it is none for certain.
            return await self._netlink.call(ensure) or moved
        except NotFound:
            self._known.discard(endpoint_id)
            raise

    async def leave(self, endpoint_id: str) -> bool:
        """Take the endpoint's detour away; return whether there was one."""
        if not any(known[:12] == endpoint_id[:12] for known in self.all()):
            return False
        if self._switch.interface(switch_end(endpoint_id)) is not None:
            await self._move(switch_end(endpoint_id), host_end(endpoint_id))
        await self.remove(endpoint_id)
        return True

    async def remove(self, endpoint_id: str) -> None:
        """Remove the detour's links, whatever becomes of the port."""
        await self._netlink.call(partial(links.remove, endpoint_id=endpoint_id))
        self._forget(endpoint_id)

    def _forget(self, endpoint_id: str) -> None:
        self._known = {known for known in self._known if known[:12] != endpoint_id[:12]}

    async def _move(self, old: str, new: str, before: Callable[[IPRoute], object] | None = None) -> bool:
        """Give the endpoint's place in OVN from one port to another; return whether it was not there yet.

        The new one claims it before the old one goes: OVN then releases nothing, keeps the endpoint's conntrack zone, and
        its connections go on. It has to have taken in the old one before, and the new one after: of two steps at once it
        sees neither. `before` is called before the old one goes.
        """
        row = self._switch.interface(old)
        if row is None:
            if self._switch.interface(new) is None:
                raise NotFound(f"there is no port {old} on this host")
            return False
        ids = {key: row["external_ids"][key] for key in _KEYS if key in row["external_ids"]}
        await self._taken(old)
        await self._switch.put(SwitchPort(new, self._owner, ids))
        await self._switch.settled()
        if before is not None:
            await self._netlink.call(before)
        await self._switch.delete(old, self._owner)
        await self._taken(new)
        await self._switch.settled()
        return True

    async def _taken(self, port: str) -> None:
        with suppress(Unavailable):  # whoever needs the port to work waits for it, and says what is missing
            await self._switch.installed(port, _TAKEN)
