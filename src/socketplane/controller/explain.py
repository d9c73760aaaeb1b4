"""Finding the two ends that a person names, and judging a packet between them."""

from __future__ import annotations

from ipaddress import ip_address

from socketplane import wire
from socketplane.controller.intent import Intent
from socketplane.errors import InvalidInput, NotFound
from socketplane.model.spec import Protocol
from socketplane.model.types import Address, Endpoint
from socketplane.model.verdict import Party, View, name_of, verdict


def explain(intent: Intent, source: str, destination: str, port: int | None, protocol: str) -> wire.Explanation:
    """Judge a packet. An end is a container's name, NETWORK/NAME, NETWORK/ADDRESS, an address, or a host's name.

    Where an end is given by an IPv6 address it is about IPv6, else about IPv4.

    Raises:
        NotFound: nothing has that name.
        InvalidInput: more than one thing has; all are listed.
    """
    start, end = _pair(intent, source, destination)
    kind = None if protocol == "icmp" else Protocol(protocol)
    view = View(
        intent.cluster.cluster,
        intent.networks,
        list(intent.policies.values()),
        intent.endpoints.values(),
        intent.hosts.values(),
        intent.floating.values(),
    )
    version = max(_version(source), _version(destination))
    found = verdict(view, start, end, kind, port, version=version)
    return wire.Explanation(
        verdict="allow" if found.allow else "deny",
        source=name_of(start, intent.networks),
        destination=name_of(end, intent.networks),
        protocol=protocol,
        port=port,
        direction=found.direction,
        policy=found.policy,
        rule=found.rule,
        reason=found.reason,
        steps=list(found.steps),
        would_deny=found.would_deny,
    )


def _pair(intent: Intent, source: str, destination: str) -> tuple[Party, Party]:
    starts, ends = _candidates(intent, source, "src"), _candidates(intent, destination, "dst")
    if len(starts) > 1 or len(ends) > 1:
        # A container on several networks: the network that both ends share is the one meant, where there is just one.
        shared = [
            (start, end)
            for start in starts
            for end in ends
            if isinstance(start, Endpoint) and isinstance(end, Endpoint) and start.network == end.network
        ]
        if len(shared) == 1:
            return shared[0]
    return _only(intent, starts, source, "src"), _only(intent, ends, destination, "dst")


def _only(intent: Intent, found: list[Party], text: str, field: str) -> Party:
    if len(found) > 1:
        names = ", ".join(sorted(f"{name_of(party, intent.networks)} ({_where(party)})" for party in found))
        raise InvalidInput(
            f"{text} is ambiguous: {names}", field=field, remedy="name its network: NETWORK/NAME, or its address"
        )
    return found[0]


def _where(party: Party) -> str:
    return f"{party.address} on {party.host}" if isinstance(party, Endpoint) else str(party)


def _candidates(intent: Intent, text: str, field: str) -> list[Party]:
    network, slash, rest = text.partition("/")
    if slash:
        uuid = intent.network(network).id
        members = [intent.endpoints[key] for key in intent.endpoints_of_network.get(uuid, ())]
        found: list[Party] = [member for member in members if rest == member.name or _address(rest) in member.addresses]
    elif (address := _address(text)) is not None:
        return _at(intent, address, as_source=field == "src")
    else:
        found = [endpoint for endpoint in intent.endpoints.values() if _is_called(endpoint, text)]
        if not found and text in intent.hosts:
            found = [intent.hosts[text]]
    if not found:
        raise NotFound(f"no container {text!r} is attached", field=field, remedy="`socketplane endpoint ls` lists them")
    return found


def _is_called(endpoint: Endpoint, text: str) -> bool:
    """Tell whether a name, an endpoint's id or the beginning of a container's id (12 digits at least) means it."""
    if text in (endpoint.name, endpoint.id):
        return bool(text)
    return len(text) >= 12 and endpoint.container.startswith(text)


def _at(intent: Intent, address: Address, *, as_source: bool) -> list[Party]:
    """Return who has an address: a container, a host's own port, or else the address itself.

    A host sends from its own port, but what is sent to its underlay address carries that one; and what comes from a
    floating address comes from its container.
    """
    found: list[Party] = list(intent.at(address))
    if as_source and (floating := intent.floating.get(address)) and floating.holder in intent.endpoints:
        found.append(intent.endpoints[floating.holder])
    found += [host for host in intent.hosts.values() if as_source and str(address) == host.address]
    return found or [address]


def _version(text: str) -> int:
    """Return the version of IP that an end's name tells: 4 where it tells none."""
    address = _address(text.rpartition("/")[2])
    return address.version if address else 4


def _address(text: str) -> Address | None:
    try:
        return ip_address(text)
    except ValueError:
        return None
