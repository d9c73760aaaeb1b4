"""The forms that a Compose file gives to values: texts that are numbers, mappings that are lists, ports."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from difflib import get_close_matches
from ipaddress import ip_address
from typing import Any

from socketplane.errors import InvalidInput
from socketplane.model.compose.project import Publication
from socketplane.model.fields import kind_of, nearest, text
from socketplane.model.spec import Port, Protocol

_PORT = re.compile(
    r"(?:(?:(?P<host>.*):(?P<free>[0-9-]*)|(?P<published>[0-9-]+)):)?(?P<first>\d{1,5})(?:-(?P<last>\d{1,5}))?",
    re.ASCII,
)
_SIMILAR = 0.85
"""How near an unknown field has to be to one that we read, to be taken for a slip of the pen."""


def mapping(value: object, path: str, known: Collection[str]) -> dict[str, Any]:
    """Return those fields of a mapping that are known; empty where it is absent.

    Compose has many more fields than matter here; only those that look like a misspelt one are refused.
    """
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise InvalidInput(f"has to be a mapping, not {kind_of(value)}", field=path or None)
    for key in value:
        close = get_close_matches(str(key), known, n=1, cutoff=_SIMILAR)
        if key not in known and close:
            where = f"{path}.{key}" if path else str(key)
            raise InvalidInput("unknown field", field=where, remedy=f"did you mean {close[0]}?")
    return {key: item for key, item in value.items() if key in known and item is not None}


def sequence(value: object, path: str) -> list[tuple[Any, str]]:
    """Return a list's elements with their paths; none where it is absent."""
    if value is None:
        return []
    if not isinstance(value, list | tuple):
        raise InvalidInput(f"has to be a list, not {kind_of(value)}", field=path, remedy="write its elements with -")
    return [(item, f"{path}[{number}]") for number, item in enumerate(value)]


def names(value: object, path: str) -> tuple[str, ...]:
    """Return a list of texts."""
    return tuple(text(item, at) for item, at in sequence(value, path))


def flag(value: object, path: str) -> bool:
    """Return yes or no, in any of the words that Compose takes."""
    words = {"true": True, "yes": True, "on": True, "y": True, "false": False, "no": False, "off": False, "n": False}
    found = value if isinstance(value, bool) else words.get(value.lower()) if isinstance(value, str) else None
    if found is None:
        raise InvalidInput(f"has to be true or false, not {kind_of(value)}", field=path)
    return found


def number(value: object, path: str, most: int) -> int:
    """Return a number from 0 to `most`, which may be written as text."""
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) < 10:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= most:
        raise InvalidInput(f"has to be a number from 0 to {most}, not {kind_of(value)}", field=path)
    return value


def labels(value: object, path: str) -> dict[str, str]:
    """Return labels, written as a mapping or as a list of KEY=VALUE."""
    if isinstance(value, list | tuple):
        pairs = (text(item, at).partition("=") for item, at in sequence(value, path))
        return {key: item for key, _, item in pairs}
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise InvalidInput(f"has to be a mapping or a list, not {kind_of(value)}", field=path)
    return {text(key, path, what="a mapping of text"): _label(item, f"{path}.{key}") for key, item in value.items()}


def _label(value: object, path: str) -> str:
    """Return a label's value as Compose hands it to Docker: what is no text in YAML becomes one."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float) and abs(value) < 1e16:
        return repr(value).removesuffix(".0")
    return text(value, path)


def ports(value: object, path: str) -> Publication:
    """Return a published port: HOST:PORT:CONTAINER/PROTOCOL and what is short for it, or the mapping of the long form."""
    if isinstance(value, Mapping):
        return _long_port(value, path)
    match, protocol = _parts(value, path)
    host = (match["host"] or "").strip("[]")
    return Publication(_port(match["first"], match["last"], protocol, path), _host(host, path))


def exposed(value: object, path: str) -> Port:
    """Return an exposed port: CONTAINER/PROTOCOL."""
    match, protocol = _parts(value, path)
    if match["published"] is not None or match["host"] is not None:
        raise InvalidInput(f"{value!r} is no container's port", field=path, remedy="to publish it, write it under ports")
    return _port(match["first"], match["last"], protocol, path)


def _parts(value: object, path: str) -> tuple[re.Match[str], str]:
    whole = str(value) if isinstance(value, int) and not isinstance(value, bool) else text(value, path)
    main, slash, protocol = whole.partition("/")
    match = _PORT.fullmatch(main)
    if match is None:
        remedy = "write CONTAINER, HOST:CONTAINER or ADDRESS:HOST:CONTAINER, with /udp where it is not tcp"
        raise InvalidInput(f"{whole[:60]!r} is no port", field=path, remedy=remedy)
    return match, protocol if slash else "tcp"


def _long_port(value: Mapping[str, Any], path: str) -> Publication:
    found = mapping(value, path, ("target", "published", "host_ip", "protocol"))
    if "target" not in found:
        raise InvalidInput("is missing", field=f"{path}.target", remedy="name the container's port")
    target, protocol = found["target"], text(found.get("protocol", "tcp"), f"{path}.protocol")
    host = text(found.get("host_ip", ""), f"{path}.host_ip")
    match, _ = _parts(target, f"{path}.target")
    return Publication(_port(match["first"], match["last"], protocol, f"{path}.target"), _host(host, f"{path}.host_ip"))


def _port(first: str, last: str | None, protocol: str, path: str) -> Port:
    known = {str(one): one for one in Protocol}
    if protocol.lower() not in known:
        raise InvalidInput(f"unknown protocol {protocol[:60]!r}", field=path, remedy=nearest(protocol, known))
    start, end = int(first), int(last or first)
    if not 1 <= start <= end <= 65535:
        raise InvalidInput("ports are from 1 to 65535, and a range goes upwards", field=path)
    return Port(known[protocol.lower()], start, end if end > start else None)


def _host(host: str, path: str) -> str:
    try:
        if host:
            ip_address(host)
    except ValueError:
        raise InvalidInput(f"{host[:60]!r} is no address of the host", field=path) from None
    return host
