"""What must be so before anything is done."""

from __future__ import annotations

import os
import shutil

from socketplane.cluster.machine import Machine
from socketplane.errors import Forbidden, SocketPlaneError, Unavailable

PROGRAMS = {
    "ovsdb-server": "openvswitch-switch",
    "ovs-vswitchd": "openvswitch-switch",
    "ovs-vsctl": "openvswitch-switch",
    "ovsdb-tool": "openvswitch-common",
    "ovsdb-client": "openvswitch-common",
    "ovs-appctl": "openvswitch-common",
    "ovn-controller": "ovn-host",
    "dockerd": "docker.io",
    "ip": "iproute2",
    "ss": "iproute2",
    "nft": "nftables",
    "iptables": "iptables",
    "ethtool": "ethtool",
}
"""Programs that every host needs, and the Debian packages that bring them."""
MANAGER_PROGRAMS = {"ovn-northd": "ovn-central", "ovn-nbctl": "ovn-common", "ovn-sbctl": "ovn-common"}
SANE = 1_735_689_600.0
"""2025-01-01: a clock before this was never set."""
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def require_root() -> None:
    """Raise Forbidden without root's rights."""
    if os.geteuid() != 0:
        raise Forbidden("needs root", remedy="run it with sudo")


def check(machine: Machine, *, manager: bool) -> bool:
    """Return True; raise Forbidden or Unavailable, with what to do, where this machine can't be a host."""
    require_root()
    wanted = {**PROGRAMS, **(MANAGER_PROGRAMS if manager else {})}
    path = f"{os.environ.get('PATH', '')}:{_PATH}"
    missing = [program for program in wanted if shutil.which(program, path=path) is None]
    if missing:
        packages = " ".join(sorted({wanted[program] for program in missing}))
        raise Unavailable(f"not installed: {', '.join(missing)}", remedy=f"apt-get install {packages}")
    if machine.now() < SANE:
        raise SocketPlaneError("the clock was never set: certificates would not be valid", remedy="set it, or start NTP")
    return True
