"""Bring a lab up: machines, their network, SocketPlane on each by its own commands, and the first packets."""

from __future__ import annotations

import asyncio
import os
import shutil
import time
from collections.abc import Sequence
from dataclasses import replace

from socketplane.cluster import openvswitch
from socketplane.errors import Conflict, Forbidden, Unavailable
from socketplane.lab import fabric, labs, layout, machine
from socketplane.lab.form import form
from socketplane.lab.labs import Lab
from socketplane.lab.processes import Process
from socketplane.lab.say import Say, silent
from socketplane.model.forwarding import KERNEL, USERSPACE


async def up(
    name: str,
    hosts: int = 3,
    *,
    bare: bool = False,
    datapath: str = "auto",
    encrypt: bool = False,
    owner: Process | None = None,
    say: Say = silent,
) -> Lab:
    """Make a lab and return it once a container on any of its hosts would work; `bare`: machines without SocketPlane.

    A lab of that name that is up is returned as it is. What a crashed one left is removed first; on an error, and
    when cancelled, so is the new one.

    Raises Conflict where the lab that is up is another than asked for, or one of that name is being made.
    """
    await asyncio.to_thread(check)
    names = layout.host_names(hosts)
    with labs.locked(name):
        if standing := await asyncio.to_thread(_standing, name, len(names), bare, encrypt):
            say(f"lab {name} is up already")
            return standing
        await asyncio.to_thread(labs.remove, name)
        try:
            made = await _make(name, names, bare=bare, datapath=datapath, encrypt=encrypt, owner=owner, say=say)
        except BaseException:
            labs.remove(name)  # not in a thread: a second interrupt must not leave it half done behind our back
            raise
    say(f"hosts {', '.join(names)} are ready")
    return made


async def _make(
    name: str, names: Sequence[str], *, bare: bool, datapath: str, encrypt: bool, owner: Process | None, say: Say
) -> Lab:
    offload = not bare and await asyncio.to_thread(_finishes_checksums, datapath)
    machines = await _machines(name, names, say, offload=offload)
    lab = replace(machines, bare=bare, encrypted=encrypt and not bare, owner=owner)
    await asyncio.to_thread(lab.save)
    try:
        if not bare:
            await form(lab, datapath=datapath, say=say)
    except Exception:
        kept = await asyncio.to_thread(labs.keep_logs, lab)
        say(f"failed; the hosts' logs are kept in {kept}")
        raise
    lab = replace(lab, ready=True)
    await asyncio.to_thread(lab.save)
    return lab


def check() -> None:
    """Raise Forbidden or Unavailable where no lab can be made here."""
    check_root()
    missing = [tool for tool in machine.TOOLS if shutil.which(tool, path=layout.program_path()) is None]
    if missing:
        raise Unavailable(f"not installed: {', '.join(missing)}", remedy="install the packages: sudo make packages")


def check_root() -> None:
    """Raise Forbidden where we are not root."""
    if os.geteuid() != 0:
        raise Forbidden("a lab needs root: it is made of namespaces", remedy="run it again with sudo")


def _standing(name: str, hosts: int, bare: bool, encrypt: bool) -> Lab | None:
    """Return the lab that is up, None where there is none. Raises Conflict where it is not the one asked for."""
    lab = labs.find(name)
    if lab is None or not (lab.ready and lab.alive):
        return None
    if (len(lab.hosts), lab.bare, lab.encrypted) != (hosts, bare, encrypt and not bare):
        kind = " without SocketPlane" if lab.bare else ", encrypted" if lab.encrypted else ""
        remedy = f"use it, or remove it first: socketplane lab down --name {name}"
        raise Conflict(f"lab {name} is up already, with {len(lab.hosts)} hosts{kind}", remedy=remedy)
    return lab


def _finishes_checksums(datapath: str) -> bool:
    """Return whether what these hosts will forward with finishes checksums. auto: as `up` chooses."""
    kernel = openvswitch.kernel_datapath() if datapath == "auto" else datapath == KERNEL.kind
    return (KERNEL if kernel else USERSPACE).finishes_checksums


async def _machines(name: str, hosts: Sequence[str], say: Say, *, offload: bool) -> Lab:
    say(f"starting {len(hosts)} machine{'s' if len(hosts) > 1 else ''}")
    await asyncio.to_thread(_make_folders, name)
    async with asyncio.TaskGroup() as tasks:
        started = [tasks.create_task(machine.start(name, each, hosts)) for each in (layout.FABRIC, *hosts)]
    bridges, *rest = (task.result() for task in started)
    lab = Lab(name, bridges, tuple(rest), time.time())
    await asyncio.to_thread(lab.save)
    say("connecting them")
    await fabric.connect(bridges, rest, offload=offload)
    return lab


def _make_folders(name: str) -> None:
    for folder in layout.Layout(name).directories:
        folder.mkdir(parents=True, mode=0o700, exist_ok=True)
