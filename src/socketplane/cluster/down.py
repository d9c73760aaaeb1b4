"""`down`: stop and unwire what is ours; what was here before stays as it was."""

from __future__ import annotations

import contextlib
import re
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from socketplane.cluster import (
    daemons,
    dockerdns,
    network,
    openvswitch,
    ovn,
    probe,
    rest,
    segmentation,
    underlay,
    unitfiles,
)
from socketplane.cluster.daemons import Daemon
from socketplane.cluster.machine import Machine
from socketplane.cluster.run import CommandFailed, run
from socketplane.cluster.steps import Progress, Step, perform
from socketplane.encryption import DEVICE
from socketplane.errors import Unavailable

AGAIN = "mend that and run `socketplane down` again"
_OURS = re.compile(rf"sp0|{DEVICE}|s[pc][0-9a-f]{{12}}|spn[0-9a-f]{{12}}")


def down(machine: Machine, progress: Progress) -> bool:
    """Undo `up`, data aside. Return whether anything was to be done. Raises StepFailed."""
    return perform(steps(machine, purge=False), progress)


def steps(machine: Machine, *, purge: bool) -> Iterator[Step]:
    """Yield the steps (`purge`: forget all data too); each part goes while those that it says goodbye to are there."""
    paths = machine.paths
    docker = daemons.docker(paths)
    engine = rest.Docker(paths.docker_socket)
    yield _stop(machine, daemons.bgp(paths))  # first: routers send elsewhere, or nowhere, before containers stop
    if probe.answers(docker):
        yield _containers(machine, engine, everything=machine.ours(docker), purge=purge)
    yield _stop(machine, daemons.agent(paths))
    if purge and probe.answers(docker):
        yield _undo("Docker networks", lambda: not engine.networks(), lambda: _remove_networks(machine, engine))
    yield _stop(machine, docker)
    yield _stop(machine, daemons.controller(paths))
    yield _stop(machine, daemons.ovn_controller(paths))
    if probe.answers(daemons.southbound(paths)):
        yield _undo("OVN for hosts", lambda: not ovn.configured(paths), lambda: ovn.close(machine))
    for daemon in (daemons.northd(paths), daemons.southbound(paths), daemons.northbound(paths), daemons.intent(paths)):
        yield _stop(machine, daemon)
    yield _undo("Open vSwitch to undo", lambda: not _crashed(machine), lambda: _revive(machine))
    yield _undo("gateway", lambda: not (machine.joined and _wired()), _unwire)
    yield _undo("Docker's dns", lambda: not dockerdns.ours(paths), lambda: dockerdns.forget(paths))
    yield _stop(machine, daemons.resolver(paths))  # after the firewall that leads queries to it
    yield _undo("underlay", lambda: machine.record.moved is None, lambda: underlay.put_back(machine))
    yield _undo("segmentation", lambda: not machine.record.segmentation, lambda: segmentation.take_back(machine))
    yield _undo("chassis settings", lambda: not machine.record.external_ids, lambda: openvswitch.restore(machine))
    database, switch = _switch(machine)
    yield _stop(machine, switch)
    yield _stop(machine, database)
    yield _stop(machine, daemons.plugin(paths))  # last: until then, a Docker engine that stays gets quick answers
    yield _undo("interfaces", lambda: not _links(), _remove_links)
    if machine.systemd:
        yield _undo("systemd units", lambda: not unitfiles.present(machine), lambda: unitfiles.remove(machine))
    yield _undo("runtime files", lambda: not _runtime_files(machine), lambda: _remove_runtime_files(machine))
    if purge:
        yield from _purge(machine)


def _containers(machine: Machine, engine: rest.Docker, *, everything: bool, purge: bool) -> Step:
    """Containers first, while the agent can still take them off their networks; all of them if the engine ends too."""

    def running() -> dict[str, str]:
        return engine.running() if everything else engine.attached()

    def stop() -> str:
        found = running()
        if not purge:
            machine.note(containers=tuple({**dict.fromkeys(machine.record.containers), **found}))
        engine.stop(found)
        return "stopped: " + ", ".join(sorted(found.values()))

    return _undo("containers", lambda: not running(), stop)


def _remove_networks(machine: Machine, engine: rest.Docker) -> str:
    found = engine.networks()
    engine.remove_networks(found, (machine.paths.agent_socket, machine.paths.plugin_socket))
    return "removed: " + ", ".join(sorted(found.values()))


def _runtime_files(machine: Machine) -> list[Path]:
    """Return what is left of processes that are gone; a driver's socket that still answers is not."""
    plugin = daemons.plugin(machine.paths)
    places = [machine.paths.run, *([] if probe.answers(plugin) else [machine.paths.plugin_socket])]
    return [path for path in places if path.exists()]


def _remove_runtime_files(machine: Machine) -> None:
    for path in _runtime_files(machine):
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def _purge(machine: Machine) -> Iterator[Step]:
    paths = machine.paths

    def forget() -> None:
        for file in map(Path, machine.record.files):  # databases that were there before us are not among them
            for path in (file, *file.parent.glob(f".{file.name}.*lock~")):
                path.unlink(missing_ok=True)
        _empty(paths.log)
        _empty(paths.state)

    yield _undo("data", lambda: not _holds(paths.state), forget)


def _empty(folder: Path) -> None:
    """Remove a folder with all that is in it; one that is a mount point stays, empty."""
    if folder.exists():
        for path in folder.iterdir():
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        with contextlib.suppress(OSError):
            folder.rmdir()


def _holds(folder: Path) -> bool:
    return folder.exists() and any(folder.iterdir())


def _stop(machine: Machine, daemon: Daemon) -> Step:
    def do() -> str:
        machine.stop(daemon)
        if probe.answers(daemon):
            raise Unavailable(f"{daemon.program} is still there")
        return "stopped"

    return Step(daemon.title, lambda: not machine.ours(daemon), do, AGAIN)


def _undo(name: str, gone: Callable[[], bool], do: Callable[[], str | None]) -> Step:
    return Step(name, gone, do, AGAIN)


def _wired() -> bool:
    """Return whether the agent's gateway is still there."""
    return bool(_links()) or run(["nft", "list", "table", "inet", "socketplane"], check=False).code == 0


def _unwire() -> None:
    """Have the agent's own code take its gateway away, in a process of its own: the agent is gone by now."""
    run([sys.executable, "-m", "socketplane.agent.unwire"], timeout=60)


def _switch(machine: Machine) -> tuple[Daemon, Daemon]:
    return daemons.ovs_database(machine.paths), daemons.ovs_switch(machine.paths, machine.record.traits)


def _crashed(machine: Machine) -> bool:
    """Return whether something of ours is in Open vSwitch, which does not run."""
    record = machine.record
    ours = record.external_ids or record.moved or record.segmentation
    return bool(ours) and not all(map(probe.answers, _switch(machine)))


def _revive(machine: Machine) -> None:
    """Start Open vSwitch to have its help in undoing; being ours then, it is stopped again."""
    database, switch = _switch(machine)
    if not probe.answers(database):
        openvswitch.start_database(machine)
    if not probe.answers(switch):
        machine.start(switch)


def _links() -> Sequence[str]:
    """Return our interfaces that are still there."""
    return [link["ifname"] for link in network.ip("link", "show") if _OURS.fullmatch(link["ifname"])]


def _remove_links() -> None:
    for link in _links():
        with contextlib.suppress(CommandFailed):  # the other end of one that is gone by now
            run(["ip", "link", "delete", link])
