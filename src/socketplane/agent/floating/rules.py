"""Floating addresses in the host's firewall: parts of our nftables table. Pure.

What is sent to such an address is led to its container whatever the protocol, with the client's address, before anybody
else's rules look at it; what cannot be led is dropped, so that the host never answers in the container's place.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address


@dataclass(frozen=True, slots=True, order=True)
class Claim:
    """An address of the outside that leads to the container with the address `target`."""

    address: IPv4Address
    target: IPv4Address
    link: str
    """Where this host answers for it; empty: routers lead it here."""


def maps(claims: Collection[Claim]) -> str:
    """Return maps and sets."""
    lowest = sorted(claims, reverse=True)  # the last one of a key counts
    sources = {(claim.target, claim.link): claim.address for claim in lowest if claim.link}
    anywhere = {claim.target: claim.address for claim in lowest if not claim.link}
    return f"""
	map floating {{
		type ipv4_addr : ipv4_addr
		{_list(f"{claim.address} : {claim.target}" for claim in sorted(claims))}
	}}

	map floating_sources {{
		type ipv4_addr . ifname : ipv4_addr
		{_list(f'{target} . "{link}" : {address}' for (target, link), address in sorted(sources.items()))}
	}}

	map floating_sources_anywhere {{
		type ipv4_addr : ipv4_addr
		{_list(f"{target} : {address}" for target, address in sorted(anywhere.items()))}
	}}

	set floating_pairs {{
		type ipv4_addr . ipv4_addr
		{_list(f"{claim.address} . {claim.target}" for claim in sorted(claims))}
	}}

	set floating_addresses {{
		type ipv4_addr
		{_list(f"{claim.address}" for claim in sorted(claims))}
	}}
"""


CHAINS = """
	chain floating_in {
		type nat hook prerouting priority dstnat - 2; policy accept;
		dnat ip to ip daddr map @floating
	}

	chain floating_here {
		type nat hook output priority -102; policy accept;
		dnat ip to ip daddr map @floating
	}
"""

INPUT = 'ip daddr @floating_addresses ct state != { established, related } drop comment "a container\'s, and not led to it"'
"""In `input`: what is of no connection is not led, and the host would answer it. Answers to the host itself pass."""


def forward(link: str) -> str:
    """Return the lines of `forward` about what goes to containers by `link`: before the ones about published ports."""
    led = f'oifname "{link}" ct status dnat ct direction original'
    return f"""\
{led} ct original ip daddr . ip daddr @floating_pairs accept comment "floating addresses"
		{led} ct original protocol != {{ tcp, udp, sctp }} drop comment "was led by a floating address that it lost"
"""


def postrouting(link: str) -> str:
    """Return the lines of `postrouting` that give what a container opens its own address: that of the link comes first."""
    return f"""\
oifname != "{link}" snat ip to ip saddr . oifname map @floating_sources
		oifname != "{link}" snat ip to ip saddr map @floating_sources_anywhere"""


def _list(entries: Iterable[str]) -> str:
    text = ", ".join(entries)
    return f"elements = {{ {text} }}" if text else ""
