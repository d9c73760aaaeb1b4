"""NetworkPolicy documents as dicts, by what is special about them."""

from __future__ import annotations

from typing import Any

from socketplane.model.policy import parse
from socketplane.model.spec import PolicySpec

WEB = {"podSelector": {"matchLabels": {"app": "web"}}}
PEER = "spec.ingress[0].from[0]"
PORT = "spec.ingress[0].ports[0]"
EXPRESSION = "spec.podSelector.matchExpressions[0]"


def expression(**fields: Any) -> dict[str, Any]:
    return {"matchExpressions": [fields]}


def from_(peer: dict[str, Any]) -> dict[str, Any]:
    return {"ingress": [{"from": [peer]}]}


def block(cidr: Any, *excepts: Any) -> dict[str, Any]:
    return from_({"ipBlock": {"cidr": cidr, "except": list(excepts)}})


def ports(port: dict[str, Any]) -> dict[str, Any]:
    return {"ingress": [{"ports": [port]}]}


def document(**spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "app", "namespace": "shop"},
        "spec": {"podSelector": {}, **spec},
    }


def spec_of(**spec: Any) -> PolicySpec:
    found = parse(document(**spec)).spec
    assert isinstance(found, PolicySpec)
    return found
