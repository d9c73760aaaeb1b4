"""Our own nftables table as text. Pure.

The host's stack must not be a way around policy: nothing of the outside enters through `sp0` but answers and what is sent
to published ports, which keeps its source; what the host itself sends has one source address, which policy knows. Drops
here are final, whatever other tables accept; accepts are not, which is why iptables needs lines of ours (see iptables.py).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Network, collapse_addresses

from socketplane.agent import askport, portrules, ruleset6
from socketplane.agent.encryption import rules as encryption
from socketplane.agent.floating import rules as floating
from socketplane.agent.hostport import NAME as SP0
from socketplane.agent.portrules import Forward
from socketplane.agent.ruleset6 import Boundary6
from socketplane.agent.veth import GROUP
from socketplane.config import GENEVE_PORT, RESOLVER_ADDRESS, RESOLVER_PORT
from socketplane.encryption import Encryption

TABLE = "socketplane"


@dataclass(frozen=True, slots=True)
class Boundary:
    """What the firewall tells apart."""

    pool: IPv4Network
    hosts: IPv4Network
    gateway: IPv4Address
    """Address of `sp0`."""
    internal: frozenset[IPv4Network] = frozenset()
    """Subnets that get no egress."""
    exits: frozenset[str] = frozenset()
    """Links by which containers' packets may leave."""
    resolvers: frozenset[IPv4Address] = frozenset()
    """Addresses at which containers ask this host's resolver; none: it is not asked."""
    underlay: IPv4Address | None = None
    """Where other hosts' tunnels end here."""
    ends: frozenset[str] = frozenset()
    """The link that has that address."""
    encryption: Encryption | None = None
    """None: tunnels leave and come in as they are."""
    guarded: frozenset[str] = frozenset()
    """Links that forward only because we need it: nothing but answers and published ports may come in there and go on."""
    forwards: frozenset[Forward] = frozenset()
    routed: frozenset[IPv4Network] = frozenset()
    """Subnets whose addresses are the outside's to use: let in as they are, and out with their own source."""
    neighbours: frozenset[IPv4Address] = frozenset()
    """The cluster's hosts on the underlay: they take nothing from outside that claims to be a container."""
    claims: frozenset[floating.Claim] = frozenset()
    internal6: frozenset[IPv6Network] = frozenset()
    routed6: frozenset[IPv6Network] = frozenset()
    ipv6: Boundary6 | None = None
    """None: no network has it."""


