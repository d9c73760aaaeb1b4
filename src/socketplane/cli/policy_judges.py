"""Who judges the assertions of `policy test`: the model of policy, for files, or the controller, for the cluster."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from ipaddress import IPv4Address, IPv4Network
from typing import TYPE_CHECKING, Any
from uuid import UUID

from socketplane.cli import compose_files, connect, policy_files
from socketplane.cli.output import clean, note

if TYPE_CHECKING:
    from socketplane.model.assertions import Assertion, End, Judge, Judgement, Population
    from socketplane.model.spec import Protocol

    Court = tuple[Population, Judge, Sequence[int]]
    """Who there is, who judges, and the ports by which the policies can be told apart."""


def offline(
    compose: Sequence[str],
    policy: Sequence[str],
    *,
    network: str | None = None,
    profiles: Sequence[str] = (),
    pool: IPv4Network | None = None,
) -> Court:
    """Return who judges if these Compose projects ran under these policies. Raises SocketPlaneError for a bad file."""
    from socketplane.model.assertions import judge_by, population_of, telling_ports  # heavy: yaml
    from socketplane.model.compose import stage
    from socketplane.model.policy import ParsedPolicy
    from socketplane.model.warnings import warnings

    projects = compose_files.projects(compose, profiles)
    parsed = [found for found in policy_files.parse(policy, network) if isinstance(found, ParsedPolicy)]
    policies = [found.numbered(number) for number, found in enumerate(parsed, start=1)]
    scene = stage(projects, policies, pool)
    population = population_of(projects, scene)
    if doubts := warnings(scene.view, policies):
        for doubt in doubts:
            note(f"Warning: {clean(doubt)}")
        note("Labels of images and of external networks stand in no file: by them nobody is selected here")
    return population, judge_by(scene.view), telling_ports(policies)


def live(session: connect.Session, assertions: Sequence[Assertion]) -> Court:
    """Return the cluster as it is now, judged by its controller."""
    from socketplane.model.assertions import Population, telling_ports
    from socketplane.model.policy import ParsedPolicy, parse

    networks = {item["id"]: item for item in session.items("/v1/networks")}
    places = [_place(item, networks) for item in session.items("/v1/endpoints")]
    names = {item["name"] for item in networks.values() if item["name"]}
    policies = []
    if any(assertion.spans for assertion in assertions):
        parsed = [(parse(item["document"]), item["number"]) for item in session.items("/v1/policies")]
        policies = [found.numbered(number) for found, number in parsed if isinstance(found, ParsedPolicy)]
    return Population(places, names, {}), _explainer(session), telling_ports(policies)


def _place(item: Mapping[str, Any], networks: Mapping[str, Mapping[str, Any]]) -> Any:
    from socketplane.model.assertions import Place
    from socketplane.model.types import Endpoint

    text = {name: item[name] for name in ("id", "host", "mac", "container", "name", "labels", "known")}
    endpoint = Endpoint(network=UUID(item["network"]), address=IPv4Address(item["address"]), **text)
    return Place(
        endpoint, item["network_name"] or item["network"], networks.get(item["network"], {}).get("internal", False)
    )


def _explainer(session: connect.Session) -> Judge:
    from socketplane.model.assertions import Judgement

    def judge(source: End, target: End, protocol: Protocol | None, port: int | None) -> Judgement:
        packet = {"src": _named(source), "dst": _named(target), "protocol": protocol or "icmp", "port": port}
        answer = session.get("/v1/explain", packet)
        return Judgement(answer["verdict"] == "allow", answer["policy"], answer["rule"], answer["reason"])

    return judge


def _named(end: End) -> str:
    """Return an end so that nobody else is meant, and nobody at all when the container is gone."""
    return str(end) if isinstance(end, IPv4Address) else f"{end.network}/{end.endpoint.address}"
