"""ufw and firewalld, the real ones, on a machine of the tests: unpacked beside its `/usr` and `/etc`, never installed."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from machine import Machine, eventually

PACKAGES = ("ufw", "firewalld")
_BUS = """<busconfig><type>system</type><listen>unix:path={socket}</listen><auth>EXTERNAL</auth>
<policy context="default"><allow send_destination="*"/><allow receive_sender="*"/><allow own="*"/><allow user="*"/>
</policy></busconfig>"""


def unpack(cache: Path) -> Path:
    """Return a folder with the packages in it, and with what they need that this machine hasn't; skips without a mirror."""
    root = cache / "root"
    if root.exists():
        return root
    archives = cache / "archives"
    (archives / "partial").mkdir(parents=True, exist_ok=True)
    fetch = ["apt-get", "-qq", "-y", "--no-install-recommends", "--download-only", "-o", f"Dir::Cache::archives={archives}"]
    done = subprocess.run([*fetch, "install", *PACKAGES], capture_output=True, text=True, timeout=120, check=False)
    if done.returncode:
        pytest.skip(f"no ufw and firewalld to test with: {done.stderr.strip()[-300:]}")
    fresh = cache / "unpacking"
    shutil.rmtree(fresh, ignore_errors=True)
    for package in archives.glob("*.deb"):
        subprocess.run(["dpkg", "-x", str(package), str(fresh)], check=True)
    if (fresh / "lib").is_dir():
        shutil.copytree(fresh / "lib", fresh / "usr/lib", symlinks=True, dirs_exist_ok=True)
    return fresh.rename(root)


def lay_over(machine: Machine, root: Path) -> None:
    """Have the machine see the packages, with `/etc` and `/run` of its own."""
    upper = machine.paths.root / "over"
    script = f"""set -e
mkdir -p {upper}
mount -t tmpfs tmpfs {upper}
mkdir {upper}/etc {upper}/work
mount -t overlay overlay -o lowerdir={root}/usr:/usr /usr
mount -t overlay overlay -o lowerdir={root}/etc:/etc,upperdir={upper}/etc,workdir={upper}/work /etc
mount -t tmpfs tmpfs /run
cp -n /usr/share/ufw/iptables/*.rules /usr/share/ufw/*.init /usr/share/ufw/ufw.conf /etc/ufw/
"""
    machine.run("sh", "-c", script)


@contextmanager
def ufw(machine: Machine) -> Iterator[None]:
    """Have ufw enabled, with what it comes with: nothing comes in and nothing is routed."""
    machine.run("ufw", "--force", "enable")
    try:
        yield
    finally:
        machine.run("ufw", "--force", "disable")
        clear(machine)


@contextmanager
def firewalld(machine: Machine, *, backend: str = "nftables") -> Iterator[None]:
    """Have firewalld running, with what it comes with; nothing of it is left afterwards."""
    bus = machine.paths.system_bus
    config = machine.paths.root / "bus.conf"
    config.write_text(_BUS.format(socket=bus))
    bus.parent.mkdir(parents=True, exist_ok=True)
    machine.run("sed", "-i", f"s/^FirewallBackend=.*/FirewallBackend={backend}/", "/etc/firewalld/firewalld.conf")
    address = f"DBUS_SYSTEM_BUS_ADDRESS=unix:path={bus}"
    machine.run("mkdir", "-p", "/run/firewalld")
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    daemons = [machine.popen("dbus-daemon", f"--config-file={config}", "--nofork", "--nopidfile", **quiet)]
    try:
        eventually(bus.exists, "the bus")
        daemons.append(machine.popen("env", address, "firewalld", "--nofork", "--nopid", **quiet))
        eventually(lambda: "running" in firewall_cmd(machine, "--state", check=False), "firewalld", 60)
        yield
    finally:
        for daemon in reversed(daemons):
            daemon.terminate()
            daemon.wait(20)
        bus.unlink(missing_ok=True)
        clear(machine)


def firewall_cmd(machine: Machine, *arguments: str, check: bool = True) -> str:
    """Run firewalld's command line."""
    address = f"DBUS_SYSTEM_BUS_ADDRESS=unix:path={machine.paths.system_bus}"
    return machine.run("env", address, "firewall-cmd", *arguments, check=check)


def clear(machine: Machine) -> None:
    """Remove every rule of the machine."""
    machine.run("nft", "flush", "ruleset")
    policies = "; ".join(f"iptables-legacy -P {chain} ACCEPT" for chain in ("INPUT", "FORWARD", "OUTPUT"))
    machine.run(
        "sh",
        "-c",
        f"! grep -q filter /proc/net/ip_tables_names || {{ {policies}; iptables-legacy -F; iptables-legacy -X; }}",
    )
