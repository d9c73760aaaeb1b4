"""Documents, one at a time: which kinds there are, what they have in common, and what each means.

Pod = endpoint, namespace = network. What a standard knows and this version doesn't is refused by name; what nobody
knows is refused with the nearest known name. Nothing is ignored.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Generic, TypeVar

from socketplane.errors import InvalidInput, Unsupported
from socketplane.model import cluster_policy, network_policy, traffic_policy
from socketplane.model.fields import Fields, kind_of, nearest, text, texts
from socketplane.model.services import document as service_document
from socketplane.model.services.types import ServiceSpec
from socketplane.model.spec import ClusterSpec, Policy, PolicySpec
from socketplane.model.traffic import TrafficPolicy, TrafficSpec

Spec = TypeVar("Spec")

OUR_PREFIX = "socketplane.io/"
ANNOTATIONS = (network_policy.MODE,)
"""All that there are under our prefix; others there are refused, as a misspelt one would be without effect."""

METADATA_OF_SERVERS = (
    *("creationTimestamp", "deletionGracePeriodSeconds", "deletionTimestamp", "finalizers", "generateName"),
    *("generation", "managedFields", "ownerReferences", "resourceVersion", "selfLink", "uid"),
)
NETWORK = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{0,62}")
NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{0,252}")
SERVICE_NAME = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")


@dataclass(frozen=True, slots=True)
class ParsedPolicy:
    """What a document says. `network` is empty where its kind belongs to none.

    `document` is its canonical JSON, the network filled in.
    """

    network: str
    name: str
    spec: PolicySpec | ClusterSpec
    document: str
    left_out: tuple[str, ...] = field(compare=False, default=())
    """Fields that a server wrote, and that were left out of a list's item (see `lists`)."""

    @property
    def title(self) -> str:
        """Return NETWORK/NAME, or the name alone where it belongs to no network."""
        return f"{self.network}/{self.name}" if self.network else self.name

    def numbered(self, number: int) -> Policy:
        """Return the policy under the number that the store gave it."""
        return Policy(self.network, self.name, number, self.spec, self.document)


@dataclass(frozen=True, slots=True)
class ParsedTraffic:
    """What a TrafficPolicy says; see `ParsedPolicy`."""

    network: str
    name: str
    spec: TrafficSpec
    document: str
    left_out: tuple[str, ...] = field(compare=False, default=())

    @property
    def title(self) -> str:
        """Return NETWORK/NAME."""
        return f"{self.network}/{self.name}"

    def numbered(self, number: int) -> TrafficPolicy:
        """Return the policy under the number that the store gave it."""
        return TrafficPolicy(self.network, self.name, number, self.spec, self.document)


@dataclass(frozen=True, slots=True)
class ParsedService:
    """What a Service says; see `ParsedPolicy`."""

    network: str
    name: str
    spec: ServiceSpec
    document: str
    left_out: tuple[str, ...] = field(compare=False, default=())

    @property
    def title(self) -> str:
        """Return NETWORK/NAME."""
        return f"{self.network}/{self.name}"


Parsed = ParsedPolicy | ParsedTraffic
"""What `parse` returns."""


@dataclass(frozen=True, slots=True)
class Kind(Generic[Spec]):
    """A kind of document: `read` makes its meaning of `spec` and the annotations, `parsed` joins that with the rest."""

    api_version: str
    namespaced: bool
    """Whether it belongs to a network, which `metadata.namespace` names."""
    read: Callable[[Any, Mapping[str, str]], Spec]
    parsed: Callable[[str, str, Spec, str], Any]
    """From network, name, meaning and canonical JSON."""


KINDS: Mapping[str, Kind[Any]] = MappingProxyType(
    {
        "NetworkPolicy": Kind("networking.k8s.io/v1", True, network_policy.read, ParsedPolicy),
        "ClusterNetworkPolicy": Kind("policy.networking.k8s.io/v1alpha2", False, cluster_policy.read, ParsedPolicy),
        "TrafficPolicy": Kind("socketplane.io/v1alpha1", True, traffic_policy.read, ParsedTraffic),
    }
)
"""By the name in `kind`. To add one: its reader, its entry here, and its schema in `schemas`."""
SERVICE_KINDS: Mapping[str, Kind[Any]] = MappingProxyType(
    {"Service": Kind("v1", True, service_document.read, ParsedService)}
)
"""Kinds that `socketplane service apply` takes."""

_CLUSTER = "ClusterNetworkPolicy (policy.networking.k8s.io/v1alpha2)"
_REFUSED = {
    "AdminNetworkPolicy": f"write a {_CLUSTER} with tier: Admin; Allow is Accept there, and ports are protocols",
    "BaselineAdminNetworkPolicy": f"write a {_CLUSTER} with tier: Baseline and a priority; Allow is Accept there",
    **dict.fromkeys(
        ("List", *(f"{kind}List" for kind in (*KINDS, *SERVICE_KINDS))), "hand in its items one by one, or as a file"
    ),
}
"""Kinds that people have, and what to do instead."""


