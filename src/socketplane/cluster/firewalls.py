"""A firewall of the administrator's on a manager: which ports it has to let in is said once. It is never changed here."""

from __future__ import annotations

from pathlib import Path

from socketplane.cluster.machine import Machine
from socketplane.config import REST_PORT, SOUTHBOUND_PORT

_PORTS = (REST_PORT, SOUTHBOUND_PORT)
_RUNNING = "run/systemd/units/invocation:firewalld.service"
"""Systemd's sign that the unit is active; Debian's firewalld leaves no file of its own."""
_COMMANDS = {
    "ufw": f"ufw allow {','.join(map(str, _PORTS))}/tcp",
    "firewalld": f"firewall-cmd --permanent {' '.join(f'--add-port={port}/tcp' for port in _PORTS)}; firewall-cmd --reload",
}


def told(machine: Machine) -> bool:
    """Return whether there is nothing new to say."""
    return find(machine.paths.root) in ("", machine.record.firewall)


def tell(machine: Machine) -> str:
    """Return what lets in hosts that join."""
    found = find(machine.paths.root)
    machine.note(firewall=found)
    return f"{found}: hosts that join need `{_COMMANDS[found]}`"


def find(root: Path) -> str:
    """Return which firewall is in force, or nothing."""
    try:
        settings = (root / "etc/ufw/ufw.conf").read_text().splitlines()
    except OSError:
        settings = []
    if "ENABLED=yes" in [line.strip() for line in settings]:
        return "ufw"
    return "firewalld" if (root / _RUNNING).is_symlink() else ""
