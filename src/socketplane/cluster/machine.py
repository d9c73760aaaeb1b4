"""The machine that the steps work on: its paths, its place in the cluster, and what we noted of our work."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from socketplane.cluster import probe
from socketplane.cluster.daemons import Daemon
from socketplane.cluster.record import Record
from socketplane.cluster.supervisor import Supervisor, Systemd, supervisor
from socketplane.config import Paths
from socketplane.errors import NotFound
from socketplane.identity import HostIdentity


class Machine:
    """This machine. Identity and record are read from their files each time, so that steps see one another's work."""

    def __init__(self, paths: Paths | None = None, supervising: Supervisor | None = None) -> None:
        self.paths = paths or Paths()
        self.supervisor = supervising or supervisor()

    @property
    def record_file(self) -> Path:
        """Where our notes are."""
        return self.paths.state / "machine.json"

    @property
    def record(self) -> Record:
        """What is ours on this machine."""
        return Record.load(self.record_file)

    def note(self, **changes: Any) -> None:
        """Change the record."""
        replace(self.record, **changes).save(self.record_file)

    @property
    def systemd(self) -> bool:
        """Whether daemons are units."""
        return isinstance(self.supervisor, Systemd)

    @property
    def joined(self) -> bool:
        """Whether this machine is in a cluster."""
        return self.paths.host_file.exists()

    @property
    def identity(self) -> HostIdentity:
        """This host's place in its cluster. Raises NotFound where it has none."""
        return HostIdentity.load(self.paths.host_file)

    def find_identity(self) -> HostIdentity | None:
        """Return the identity, None where there is none."""
        try:
            return self.identity
        except NotFound:
            return None

    def now(self) -> float:
        """Return the time in seconds since the epoch."""
        return time.time()

    def ours(self, daemon: Daemon) -> bool:
        """Return whether it was us who started a daemon."""
        return self.supervisor.is_ours(self.record.started.get(daemon.name))

    def start(self, daemon: Daemon) -> None:
        """Start a daemon that does not answer, and note that it is ours before it is there.

        Without systemd, a process that runs already but is slow to answer stays whose it was.
        """
        if not self.ours(daemon) and (self.systemd or probe.pid_of(daemon) is None):
            self.note(started={**self.record.started, daemon.name: self.supervisor.mark(daemon)})
        self.supervisor.start(daemon)

    def stop(self, daemon: Daemon) -> bool:
        """Stop a daemon if it is ours; return whether it was."""
        mark = self.record.started.get(daemon.name)
        if mark is None or not self.supervisor.is_ours(mark):
            return False
        self.supervisor.stop(daemon, mark)
        self.note(started={name: mark for name, mark in self.record.started.items() if name != daemon.name})
        return True
