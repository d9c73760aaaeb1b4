"""Our systemd units, with the paths of this installation, and what Debian's need to know."""

from __future__ import annotations

import sys
from pathlib import Path

from socketplane.cluster.daemons import tls_options
from socketplane.cluster.machine import Machine
from socketplane.cluster.run import run
from socketplane.config import Paths
from socketplane.files import write_atomic

_SOURCE = Path(__file__).parent / "units"
_TARGET = "etc/systemd/system"
DROP_IN = "ovn-controller.service.d/socketplane.conf"
_OVN_CTL = "/usr/share/ovn/scripts/ovn-ctl start_controller --ovn-manage-ovsdb=no --no-monitor"


def files(paths: Paths) -> dict[Path, str]:
    """Return the unit files that should stand, with their content."""
    target, binaries = paths.root / _TARGET, str(Path(sys.prefix) / "bin")
    found = {target / file.name: file.read_text().replace("@BIN@", binaries) for file in sorted(_SOURCE.iterdir())}
    options = " ".join(_ovn_ctl_options(paths))
    text = (
        "# By SocketPlane: ovn-controller shows this host's certificate.\n"
        f"[Service]\nExecStart=\nExecStart={_OVN_CTL} {options} $OVN_CTL_OPTS\n"
    )
    return found | {target / DROP_IN: text}


def stand(machine: Machine) -> bool:
    """Return whether nothing is to be done: all stand, or there is no systemd."""
    return not machine.systemd or all(
        path.exists() and path.read_text() == text for path, text in files(machine.paths).items()
    )


def present(machine: Machine) -> bool:
    """Return whether any of our unit files is there."""
    return any(path.exists() for path in files(machine.paths))


def install(machine: Machine) -> None:
    """Write the unit files, and have what runs with an older one start anew."""
    machine.note(files=tuple({*machine.record.files, *map(str, files(machine.paths))}))
    changed = []
    for path, text in files(machine.paths).items():
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
    for path in files(machine.paths):
        path.unlink(missing_ok=True)
    run(["systemctl", "daemon-reload"])
    run(["systemctl", "try-restart", "ovn-controller.service"], timeout=120, check=False)


def _ovn_ctl_options(paths: Paths) -> list[str]:
    names = {"--private-key": "key", "--certificate": "cert", "--ca-cert": "ca-cert"}
    pairs = (option.split("=", 1) for option in tls_options(paths))
    return [f"--ovn-controller-ssl-{names[option]}={value}" for option, value in pairs]
