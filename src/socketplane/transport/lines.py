"""Cutting a byte stream into lines, whatever the pieces it arrives in."""

from __future__ import annotations

LONGEST = 64 * 1024 * 1024


class Lines:
    """Feed it pieces, get whole lines. Not limited to a stream reader's buffer: a snapshot can be long."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._size = 0

    def feed(self, piece: bytes) -> list[bytes]:
        """Return the lines that `piece` completes, without their ends; empty ones are left out.

        Raises:
            ValueError: a line is longer than 64 MiB.
        """
        head, newline, rest = piece.partition(b"\n")
        if not newline:
            self._keep(piece)
            return []
        self._keep(head)
        first = b"".join(self._parts)
        *whole, last = rest.split(b"\n")
        self._parts, self._size = [last], len(last)
        return [line for line in (first, *whole) if line]

    def _keep(self, part: bytes) -> None:
        self._size += len(part)
        if self._size > LONGEST:
            raise ValueError("a line of the stream is too long")
        self._parts.append(part)
