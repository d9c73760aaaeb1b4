"""A lab as a whole: what it consists of, written down in its file, and how every trace of it is removed."""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from socketplane.errors import Conflict, Forbidden, NotFound, SocketPlaneError
from socketplane.files import write_atomic
from socketplane.lab import cgroups, layout, processes
from socketplane.lab.layout import Layout, check_name
from socketplane.lab.machine import Machine
from socketplane.lab.processes import Process

PATIENCE = 20.0
"""Seconds that the kernel gets for taking namespaces apart."""


class NotGone(SocketPlaneError):
    """Something of a lab withstands being removed."""

    code = "lab_not_gone"


@dataclass(frozen=True, slots=True)
class Lab:
    """A lab that is up, or on its way."""

    name: str
    fabric: Machine
    hosts: tuple[Machine, ...]
    created: float
    bare: bool = False
    """Machines without SocketPlane."""
    encrypted: bool = False
    """Whether its hosts encrypt what they send one another."""
    owner: Process | None = None
    """The process that made it and will remove it; None for a lab that stays."""
    ready: bool = False

    def machine(self, name: str) -> Machine:
        """Return a host or the fabric. Raises NotFound."""
        for machine in (*self.hosts, self.fabric):
            if machine.name == name:
                return machine
        known = ", ".join(machine.name for machine in self.hosts)
        raise NotFound(f"lab {self.name} has no host {name!r}", field="host", remedy=f"it has {known}")

    @property
    def alive(self) -> bool:
        """Whether every machine runs."""
        return all(machine.init.alive for machine in (self.fabric, *self.hosts))

    def save(self) -> None:
        """Write the lab's file."""
        write_atomic(Layout(self.name).file, json.dumps(asdict(self), indent=2) + "\n")


def load(name: str) -> Lab:
    """Return a lab. Raises NotFound where none of that name is up, Forbidden without root's rights."""
    try:
        data = json.loads(Layout(check_name(name)).file.read_text())
    except PermissionError:
        raise Forbidden("a lab belongs to root", remedy="run it again with sudo") from None
    except OSError:
        remedy = f"make it with: socketplane lab up --name {name}"
        raise NotFound(f"there is no lab {name!r}", field="name", remedy=remedy) from None
    owner = Process(**data["owner"]) if data["owner"] else None
    fabric, hosts = _machine(data["fabric"]), tuple(map(_machine, data["hosts"]))
    bare, encrypted = data.get("bare", False), data.get("encrypted", False)
    return Lab(data["name"], fabric, hosts, data["created"], bare, encrypted, owner, data["ready"])


def find(name: str) -> Lab | None:
    """Return a lab, None where there is none or a crash left half of its file. Raises Forbidden."""
    try:
        return load(name)
    except (NotFound, ValueError, KeyError, TypeError):
        return None


def names() -> list[str]:
    """Return the names of all labs on this machine, the remains of crashed ones included."""
    found = cgroups.labs()
    for folder in (layout.RUN, layout.STORAGE):
        found |= {entry.name for entry in folder.iterdir()} if folder.exists() else set()
    return sorted(found)


@contextlib.contextmanager
def locked(name: str) -> Iterator[None]:
    """Hold a lab for ourselves. Raises Conflict; a process that ends lets go by itself."""
    with socket.socket(socket.AF_UNIX) as lock:
        try:
            lock.bind(f"\0socketplane-lab.{check_name(name)}")
        except OSError:
            remedy = "wait for it, or end it"
            raise Conflict(f"another process is making or removing lab {name!r}", remedy=remedy) from None
        yield


def busy(name: str) -> bool:
    """Return whether a process is making or removing this lab."""
    try:
        with locked(name):
            return False
    except Conflict:
        return True


def remove(name: str) -> None:
    """End a lab and remove everything that carries its name; nothing happens where there is nothing.

    Raises NotGone with what is left.
    """
    check_name(name)
    deadline = time.monotonic() + PATIENCE
    if lab := find(name):
        for machine in (*lab.hosts, lab.fabric):
            machine.init.kill()
    while left := _remove_once(name):
        if time.monotonic() > deadline:
            raise NotGone(f"lab {name} is not gone: {'; '.join(left)}", remedy=f"socketplane lab down --name {name}")
        time.sleep(0.05)


def leftovers(name: str) -> list[str]:
    """Return what there is of a lab, a line each: processes, groups, mounts, files."""
    layout_ = Layout(check_name(name))
    found = [f"process {pid}" for pid in sorted(_processes(name))]
    found += [f"control group {group}" for group in cgroups.groups(name)]
    found += [f"mount {point}" for point in processes.mounts_below(layout_.directories)]
    return found + [f"folder {folder}" for folder in layout_.directories if folder.exists()]


def _remove_once(name: str) -> list[str]:
    processes.kill_all(_processes(name))
    cgroups.remove(name)
    if not _processes(name):
        for folder in Layout(name).directories:
            shutil.rmtree(folder, ignore_errors=True)
            with contextlib.suppress(OSError):  # there may be other labs
                folder.parent.rmdir()
    return leftovers(name)


def _processes(name: str) -> set[int]:
    return cgroups.processes(name) | processes.users_of(Layout(name).directories)


def keep_logs(lab: Lab) -> Path:
    """Copy every machine's logs into a new folder that outlives the lab, and return it."""
    target = Path(tempfile.mkdtemp(prefix=f"socketplane-lab-{lab.name}-"))
    for log in Layout(lab.name).run.glob("*.log"):
        shutil.copy(log, target)
    for machine in lab.hosts:
        shutil.copytree(machine.path("/var/log"), target / machine.name, dirs_exist_ok=True, ignore_dangling_symlinks=True)
    return target


def _machine(data: dict[str, object]) -> Machine:
    init = data["init"]
    if not isinstance(init, dict):
        raise TypeError("init")
    return Machine(str(data["lab"]), str(data["name"]), Process(**init))
