"""Finding the two ends that a person names, and judging a packet between them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from ipaddress import ip_address

from socketplane import wire
from socketplane.controller.explain_service import explain_service, nearest, service_named, version_of
from socketplane.controller.explained import OUTSIDE, explained
from socketplane.controller.intent import Intent
from socketplane.errors import InvalidInput, NotFound
from socketplane.model.behind import behind, let_in
from socketplane.model.outside import outside
from socketplane.model.spec import Protocol
from socketplane.model.types import Address, Endpoint
from socketplane.model.verdict import Party, Verdict, View, name_of, verdict


def explain(intent: Intent, source: str, destination: str, port: int | None, protocol: str) -> wire.Explanation:
    """Judge a packet. An end is a container's name, NETWORK/NAME, NETWORK/ADDRESS, an address, or a host's name.

    A destination may be a service, too, by NAME, NETWORK/NAME or its address: where one has a name, it is meant.
    `outside` means every address outside. Where an end is given by an IPv6 address it is about IPv6, else about IPv4.

    Raises:
        NotFound: nothing has that name.
        InvalidInput: more than one thing has; all are listed.
    """
    service = service_named(intent, destination, lambda: _candidates(intent, source, "src"))
    if service is not None:
        begin: Party | None = None
        if not _is_outside(intent, source):
            begin = _only(intent, nearest(intent, service, _candidates(intent, source, "src")), source, "src")
        return explain_service(intent, begin, service, port, protocol, version_of(service, destination))
    kind = None if protocol == "icmp" else Protocol(protocol)
    holders = [intent.endpoints[key] for key in intent.floating_of_holder if key in intent.endpoints]
    view = View(
        intent.cluster.cluster,
        intent.networks,
        list(intent.policies.values()),
        [*intent.publishing(kind, port), *holders],
        intent.hosts.values(),
        intent.floating.values(),
    )
    start: Party | None = None
    end: Party | None = None
    if _is_outside(intent, destination):
        start = some = _only(intent, _candidates(intent, source, "src"), source, "src")
        found = _of_all(view, _version(source), lambda address: verdict(view, some, address, kind, port))
    elif _is_outside(intent, source):
        end = some = _only(intent, _candidates(intent, destination, "dst"), destination, "dst")
        found = _of_all(view, _version(destination), lambda address: verdict(view, address, some, kind, port))
    else:
        start, end = _pair(intent, source, destination)
        found = verdict(view, start, end, kind, port, version=max(_version(source), _version(destination)))
    answering = behind(view, end, kind, port) if end is not None else None
    return explained(
        found,
        name_of(start, intent.networks) if start is not None else OUTSIDE,
        name_of(end, intent.networks) if end is not None else OUTSIDE,
        protocol,
        port,
        _note(intent, start, answering[0] if answering else end, kind, port),
    )


def _is_outside(intent: Intent, text: str) -> bool:
    return text == OUTSIDE and not any(endpoint.name == text for endpoint in intent.endpoints.values())


def _of_all(view: View, version: int, judge: Callable[[Address], Verdict]) -> Verdict:
    """Return what holds for all addresses outside; where that differs, a denial that lists it."""
    found = {prefix: judge(address) for prefix, address in outside(view, view.policies, version).items()}
    if len({(each.allow, each.policy, each.rule, each.would_deny) for each in found.values()}) == 1:
        return next(iter(found.values()))
    told = [f"{prefix}: {'allow' if each.allow else 'deny'}: {each.reason}" for prefix, each in found.items()]
    if all(each.allow for each in found.values()):
        reason = "all addresses outside pass, by different rules; of these, the longest prefix counts"
        first = next(iter(found.values()))
        return replace(first, policy="", rule="", reason=reason, steps=(*told, reason))
    reason = (
        "some addresses outside pass and others do not" if any(each.allow for each in found.values()) else "none passes"
    )
    reason += "; of these, the longest prefix counts"
    ways = {each.direction for each in found.values() if not each.allow}
    return Verdict(False, ways.pop() if len(ways) == 1 else "ingress", reason, steps=(*told, reason))


def _note(intent: Intent, source: Party | None, end: Party | None, protocol: Protocol | None, port: int | None) -> str:
    """Return what a verdict does not say, and who asks may trip over; empty where there is nothing."""
    if not isinstance(end, Endpoint) or (isinstance(source, Endpoint) and source.network == end.network):
        return ""
    name = end.name or str(end.address)
    others = [each for each in _same_container(intent, end) if each.id != end.id]
    way = next((each for each in others if each.published), None)
    if way is not None:
        return f"{name} does not answer here: its default route leads through {intent.network_name(way.network)}"
    if others and not end.published:
        return (
            f"{name} is on {len(others) + 1} networks, and answers others than its own at one address alone: that on the"
            f" network of its default route; `docker exec {name} ip route` tells"
        )
    at = next((each for each in end.published if (each.protocol, each.host_port) == (protocol, port)), None)
    if at is not None and not isinstance(source, Endpoint) and not any(let_in(end, protocol, port)):
        return f"{port} is the host's port: ask about {name}:{at.port}/{at.protocol}, or {end.host}:{port}/{at.protocol}"
    return ""


def _same_container(intent: Intent, end: Endpoint) -> list[Endpoint]:
    if not end.container:
        return []
    there = (intent.endpoints[key] for key in intent.endpoints_of_host.get(end.host, ()))
    return [each for each in there if each.container == end.container]


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