def nftables(boundary: Boundary) -> str:
    """Return the script that makes our table what it should be, in one atomic step."""
    pool, hosts, six = boundary.pool, boundary.hosts, boundary.ipv6
    ours = f"{{ {pool}, {hosts} }}"
    guarded, exits = _names(boundary.guarded), _names(boundary.exits)
    ends = _names(boundary.exits | boundary.ends)
    behind = f'meta iifkind "bridge"{f" iifname != {exits}" if exits else ""}'
    asking = askport.rules(_asked(boundary))
    tunnels = boundary.encryption.network if boundary.encryption else None
    # Masqueraded, it would come from this host's address: other hosts would take it for a tunnel's, and what is in it
    # for a packet that this host's policy let pass.
    forged = f'udp dport {GENEVE_PORT} drop comment "would pass for a tunnel of this host"'
    return f"""\
table inet {TABLE}
delete table inet {TABLE}
table inet {TABLE} {{
	set internal {{
		type ipv4_addr
		flags interval
		{_elements(boundary.internal)}
	}}

	set routed {{
		type ipv4_addr
		flags interval
		{_elements(boundary.routed)}
	}}

	set neighbours {{
		type ipv4_addr
		{_list(map(str, sorted(boundary.neighbours)))}
	}}
{ruleset6.sets(boundary.internal6, boundary.routed6)}
{portrules.maps(boundary.forwards)}{floating.maps(boundary.claims)}
	chain prerouting {{
		type filter hook prerouting priority raw; policy accept;
		meta iifgroup {GROUP} drop comment "copies of frames that Open vSwitch forwards in userspace"
		{_lines(encryption.arriving(tunnels))}
		{ruleset6.from_port(six)}
		iifname "{SP0}" ip saddr != {ours} drop comment "not a container's address"
		iifname "{SP0}" ip daddr 127.0.0.0/8 drop
		iifname {{ "{SP0}", "lo" }} accept
		{_lines(asking.arriving)}
		ip saddr {ours} drop comment "claims to be a container or a host's own port"
		ip daddr @routed accept comment "policy judges, on the container's own host"
		ip daddr {ours} drop comment "from outside, by a route through this host"
		{ruleset6.from_elsewhere(six)}
	}}

{floating.CHAINS}
	chain dstnat {{
		type nat hook prerouting priority dstnat; policy accept;
		{portrules.ARRIVING}
	}}

	chain dstnat_here {{
		type nat hook output priority -100; policy accept;
		{portrules.OWN}
	}}

{_names_chains(boundary)}
	chain input {{
		type filter hook input priority filter; policy accept;
		{_lines(encryption.received(tunnels))}
		iifname "{SP0}" {forged}
		meta iifkind "bridge" {f"iifname != {ends} " if ends else ""}{forged}
		{floating.INPUT}
		iifname "{SP0}" ct state invalid drop
		iifname "{SP0}" ip saddr @internal ct state new drop
		iifname "{SP0}" ip6 saddr @internal6 ct state new drop
	}}

	chain forward {{
		type filter hook forward priority filter; policy accept;
		{_lines(encryption.forwarded(tunnels))}
		{_lines(asking.forwarded)}
		iifname "{SP0}" {forged}
		{f"iifname != {exits} oifname {exits} {forged}" if exits else ""}
		iifname "{SP0}" ip saddr != @routed ct state invalid drop
		iifname "{SP0}" ip saddr @internal drop comment "internal networks have no way out"
		iifname "{SP0}" ip daddr {ours} drop comment "inside is not this way"
		{ruleset6.forwarded(six)}
		iifname "{SP0}" accept
		oifname "{SP0}" ip daddr @internal drop
		{behind} oifname "{SP0}" fib saddr . iif oif missing drop comment "policy judges by the source: it has to be true"
		{floating.forward(SP0)}
		{portrules.strays(SP0)}
		oifname "{SP0}" ct state established,related accept
		oifname "{SP0}" ct status dnat accept comment "published ports"
		oifname "{SP0}" ip daddr @routed accept comment "the first packet may have come by another host"
		{ruleset6.into_routed(six)}
		oifname "{SP0}" drop comment "nothing else enters"
		ip daddr {pool} drop comment "never to the outside, even while {SP0} is gone"
		{ruleset6.elsewhere(six)}
		{f'meta nfproto ipv4 iifname {guarded} drop comment "this machine is no router"' if guarded else ""}
	}}

{encryption.sent(tunnels)}
	chain leaving {{
		type filter hook postrouting priority filter; policy accept;
		{_lines(asking.leaving)}
		oifname != "{SP0}" ip daddr {pool} drop comment "never to the outside, even while {SP0} is gone"
		{ruleset6.leaving(six)}
	}}

	chain postrouting {{
		type nat hook postrouting priority srcnat - 1; policy accept;
		oifname "{SP0}" fib saddr type local snat ip to {boundary.gateway} comment "the host has one address"
		oifname "{SP0}" snat ip to ip saddr comment "and nobody else has it, whatever is masqueraded behind us"
		{floating.postrouting(SP0)}
		oifname != "{SP0}" ip saddr @routed ip daddr != @neighbours snat ip to ip saddr comment "as it is"
		oifname != "{SP0}" ip saddr {pool} masquerade
		{ruleset6.sources(six)}
	}}
}}
"""


def _names_chains(boundary: Boundary) -> str:
    """Return the chains that lead queries to the resolver: before Docker's own, which may know these addresses.

    Containers on Docker's bridges, and those in the host's network, can have its address from Docker's settings.
    """
    if not boundary.resolvers:
        return ""
    asked = _asked(boundary)
    port, lead = "meta l4proto { tcp, udp } th dport 53", f"dnat ip to {boundary.gateway}:{RESOLVER_PORT}"
    fixed = f"ip daddr {RESOLVER_ADDRESS} {port} {lead}"
    return f"""
	chain names {{
		type nat hook prerouting priority dstnat - 1; policy accept;
		iifname {{ "{SP0}", "{askport.PREFIX}*" }} ip saddr {boundary.pool} ip daddr {asked} {port} {lead} comment "names"
		iifname "docker0" {fixed}
		iifname "br-*" {fixed}
	}}

	chain names_host {{
		type nat hook output priority -101; policy accept;
		{fixed}
	}}
"""


def _asked(boundary: Boundary) -> str:
    return f"{{ {', '.join(map(str, sorted(boundary.resolvers)))} }}" if boundary.resolvers else ""


def _lines(rules: Iterable[str]) -> str:
    return "\n\t\t".join(rules)


def _elements(networks: Collection[IPv4Network]) -> str:
    if not networks:
        return ""
    return f"elements = {{ {', '.join(map(str, collapse_addresses(sorted(networks))))} }}"


def _list(entries: Iterable[str]) -> str:
    text = ", ".join(entries)
    return f"elements = {{ {text} }}" if text else ""


def _names(names: Collection[str]) -> str:
    return f"{{ {', '.join(f'{chr(34)}{name}{chr(34)}' for name in sorted(names))} }}" if names else ""
