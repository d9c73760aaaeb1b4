"""Published ports in the host's firewall: parts of our nftables table, of IPv4 and of IPv6. Pure.

What is sent to ::1 can't be led: answers to an address that is the loopback's alone are dropped by the kernel where they
come in elsewhere, and IPv6 has no `route_localnet`. It is refused at once, so that clients go on to 127.0.0.1.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from socketplane.model.published import Published
from socketplane.model.types import Address

_TRANSPORT = "meta l4proto { tcp, udp, sctp }"
_PORT = "meta l4proto . th dport"
_VERSIONS = {4: ("ip", "ipv4_addr", ""), 6: ("ip6", "ipv6_addr", "6")}
"""Of IP: its word, the type of its addresses, and the end of our names."""


@dataclass(frozen=True, slots=True, order=True)
class Forward:
    """A published port of the container with the address `target`, of the same version of IP."""

    published: Published
    target: Address


def maps(forwards: Collection[Forward]) -> str:
    """Return maps from where hosts answer to containers, and the set of what of containers is published."""
    both = (_maps([each for each in forwards if each.target.version == version], version) for version in _VERSIONS)
    return "".join([*both, _loopback6([each.published for each in forwards if each.target.version == 6])])


def _maps(forwards: Collection[Forward], version: int) -> str:
    _, kind, end = _VERSIONS[version]
    return f"""
	map published{end} {{
		type {kind} . inet_proto . inet_service : {kind} . inet_service
		{_list(_at_one(forwards, local=False))}
	}}

	map published_everywhere{end} {{
		type inet_proto . inet_service : {kind} . inet_service
		{_list(_everywhere(forwards))}
	}}

	map published_here{end} {{
		type {kind} . inet_proto . inet_service : {kind} . inet_service
		{_list(_at_one(forwards, local=True))}
	}}

	set targets{end} {{
		type {kind} . inet_proto . inet_service
		{_list(_targets(forwards))}
	}}
"""


def _loopback6(published: Iterable[Published]) -> str:
    ports = sorted({f"{each.protocol} . {each.host_port}" for each in published if each.everywhere})
    refused = f"ip6 daddr ::1 {_TRANSPORT} {_PORT} @loopback6"
    return f"""
	set loopback6 {{
		type inet_proto . inet_service
		{_list(ports)}
	}}

	chain own_loopback6 {{
		type filter hook output priority filter; policy accept;
		{refused} meta l4proto tcp reject with tcp reset
		{refused} reject
	}}
"""


def _leading(version: int, names: Iterable[str], where: str = "") -> Iterator[str]:
    ip, _, end = _VERSIONS[version]
    for name in names:
        yield f"{_TRANSPORT} dnat {ip} to {ip} daddr . {_PORT} map @{name}{end}"
    yield f"{where}{_TRANSPORT} fib daddr type local dnat {ip} to {_PORT} map @published_everywhere{end}"


ARRIVING = "\n\t\t".join([*_leading(4, ["published"]), *_leading(6, ["published"])])
"""What leads what comes from outside."""
OWN = "\n\t\t".join([*_leading(4, ["published_here", "published"]), *_leading(6, ["published"], "ip6 daddr != ::1 ")])
"""What leads what the host itself sends."""


def strays(link: str) -> str:
    """Return the lines of `forward` that end what was led by `link` to what isn't published any more."""
    led = f'oifname "{link}" ct status dnat ct direction original {_TRANSPORT}'
    return "\n\t\t".join(f"{led} {ip} daddr . {_PORT} != @targets{end} drop" for ip, _, end in _VERSIONS.values())


def _at_one(forwards: Collection[Forward], *, local: bool) -> Iterator[str]:
    for forward in sorted(forwards):
        published = forward.published
        if not published.everywhere and published.local is local:
            key = f"{published.address} . {published.protocol} . {published.host_port}"
            yield f"{key} : {forward.target} . {published.port}"


def _everywhere(forwards: Collection[Forward]) -> Iterator[str]:
    for forward in sorted(forwards):
        published = forward.published
        if published.everywhere:
            yield f"{published.protocol} . {published.host_port} : {forward.target} . {published.port}"


def _targets(forwards: Collection[Forward]) -> list[str]:
    return sorted({f"{each.target} . {each.published.protocol} . {each.published.port}" for each in forwards})


def _list(entries: Iterable[str]) -> str:
    text = ", ".join(entries)
    return f"elements = {{ {text} }}" if text else ""
