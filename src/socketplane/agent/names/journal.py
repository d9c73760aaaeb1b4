"""The journal of names: a line for each change, which the agent appends and the resolver reads as it grows.

A change costs its own size. When there is much more in it than is true now, a new journal takes its place by renaming;
a reader sees that the file is another one and begins anew. A line that a crash cut off is not there.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from ipaddress import IPv6Address
from pathlib import Path
from typing import Any
from uuid import UUID

import orjson

from socketplane.agent.names.table import Named, Table
from socketplane.files import private_directory

_COMPACT_AT = 1 << 20
_CHUNK = 1 << 20
Line = list[Any]


def put_line(endpoint: str, named: Named) -> Line:
    """Return the line that adds an entry."""
    network, address, container, host, names, address6 = named
    return [
        "put",
        endpoint,
        network.hex,
        address,
        str(IPv6Address(address6)) if address6 else "",
        container,
        host,
        list(names),
    ]


def drop_line(endpoint: str) -> Line:
    """Return the line that removes an entry."""
    return ["drop", endpoint]


def local_line(endpoint: str, network: UUID, address: int, container: str) -> Line:
    """Return the line that says of an endpoint that it is here."""
    return ["local", endpoint, network.hex, address, container]


def gone_line(endpoint: str) -> Line:
    """Return the line that says of an endpoint that it is not here any more."""
    return ["gone", endpoint]


def network_line(network: UUID, name: str, *, internal: bool = False) -> Line:
    """Return the line that names a network; empty: it is gone."""
    return ["network", network.hex, name, internal]


def silent_line(hosts: Iterable[str]) -> Line:
    """Return the line that says which hosts are not heard."""
    return ["silent", sorted(hosts)]


def apply(table: Table, line: Line) -> None:
    """Take a line in. Raises ValueError, TypeError or IndexError where it can't be understood."""
    match line:
        case ["put", str(endpoint), network, int(address), str(six), str(container), str(host), [*names]]:
            address6 = int(IPv6Address(six)) if six else 0
            table.put(endpoint, Named(UUID(network), address, container, host, tuple(map(str, names)), address6))
        case ["drop", str(endpoint)]:
            table.discard(endpoint)
        case ["local", str(endpoint), network, int(address), str(container)]:
            table.set_local(endpoint, UUID(network), address, container)
        case ["gone", str(endpoint)]:
            table.drop_local(endpoint)
        case ["network", network, str(name), bool(internal)]:
            table.name_network(UUID(network), name, internal=internal)
        case ["network", network, str(name)]:  # as it was written before
            table.name_network(UUID(network), name)
        case ["silent", [*hosts]]:
            table.set_silent(map(str, hosts))
        case _:
            raise ValueError(f"no line of this journal: {str(line)[:100]}")


def whole(table: Table) -> Iterator[Line]:
    """Yield the lines that make a table."""
    for network, (name, internal) in table.networks().items():
        yield network_line(network, name, internal=internal)
    yield silent_line(table.silent)
    for endpoint, place in table.locals():
        yield local_line(endpoint, *place)
    for endpoint, named in table.entries():
        yield put_line(endpoint, named)


class Writer:
    """Appends. Blocks on the disk: call it in a thread, one call at a time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._size = 0
        self._limit = 0

    def append(self, lines: Iterable[Line]) -> bool:
        """Append lines; return whether the journal should be written anew."""
        data = _encoded(lines)
        try:
            descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND)
        except FileNotFoundError:
            return True
        try:
            os.write(descriptor, data)
        finally:
            os.close(descriptor)
        self._size += len(data)
        return self._size > self._limit

    def replace(self, lines: Iterable[Line]) -> None:
        """Put a new journal in the place of the old one."""
        data = _encoded(lines)
        private_directory(self._path.parent)
        new = self._path.with_suffix(".new")
        new.unlink(missing_ok=True)
        with new.open("wb") as file:
            file.write(data)
        new.replace(self._path)
        self._size, self._limit = len(data), 2 * len(data) + _COMPACT_AT


class Reader:
    """Follows a journal into a table of its own: `fetch` blocks on the disk and runs in a thread, `take` on the loop."""

    def __init__(self, path: Path, host: str) -> None:
        self._path = path
        self._host = host
        self._file: int | None = None
        self._inode = 0
        self._rest = b""
        self.table = Table(host)
        self.faults = 0
        """Lines that were not understood."""

    def close(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def fetch(self) -> tuple[Table | None, list[bytes]]:
        """Return what is new: a whole table where the file is another one, else lines for `take`."""
        if not self._is_another():
            return None, self._lines()
        self.close()
        try:
            self._file = os.open(self._path, os.O_RDONLY)
        except FileNotFoundError:
            return None, []
        self._inode, self._rest = os.fstat(self._file).st_ino, b""
        table = Table(self._host)
        for line in self._lines():
            self._apply(table, line)
        return table, []

    def take(self, table: Table | None, lines: Iterable[bytes]) -> None:
        """Take in what was fetched."""
        if table is not None:
            self.table = table
        for line in lines:
            self._apply(self.table, line)

    def _lines(self) -> list[bytes]:
        found: list[bytes] = []
        while self._file is not None and (new := os.read(self._file, _CHUNK)):
            *lines, self._rest = (self._rest + new).split(b"\n")
            found += lines
        return found

    def _is_another(self) -> bool:
        try:
            return self._file is None or self._path.stat().st_ino != self._inode
        except FileNotFoundError:
            return False  # what was known stays

    def _apply(self, table: Table, line: bytes) -> None:
        try:
            apply(table, orjson.loads(line))
        except (ValueError, TypeError, IndexError, AttributeError):
            self.faults += 1


def _encoded(lines: Iterable[Line]) -> bytes:
    return b"".join(orjson.dumps(line) + b"\n" for line in lines)
