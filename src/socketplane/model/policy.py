"""Kubernetes' NetworkPolicy (networking.k8s.io/v1) as the form of our policies.

Pod = endpoint, namespace = network. Absent and empty lists mean what they mean there. What the standard knows and we
don't yet is refused by name; what nobody knows is refused with the nearest known name. Nothing is ignored.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from socketplane.errors import InvalidInput, Unsupported
from socketplane.model.fields import Fields, kind_of, nearest, text, texts
from socketplane.model.rules import MAX_RULES
from socketplane.model.spec import Direction, Members, Policy, PolicySpec, Port, Protocol, Rule, Selector

API_VERSION = "networking.k8s.io/v1"
KIND = "NetworkPolicy"

_NETWORK = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{0,62}")
_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{0,252}")
_KINDS = {"AdminNetworkPolicy", "BaselineAdminNetworkPolicy", "ClusterNetworkPolicy", "NetworkPolicyList", "List"}
_METADATA_OF_SERVERS = [
    *("creationTimestamp", "deletionGracePeriodSeconds", "deletionTimestamp", "finalizers", "generateName"),
    *("generation", "managedFields", "ownerReferences", "resourceVersion", "selfLink", "uid"),
]
_TYPES = {str(way).capitalize(): way for way in Direction}


@dataclass(frozen=True, slots=True)
class ParsedPolicy:
    """What a document says. `document` is its canonical JSON, the network filled in."""

    network: str
    name: str
    spec: PolicySpec
    document: str

    def numbered(self, number: int) -> Policy:
        """Return the policy under the number that the store gave it."""
        return Policy(self.network, self.name, number, self.spec, self.document)


def parse(document: Mapping[str, Any], *, network: str | None = None) -> ParsedPolicy:
    """Read one document; `network` stands in where `metadata.namespace` is absent."""
    top = Fields(document, "")
    if not document:
        raise InvalidInput("the document is empty", remedy=f"write a {KIND} ({API_VERSION})")
    version, kind = top.take("apiVersion"), top.take("kind")
    metadata, spec = top.take("metadata"), top.take("spec")
    _expect("apiVersion", version, API_VERSION)
    _expect("kind", kind, KIND)
    top.refuse(status="remove it: it is the server's, not the author's")
    top.finish()
    name, network, kept = _metadata(metadata, network)
    meaning = _spec(spec)
    canonical = {"apiVersion": API_VERSION, "kind": KIND, "metadata": kept, "spec": spec}
    encoded = json.dumps(canonical, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return ParsedPolicy(network, name, meaning, encoded)


def _expect(name: str, value: object, wanted: str) -> None:
    if value == wanted:
        return
    if name == "kind" and value in _KINDS:
        raise Unsupported(f"{value} is not supported in this version", field=name, remedy=f"write a {KIND}")
    found = "missing" if value is None else kind_of(value)
    raise InvalidInput(f"has to be {wanted}, is {found}", field=name, remedy=f"write {name}: {wanted}")


def _metadata(value: object, network: str | None) -> tuple[str, str, dict[str, Any]]:
    """Return the policy's name, its network, and the metadata to keep."""
    if value is None:
        raise InvalidInput("is missing", field="metadata", remedy="give the policy a name: metadata: {name: ...}")
    fields = Fields(value, "metadata")
    name, namespace = fields.take("name"), fields.take("namespace")
    notes = {key: texts(fields.take(key), fields.at(key)) for key in ("labels", "annotations")}
    fields.refuse(**dict.fromkeys(_METADATA_OF_SERVERS, "remove it: it is the server's, not the author's"))
    fields.finish()
    if name is None:
        raise InvalidInput("is missing", field="metadata.name", remedy="give the policy a name")
    if namespace is None and network is None:
        raise InvalidInput(
            "is missing",
            field="metadata.namespace",
            remedy="name the network that the policy is for, here or with --network",
        )
    name = _matching(_NAME, name, "metadata.name")
    network = _matching(_NETWORK, network if namespace is None else namespace, "metadata.namespace")
    return name, network, {"name": name, "namespace": network, **{key: note for key, note in notes.items() if note}}


def _matching(pattern: re.Pattern[str], value: object, path: str) -> str:
    found = text(value, path)
    if pattern.fullmatch(found):
        return found
    raise InvalidInput(
        f"{found[:80]!r} can't be a name",
        field=path,
        remedy="use letters, digits, dots, dashes and underscores, the first a letter or digit",
    )