def parse(document: Mapping[str, Any], *, network: str | None = None) -> Parsed:
    """Read one policy; `network` stands in where the kind belongs to one and `metadata.namespace` is absent."""
    found: Parsed = read(document, KINDS, network)
    return found


def parse_service(document: Mapping[str, Any], *, network: str | None = None) -> ParsedService:
    """Read one service; `network` stands in where `metadata.namespace` is absent."""
    found: ParsedService = read(document, SERVICE_KINDS, network)
    if not SERVICE_NAME.fullmatch(found.name):
        remedy = "use small letters, digits and dashes, the first a letter, 63 at most"
        raise InvalidInput(f"{found.name[:80]!r} can't be a service's name", field="metadata.name", remedy=remedy)
    return found


def read(document: Mapping[str, Any], kinds: Mapping[str, Kind[Any]], network: str | None) -> Any:
    """Read one document of one of these kinds."""
    top = Fields(document, "")
    if not document:
        raise InvalidInput("the document is empty", remedy=f"write one of these kinds: {', '.join(kinds)}")
    version, name = top.take("apiVersion"), top.take("kind")
    metadata, spec = top.take("metadata"), top.take("spec")
    kind = _kind(name, version, kinds)
    top.refuse(status="remove it: it is the server's, not the author's")
    top.finish()
    if spec is None:
        raise InvalidInput("is missing", field="spec", remedy="say what it selects")
    head = _head(metadata, network, kind, name)
    meaning = kind.read(spec, head.annotations)
    canonical = {"apiVersion": kind.api_version, "kind": name, "metadata": head.kept, "spec": spec}
    encoded = json.dumps(canonical, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return kind.parsed(head.network, head.name, meaning, encoded)


def _kind(name: object, version: object, kinds: Mapping[str, Kind[Any]]) -> Kind[Any]:
    if not isinstance(name, str):
        found = "is missing" if name is None else f"has to be text, not {kind_of(name)}"
        raise InvalidInput(found, field="kind", remedy=f"write one of {', '.join(kinds)}")
    if name in _REFUSED:
        raise Unsupported(f"{name} is not supported", field="kind", remedy=_REFUSED[name])
    for others, command in ((KINDS, "policy"), (SERVICE_KINDS, "service")):
        if name in others and name not in kinds:
            remedy = f"apply it with `socketplane {command} apply`"
            raise Unsupported(f"a {name} is not taken here", field="kind", remedy=remedy)
    if name not in kinds:
        raise InvalidInput(f"unknown kind {name[:60]!r}", field="kind", remedy=nearest(name, kinds))
    kind = kinds[name]
    if version != kind.api_version:
        found = "is missing" if version is None else f"is {kind_of(version)}, which this release does not read"
        raise InvalidInput(found, field="apiVersion", remedy=f"for a {name} write apiVersion: {kind.api_version}")
    return kind


@dataclass(frozen=True, slots=True)
class _Head:
    """What `metadata` says, and what of it is kept."""

    network: str
    name: str
    annotations: Mapping[str, str]
    kept: Mapping[str, Any]


def _head(value: object, network: str | None, kind: Kind[Any], kind_name: str) -> _Head:
    if value is None:
        raise InvalidInput("is missing", field="metadata", remedy="give it a name: metadata: {name: ...}")
    fields = Fields(value, "metadata")
    given, namespace = fields.take("name"), fields.take("namespace")
    notes = {key: texts(fields.take(key), fields.at(key)) for key in ("labels", "annotations")}
    fields.refuse(deletionTimestamp="leave it out: it is being deleted where it comes from")
    fields.refuse(**dict.fromkeys(METADATA_OF_SERVERS, "remove it: it is the server's, not the author's"))
    fields.finish()
    if given is None:
        raise InvalidInput("is missing", field="metadata.name", remedy="give it a name")
    name = _match(given, "metadata.name", NAME)
    kept = {"name": name} | {key: found for key, found in notes.items() if found}
    if kind.namespaced:
        network = kept["namespace"] = _network(network if namespace is None else namespace)
    elif namespace is not None:
        remedy = f"remove it: a {kind_name} is for all networks, and selects some of them in its spec"
        raise InvalidInput("belongs to no network", field="metadata.namespace", remedy=remedy)
    _check_annotations(notes["annotations"])
    return _Head(network if kind.namespaced and network else "", name, notes["annotations"], kept)


def _network(value: object) -> str:
    if value is None:
        remedy = "name the network that it is for, here or with --network"
        raise InvalidInput("is missing", field="metadata.namespace", remedy=remedy)
    return _match(value, "metadata.namespace", NETWORK)


def _check_annotations(annotations: Mapping[str, str]) -> None:
    for key in annotations:
        if key.startswith(OUR_PREFIX) and key not in ANNOTATIONS:
            path = f"metadata.annotations[{key}]"
            raise InvalidInput("unknown annotation", field=path, remedy=nearest(key, ANNOTATIONS))


def _match(value: object, path: str, form: re.Pattern[str]) -> str:
    found = text(value, path)
    if not form.fullmatch(found):
        remedy = "use letters, digits, dots, dashes and underscores, the first a letter or digit"
        raise InvalidInput(f"{found[:80]!r} can't be a name", field=path, remedy=remedy)
    return found
