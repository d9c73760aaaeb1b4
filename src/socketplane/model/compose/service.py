"""A service of a Compose file: its own fields, and those of the service that it extends."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from typing import Any

from socketplane.errors import InvalidInput, Unsupported
from socketplane.model.compose.project import Attachment, Need, Publication
from socketplane.model.compose.substitute import Variables
from socketplane.model.compose.values import exposed, labels, mapping, names, number, ports, sequence
from socketplane.model.fields import kind_of, text
from socketplane.model.spec import Port

MAX_REPLICAS = 1000
RESOLVE = "give the output of `docker compose config` instead"

_FIELDS = (
    *("container_name", "depends_on", "deploy", "expose", "extends", "label_file", "labels", "links", "network_mode"),
    *("networks", "ports", "profiles", "provider", "scale"),
)


@dataclass(frozen=True, slots=True)
class Draft:
    """What a service says, before it is known whether the rest of the file bears it out. None: it doesn't say."""

    extends: str | None = None
    container_name: str | None = None
    network_mode: str | None = None
    replicas: int | None = None
    scale: int | None = None
    provided: bool = False
    labels: Mapping[str, str] = field(default_factory=dict)
    networks: Mapping[str, Attachment] = field(default_factory=dict)
    needs: tuple[Need, ...] = ()
    exposed: tuple[Port, ...] = ()
    published: tuple[Publication, ...] = ()
    profiles: tuple[str, ...] = ()


def read_service(value: object, path: str, variables: Variables) -> Draft:
    """Read one service's own fields. Raises InvalidInput or Unsupported with the field's path."""
    found = variables.within(mapping(value, path, _FIELDS), path)
    if "label_file" in found:
        raise Unsupported("labels from another file are not read", field=f"{path}.label_file", remedy=RESOLVE)
    deploy = mapping(found.get("deploy"), f"{path}.deploy", ("replicas",))
    scale = found.get("scale")
    return Draft(
        extends=_extends(found.get("extends"), f"{path}.extends"),
        container_name=_text(found, "container_name", path),
        network_mode=_text(found, "network_mode", path),
        replicas=_count(deploy.get("replicas"), f"{path}.deploy.replicas"),
        scale=_count(scale, f"{path}.scale"),
        provided="provider" in found,
        labels=labels(found.get("labels"), f"{path}.labels"),
        networks=_networks(found.get("networks"), f"{path}.networks"),
        needs=(*_depends(found.get("depends_on"), f"{path}.depends_on"), *_links(found.get("links"), f"{path}.links")),
        exposed=tuple(exposed(item, at) for item, at in sequence(found.get("expose"), f"{path}.expose")),
        published=tuple(ports(item, at) for item, at in sequence(found.get("ports"), f"{path}.ports")),
        profiles=names(found.get("profiles"), f"{path}.profiles"),
    )


def merged(base: Draft, own: Draft) -> Draft:
    """Return a service that extends another: its own scalars win, mappings and lists are joined."""
    attachments = dict(base.networks)
    for key, attachment in own.networks.items():
        below = attachments.get(key, attachment)
        aliases = tuple(dict.fromkeys((*below.aliases, *attachment.aliases)))
        attachments[key] = Attachment(key, attachment.address or below.address, aliases)
    return Draft(
        container_name=base.container_name if own.container_name is None else own.container_name,
        network_mode=base.network_mode if own.network_mode is None else own.network_mode,
        replicas=base.replicas if own.replicas is None else own.replicas,
        scale=base.scale if own.scale is None else own.scale,
        provided=base.provided or own.provided,
        labels={**base.labels, **own.labels},
        networks=attachments,
        needs=_unique(base.needs, own.needs),
        exposed=_unique(base.exposed, own.exposed),
        published=_unique(base.published, own.published),
        profiles=_unique(base.profiles, own.profiles),
    )


def _unique(base: tuple[Any, ...], own: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(dict.fromkeys((*base, *own)))


def _text(found: Mapping[str, Any], name: str, path: str) -> str | None:
    return text(found[name], f"{path}.{name}") if name in found else None


def _count(value: object, path: str) -> int | None:
    return None if value is None else number(value, path, MAX_REPLICAS)


def _extends(value: object, path: str) -> str | None:
    if value is None or isinstance(value, str):
        return value
    found = mapping(value, path, ("service", "file"))
    if "file" in found:
        raise Unsupported("a service of another file can't be followed", field=f"{path}.file", remedy=RESOLVE)
    if "service" not in found:
        raise InvalidInput("is missing", field=f"{path}.service", remedy="name the service to extend")
    return text(found["service"], f"{path}.service")


def _depends(value: object, path: str) -> tuple[Need, ...]:
    if isinstance(value, Mapping):
        return tuple(Need(text(name, path, what="a mapping of services"), "depends_on") for name in value)
    return tuple(Need(name, "depends_on") for name in names(value, path))


def _links(value: object, path: str) -> tuple[Need, ...]:
    """Read SERVICE or SERVICE:ALIAS."""
    return tuple(Need(name.partition(":")[0], "links") for name in names(value, path))


def _networks(value: object, path: str) -> dict[str, Attachment]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        return {name: Attachment(name) for name in names(value, path)}
    return {text(key, path): _attachment(key, item, f"{path}.{key}") for key, item in value.items()}


def _attachment(network: str, value: object, path: str) -> Attachment:
    found = mapping(value, path, ("aliases", "ipv4_address", "ipv6_address"))
    address = found.get("ipv4_address")
    try:
        parsed = None if address is None else IPv4Address(text(address, f"{path}.ipv4_address"))
    except ValueError:
        raise InvalidInput(f"has to be an IPv4 address, not {kind_of(address)}", field=f"{path}.ipv4_address") from None
    return Attachment(network, parsed, names(found.get("aliases"), f"{path}.aliases"))
