"""Two ways to run daemons: directly, or through systemd."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Protocol

from socketplane.cluster import probe
from socketplane.cluster.daemons import Daemon
from socketplane.cluster.run import CommandFailed, last_lines, reap, run, spawn

SYSTEMD, ENABLED = "systemd", "systemd, enabled before"
"""How a record says that units were started by us."""


class Supervisor(Protocol):
    """Starts and stops daemons."""

    def mark(self, daemon: Daemon) -> str:
        """Return what a record is to note beside a daemon that we are about to start."""

    def is_ours(self, mark: str | None) -> bool:
        """Return whether a record's note still holds (it does not after a reboot without systemd)."""

    def start(self, daemon: Daemon) -> None:
        """Start a daemon and return when it works. Raises CommandFailed with its last log lines."""

    def stop(self, daemon: Daemon, mark: str) -> None:
        """Stop a daemon that is ours by this mark, and return when it is gone; one that isn't there is no error."""

    def log_of(self, daemon: Daemon) -> str:
        """Return where a person finds what a daemon wrote."""


class Direct:
    """Daemons as processes in the background, with log files."""

    def mark(self, daemon: Daemon) -> str:  # noqa: ARG002 - the protocol's
        """Return this boot's id."""
        return _boot()

    def is_ours(self, mark: str | None) -> bool:
        """Return whether it was started in this boot."""
        return mark == _boot()

    def start(self, daemon: Daemon) -> None:
        """Start a daemon in the background; one that is there already gets time to answer."""
        for directory in (daemon.pidfile.parent, daemon.log.parent):
            directory.mkdir(mode=0o755, parents=True, exist_ok=True)
        size = daemon.log.stat().st_size if daemon.log.exists() else 0
        pid = probe.pid_of(daemon)
        if pid is not None:
            if not probe.wait_until(lambda: probe.answers(daemon), daemon.startup):
                raise CommandFailed(
                    f"process {pid} does not answer", _since(daemon.log, size), remedy=f"end it: kill {pid}"
                )
            return
        with contextlib.suppress(FileNotFoundError):
            daemon.pidfile.unlink()  # another program may have its number by now
        if daemon.forks:
            self._launch(daemon, size)
        else:
            self._spawn(daemon, size)

    def _launch(self, daemon: Daemon, size: int) -> None:
        try:
            run(daemon.argv, timeout=daemon.startup)
        except CommandFailed as error:
            raise CommandFailed(error.message, _since(daemon.log, size) or error.lines) from None
        if not probe.wait_until(lambda: probe.answers(daemon), daemon.startup):
            raise CommandFailed(f"does not work after {daemon.startup:g} s", _since(daemon.log, size))

    def _spawn(self, daemon: Daemon, size: int) -> None:
        process = spawn(daemon.argv, daemon.log)
        if str(daemon.pidfile) not in " ".join(daemon.argv):
            daemon.pidfile.write_text(f"{process.pid}\n")
        probe.wait_until(lambda: process.poll() is not None or probe.answers(daemon), daemon.startup)
        if process.poll() is not None:
            daemon.pidfile.unlink(missing_ok=True)
            raise CommandFailed(f"ended at once with code {process.returncode}", _since(daemon.log, size))
        if not probe.answers(daemon):
            raise CommandFailed(f"does not work after {daemon.startup:g} s", _since(daemon.log, size))

    def stop(self, daemon: Daemon, mark: str = "") -> None:  # noqa: ARG002 - the protocol's
        """Ask a daemon to end, then tell it to, then end it."""
        pid = probe.pid_of(daemon)
        if pid is None:
            return
        gone = partial(_gone, pid, daemon.program, daemon.patience)
        control = probe.control_socket(daemon)
        if control:
            run(["ovs-appctl", "--timeout=5", "-t", str(control), *daemon.farewell], check=False)
        if not (control and gone()):
            _kill(pid, signal.SIGTERM)
            if not gone():
                _kill(pid, signal.SIGKILL)
                gone()
        daemon.pidfile.unlink(missing_ok=True)

    def log_of(self, daemon: Daemon) -> str:
        """Return its log file."""
        return str(daemon.log)


class Systemd:
    """Daemons as systemd units: Debian's own, and ours."""

    def mark(self, daemon: Daemon) -> str:
        """Units stay over reboots; one that was enabled before us stays so."""
        enabled = run(["systemctl", "is-enabled", daemon.units[0]], check=False).out.strip() == "enabled"
        return ENABLED if enabled else SYSTEMD

    def is_ours(self, mark: str | None) -> bool:
        """Return whether we started its units."""
        return mark in (SYSTEMD, ENABLED)

    def start(self, daemon: Daemon) -> None:
        """Enable and start a daemon's units, and wait until it works."""
        began = time.time()
        run(["systemctl", "reset-failed", *daemon.units], check=False)  # a unit that failed too often would not start
        try:
            run(["systemctl", "enable", "--quiet", daemon.units[0]])
            run(["systemctl", "start", *daemon.units], timeout=daemon.startup + 90)
        except CommandFailed as error:
            raise CommandFailed(error.message, self._journal(daemon.units, began) or error.lines) from None
        if not probe.wait_until(lambda: probe.answers(daemon), daemon.startup):
            raise CommandFailed(f"does not work after {daemon.startup:g} s", self._journal(daemon.units, began))

    def stop(self, daemon: Daemon, mark: str) -> None:
        """Stop a daemon's units, and disable them if we enabled them."""
        if mark == SYSTEMD:
            run(["systemctl", "disable", "--quiet", daemon.units[0]], check=False)
        run(["systemctl", "stop", *daemon.units], timeout=daemon.patience + 90)
        probe.wait_until(lambda: not probe.answers(daemon), daemon.patience)

    def log_of(self, daemon: Daemon) -> str:
        """Return the command that shows its journal; Debian's daemons write files too."""
        return f"journalctl -u {[unit for unit in daemon.units if unit.endswith('.service')][-1]}"

    @staticmethod
    def _journal(units: Sequence[str], since: float) -> list[str]:
        flags = ["--no-pager", "--output=cat", "--lines=12", f"--since=@{since:.3f}", *(f"--unit={unit}" for unit in units)]
        return last_lines(run(["journalctl", *flags], check=False).out)


def supervisor() -> Supervisor:
    """Return how daemons are run on this machine."""
    return Systemd() if Path("/run/systemd/system").is_dir() else Direct()


def _gone(pid: int, program: str, seconds: float) -> bool:
    """Wait for a process to end; return whether it did."""

    def ended() -> bool:
        reap()
        return not probe.runs(pid, program)

    return probe.wait_until(ended, seconds)


def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def _kill(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def _since(log: Path, size: int) -> list[str]:
    """Return the last lines that were added to a log."""
    try:
        with log.open("rb") as file:
            file.seek(size)
            return last_lines(file.read().decode(errors="replace"))
    except OSError:
        return []
