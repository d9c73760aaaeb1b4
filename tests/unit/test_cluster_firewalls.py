"""Which firewall is found on a manager, and that what it needs is said once."""

from __future__ import annotations

from pathlib import Path

import pytest

from socketplane.cluster import firewalls
from socketplane.cluster.machine import Machine
from socketplane.config import Paths


@pytest.mark.parametrize(
    ("file", "text", "found"),
    [
        ("etc/ufw/ufw.conf", "# on boot\nENABLED=yes\nLOGLEVEL=low\n", "ufw"),
        ("etc/ufw/ufw.conf", "ENABLED=no\n", ""),
        ("etc/hostname", "h1", ""),
    ],
)
def test_what_is_found_is_told_once(tmp_path: Path, file: str, text: str, found: str) -> None:
    (tmp_path / file).parent.mkdir(parents=True)
    (tmp_path / file).write_text(text)
    machine = Machine(Paths(tmp_path))
    assert firewalls.find(tmp_path) == found
    assert firewalls.told(machine) is (found == "")
    if found:
        assert "6675" in (said := firewalls.tell(machine))
        assert said.startswith(f"{found}: ")
    assert firewalls.told(machine)


def test_firewalld_is_known_by_its_unit(tmp_path: Path) -> None:
    units = tmp_path / "run/systemd/units"
    units.mkdir(parents=True)
    (units / "invocation:firewalld.service").symlink_to("0123456789abcdef0123456789abcdef")
    assert firewalls.tell(Machine(Paths(tmp_path))).startswith("firewalld: ")
