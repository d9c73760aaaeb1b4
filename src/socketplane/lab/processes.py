"""What /proc says: who is who, and who lives in a lab's file systems."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
START_TIME = 19
"""Index of a process's start time in /proc/PID/stat after the program's name."""


@dataclass(frozen=True, slots=True)
class Process:
    """A process that can't be mistaken for a later one with the same number."""

    pid: int
    started: int

    @property
    def alive(self) -> bool:
        """Whether it still runs; a zombie does not."""
        return _stat(self.pid) == (self.started, True)

    def kill(self) -> None:
        """End it at once; nothing happens if it ended before."""
        if self.alive:
            _kill(self.pid)


def process(pid: int) -> Process | None:
    """Return the process with this number, None if there is none."""
    found = _stat(pid)
    return Process(pid, found[0]) if found and found[1] else None


def kill_all(pids: Iterable[int]) -> None:
    """End processes at once."""
    for pid in pids:
        _kill(pid)


def users_of(directories: Iterable[Path]) -> set[int]:
    """Return the processes in other mount namespaces that have a part of these directories mounted."""
    places = [place for place in map(_place, directories) if place]
    own = _mount_namespace("self")
    verdicts: dict[str, bool] = {own: False, "": False}
    found = set()
    for pid in _pids():
        space = _mount_namespace(str(pid))
        if space not in verdicts:
            verdicts[space] = _uses(pid, places)
        if verdicts[space]:
            found.add(pid)
    return found


def mounts_below(directories: Iterable[Path]) -> list[str]:
    """Return the mount points in our own namespace that lie below these directories."""
    prefixes = tuple(f"{directory}/" for directory in directories)
    return [point for _, _, point in _mounts("self") if f"{point}/".startswith(prefixes)]


def _stat(pid: int) -> tuple[int, bool] | None:
    try:
        fields = (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return int(fields[START_TIME]), fields[0] not in "ZX"


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def _pids() -> Iterator[int]:
    return (int(entry.name) for entry in PROC.iterdir() if entry.name.isdigit())


def _mount_namespace(pid: str) -> str:
    try:
        return str((PROC / pid / "ns/mnt").readlink())
    except OSError:  # a kernel thread, or gone
        return ""


def _mounts(pid: str) -> list[tuple[str, str, str]]:
    """Return device, path inside the device and mount point of each mount that a process sees."""
    try:
        lines = (PROC / pid / "mountinfo").read_text().splitlines()
    except OSError:
        return []
    return [(fields[2], fields[3], fields[4]) for fields in map(str.split, lines)]


def _place(path: Path) -> tuple[str, str] | None:
    """Return the device of a path and where it lies inside it: so it appears in others' mount tables."""
    best: tuple[str, str, str] | None = None
    for device, inside, point in _mounts("self"):
        if path.is_relative_to(point) and (best is None or len(point) >= len(best[2])):
            best = device, inside, point
    if best is None:
        return None
    device, inside, point = best
    place = Path(inside) / path.relative_to(point)
    # A whole device is in the mount table of many who have nothing to do with us.
    return None if place == Path("/") else (device, f"{place}/")


def _uses(pid: int, places: list[tuple[str, str]]) -> bool:
    return any(
        device == mine and f"{inside}/".startswith(prefix)
        for device, inside, _ in _mounts(str(pid))
        for mine, prefix in places
    )
