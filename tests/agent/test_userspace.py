"""What the userspace datapath is told: its alarms where that fails, on a real kernel and a real control socket."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from socketplane.agent.netlink import Netlink
from socketplane.agent.userspace import ALARM_AFTER, Userspace
from socketplane.model.forwarding import BY_KIND
from support.ovsdb_server import OvsdbServer

SCHEMA = Path("/usr/share/openvswitch/vswitch.ovsschema")
NOBODY = "192.0.2.77"


@pytest.fixture
async def run_directory(tmp_path: Path) -> AsyncIterator[Path]:
    """A run folder whose ovs-vswitchd is a daemon of that family that knows none of the datapath's commands."""
    async with OvsdbServer(SCHEMA, tmp_path / "server") as server:
        folder = tmp_path / "run"
        folder.mkdir()
        (folder / "ovs-vswitchd.pid").write_text("7")
        (folder / "ovs-vswitchd.7.ctl").symlink_to(server.control)
        yield folder


@pytest.mark.parametrize(("kind", "before", "after"), [("userspace", 1, 2), ("kernel", 0, 0)])
async def test_what_it_can_not_be_told_is_an_alarm(run_directory: Path, kind: str, before: int, after: int) -> None:
    now = 0.0
    async with Netlink() as netlink:
        told = Userspace(run_directory, netlink, traits=lambda: BY_KIND[kind], peers=lambda: [NOBODY], clock=lambda: now)
        await told._look()
        assert len(told.alarms) == before
        assert all("fragments" in alarm for alarm in told.alarms)
        now = ALARM_AFTER + 1
        await told._look()
        assert len(told.alarms) == after
        assert kind == "kernel" or NOBODY in told.alarms[0]
        (run_directory / "ovs-vswitchd.7.ctl").unlink()
        await told._look()
        assert not any("fragments" in alarm for alarm in told.alarms), "no switch, no fragments"
