"""The least privilege that a Compose file declares, as NetworkPolicies for a person to review.

For every service on every of its networks one policy: in come the services that depend on it or link to it, on the ports
that it exposes or publishes, and the world on what it publishes. Nothing else comes in. With egress, out goes only to what
a service depends on.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from socketplane.errors import InvalidInput
from socketplane.model.compose import Project, ProjectNetwork, Service
from socketplane.model.compose.project import PROJECT, SERVICE
from socketplane.model.policy import KINDS, NETWORK
from socketplane.model.spec import Port

KIND = "NetworkPolicy"
WORLD = "0.0.0.0/0"
Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Allowance:
    """A rule, and where in the file it comes from."""

    why: tuple[str, ...]
    rule: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Proposal:
    """A policy for one service on one network. `egress` is None where its way out is left alone."""

    network: str
    project: str
    service: str
    ingress: tuple[Allowance, ...]
    egress: tuple[Allowance, ...] | None
    remarks: tuple[str, ...] = ()

    @property
    def head(self) -> Document:
        """Return the document without its rules."""
        metadata = {"name": f"{self.project}.{self.service}", "namespace": self.network}
        types = ["Ingress", *([] if self.egress is None else ["Egress"])]
        spec = {"podSelector": _selector(self.project, self.service), "policyTypes": types}
        return {"apiVersion": KINDS[KIND].api_version, "kind": KIND, "metadata": metadata, "spec": spec}

    @property
    def document(self) -> Document:
        """Return the whole document."""
        rules = {name: [dict(allowance.rule) for allowance in found] for name, found in self.directions}
        return {**self.head, "spec": {**self.head["spec"], **rules}}

    @property
    def directions(self) -> list[tuple[str, tuple[Allowance, ...]]]:
        """Return the directions that it restricts, with what it allows there."""
        return [("ingress", self.ingress), *([] if self.egress is None else [("egress", self.egress)])]


@dataclass(frozen=True, slots=True)
class _Use:
    """A client that needs a server, both by the service in whose networks they are."""

    client: Service
    server: Service
    why: str
    ports: tuple[Port, ...]
    declared: str
    """What declares the ports."""


def propose(project: Project, *, egress: bool = False) -> list[Proposal]:
    """Return the policies, in the file's order. Raises InvalidInput for a network that policies can't name."""
    for network in project.networks.values():
        if not NETWORK.fullmatch(network.name):
            problem = f"{project.filename}: {network.name[:80]!r} can't be the name of a policy's network"
            raise InvalidInput(problem, field=f"networks.{network.key}", remedy="give it a shorter name:")
    uses = list(_uses(project))
    return [
        _proposal(project, service, project.networks[attachment.network], uses, egress)
        for service in project.services.values()
        for attachment in service.attachments
    ]


def as_json(proposals: Iterable[Proposal]) -> Document:
    """Return all of them as one document, a list."""
    return {"apiVersion": "v1", "kind": "List", "items": [proposal.document for proposal in proposals]}


def as_yaml(proposals: Iterable[Proposal], title: str) -> str:
    """Return all of them as YAML, with a comment wherever something follows from the file."""
    return _comments([title]) + "".join("---\n" + _yaml(proposal) for proposal in proposals)


def apart(project: Project) -> list[str]:
    """Return what services declare to need and no network lets them have."""
    return [
        f"{use.why}, but they share no network: nothing allows it"
        for use in _uses(project)
        if not _networks(project, use.client) & _networks(project, use.server)
    ]


def _uses(project: Project) -> Iterator[_Use]:
    for service in project.services.values():
        for need in service.needs:
            target = project.services[need.service]
            client, server = project.home(service), project.home(target)
            if client is server:
                continue
            inside = f" (in the network of {client.name})" if client is not service else ""
            behind = f" (in the network of {server.name})" if server is not target else ""
            fields = [name for name, found in (("expose", target.exposed), ("ports", target.published)) if found]
            declared = f"ports by its {' and '.join(fields)}" if fields else f"{target.name} declares no ports, so any"
            yield _Use(client, server, f"{service.name}{inside} {need.how} {target.name}{behind}", target.ports, declared)


def _networks(project: Project, service: Service) -> set[str]:
    return {project.networks[attachment.network].name for attachment in service.attachments}


def _proposal(project: Project, service: Service, network: ProjectNetwork, uses: Sequence[_Use], egress: bool) -> Proposal:
    here = [
        use
        for use in uses
        if network.name in _networks(project, use.client) and network.name in _networks(project, use.server)
    ]
    incoming = _allowances(project, ((use.client, use) for use in here if use.server is service), "from")
    outgoing = _allowances(project, ((use.server, use) for use in here if use.client is service), "to")
    remarks = []
    for guest in project.services.values():
        if project.home(guest) is service and guest.published:
            published, remark = _published(guest, network)
            incoming += published
            remarks += remark
    if not incoming:
        remarks.append(f"nothing on {network.name} declares to need {service.name}: nobody comes in")
    if len(service.containers) > 1:
        remarks.append("its replicas do not reach one another")
    return Proposal(
        network.name, project.name, service.name, tuple(incoming), tuple(outgoing) if egress else None, tuple(remarks)
    )


def _allowances(project: Project, pairs: Iterable[tuple[Service, _Use]], name: str) -> list[Allowance]:
    """Return a rule for each peer and set of ports, with all the reasons for it."""
    found: dict[tuple[str, tuple[Port, ...]], list[str]] = {}
    for peer, use in pairs:
        found.setdefault((peer.name, use.ports), []).append(f"{use.why}; {use.declared}")
    return [
        Allowance(
            tuple(dict.fromkeys(why)),
            {name: [{"podSelector": _selector(project.name, peer)}], **({"ports": [*map(_port, ports)]} if ports else {})},
        )
        for (peer, ports), why in found.items()
    ]


def _published(service: Service, network: ProjectNetwork) -> tuple[list[Allowance], list[str]]:
    """Return what lets the world in to published ports, and what is to be said of those that it does not."""
    if network.internal:
        return [], [f"{service.name} publishes ports, but nothing leads into {network.name}: it is internal"]
    local = [publication.port for publication in service.published if publication.local]
    ports = sorted({publication.port for publication in service.published if not publication.local}, key=str)
    remarks = (
        [f"{service.name} publishes {', '.join(map(str, local))} to its own host, which always comes in"] if local else []
    )
    rule = {"from": [{"ipBlock": {"cidr": WORLD}}], "ports": [*map(_port, ports)]}
    return ([Allowance((f"{service.name} publishes it (ports)",), rule)] if ports else []), remarks


def _selector(project: str, service: str) -> Document:
    return {"matchLabels": {PROJECT: project, SERVICE: service}}


def _port(port: Port) -> Document:
    end = {} if port.end is None else {"endPort": port.end}
    return {"protocol": port.protocol.upper(), "port": port.port, **end}


def _yaml(proposal: Proposal) -> str:
    text = _comments(proposal.remarks) + yaml.safe_dump(proposal.head, sort_keys=False)
    for name, allowances in proposal.directions:
        text += f"  {name}:{'' if allowances else ' []'}\n"
        for allowance in allowances:
            text += _comments(allowance.why, "    ")
            block = yaml.safe_dump([allowance.rule], sort_keys=False, default_flow_style=None, width=1000)
            text += "".join(f"    {line}\n" for line in block.splitlines())
    return text


def _comments(lines: Iterable[str], indent: str = "") -> str:
    """Return lines as comments; what can't be printed is written as JSON has it."""
    return "".join(f"{indent}# {line if line.isprintable() else json.dumps(line)}\n" for line in lines)