def _spec(value: object) -> PolicySpec:
    if value is None:
        raise InvalidInput("is missing", field="spec", remedy="say what the policy selects and allows")
    fields = Fields(value, "spec")
    selector = fields.take("podSelector")
    types = _types(fields)
    rules = {
        Direction.INGRESS: _rules(fields, "ingress", "from"),
        Direction.EGRESS: _rules(fields, "egress", "to"),
    }
    fields.finish()
    if selector is None:
        remedy = "write podSelector: {} to select every container of the network"
        raise InvalidInput("is missing", field="spec.podSelector", remedy=remedy)
    subject = _selector(selector, "spec.podSelector")
    if sum(map(len, rules.values())) > MAX_RULES:
        raise InvalidInput(f"has more than {MAX_RULES} rules", field="spec", remedy="split it into several policies")
    if types is None:
        # As in Kubernetes: ingress always, egress only where there is at least one rule for it.
        types = {Direction.INGRESS, *([Direction.EGRESS] if rules[Direction.EGRESS] else [])}
    meaning = {way: found if way in types else None for way, found in rules.items()}
    return PolicySpec(subject, meaning[Direction.INGRESS], meaning[Direction.EGRESS])


def _types(fields: Fields) -> set[Direction] | None:
    """Return the directions that are named; None where none is."""
    types: set[Direction] = set()
    for value, path in fields.items("policyTypes") or ():
        name = text(value, path)
        if name not in _TYPES:
            raise InvalidInput(f"unknown policy type {name[:60]!r}", field=path, remedy=nearest(name, _TYPES))
        types.add(_TYPES[name])
    return types or None


def _rules(fields: Fields, name: str, peers_name: str) -> tuple[Rule, ...]:
    return tuple(_rule(value, path, peers_name) for value, path in fields.items(name) or ())


def _rule(value: object, path: str, peers_name: str) -> Rule:
    fields = Fields(value, path)
    peers = tuple(_peer(peer, at) for peer, at in fields.items(peers_name) or ())
    ports = tuple(_port(port, at) for port, at in fields.items("ports") or ())
    fields.finish()
    # Empty as well as absent is anyone, or anything.
    return Rule(tuple(dict.fromkeys(peers)) or None, tuple(dict.fromkeys(ports)) or None)


def _peer(value: object, path: str) -> Members:
    fields = Fields(value, path)
    selector = fields.take("podSelector")
    fields.refuse(
        namespaceSelector="only containers of the policy's own network can be peers yet",
        ipBlock="addresses can't be peers yet",
    )
    fields.finish()
    if selector is None:
        raise InvalidInput("selects nobody", field=path, remedy="write podSelector: {} for every container of the network")
    return Members(_selector(selector, f"{path}.podSelector"))


def _selector(value: object, path: str) -> Selector:
    fields = Fields(value, path)
    labels = texts(fields.take("matchLabels"), fields.at("matchLabels"))
    fields.refuse(matchExpressions="use matchLabels")
    fields.finish()
    if "" in labels:
        raise InvalidInput("a label's key can't be empty", field=fields.at("matchLabels"))
    return Selector.of(labels)


def _port(value: object, path: str) -> Port:
    fields = Fields(value, path)
    name, number = fields.take("protocol"), fields.take("port")
    fields.refuse(endPort="name each port")
    fields.finish()
    protocol = _protocol("TCP" if name is None else name, fields.at("protocol"))
    if number is None:
        return Port(protocol)
    if isinstance(number, str):
        raise Unsupported(
            "named ports are not supported in this version", field=fields.at("port"), remedy="write the number"
        )
    if isinstance(number, bool) or not isinstance(number, int) or not 1 <= number <= 65535:
        raise InvalidInput(f"has to be a number from 1 to 65535, not {kind_of(number)}", field=fields.at("port"))
    return Port(protocol, number)


def _protocol(value: object, path: str) -> Protocol:
    name = text(value, path)
    known = {protocol.upper(): protocol for protocol in Protocol}
    if name not in known:
        raise InvalidInput(f"unknown protocol {name[:60]!r}", field=path, remedy=nearest(name, known))
    return known[name]
