"""JSON schemas (draft 2020-12) of the documents that people write: for editors, the API, and docs/schemas.

They say what the parsers of `socketplane.model.policy` say, as far as a schema can: how values of different fields have to
fit together (a port range's ends, an exception inside its block) is the parsers' alone. Null is absent, as there.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Callable, Mapping
from typing import Any

from socketplane.errors import NotFound
from socketplane.model.policy import KINDS as POLICIES
from socketplane.model.policy import SERVICE_KINDS
from socketplane.model.schemas import cluster_policy, network_policy, parts, policy_test, service, traffic_policy

Schema = dict[str, Any]

_SPECS: Mapping[str, tuple[Callable[[], Schema], Schema]] = {
    "NetworkPolicy": (network_policy.spec, {}),
    "ClusterNetworkPolicy": (cluster_policy.spec, cluster_policy.DEFINITIONS),
    "TrafficPolicy": (traffic_policy.spec, {}),
    "Service": (service.spec, {}),
}
"""Of each kind the schema of its spec, and definitions that this needs beside the shared ones."""
KINDS = tuple(POLICIES)
"""Kinds of policies, which all have a schema."""


def schema(kind: str) -> Schema:
    """Return the schema of a kind's documents. NotFound: there is no such kind."""
    if kind not in _SPECS:
        raise NotFound(f"no schema of {kind[:60]!r}", field="kind", remedy=f"known here: {', '.join(_SPECS)}")
    return {**_head(kind), **_body(kind), "$defs": parts.DEFINITIONS | _SPECS[kind][1]}


def any_schema() -> Schema:
    """Return the schema of a policy of any kind, for files that have several."""
    cases = [{"if": _is(kind), "then": _body(kind)} for kind in KINDS]
    kinds = {"properties": {"kind": {"enum": list(KINDS)}}, "required": ["kind"]}
    definitions = dict(ChainMap(parts.DEFINITIONS, *(more for _, more in _SPECS.values())))
    head = _head("Documents of SocketPlane")
    return {**head, "type": "object", **kinds, "allOf": cases, "$defs": definitions}


def files() -> Mapping[str, Schema]:
    """Return all schemas by the names of their files."""
    kinds = {f"{kind.lower()}.schema.json": schema(kind) for kind in _SPECS}
    return kinds | {"policy.schema.json": any_schema(), "policy-test.schema.json": policy_test.schema()}


def _head(title: str) -> Schema:
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": title}


def _is(kind: str) -> Schema:
    return {"properties": {"kind": {"const": kind}}, "required": ["kind"]}


def _body(kind: str) -> Schema:
    parsed = POLICIES.get(kind) or SERVICE_KINDS[kind]
    return parts.envelope(kind, parsed.api_version, parsed.namespaced, _SPECS[kind][0]())
