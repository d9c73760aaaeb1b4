"""One assertion: from whom to whom, of what, and whether it passes. As text: `web -> db:5432/tcp allow`."""

from __future__ import annotations

import re
from dataclasses import dataclass

from socketplane.errors import InvalidInput
from socketplane.model.fields import nearest
from socketplane.model.spec import Protocol

ANYTHING, PING = "", "icmp"
PROTOCOLS = (*map(str, Protocol), PING)
EXPECTED = ("allow", "deny")
MAX_LENGTH = 1000
"""Of a name, and of an end."""

_STATEMENT = re.compile(r"(?P<source>\S+?)\s*(?:->|→)\s*(?P<target>\S+)\s+(?P<expect>\S+)")
_PORT = re.compile(r"(?P<end>.+):(?:(?P<port>\d+)(?:/(?P<of>[^:/]*))?|(?P<protocol>[a-z]+))", re.ASCII)
_EXAMPLE = "write FROM -> TO[:PORT[/PROTOCOL]] allow|deny, such as: web -> db:5432 deny"


@dataclass(frozen=True, slots=True)
class Assertion:
    """What is held to be so. `protocol` alone means all its ports; ANYTHING means all protocols, ping included.

    `filename` and `line` are where it stands.
    """

    source: str
    target: str
    port: int | None
    protocol: str
    allow: bool
    name: str = ""
    filename: str = ""
    line: int = 0

    @property
    def service(self) -> str:
        """Return what it is about: 5432/tcp, udp, icmp; empty for anything."""
        return self.protocol if self.port is None else f"{self.port}/{self.protocol}"

    @property
    def spans(self) -> bool:
        """Whether it is about all ports, and not about one or none."""
        return self.port is None and self.protocol != PING

    @property
    def expect(self) -> str:
        """Return what it expects."""
        return EXPECTED[0] if self.allow else EXPECTED[1]

    @property
    def text(self) -> str:
        """Return it in the short form."""
        return f"{self.source} -> {self.target}{':' if self.service else ''}{self.service} {self.expect}"

    @property
    def title(self) -> str:
        """Return the name that its author gave it, else the short form."""
        return self.name or self.text


def parse_statement(text: str, path: str) -> Assertion:
    """Read the short form. Raises InvalidInput."""
    match = _STATEMENT.fullmatch(text.strip()) if len(text) <= 3 * MAX_LENGTH else None
    if match is None:
        raise InvalidInput(f"{text[:80]!r} is no assertion", field=path, remedy=_EXAMPLE)
    target, port, protocol = match["target"], None, ANYTHING
    found = _PORT.fullmatch(target)
    if found and (found["port"] or found["protocol"] in PROTOCOLS):
        target = found["end"]
        port = None if found["port"] is None else parse_port(found["port"], path)
        protocol = parse_protocol(found["protocol"] or (str(Protocol.TCP) if found["of"] is None else found["of"]), path)
    check(port, protocol, path)
    return Assertion(match["source"], target, port, protocol, parse_expected(match["expect"], path))


def parse_port(value: object, path: str) -> int:
    """Return a port's number, which may be written as text."""
    if isinstance(value, str) and value.isascii() and value.isdecimal():
        value = int(value[:6])
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 65535:
        raise InvalidInput(f"{str(value)[:60]!r} is no port", field=path, remedy="write a number from 1 to 65535")
    return value


def parse_protocol(value: str, path: str) -> str:
    """Return a protocol's name."""
    if value.lower() not in PROTOCOLS:
        raise InvalidInput(f"unknown protocol {value[:60]!r}", field=path, remedy=nearest(value, PROTOCOLS))
    return value.lower()


def parse_expected(value: str, path: str) -> bool:
    """Return whether a packet is expected to pass."""
    if value not in EXPECTED:
        raise InvalidInput(f"{value[:60]!r} is no expectation", field=path, remedy=nearest(value, EXPECTED))
    return value == EXPECTED[0]


def check(port: int | None, protocol: str, path: str) -> None:
    """Refuse a port of what has none."""
    if port is not None and protocol == PING:
        raise InvalidInput("icmp has no ports", field=path, remedy="leave the port out")
