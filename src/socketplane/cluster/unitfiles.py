"""Our systemd units, with the paths of this installation, and what Debian's need to know."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path

from socketplane.cluster.daemons import ovs_switch, tls_options
from socketplane.cluster.machine import Machine
from socketplane.cluster.run import run
from socketplane.config import Paths
from socketplane.files import write_atomic
from socketplane.model.forwarding import USERSPACE, Traits

_SOURCE = Path(__file__).parent / "units"
_TARGET = "etc/systemd/system"
OVN_DROP_IN = "ovn-controller.service.d/socketplane.conf"
OVS_DROP_IN = "ovs-vswitchd.service.d/socketplane.conf"
_OVN_CTL = "/usr/share/ovn/scripts/ovn-ctl start_controller --ovn-manage-ovsdb=no --no-monitor"
_DROP_IN = "# By SocketPlane: {why}\n[Service]\nExecStart=\nExecStart={start}\n"


def files(paths: Paths, traits: Traits) -> dict[Path, str]:
    """Return the unit files that should stand, with their content."""
    target, binaries = paths.root / _TARGET, str(Path(sys.prefix) / "bin")
    found = {target / file.name: file.read_text().replace("@BIN@", binaries) for file in sorted(_SOURCE.iterdir())}
    start = f"{_OVN_CTL} {' '.join(_ovn_ctl_options(paths))} $OVN_CTL_OPTS"
    found[target / OVN_DROP_IN] = _DROP_IN.format(why="ovn-controller shows this host's certificate.", start=start)
    if not traits.needs_module:
        # Debian's start script insists on the kernel's module.
        switch = [word for word in ovs_switch(paths, traits).argv if word != "--monitor"]
        start = f"/usr/sbin/{' '.join(switch)}"
        found[target / OVS_DROP_IN] = _DROP_IN.format(why="Open vSwitch without the kernel's module.", start=start)
    return found


def _wanted(machine: Machine) -> dict[Path, str]:
    return files(machine.paths, machine.record.traits)


def stand(machine: Machine) -> bool:
    """Return whether nothing is to be done: all stand, or there is no systemd."""
    return not machine.systemd or all(path.exists() and path.read_text() == text for path, text in _wanted(machine).items())


def present(machine: Machine) -> bool:
    """Return whether any of our unit files is there."""
    return any(path.exists() for path in files(machine.paths, USERSPACE))


def install(machine: Machine) -> None:
    """Write the unit files, and have what runs with an older one start anew."""
    machine.note(files=tuple({*machine.record.files, *map(str, _wanted(machine))}))
    changed = []
    for path, text in _wanted(machine).items():
        if not path.exists() or path.read_text() != text:
            path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
            write_atomic(path, text, 0o644)
            changed.append(path.parent.name.removesuffix(".d") if path.suffix == ".conf" else path.name)
    run(["systemctl", "daemon-reload"])
    run(["systemctl", "try-restart", *changed], timeout=120)


def remove(machine: Machine) -> None:
    """Remove our unit files; Debian's ovn-controller, where it ran before, goes on without our certificate."""
    if not machine.systemd:
        return
    for path in files(machine.paths, USERSPACE):
        path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # Debian's unit may have other drop-ins
            path.parent.rmdir()
    run(["systemctl", "daemon-reload"])
    run(["systemctl", "try-restart", "ovn-controller.service"], timeout=120, check=False)


def _ovn_ctl_options(paths: Paths) -> list[str]:
    names = {"--private-key": "key", "--certificate": "cert", "--ca-cert": "ca-cert"}
    pairs = (option.split("=", 1) for option in tls_options(paths))
    return [f"--ovn-controller-ssl-{names[option]}={value}" for option, value in pairs]
