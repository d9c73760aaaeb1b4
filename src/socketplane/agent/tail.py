"""ovn-controller's log, read for the one line that means a lost rule: it drops what it can't parse with a warning."""

from __future__ import annotations

import os
from pathlib import Path

_LOOK_BACK = 4 * 1024 * 1024
_AT_MOST = 5
_ALARM = b"error parsing match"
_START = b"00001"
"""Sequence number of a daemon's first line; a reopened log goes on counting."""


class LogTail:
    """Follows a log across its rotation. `alarms` are of the daemon's present life: a restart parses all rules anew."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._inode = 0
        self._position = 0
        self._rest = b""
        self.alarms: list[str] = []

    def read(self) -> None:
        """Take in what was written since. Blocks on the disk; a log that is absent is empty."""
        try:
            with self._path.open("rb") as file:
                status = os.fstat(file.fileno())
                if status.st_ino != self._inode or status.st_size < self._position:
                    first = self._inode == 0
                    self._inode, self._rest = status.st_ino, b""
                    self._position = max(0, status.st_size - _LOOK_BACK) if first else 0
                file.seek(self._position)
                new = file.read(_LOOK_BACK)
                self._position += len(new)
        except OSError:
            return
        *lines, self._rest = (self._rest + new).split(b"\n")
        for line in lines:
            self._take(line.split(b"|", 4))

    def _take(self, fields: list[bytes]) -> None:
        """Take a line of the form TIME|SEQUENCE|MODULE|LEVEL|MESSAGE."""
        if len(fields) < 5:
            return
        if fields[1] == _START:
            self.alarms = []
        if _ALARM in fields[4]:
            message = fields[4].decode(errors="replace").strip()[:300]
            alarm = f"ovn-controller dropped a rule, so a denial may not hold: {message}"
            if alarm not in self.alarms:
                self.alarms = [*self.alarms[-_AT_MOST + 1 :], alarm]
