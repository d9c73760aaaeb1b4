"""Addresses outside: one for each set of those that policies can't tell apart."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from ipaddress import IPv4Address, IPv6Address

from socketplane.model.cells import blocks_in, underlay
from socketplane.model.prefixes import Prefixes
from socketplane.model.selection import View
from socketplane.model.spec import Block, Policy
from socketplane.model.types import Address, Subnet


def outside(view: View, policies: Collection[Policy], version: int = 4) -> Mapping[Subnet, Address]:
    """Return prefixes, with an address of each: the longest prefix around an address outside tells what holds for it."""
    blocks = {block for policy in policies for block in blocks_in(policy)} | {
        Block(cidr) for cidr in underlay(view, policies)
    }
    prefixes = Prefixes(view.cluster, blocks, version)
    wanted = set(prefixes.outside())
    numbers = {int(each.network_address) for each in prefixes} | {int(each.broadcast_address) + 1 for each in prefixes}
    kind, bits = (IPv4Address, 32) if version == 4 else (IPv6Address, 128)
    found: dict[Subnet, Address] = {}
    for number in sorted(numbers):
        if number < 1 << bits and (prefix := prefixes.of(address := kind(number))) in wanted:
            found.setdefault(prefix, address)
    return found
