"""A Compose file as text to a `Project`. Bounded; read as Compose reads it, and refused where that needs other files."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

import yaml

from socketplane.errors import InvalidInput, SocketPlaneError, Unsupported
from socketplane.model.compose.network import read_network
from socketplane.model.compose.project import DRIVER, PROJECT, SERVICE, Attachment, Project, ProjectNetwork, Service
from socketplane.model.compose.service import RESOLVE, Draft, merged, read_service
from socketplane.model.compose.substitute import Variables
from socketplane.model.compose.values import mapping
from socketplane.model.fields import kind_of, nearest, text
from socketplane.model.yamltext import Loader, construct, line_of, located, read_nodes

_PROJECT = re.compile(r"[a-z0-9][a-z0-9_-]*", re.ASCII)
_SERVICE = re.compile(r"[a-zA-Z0-9._-]+", re.ASCII)
_DEFAULT = "default"
_ALL = "*"


class _Loader(Loader):  # type: ignore[misc]
    """YAML 1.2's plain scalars, as Compose has them: 22:22, yes and 2020-01-01 are texts."""

    yaml_implicit_resolvers: dict[str, list[Any]] = {}  # noqa: RUF012


for _tag, _pattern, _first in (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("int", r"[-+]?(?:[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)", "-+0123456789"),
    (
        "float",
        r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
        "-+.0123456789",
    ),
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("merge", "<<", "<"),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(rf"(?:{_pattern})\Z"), list(_first))


def load(
    content: str | bytes,
    filename: str,
    *,
    folder: str = "",
    environment: Mapping[str, str] | None = None,
    profiles: Collection[str] = (),
) -> Project:
    """Read a file. `folder` is the name of the folder that it is in, which names a project that has no other name.

    `environment` has the variables, those of .env included. Raises InvalidInput or Unsupported with file, line and field.
    """
    nodes = read_nodes(content, filename, _Loader)
    if len(nodes) != 1:
        problem = "there are several documents in it" if nodes else "there is nothing in it"
        raise Unsupported(f"{filename}: {problem}", remedy=RESOLVE) if nodes else InvalidInput(f"{filename}: {problem}")
    try:
        _check_tags(nodes[0])
        return _Reader(filename, folder, environment or {}, profiles).project(construct(nodes[0]))
    except SocketPlaneError as error:
        raise located(error, filename, nodes[0]) from None


def _check_tags(root: yaml.Node) -> None:
    """Refuse !reset and !override, which are about another file's values."""
    stack, seen = [root], {id(root)}
    while stack:
        node = stack.pop()
        if node.tag.startswith("!"):
            raise Unsupported(f"the tag {node.tag[:60]} on line {line_of(node)} is not followed", remedy=RESOLVE)
        children = [child for pair in node.value for child in pair] if isinstance(node, yaml.MappingNode) else node.value
        if isinstance(node, yaml.CollectionNode):
            new = [child for child in children if id(child) not in seen]
            seen.update(map(id, new))
            stack += new


