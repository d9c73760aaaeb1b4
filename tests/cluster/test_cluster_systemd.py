"""The same commands where daemons are systemd's: a real one, alone in a machine, with nothing but what we start."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from cluster_site import Site

pytestmark = pytest.mark.slow

# The kernel's settings stay as they are (but the network's, which are the machine's own), and no unit of the
# distribution starts by itself.
BOOT = """
set -e
mount --make-rprivate /
for target in sysinit basic; do
  printf '[Unit]\\nDefaultDependencies=no\\n' > /etc/systemd/system/$target.target
done
printf '[Unit]\\nDefaultDependencies=no\\nWants=systemd-journald.service\\n' > /etc/systemd/system/lab.target
for wants in /lib/systemd/system/*.target.wants /lib/systemd/system-generators; do mount -t tmpfs tmpfs "$wants"; done
rm -rf /etc/systemd/system/*.wants /etc/systemd/system/*.requires
mkdir -p /tmp/net
mount --bind /proc/sys/net /tmp/net
mount --bind /proc/sys /proc/sys
mount -o remount,bind,ro /proc/sys
mount --bind /tmp/net /proc/sys/net
export container=lab
exec /lib/systemd/systemd --system --unit=lab.target --log-target=console --show-status=no --crash-reboot=no
"""
UNITS = ("systemctl", "list-units", "--plain", "--no-legend", "--type=service,socket", "--state=active")


class Booted:
    """A machine with systemd."""

    def __init__(self, site: Site, pid: str) -> None:
        self.site, self.pid = site, pid

    async def out(self, *argv: str) -> str:
        return await self.site.out("h3", "nsenter", "--target", self.pid, "--mount", "--pid", "--", *argv)

    async def units(self) -> set[str]:
        return {line.split()[0] for line in (await self.out(*UNITS)).splitlines()}


@pytest.fixture
async def booted(site: Site) -> AsyncIterator[Booted]:
    if (await site.run("h3", "test", "-x", "/lib/systemd/systemd", check=False)).code:
        pytest.skip("no systemd here")
    await site.run("h3", "sh", "-c", "echo 0123456789abcdef0123456789abcdef > /etc/machine-id")
    unshare = ("unshare", "--pid", "--mount", "--fork", "--kill-child", "--mount-proc", "sh", "-c", BOOT)
    holder = await site.background("h3", *unshare)
    await site.until("h3", "pidof systemd")
    booted = Booted(site, await site.out("h3", "pidof", "systemd"))
    entered = f"nsenter --target {booted.pid} --mount --pid --"
    await site.until("h3", f"{entered} systemctl is-active systemd-journald")
    yield booted
    await booted.out("socketplane", "down", "--purge")
    await booted.out("systemctl", "stop", "containerd.service")
    await site.run("h3", "kill", "-9", booted.pid)
    await site.until("h3", f"! kill -0 {holder}")
    await site.run("h3", "sh", "-c", "rm -rf /run/systemd /run/docker /run/containerd /etc/openvswitch/* /etc/ovn/*")


async def test_up_down_up_and_purge(booted: Booted) -> None:
    before = await booted.units()
    up = ("socketplane", "up", "--name", "h3", "--address", "198.19.0.3", "--uplink", "eth1")
    first = await booted.out(*up)
    assert "done  ready" in first
    ours = {f"socketplane-{name}.service" for name in ("intent", "controller", "agent", "plugin", "resolver")}
    wanted = ours | {"socketplane-plugin.socket", "docker.service", "ovn-controller.service", "ovs-vswitchd.service"}
    assert wanted <= await booted.units()
    await booted.out("socketplane", "network", "create", "web")

    assert "Nothing to do" in await booted.out("socketplane", "up")
    await booted.out("socketplane", "down")
    assert await booted.units() - {"containerd.service"} == before
    await booted.out("socketplane", "up")
    assert "web" in await booted.out("socketplane", "network", "ls")
    await booted.out("socketplane", "down", "--purge")
    assert await booted.units() - {"containerd.service"} == before
    assert "socketplane" not in await booted.out("find", "/etc/systemd/system")


async def test_what_systemd_ran_before_stays(booted: Booted) -> None:
    await booted.out("systemctl", "start", "ovn-central.service", "ovn-host.service", "docker.service")
    before = await booted.units()
    await booted.out("socketplane", "up", "--name", "h3", "--address", "198.19.0.3")
    await booted.out("socketplane", "down", "--purge")
    assert await booted.units() >= before
    await booted.out("systemctl", "stop", "ovn-central.service", "ovn-host.service", "docker.service", "docker.socket")
    databases = await booted.out("sh", "-c", "cd /var/lib/ovn && ls *.db")
    assert databases.split() == ["ovnnb_db.db", "ovnsb_db.db"]  # they were there before us
    await booted.out("sh", "-c", "rm /var/lib/ovn/*.db /var/lib/ovn/.*lock~")
