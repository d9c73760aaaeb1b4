"""What the firewall says of IPv6, as text: the same as of IPv4, in lines for the same chains. Pure.

While no network has IPv6, nothing of it passes `sp0`.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, collapse_addresses

from socketplane.agent.hostport import NAME as SP0
from socketplane.model.types import host6, hosts6


@dataclass(frozen=True, slots=True)
class Boundary6:
    """What it tells apart. `gateway` and `hosts` are IPv6's."""

    pool: IPv6Network
    hosts: IPv6Network
    gateway: IPv6Address
    exits: frozenset[str] = frozenset()
    """Links by which containers' packets may leave."""
    guarded: bool = False
    """The machine forwards only because we need it: nothing but what is ours may be forwarded."""

    @staticmethod
    def beside(
        pool: IPv6Network, hosts: IPv4Network, gateway: IPv4Address, exits: Collection[str], *, guarded: bool
    ) -> Boundary6:
        """Return what belongs to the addresses of IPv4."""
        return Boundary6(pool, hosts6(hosts), host6(gateway), frozenset(exits), guarded)

    @property
    def ours(self) -> str:
        """The addresses of containers and hosts' own ports, as a set."""
        return f"{{ {self.pool}, {self.hosts} }}"


def sets(internal: Collection[IPv6Network], routed: Collection[IPv6Network]) -> str:
    """Return the sets of subnets that get no egress, and of those whose addresses are the outside's to use."""
    return _set("internal6", internal) + _set("routed6", routed)


def _set(name: str, subnets: Collection[IPv6Network]) -> str:
    networks = ", ".join(map(str, collapse_addresses(sorted(subnets))))
    return f"""
	set {name} {{
		type ipv6_addr
		flags interval
		{f"elements = {{ {networks} }}" if networks else ""}
	}}
"""


def from_port(boundary: Boundary6 | None) -> str:
    """Return what must not come in by `sp0`."""
    if boundary is None:
        return f'iifname "{SP0}" meta nfproto != ipv4 drop'
    return f'iifname "{SP0}" ip6 saddr != {boundary.ours} drop comment "not a container\'s address"'


def from_elsewhere(boundary: Boundary6 | None) -> str:
    """Return what must not come in by other links."""
    if boundary is None:
        return ""
    return f"""ip6 saddr {boundary.ours} drop comment "claims to be a container or a host's own port"
		ip6 daddr @routed6 accept comment "policy judges, on the container's own host"
		ip6 daddr {boundary.ours} drop comment "from outside, by a route through this host\""""


def forwarded(boundary: Boundary6 | None) -> str:
    """Return what must not be forwarded from `sp0`, or to it."""
    inside = f'iifname "{SP0}" ip6 daddr {boundary.ours} drop comment "inside is not this way"' if boundary else ""
    return f"""iifname "{SP0}" ip6 saddr != @routed6 ct state invalid drop
		iifname "{SP0}" ip6 saddr @internal6 drop comment "internal networks have no way out"
		oifname "{SP0}" ip6 daddr @internal6 drop
		{inside}"""


def into_routed(boundary: Boundary6 | None) -> str:
    """Return what lets the outside into routed networks."""
    return f'oifname "{SP0}" ip6 daddr @routed6 accept' if boundary else ""


def elsewhere(boundary: Boundary6 | None) -> str:
    """Return what must not be forwarded between other links."""
    if boundary is None:
        return ""
    guard = 'meta nfproto ipv6 drop comment "this machine is no router"' if boundary.guarded else ""
    return f"""{leaving(boundary)}
		{guard}"""


def leaving(boundary: Boundary6 | None) -> str:
    """Return what must not leave by other links."""
    if boundary is None:
        return ""
    return f'oifname != "{SP0}" ip6 daddr {boundary.pool} drop comment "never to the outside, even while {SP0} is gone"'


def sources(boundary: Boundary6 | None) -> str:
    """Return whose address what goes out has."""
    if boundary is None:
        return ""
    return f"""oifname "{SP0}" fib saddr type local snat ip6 to {boundary.gateway} comment "the host has one address"
		oifname "{SP0}" snat ip6 to ip6 saddr comment "and nobody else has it"
		oifname != "{SP0}" ip6 saddr @routed6 snat ip6 to ip6 saddr comment "as it is"
		oifname != "{SP0}" ip6 saddr {boundary.pool} masquerade"""
