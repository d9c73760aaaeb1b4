"""What of the firewall keeps encryption whole, as lines of nftables. Pure.

Tunnels leave and come in by the WireGuard device and no other: while it is gone, nothing of them does. And by that device
nothing but tunnels comes.
"""

from __future__ import annotations

from ipaddress import IPv4Network

from socketplane.config import GENEVE_PORT
from socketplane.encryption import DEVICE


def arriving(tunnels: IPv4Network | None) -> list[str]:
    """Return what is asked of every packet that comes in, from containers too."""
    if tunnels is None:
        return []
    other = f'iifname != {{ "{DEVICE}", "lo" }}'
    why = 'drop comment "where tunnels end is nobody else\'s to reach"'
    return [f"{other} ip daddr {tunnels} {why}", f"{other} ip saddr {tunnels} {why}"]


def received(tunnels: IPv4Network | None) -> list[str]:
    """Return what is asked of packets to this host."""
    if tunnels is None:
        return []
    return [
        f'iifname != "{DEVICE}" udp dport {GENEVE_PORT} drop comment "tunnels come encrypted"',
        f'iifname "{DEVICE}" meta l4proto != {{ icmp, udp }} drop comment "tunnels and nothing else"',
        f'iifname "{DEVICE}" udp dport != {GENEVE_PORT} drop',
    ]


def forwarded(tunnels: IPv4Network | None) -> list[str]:
    """Return what is asked of packets on their way through this host."""
    if tunnels is None:
        return []
    return [f'iifname "{DEVICE}" drop', f'oifname "{DEVICE}" drop comment "what is behind this host has no tunnel"']


def sent(tunnels: IPv4Network | None) -> str:
    """Return the chain that is asked of what this host itself sends; nothing without encryption."""
    if tunnels is None:
        return ""
    return f"""
	chain output {{
		type filter hook output priority filter; policy accept;
		oifname != "{DEVICE}" udp dport {GENEVE_PORT} drop comment "tunnels leave encrypted, or not at all"
		oifname != {{ "{DEVICE}", "lo" }} ip daddr {tunnels} drop
	}}
"""
