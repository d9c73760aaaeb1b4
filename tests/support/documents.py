"""Strategies for policy documents: right ones of every kind, and ones that are nearly right."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

from hypothesis import strategies as st

Json = Any


def fields(required: dict[str, st.SearchStrategy[Json]], **optional: st.SearchStrategy[Json]) -> st.SearchStrategy[Json]:
    """Return mappings of these fields; optional ones may be absent or null."""
    return st.fixed_dictionaries(required, optional={name: st.none() | found for name, found in optional.items()})


def some(items: st.SearchStrategy[Json], low: int = 0) -> st.SearchStrategy[Json]:
    """Return short lists."""
    return st.lists(items, min_size=low, max_size=2)


text = st.sampled_from(["a", "web", "app.kubernetes.io/name", "Ünï", "x y"])
labels = st.dictionaries(text, text | st.just(""), max_size=2)
requirement = st.one_of(
    fields({"key": text, "operator": st.sampled_from(["In", "NotIn"]), "values": some(text, 1)}),
    fields({"key": text, "operator": st.sampled_from(["Exists", "DoesNotExist"])}, values=st.just([])),
)
selector = fields({}, matchLabels=labels, matchExpressions=some(requirement))
number = st.sampled_from([1, 53, 80, 65535])
block = st.sampled_from(
    [("0.0.0.0/0", "10.0.0.0/8"), ("192.0.2.0/24", "192.0.2.7/32"), ("2001:DB8::/32", "2001:db8:1::/48")]
)

_ip_block = block.flatmap(lambda found: fields({"cidr": st.just(found[0])}, **{"except": some(st.just(found[1]))}))
_peer = st.one_of(
    fields({"podSelector": selector}, namespaceSelector=selector, ipBlock=st.nothing()),
    fields({"namespaceSelector": selector}),
    fields({"ipBlock": _ip_block}),
)
_port = st.one_of(
    fields({}, protocol=st.sampled_from(["TCP", "UDP", "SCTP"]), port=number),
    fields({"port": st.just(80), "endPort": st.sampled_from([80, 81, 65535])}),
)


def _rules(peers: str) -> st.SearchStrategy[Json]:
    return some(fields({}, **{peers: some(_peer)}, ports=some(_port)))


_types = some(st.sampled_from(["Ingress", "Egress"]))
_spec = fields({}, podSelector=selector, policyTypes=_types, ingress=_rules("from"), egress=_rules("to"))

_pods = fields({"podSelector": selector}, namespaceSelector=selector)
_members = st.one_of(fields({"namespaces": selector}), fields({"pods": _pods}, namespaces=st.nothing()))
_networks = fields({"networks": some(block.map(lambda found: found[0]), 1)})
_destination = st.one_of(
    fields({"number": number}), st.just({"range": {"start": 1, "end": 65535}}), st.just({"number": 80, "range": None})
)
_protocol = st.builds(
    lambda name, found: {name: {"destinationPort": found}}, st.sampled_from(["tcp", "udp", "sctp"]), _destination
)


def _cluster_rules(peers: str, peer: st.SearchStrategy[Json]) -> st.SearchStrategy[Json]:
    actions = st.sampled_from(["Accept", "Deny", "Pass"])
    return some(fields({"action": actions, peers: some(peer, 1)}, name=text, protocols=some(_protocol, 1)))


_cluster_spec = fields(
    {"tier": st.sampled_from(["Admin", "Baseline"]), "priority": st.sampled_from([0, 10, 1000]), "subject": _members},
    ingress=_cluster_rules("from", _members),
    egress=_cluster_rules("to", _members | _networks),
)
_name = st.sampled_from(["a", "allow-web", "A.b_c"])
_mode = st.sampled_from([{}, {"owner": "me"}, {"socketplane.io/mode": "audit"}, {"socketplane.io/mode": "enforce"}])

network_policies = st.fixed_dictionaries(
    {
        "apiVersion": st.just("networking.k8s.io/v1"),
        "kind": st.just("NetworkPolicy"),
        "metadata": fields({"name": _name}, namespace=_name, labels=labels, annotations=_mode),
        "spec": _spec,
    }
)
cluster_policies = st.fixed_dictionaries(
    {
        "apiVersion": st.just("policy.networking.k8s.io/v1alpha2"),
        "kind": st.just("ClusterNetworkPolicy"),
        "metadata": fields({"name": _name}, labels=labels, annotations=st.just({"owner": "me"})),
        "spec": _cluster_spec,
    }
)
_limit = fields(
    {"rate": st.sampled_from(["8kbit", "1.5Gbit", "100Mbit/s"])}, burst=st.sampled_from(["1kB", "4KiB", "2.5kB"])
)
_dscp = st.sampled_from([0, 46, 63, "EF", "af41", "CS1", "Voice-Admit"])
_marks = fields({"dscp": _dscp}, to=some(_peer), ports=some(_port))
_traffic_spec = st.one_of(
    fields({"egress": _limit}, podSelector=selector, ingress=_limit, mark=some(_marks)),
    fields({"mark": some(_marks, 1)}, podSelector=selector, ingress=_limit),
)
traffic_policies = st.fixed_dictionaries(
    {
        "apiVersion": st.just("socketplane.io/v1alpha1"),
        "kind": st.just("TrafficPolicy"),
        "metadata": fields({"name": _name}, namespace=_name, labels=labels, annotations=st.just({"owner": "me"})),
        "spec": _traffic_spec,
    }
)
right = network_policies | cluster_policies | traffic_policies
"""Documents that are right, of every kind."""

_NUMBERS = [None, True, -1, 0, 1, 2, 80, 1000, 1001, 65536, 1.5, 80.0, "80", "http"]
_CIDRS = [
    *("10.0.0.1/8", "10.0.0.0/33", "10.0.0.0/08", "10.0.0.0", "300.0.0.0/8", "10.0.0.0/8", "10.0.0.0/9", "0.0.0.0/0"),
    *("::/0", "::1/64", "::g/64", "2001:db8::/129", "2001:DB8:1:2::/64", ":::/10", "::ffff:10.0.0.0/104", None, 10),
]
_RATES = [
    "10MB",
    "10",
    "100mbit",
    "7kbit",
    "35Gbit",
    "1 Mbit",
    "1e3bit",
    "1kB",
    "1b",
    "2GB",
    "64kbit",
    "١Mbit",
    "EF",
    "AF44",
    64,
]
_TEXTS = ["", "TCP", "tcp", "In", "Exists", "Pass", "a\n", "a\0", "a", "x" * 100, "x" * 254, None, True, 1]
_JUNK = [*_NUMBERS, *_CIDRS, *_TEXTS, *_RATES, [], [{}], {}, {"a": "b"}, {"": "b"}, {"a": 1}, ["10.0.0.0/8"], [None]]
_FIELDS = [
    *(
        "podSelector",
        "namespaceSelector",
        "ipBlock",
        "matchLabels",
        "matchExpressions",
        "values",
        "endPort",
        "port",
        "except",
    ),
    *("namespaces", "pods", "networks", "nodes", "domainNames", "destinationNamedPort", "number", "range", "start", "tcp"),
    *(
        "status",
        "uid",
        "namespace",
        "socketplane.io/mode",
        "socketplane.io/x",
        "from",
        "to",
        "protocols",
        "rate",
        "burst",
        "mark",
        "dscp",
        "name",
        "unheard",
    ),
]


@st.composite
def near(draw: st.DrawFn) -> Json:
    """Return a document that was right until one or two of its values were changed, removed, added or repeated."""
    document = copy.deepcopy(draw(right))
    for _ in range(draw(st.sampled_from([1, 1, 2]))):
        whole = draw(st.integers(0, 3)) == 0 or not _is_holder(document.get("spec"))
        holders = list(_holders(document if whole else document["spec"]))
        leaves = [(holder, place) for holder in holders for place in _places(holder) if not _is_holder(holder[place])]
        if leaves and draw(st.booleans()):
            holder, place = draw(st.sampled_from(leaves))
            holder[place] = draw(st.sampled_from(_like(holder[place])))
        else:
            _mutate(draw, draw(st.sampled_from(holders)))
    return document


def _mutate(draw: st.DrawFn, holder: Json) -> None:
    """Change a mapping or a list."""
    places = _places(holder)
    change = draw(st.sampled_from(["put", "remove", "add", "repeat"] if places else ["add"]))
    place = draw(st.sampled_from(places)) if places else None
    if change == "put":
        holder[place] = copy.deepcopy(draw(st.sampled_from(_JUNK)))
    elif change == "remove":
        del holder[place]
    elif isinstance(holder, list):
        junk = draw(st.sampled_from(_JUNK)) if change == "add" else holder[place]
        holder.extend(copy.deepcopy([junk] * draw(st.sampled_from([1, 25]))))
    else:
        holder[draw(st.sampled_from(_FIELDS))] = copy.deepcopy(draw(st.sampled_from(_JUNK)))


def _is_holder(value: Json) -> bool:
    return isinstance(value, dict | list)


def _places(holder: Json) -> list[Json]:
    return list(holder) if isinstance(holder, dict) else list(range(len(holder)))


def _like(value: Json) -> list[Json]:
    """Return what might stand where this value does."""
    if isinstance(value, int):
        return _NUMBERS
    if isinstance(value, str):
        return _CIDRS if "/" in value else [*_TEXTS, *_RATES]
    return [None, {}, []]


def _holders(value: Json) -> Iterator[Json]:
    """Yield every mapping and list in a value, itself included."""
    if _is_holder(value):
        yield value
        for place in _places(value):
            yield from _holders(value[place])
