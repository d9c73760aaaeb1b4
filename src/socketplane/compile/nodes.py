"""Hosts as peers: what a selector of hosts selects, as a port group of their own ports, as long as a policy uses it.

OVN makes an address set of every port group, with all addresses that its ports have (see `hosts`): a host that comes,
goes or is relabelled is a change of its own memberships, and never one of rules.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from uuid import UUID

from socketplane.compile import names
from socketplane.compile.rows import Output, identity
from socketplane.compile.used import Used
from socketplane.model.spec import Hosts, Policy, Selector
from socketplane.model.types import Host, host_labels


class HostGroups:
    """The selectors of hosts that policies use."""

    def __init__(self) -> None:
        self._used = Used()

    def __contains__(self, selector: object) -> bool:
        return selector in self._used

    def replace(self, old: Policy | None, new: Policy | None) -> set[Selector]:
        """Note one policy in the place of another of its name; return the selectors that came or went."""
        return self._used.replace(old, _selectors(old), new, _selectors(new))

    def of(self, host: Host) -> list[Selector]:
        """Return those that select a host."""
        labels = host_labels(host)
        return [selector for selector in self._used if selector.matches(labels)]


def _selectors(policy: Policy | None) -> Iterator[Selector]:
    rules = (*(policy.spec.ingress or ()), *(policy.spec.egress or ())) if policy else ()
    return (peer.selector for rule in rules for peer in rule.peers or () if isinstance(peer, Hosts))


def compile_group(output: Output, selector: Selector) -> None:
    """Add a selector's group."""
    name = names.hosts_group(selector)
    output.row("Port_Group", name, {"name": name}, {"hosts": str(selector) or "all"})


def join_groups(output: Output, port: UUID, selectors: Collection[Selector]) -> None:
    """Add a host's port to the groups of those that select it."""
    for selector in selectors:
        group = identity(output.cluster, "Port_Group", names.hosts_group(selector))
        output.edge("Port_Group", group, "ports", port)
