"""Which container has a floating address."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace

from socketplane.controller.draft import Draft
from socketplane.controller.intent import Intent
from socketplane.model.floating import Floating
from socketplane.model.spec import Labels
from socketplane.model.types import Address, Endpoint, effective_labels


def elect(draft: Draft, addresses: Iterable[Address], silent: Collection[str]) -> None:
    """Give each of these addresses to the oldest container that may have it, unless one that may has it already.

    Containers of `silent` hosts lose theirs to others only: the host that claims it finds out whether it is in use still.
    """
    intent = draft.intent
    for address in addresses:
        floating = intent.floating.get(address)
        if floating is not None and (holder := _holder(intent, floating, silent)) != floating.holder:
            draft.put(replace(floating, holder=holder))


def selects(labels: Labels, endpoint: Endpoint, intent: Intent) -> bool:
    """Return whether an endpoint has these labels; of one that is not known nobody can say it."""
    name = intent.network_name(endpoint.network)
    return bool(endpoint.known and name and labels.items() <= effective_labels(endpoint, name).items())


def _holder(intent: Intent, floating: Floating, silent: Collection[str]) -> str:
    present = intent.endpoints.get(floating.holder)
    if present is not None and not _fits(intent, floating, present):
        present = None
    if present is not None and present.host not in silent:
        return present.id
    network = intent.network_of_name.get(floating.network)
    members = [intent.endpoints[key] for key in (intent.endpoints_of_network.get(network, ()) if network else ())]
    fit = [member for member in members if _fits(intent, floating, member)]
    heard = [member for member in fit if member.host not in silent]
    choice = heard or ([present] if present else fit)
    return min(choice, key=lambda member: (member.created, member.id)).id if choice else ""


def _fits(intent: Intent, floating: Floating, endpoint: Endpoint) -> bool:
    network = intent.networks.get(endpoint.network)
    if network is None or network.name != floating.network or network.internal:
        return False
    if floating.address.version == 6 and endpoint.address6 is None:
        return False
    return selects(floating.labels, endpoint, intent)
