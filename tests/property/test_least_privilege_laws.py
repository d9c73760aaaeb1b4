"""What `from-compose` proposes allows each need that a Compose file declares, and between its services nothing else."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from socketplane.model.assertions import Outcome, hold, judge_by, parse_assertions, population_of, telling_ports
from socketplane.model.compose import Project, Service, load, stage
from socketplane.model.documents import parse_documents
from socketplane.model.least_privilege import as_json, as_yaml, propose

NAMES = ["web", "app.v2", "_db", "cache"]
NETWORKS = {
    "default": {"driver": "socketplane"},
    "inner": {"internal": True},
    "outer": {"external": True, "name": "shared"},
}
PORTS = ["80", "80/udp", "8000-8002", "443/sctp"]
UNDECLARED = 9

ports = st.lists(st.sampled_from(PORTS), max_size=2, unique=True)
networks = st.lists(st.sampled_from(sorted(NETWORKS)), max_size=2, unique=True)
needs = st.lists(st.sampled_from(NAMES), max_size=2, unique=True)


@st.composite
def services(draw: st.DrawFn) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for index, name in enumerate(NAMES):
        service: dict[str, Any] = {
            "depends_on": draw(needs),
            "links": draw(needs),
            "expose": draw(ports),
            "ports": draw(ports),
        }
        host = draw(st.sampled_from([None, None, None, *NAMES[:index]]))
        if host is None:
            service |= {"networks": draw(networks), "scale": draw(st.integers(1, 2))}
        else:
            service["network_mode"] = f"service:{host}"
        found[name] = {key: value for key, value in service.items() if value}
    return found


def asserted(project: Project) -> list[str]:
    """What has to hold: each declared need allowed, each other pair denied."""
    homes = [service for service in project.services.values() if service.attachments]
    found = []
    for client in homes:
        for server in homes:
            if client is server:
                if len(client.containers) > 1:
                    found.append(f"{client.name} -> {client.name} deny")
                continue
            used = _used(project, client, server)
            if not _shared(client, server) or not used:
                found.append(f"{client.name} -> {server.name} deny")
            elif any(not target.ports for target in used):
                found.append(f"{client.name} -> {server.name} allow")
            else:
                found += [
                    f"{client.name} -> {server.name}:{number}/{port.protocol} allow"
                    for target in used
                    for port in target.ports
                    for number in {port.port, port.end or port.port}
                ]
                found += [f"{client.name} -> {server.name}:{UNDECLARED} deny", f"{client.name} -> {server.name}:icmp deny"]
    return found


def _used(project: Project, client: Service, server: Service) -> list[Service]:
    """The services in the server's network that those in the client's declare to need."""
    return [
        project.services[need.service]
        for service in project.services.values()
        if project.home(service) is client
        for need in service.needs
        if project.home(project.services[need.service]) is server
    ]


def _shared(client: Service, server: Service) -> bool:
    ours, theirs = ({attachment.network for attachment in service.attachments} for service in (client, server))
    return bool(ours & theirs)


def outcomes(project: Project, statements: list[str], egress: bool) -> list[tuple[str, Outcome, str]]:
    proposals = propose(project, egress=egress)
    parsed = parse_documents(as_yaml(proposals, "title"), "p.yaml")
    assert parsed == parse_documents(json.dumps(as_json(proposals)), "p.json")
    policies = [policy.numbered(number) for number, policy in enumerate(parsed, start=1)]
    scene = stage([project], policies)
    population, judge, telling = population_of([project], scene), judge_by(scene.view), telling_ports(policies)
    results = [
        hold(assertion, population, judge, telling)
        for assertion in parse_assertions(json.dumps({"assertions": statements}), "t.yaml")
    ]
    return [(result.assertion.text, result.outcome, f"{result.problem}{result.against}") for result in results]


@settings(max_examples=60)
@given(services(), st.booleans())
def test_needs_are_allowed_and_nothing_else_is(described: dict[str, Any], egress: bool) -> None:
    text = json.dumps({"name": "shop", "services": described, "networks": NETWORKS})
    project = load(text, "compose.yaml")
    statements = asserted(project)
    outward = {True: "deny", False: "allow"}[egress]
    for service in project.services.values():
        if any(not project.networks[attachment.network].internal for attachment in service.attachments):
            statements.append(f"{service.name} -> 192.0.2.7:443 {outward}")
    if statements:
        failed = [found for found in outcomes(project, statements, egress) if found[1] is not Outcome.PASS]
        assert not failed, (failed, text)