class _Reader:
    """One file: what was read of it, and what a person should know about it."""

    def __init__(self, filename: str, folder: str, environment: Mapping[str, str], profiles: Collection[str]) -> None:
        self._filename, self._folder, self._profiles = filename, folder, frozenset(profiles)
        self._variables = Variables(environment)
        self._warnings: list[str] = []

    def project(self, value: object) -> Project:
        top = mapping(value, "", ("name", "services", "networks", "include"))
        if "include" in top:
            raise Unsupported("other files are not included", field="include", remedy=RESOLVE)
        name = self._name(top.get("name"))
        self._variables = Variables({**self._variables.values, "COMPOSE_PROJECT_NAME": name}, self._variables.unset)
        drafts = self._drafts(top.get("services"))
        inactive = {key: draft.profiles for key, draft in drafts.items() if not self._active(draft)}
        active = {key: draft for key, draft in drafts.items() if key not in inactive}
        services = {key: self._service(name, key, active, inactive) for key in active}
        self._check_joins(services)
        networks = self._networks(name, top.get("networks"), services)
        if unset := self._variables.unset:
            self._warn(f"variables without a value are empty: {', '.join(sorted(unset))}")
        return Project(name, self._filename, services, networks, inactive, tuple(self._warnings))

    def _warn(self, message: str) -> None:
        self._warnings.append(f"{self._filename}: {message}")

    def _name(self, value: object) -> str:
        given = self._variables.values.get("COMPOSE_PROJECT_NAME") or (
            "" if value is None else self._variables.text(text(value, "name"), "name")
        )
        name = given or re.sub(r"[^a-z0-9_-]", "", self._folder.lower()).lstrip("_-")
        if not _PROJECT.fullmatch(name):
            problem = f"{given[:80]!r} can't be a project's name" if given else "the project has no name"
            remedy = "write name: with small letters, digits, dashes and underscores"
            raise InvalidInput(problem, field="name", remedy=remedy)
        return name

    def _drafts(self, value: object) -> dict[str, Draft]:
        if not isinstance(value, Mapping) or not value:
            found = "is missing" if value is None else f"has to be a mapping of services, not {kind_of(value)}"
            raise InvalidInput(found, field="services", remedy="write the services that make up the project")
        own: dict[str, Draft] = {}
        for key, service in value.items():
            if not _SERVICE.fullmatch(text(key, "services", what="a mapping of services")):
                raise InvalidInput(f"{key[:80]!r} can't be a service's name", field="services")
            own[key] = read_service(service, f"services.{key}", self._variables)
        return {key: self._extended(key, own) for key in own}

    def _extended(self, key: str, own: Mapping[str, Draft]) -> Draft:
        chain = [key]
        while (base := own[chain[-1]].extends) is not None:
            path = f"services.{chain[-1]}.extends"
            if base not in own:
                raise InvalidInput(f"there is no service {base[:80]!r}", field=path, remedy=nearest(base, own))
            if base in chain:
                raise InvalidInput(f"services extend one another: {' -> '.join([*chain, base])}", field=path)
            chain.append(base)
        draft = own[chain.pop()]
        while chain:
            draft = merged(draft, own[chain.pop()])
        return draft

    def _active(self, draft: Draft) -> bool:
        return not draft.profiles or _ALL in self._profiles or not self._profiles.isdisjoint(draft.profiles)

    def _service(
        self, project: str, key: str, active: Mapping[str, Draft], inactive: Mapping[str, tuple[str, ...]]
    ) -> Service:
        draft, path = active[key], f"services.{key}"
        mode, joins = self._mode(draft, path)
        needs = []
        for need in draft.needs:
            if need.service in active:
                needs.append(need)
            elif need.service in inactive:
                self._warn(f"{key} needs {need.service}, which only a profile starts: {', '.join(inactive[need.service])}")
            else:
                remedy = nearest(need.service, active)
                raise InvalidInput(f"there is no service {need.service[:80]!r}", field=f"{path}.{need.how}", remedy=remedy)
        attached = draft.networks or {_DEFAULT: Attachment(_DEFAULT)}
        if draft.provided:
            self._warn(f"{key} is run by a provider and not by Docker: it has no endpoint")
            mode = "provider"
        return Service(
            key,
            () if draft.provided else _containers(project, key, draft, path),
            {**draft.labels, PROJECT: project, SERVICE: key},
            () if mode or joins else tuple(attached.values()),
            mode,
            joins,
            tuple(dict.fromkeys(needs)),
            draft.exposed,
            draft.published,
        )

    def _mode(self, draft: Draft, path: str) -> tuple[str, str]:
        """Return how a service is without networks of its own, and the service whose networks it shares."""
        mode, where = draft.network_mode, f"{path}.network_mode"
        if not mode:
            return "", ""
        if draft.networks:
            raise InvalidInput("excludes networks", field=where, remedy="remove one of the two")
        kind, _, target = mode.partition(":")
        name = path.removeprefix("services.")
        if kind == "service" and target:
            self._warn(f"{name} has no endpoint of its own: it is in the network of {target}")
            return "", target
        if mode not in ("none", "host", "bridge", "default") and not (kind == "container" and target):
            raise Unsupported(f"{mode[:60]!r} is not followed", field=where, remedy="name the network under networks")
        self._warn(f"{name} has no endpoint: network_mode is {mode}")
        return kind, ""

    def _check_joins(self, services: Mapping[str, Service]) -> None:
        for key, service in services.items():
            seen = [key]
            while service.joins:
                path = f"services.{seen[-1]}.network_mode"
                if service.joins not in services:
                    raise InvalidInput(
                        f"no service {service.joins[:80]!r} runs", field=path, remedy=nearest(service.joins, services)
                    )
                if service.joins in seen:
                    raise InvalidInput("services join one another's network", field=path)
                seen.append(service.joins)
                service = services[service.joins]

    def _networks(self, project: str, value: object, services: Mapping[str, Service]) -> dict[str, ProjectNetwork]:
        if value is not None and not isinstance(value, Mapping):
            raise InvalidInput(f"has to be a mapping of networks, not {kind_of(value)}", field="networks")
        declared: dict[str, object] = {_DEFAULT: None, **(value or {})}
        used: dict[str, ProjectNetwork] = {}
        for key, service in services.items():
            for attachment in service.attachments:
                name = attachment.network
                if name not in declared:
                    path = f"services.{key}.networks.{name}"
                    raise InvalidInput(f"there is no network {name[:80]!r}", field=path, remedy=nearest(name, declared))
                if name not in used:
                    used[name] = read_network(name, declared[name], f"networks.{name}", project, self._variables)
        if others := [network.name for network in used.values() if not network.external and network.driver != DRIVER]:
            remedy = "make it external, or give it driver: socketplane and ipam: {driver: socketplane}"
            self._warn(f"policies do not hold on {', '.join(sorted(others))}, a network of Docker's own; {remedy}")
        return used


def _containers(project: str, key: str, draft: Draft, path: str) -> tuple[str, ...]:
    """Return the names that Compose gives to a service's containers."""
    if draft.scale is not None and draft.replicas is not None and draft.scale != draft.replicas:
        raise InvalidInput("contradicts deploy.replicas", field=f"{path}.scale", remedy="remove one of the two")
    count = next((number for number in (draft.scale, draft.replicas) if number is not None), 1)
    if draft.container_name is None:
        return tuple(f"{project}-{key}-{number}" for number in range(1, count + 1))
    if count > 1:
        raise InvalidInput("several replicas can't have one name", field=f"{path}.container_name", remedy="remove it")
    return (draft.container_name,)[:count]
