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
        ("run/firewalld.pid", "77", "firewalld"),
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
