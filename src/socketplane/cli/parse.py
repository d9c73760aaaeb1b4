"""Readers of arguments. Each raises `typer.BadParameter`, which is wrong usage (exit code 2)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TYPE_CHECKING, TypeVar

import typer

if TYPE_CHECKING:
    from pydantic import BaseModel

    Body = TypeVar("Body", bound=BaseModel)

_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*([smhdw]?)", re.ASCII)
_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
PROTOCOLS = ("tcp", "udp", "sctp")
NO_NETWORK = "-"
"""Stands for the network of what belongs to none, in the API's paths (`wire.NO_NETWORK`) and in tables."""
NAME_RULE = "a name is 1 to 63 letters, digits, '_', '.' and '-', and starts with a letter or digit"


def duration(text: str, flag: str, most: str = "") -> float:
    """Return seconds: 90, 90s, 30m, 24h, 7d or 2w. With `most`, a duration too: a second at least, and that at most."""
    match = _DURATION.fullmatch(text.strip().lower())
    if match is None or float(match[1]) == 0:
        raise typer.BadParameter(f"{text!r} is no duration; write for instance 30m, 24h or 7d", param_hint=flag)
    seconds = float(match[1]) * _UNITS[match[2]]
    if most and not 1 <= seconds <= duration(most, flag):
        raise typer.BadParameter(f"{text!r} has to be from 1s to {most}", param_hint=flag)
    return seconds


def any_address(text: str, flag: str) -> IPv4Address | IPv6Address:
    """Return an address."""
    try:
        return ip_address(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=flag) from None


def any_subnet(text: str, flag: str) -> IPv4Network | IPv6Network:
    """Return a network of either version; bits set beyond its prefix are an error."""
    try:
        return ip_network(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=flag) from None


def by_version(
    name: str, found: Iterable[IPv4Address | IPv6Address | IPv4Network | IPv6Network]
) -> dict[str, IPv4Address | IPv6Address | IPv4Network | IPv6Network]:
    """Return what a repeated option says as fields: NAME for IPv4's, NAME6 for IPv6's."""
    fields: dict[str, IPv4Address | IPv6Address | IPv4Network | IPv6Network] = {}
    for item in found:
        field = name if item.version == 4 else f"{name}6"
        if field in fields:
            raise typer.BadParameter(f"{fields[field]} and {item} are both of IPv{item.version}", param_hint=f"--{name}")
        fields[field] = item
    return fields


def subnet(text: str, flag: str) -> IPv4Network:
    """Return an IPv4 network; bits set beyond its prefix are an error."""
    try:
        return IPv4Network(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=flag) from None


def labels(items: list[str], flag: str = "--label") -> dict[str, str]:
    """Return key=value pairs; a key alone has the empty value, as for Docker."""
    pairs = [item.partition("=") for item in items]
    if not all(key for key, _, _ in pairs):
        raise typer.BadParameter("a label is KEY=VALUE", param_hint=flag)
    return {key: value for key, _, value in pairs}


def label_filters(items: list[str]) -> list[str]:
    """Return key=value filters; unlike a label, a filter needs its `=`."""
    for item in items:
        key, equals, _ = item.partition("=")
        if not (key and equals):
            raise typer.BadParameter(f"{item!r} is no filter; write KEY=VALUE", param_hint="--label")
    return items


def source(text: str) -> str:
    """Return container or address of SRC: it has no port."""
    bare = text.removeprefix("[").removesuffix("]")
    if _is_ipv6(bare):
        return _place(bare, "SRC")
    if ":" in text:
        raise typer.BadParameter(f"{text!r}: a source has no port", param_hint="SRC")
    return _place(text, "SRC")


def _is_ipv6(text: str) -> bool:
    """Return whether it is an IPv6 address, or one with its network: NETWORK/ADDRESS."""
    try:
        IPv6Address(text.rpartition("/")[2])
    except ValueError:
        return False
    return True


def _place(text: str, hint: str) -> str:
    network, slash, container = text.rpartition("/")
    if not text:
        raise typer.BadParameter("it is empty", param_hint=hint)
    if slash and not (network and container):
        raise typer.BadParameter(f"{text!r} is no NETWORK/CONTAINER", param_hint=hint)
    return text


def destination(text: str) -> tuple[str, int | None, str]:
    """Return container or address, port and protocol of DST[:PORT[/PROTO]]; without a port it is about a ping.

    An IPv6 address before a port stands in brackets.
    """
    hint = "DST[:PORT[/PROTO]]"
    if _is_ipv6(text):
        return _place(text, hint), None, "icmp"
    target, colon, rest = text.partition(":")
    if text.startswith("["):
        target, bracket, rest = text[1:].partition("]")
        if not bracket or not _is_ipv6(target) or rest[:1] not in ("", ":"):
            raise typer.BadParameter(f"{text!r} is no [IPV6-ADDRESS]:PORT", param_hint=hint)
        colon, rest = rest[:1], rest[1:]
    if not target:
        raise typer.BadParameter("the destination is missing", param_hint=hint)
    _place(target, hint)
    if not colon:
        return target, None, "icmp"
    number, slash, protocol = rest.partition("/")
    if ":" in rest:
        raise typer.BadParameter(f"{text!r}: an IPv6 address before a port stands in brackets", param_hint=hint)
    if not (number.isascii() and number.isdigit() and 0 < int(number) < 65536):
        raise typer.BadParameter(f"{number!r} is no port: 1 to 65535", param_hint=hint)
    protocol = protocol.lower() if slash else PROTOCOLS[0]
    if protocol not in PROTOCOLS:
        raise typer.BadParameter(f"{protocol!r} is no protocol: tcp, udp or sctp", param_hint=hint)
    return target, int(number), protocol


def policy_reference(text: str, network: str | None) -> tuple[str, str]:
    """Return network and name of NETWORK/NAME, or of NAME with a --network beside it.

    The network is `-` for NAME alone: a ClusterNetworkPolicy, which belongs to none.
    """
    first, slash, name = text.partition("/")
    if not slash:
        first, name = NO_NETWORK if network is None else network, text
    elif network is not None and network != first:
        raise typer.BadParameter(f"{text!r} is not on the network {network!r}", param_hint="--network")
    if not (first and name) or "/" in name:
        raise typer.BadParameter(
            f"{text!r} names no policy; write NETWORK/NAME, or NAME for a ClusterNetworkPolicy", param_hint="POLICY"
        )
    return first, name


def body(kind: type[Body], values: Mapping[str, object]) -> Body:
    """Return a request body; what its type refuses is wrong usage, by field."""
    from pydantic import ValidationError  # heavy

    try:
        return kind.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        message = NAME_RULE if first["type"] == "string_pattern_mismatch" else first["msg"]
        raise typer.BadParameter(message, param_hint=where) from None
