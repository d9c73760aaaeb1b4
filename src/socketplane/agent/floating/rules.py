"""Floating addresses in the host's firewall: parts of our nftables table, of IPv4 and of IPv6. Pure.

What is sent to such an address is led to its container whatever the protocol, with the client's address, before anybody
else's rules look at it; what cannot be led is dropped, so that the host never answers in the container's place.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from socketplane.model.types import Address

_VERSIONS = {4: ("ip", "ipv4_addr", ""), 6: ("ip6", "ipv6_addr", "6")}
"""Of IP: its word, the type of its addresses, and the end of our names."""


@dataclass(frozen=True, slots=True, order=True)
class Claim:
    """An address of the outside that leads to the container with the address `target`, of the same version of IP."""

    address: Address
    target: Address
    link: str
    """Where this host answers for it; empty: routers lead it here."""


def maps(claims: Collection[Claim]) -> str:
    """Return maps and sets."""
    return "".join(_maps([claim for claim in claims if claim.address.version == version], version) for version in _VERSIONS)


def _maps(claims: Collection[Claim], version: int) -> str:
    _, kind, end = _VERSIONS[version]
    lowest = sorted(claims, reverse=True)  # the last one of a key counts
    sources = {(claim.target, claim.link): claim.address for claim in lowest if claim.link}
    anywhere = {claim.target: claim.address for claim in lowest if not claim.link}
    return f"""
	map floating{end} {{
		type {kind} : {kind}
		{_list(f"{claim.address} : {claim.target}" for claim in sorted(claims))}
	}}

	map floating_sources{end} {{
		type {kind} . ifname : {kind}
		{_list(f'{target} . "{link}" : {address}' for (target, link), address in sorted(sources.items()))}
	}}

	map floating_sources_anywhere{end} {{
		type {kind} : {kind}
		{_list(f"{target} : {address}" for target, address in sorted(anywhere.items()))}
	}}

	set floating_pairs{end} {{
		type {kind} . {kind}
		{_list(f"{claim.address} . {claim.target}" for claim in sorted(claims))}
	}}

	set floating_addresses{end} {{
		type {kind}
		{_list(f"{claim.address}" for claim in sorted(claims))}
	}}
"""


def _lines(line: str) -> str:
    """Return a line for each version of IP."""
    return "\n\t\t".join(line.format(ip=ip, end=end) for ip, _, end in _VERSIONS.values())


CHAINS = f"""
	chain floating_in {{
		type nat hook prerouting priority dstnat - 2; policy accept;
		{_lines("dnat {ip} to {ip} daddr map @floating{end}")}
	}}

	chain floating_here {{
		type nat hook output priority -102; policy accept;
		{_lines("dnat {ip} to {ip} daddr map @floating{end}")}
	}}
"""

_NEIGHBOURS = "icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert }"
INPUT = f"""ip6 daddr @floating_addresses6 {_NEIGHBOURS} accept comment "neighbours ask the link, and not the container"
		""" + _lines(
    "{ip} daddr @floating_addresses{end} ct state != {{ established, related }} drop"
    ' comment "a container\'s, and not led to it"'
)
"""In `input`: what is of no connection is not led, and the host would answer it. Answers to the host itself pass."""


def forward(link: str) -> str:
    """Return the lines of `forward` about what goes to containers by `link`: before the ones about published ports."""
    led = f'oifname "{link}" ct status dnat ct direction original'
    accepted = "ct original {ip} daddr . {ip} daddr @floating_pairs{end} accept"
    return f"""\
{_lines(f'{led} {accepted} comment "floating addresses"')}
		{led} ct original protocol != {{ tcp, udp, sctp }} drop comment "was led by a floating address that it lost"
"""


def postrouting(link: str) -> str:
    """Return the lines of `postrouting` that give what a container opens its own address: that of the link comes first."""
    leaves = f'oifname != "{link}" '
    return f"""\
{_lines(leaves + "snat {ip} to {ip} saddr . oifname map @floating_sources{end}")}
		{_lines(leaves + "snat {ip} to {ip} saddr map @floating_sources_anywhere{end}")}"""


def _list(entries: Iterable[str]) -> str:
    text = ", ".join(entries)
    return f"elements = {{ {text} }}" if text else ""
