"""JSON objects out of a byte stream, written one after the other with nothing in between.

The cost is linear in the bytes, however they are cut and whatever they are, and nothing is done per byte or string in
Python: outside of strings, `}{` can only be the border of two objects, so borders are searched for, and between them
only the balance of braces is kept. An object is parsed once, when it is complete.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import orjson

from socketplane.ovsdb.errors import ProtocolError

_MAYBE_BORDER = re.compile(rb"\}[ \t\r\n]*\{")
_STRING_REST = re.compile(rb'(?:[^"\\]++|\\.)*"', re.DOTALL)
_TO_BORDER = re.compile(
    rb'(?:[^"}]++|"(?:[^"\\]++|\\.)*"|\}(?![ \t\r\n]*+\{))*\}[ \t\r\n]*+(?=\{)',
    re.DOTALL,
)
_ESCAPE = re.compile(rb"\\.", re.DOTALL)
_IRRELEVANT = bytes(set(range(256)) - set(b'"{}'))
_BLANK = b" \t\r\n"


class JsonStream:
    """Feed it bytes, get whole objects. After an error it must not be used again."""

    __slots__ = ("_depth", "_escaped", "_in_string", "_limit", "_pieces", "_size")

    def __init__(self, limit: int = 1 << 30) -> None:
        self._limit = limit
        self._pieces: list[bytes] = []
        self._size = 0
        self._depth = 0
        self._in_string = False
        self._escaped = False

    def feed(self, data: bytes) -> list[dict[str, Any]]:
        """Return the objects that `data` completes; raise ProtocolError for what is not a sequence of objects."""
        messages: list[dict[str, Any]] = []
        if not data:
            return messages
        start = 0
        for end in self._borders(data) if _MAYBE_BORDER.search(data) else ():
            self._take(data[start:end], messages)
            start = end
        self._take(data[start:] if start else data, messages)
        return messages

    def _borders(self, data: bytes) -> Iterator[int]:
        """Find where objects end and another begins, outside of strings."""
        position = 0
        if self._in_string:
            rest = _STRING_REST.match(data, 1 if self._escaped else 0)
            if rest is None:
                return
            position = rest.end()
        while border := _TO_BORDER.match(data, position):
            position = border.end()
            yield position

    def _take(self, piece: bytes, messages: list[dict[str, Any]]) -> None:
        if not self._pieces:
            piece = piece.lstrip(_BLANK)
            if not piece:
                return
            if not piece.startswith(b"{"):
                raise ProtocolError(f"not a JSON object: {piece[:64]!r}")
        self._pieces.append(piece)
        self._size += len(piece)
        self._count(piece)
        if self._depth == 0 and not self._in_string:
            messages.append(self._parse())
        elif self._depth < 0:
            raise ProtocolError("unbalanced braces")
        elif self._size > self._limit:
            raise ProtocolError(f"a message of more than {self._limit} bytes")

    def _count(self, piece: bytes) -> None:
        """Advance the balance of braces outside of strings."""
        if self._escaped:
            piece = piece[1:]
            self._escaped = False
        if b"\\" in piece:
            piece = _ESCAPE.sub(b"", piece)
            self._escaped = piece.endswith(b"\\")
        # Two quotes side by side leave inside and outside as they were, so most strings fall away here.
        marks = piece.translate(None, _IRRELEVANT).replace(b'""', b"")
        parts = marks.split(b'"')
        outside = b"".join(parts[1 if self._in_string else 0 :: 2])
        self._depth += outside.count(b"{") - outside.count(b"}")
        if len(parts) % 2 == 0:
            self._in_string = not self._in_string

    def _parse(self) -> dict[str, Any]:
        data = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
        self._pieces.clear()
        self._size = 0
        try:
            message = orjson.loads(data)
        except orjson.JSONDecodeError as error:
            raise ProtocolError(f"not JSON: {error}") from None
        if type(message) is not dict:
            raise ProtocolError("a message that is not an object")
        return message
