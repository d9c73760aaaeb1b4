"""Control groups, v1 and v2: each machine of a lab has one in every hierarchy, and its containers lie below.

In `socketplane-lab.NAME/MACHINE`, the root of the machine's cgroup namespace, `init` holds its own processes: with v2
a group has either processes or children with controllers, and Docker wants the latter in the root.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
PREFIX = "socketplane-lab."
INIT = "init"
_GENERIC = frozenset({"rw", "ro", "xattr", "noprefix", "clone_children", "nsdelegate", "memory_recursiveprot"})


@dataclass(frozen=True, slots=True)
class Hierarchy:
    """A mounted hierarchy of control groups."""

    mount: Path
    kind: str
    """cgroup or cgroup2, as mount(8) names it."""
    controllers: str
    """Options that mount a v1 hierarchy again; empty for v2."""


def hierarchies() -> list[Hierarchy]:
    """Return the hierarchies mounted at their usual place."""
    found = {}
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        head, _, rest = line.partition(" - ")
        point = Path(head.split()[4])
        kind, _, options = rest.split(maxsplit=2)
        if kind in {"cgroup", "cgroup2"} and point.is_relative_to(ROOT):
            found[point] = Hierarchy(point, kind, _controllers(options) if kind == "cgroup" else "")
    return list(found.values())


def create(lab: str, machine: str) -> list[Path]:
    """Make a machine's groups and return those that stand for its root, one in each hierarchy."""
    roots = []
    for hierarchy in hierarchies():
        path = hierarchy.mount
        for part in (f"{PREFIX}{lab}", machine, INIT):
            if hierarchy.kind == "cgroup2" and part != INIT:
                _delegate(path)
            path /= part
            path.mkdir(exist_ok=True)
            _copy_cpuset(path)
        roots.append(path.parent)
    return roots


def of_machine(lab: str, machine: str) -> list[Path]:
    """Return the groups in which a machine's own processes live."""
    return [hierarchy.mount / f"{PREFIX}{lab}" / machine / INIT for hierarchy in hierarchies()]


def processes(lab: str) -> set[int]:
    """Return every process of a lab, its containers included."""
    found: set[int] = set()
    for group in groups(lab):
        with contextlib.suppress(OSError):
            found.update(int(pid) for pid in (group / "cgroup.procs").read_text().split())
    return found


def groups(lab: str) -> list[Path]:
    """Return a lab's groups, children before parents."""
    tops = [hierarchy.mount / f"{PREFIX}{lab}" for hierarchy in hierarchies()]
    return [Path(path) for top in tops for path, _, _ in os.walk(top, topdown=False)]


def remove(lab: str) -> bool:
    """Remove a lab's groups as far as they are empty; return whether none is left."""
    for group in groups(lab):
        with contextlib.suppress(OSError):
            group.rmdir()
    return not groups(lab)


def labs() -> set[str]:
    """Return the names of the labs that have groups."""
    return {path.name.removeprefix(PREFIX) for path in _tops()}


def _tops() -> Iterator[Path]:
    for hierarchy in hierarchies():
        yield from hierarchy.mount.glob(f"{PREFIX}*")


def _controllers(options: str) -> str:
    named = [option for option in options.split(",") if option not in _GENERIC and not option.startswith("release_agent=")]
    return ",".join(["none", *named] if any(option.startswith("name=") for option in named) else named)


def _delegate(group: Path) -> None:
    """Hand every controller down to a v2 group's children, as far as the kernel lets us."""
    for controller in (group / "cgroup.controllers").read_text().split():
        with contextlib.suppress(OSError):
            (group / "cgroup.subtree_control").write_text(f"+{controller}")


def _copy_cpuset(group: Path) -> None:
    """A new v1 cpuset has no processor and no memory, and would take no process."""
    for name in ("cpuset.cpus", "cpuset.mems"):
        file, above = group / name, group.parent / name
        if file.exists() and above.exists() and not (group / "cgroup.controllers").exists():
            file.write_text(above.read_text())
