"""A network of a Compose file."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, ip_network
from typing import Any

from socketplane.errors import InvalidInput
from socketplane.model.compose.project import NETWORK, PROJECT, ProjectNetwork
from socketplane.model.compose.substitute import Variables
from socketplane.model.compose.values import flag, labels, mapping, sequence
from socketplane.model.fields import text

_FIELDS = ("name", "external", "internal", "driver", "driver_opts", "labels", "ipam")
_ROUTED = "socketplane.routed"


def read_network(key: str, value: object, path: str, project: str, variables: Variables) -> ProjectNetwork:
    """Read a network; without a name of its own Docker knows it as PROJECT_KEY, an external one as KEY."""
    found = variables.within(mapping(value, path, _FIELDS), path)
    name = text(found.get("name", ""), f"{path}.name")
    external = found.get("external", False)
    if isinstance(external, dict):
        name = name or text(external.get("name", ""), f"{path}.external.name")
        external = True
    if flag(external, f"{path}.external"):
        return ProjectNetwork(key, name or key, external=True)
    subnet, gateway = _addresses(found.get("ipam"), f"{path}.ipam")
    return ProjectNetwork(
        key,
        name or f"{project}_{key}",
        internal=flag(found.get("internal", False), f"{path}.internal"),
        routed=_routed(found.get("driver_opts"), f"{path}.driver_opts"),
        driver=text(found.get("driver", ""), f"{path}.driver"),
        labels={**labels(found.get("labels"), f"{path}.labels"), NETWORK: key, PROJECT: project},
        subnet=subnet,
        gateway=gateway,
    )


def _routed(value: object, path: str) -> bool:
    found = mapping(value, path, (_ROUTED,)).get(_ROUTED, False)
    return flag(found, f"{path}.{_ROUTED}")


def _addresses(value: object, path: str) -> tuple[IPv4Network | None, IPv4Address | None]:
    """Return the first IPv4 subnet and its gateway."""
    for item, at in sequence(mapping(value, path, ("config",)).get("config"), f"{path}.config"):
        found = mapping(item, at, ("subnet", "gateway"))
        if "subnet" not in found:
            continue
        subnet = _parsed(ip_network, found["subnet"], f"{at}.subnet")
        if isinstance(subnet, IPv4Network):
            gateway = found.get("gateway")
            return subnet, None if gateway is None else _parsed(IPv4Address, gateway, f"{at}.gateway")
    return None, None


def _parsed(kind: Any, value: object, path: str) -> Any:
    try:
        return kind(text(value, path))
    except ValueError as error:
        raise InvalidInput(str(error), field=path) from None
