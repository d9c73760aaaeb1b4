"""ovn-controller's log: rules that it could not parse, which are lost with a warning, and packets that were refused."""

from __future__ import annotations

import os
from pathlib import Path

from socketplane.agent.acllog import parse
from socketplane.model.denials import Tally

_LOOK_BACK = 4 * 1024 * 1024
_AT_MOST = 5
_DENIED_AT_MOST = 500
_ALARM = b"error parsing match"
_START = b"00001"
"""Sequence number of a daemon's first line; a reopened log goes on counting."""

Mark = tuple[int, int]
"""A log's inode, and a position in it."""


class LogTail:
    """Follows a log across its rotation.

    `alarms` are of the daemon's present life: a restart parses all rules anew. `denied` are the packets refused since
    `mark`, the place up to which they were taken before; without one, since the first `read`.
    """

    def __init__(self, path: Path, mark: Mark | None = None) -> None:
        self._path = path
        self._taken = mark
        self._inode = 0
        self._position = 0
        self._from = 0
        self._rest = b""
        self._denied = Tally(_DENIED_AT_MOST)
        self.alarms: list[str] = []

    @property
    def mark(self) -> Mark:
        """How far the log was read."""
        return self._inode, self._position - len(self._rest)

    def take_denied(self) -> Tally:
        """Return what was refused since the last call."""
        taken, self._denied = self._denied, Tally(_DENIED_AT_MOST)
        return taken

    def read(self) -> None:
        """Take in what was written since. Blocks on the disk; a log that is absent is empty."""
        try:
            with self._path.open("rb") as file:
                status = os.fstat(file.fileno())
                if status.st_ino != self._inode or status.st_size < self._position:
                    self._begin(status)
                file.seek(self._position)
                new = file.read(_LOOK_BACK)
        except OSError:
            if self._taken is None and self._inode == 0:
                self._taken = (0, 0)  # all of a log that appears later is new
            return
        start = self._position - len(self._rest)
        self._position += len(new)
        *lines, self._rest = (self._rest + new).split(b"\n")
        for line in lines:
            self._take(line.split(b"|", 4), start)
            start += len(line) + 1

    def _begin(self, status: os.stat_result) -> None:
        """Begin with a file: the first one may have been written to before we were there."""
        first = self._inode == 0
        self._inode, self._rest = status.st_ino, b""
        self._position = max(0, status.st_size - _LOOK_BACK) if first else 0
        self._from = 0
        if first and self._taken is None:
            self._from = status.st_size
        elif first and self._taken and self._taken[0] == status.st_ino:
            self._from = self._taken[1]

    def _take(self, fields: list[bytes], position: int) -> None:
        """Take a line of the form TIME|SEQUENCE|MODULE|LEVEL|MESSAGE."""
        if len(fields) < 5:
            return
        if fields[1] == _START:
            self.alarms = []
        if fields[2].startswith(b"acl_log"):
            if position >= self._from and (denied := parse(fields[0], fields[4])):
                self._denied.add([denied])
        elif _ALARM in fields[4]:
            message = fields[4].decode(errors="replace").strip()[:300]
            alarm = f"ovn-controller dropped a rule, so a denial may not hold: {message}"
            if alarm not in self.alarms:
                self.alarms = [*self.alarms[-_AT_MOST + 1 :], alarm]
