"""The cluster that docs/policy.md and examples/recipes speak of, and who reaches whom in it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from ipaddress import IPv4Address

from socketplane.model.documents import parse_documents
from socketplane.model.spec import Policy, Protocol
from socketplane.model.verdict import Party, Verdict, View, verdict
from support.intent import CLUSTER, endpoint, host, network

H1, H2 = host(1), host(2)
SHOP = replace(network(0, name="shop"), labels={"env": "prod", "team": "shop"})
STAGE = replace(network(1, name="stage"), labels={"env": "stage", "team": "shop"})
OPS = replace(network(2, name="ops"), labels={"team": "ops"})
NETWORKS = {net.id: net for net in (SHOP, STAGE, OPS)}

_CONTAINERS = {
    "web": endpoint(1, SHOP, H1, {"app": "web", "tier": "front"}),
    "api": endpoint(2, SHOP, H2, {"app": "api", "tier": "back"}),
    "db": endpoint(3, SHOP, H1, {"app": "db", "tier": "back"}),
    "stage-web": endpoint(4, STAGE, H1, {"app": "web"}),
    "stage-db": endpoint(5, STAGE, H2, {"app": "db", "tier": "back"}),
    "monitor": endpoint(6, OPS, H1, {"app": "monitor"}),
    "backup": endpoint(7, OPS, H2, {"app": "backup"}),
}
PARTIES: dict[str, Party] = {
    **{name: replace(found, name=name) for name, found in _CONTAINERS.items()},
    "h1": H1,
    "h2": H2,
    "partner": IPv4Address("198.51.100.7"),
    "partner-lab": IPv4Address("198.51.100.200"),
    "dns": IPv4Address("203.0.113.53"),
    "metadata": IPv4Address("169.254.169.254"),
}


def policies(*texts: str) -> list[Policy]:
    """Return the policies of documents as text, numbered in their order."""
    parsed = [found for text in texts for found in parse_documents(text, "recipe.yaml", network="shop")]
    return [found.numbered(number) for number, found in enumerate(parsed, start=1)]


def judged(found: Iterable[Policy], source: str, destination: str, port: str) -> Verdict:
    """Judge a packet between parties by their names; port as tcp/80, or ping."""
    protocol, _, number = port.partition("/")
    view = View(CLUSTER, NETWORKS, list(found))
    asked = (None, None) if port == "ping" else (Protocol(protocol), int(number))
    return verdict(view, PARTIES[source], PARTIES[destination], *asked)


def reached(found: Iterable[Policy], question: str) -> set[str]:
    """Answer `* > db tcp/5432` with those who reach db, `web > * ping` with those whom web reaches."""
    source, _, destination, port = question.split()
    others = [name for name in PARTIES if name not in (source, destination)]
    if source == "*":
        return {name for name in others if name in _ENDS and judged(found, name, destination, port).allow}
    return {name for name in others if judged(found, source, name, port).allow}


_ENDS = {name for name, party in PARTIES.items() if not isinstance(party, IPv4Address)}
"""Who can begin a connection: addresses outside can't, whatever the policies."""
