"""A machine: namespaces of its own, held by a tiny init whose end is the end of everything inside.

It has its own processes, network, host name, control groups, and its own files where a host's differ: /run, /tmp,
/var/log and the state of Docker, Open vSwitch, OVN and SocketPlane. /etc and /var/lib are copies on write; the rest
is this machine's. So inside, everything is where it is on a real host.
"""

from __future__ import annotations

import asyncio
import os
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path

from socketplane.errors import Unavailable
from socketplane.lab import cgroups, layout, shell
from socketplane.lab.processes import Process, process

PRIVATE = (
    "tmp",
    "var/log",
    *(f"var/lib/{name}" for name in ("docker", "containerd", "openvswitch", "ovn", "socketplane")),
    *(f"etc/{name}" for name in ("docker", "openvswitch", "ovn", "socketplane")),
)
"""Folders of a machine's own, beside /run; they begin empty."""
COPIES = ("etc", "var/lib")
"""Folders copied on write, so that mount points and changes stay inside."""
TOOLS = ("unshare", "nsenter", "setsid", "setpriv", "tini", "ip", "ethtool", "mount", "dockerd", "docker", "ovs-vswitchd")

# Runs as first process of the new namespaces. $1: name, $2: its /run, $3: its disk, $4: an empty folder,
# $5: commands that mount the control groups, then folders that must stay visible. The disk's folders are bound by way
# of $4 because their own path leads through a copied folder later.
_INIT = f"""
set -eu
umask 022
name=$1 run=$2 disk=$3 stash=$4 groups=$5
shift 5
echo "$name" > /proc/sys/kernel/hostname
mount -t proc proc /proc
mount -t sysfs sysfs /sys
eval "$groups"
mount -t tmpfs -o mode=755 socketplane-lab "$stash"
mkdir "$stash/disk" "$stash/keep"
mount --bind "$disk" "$stash/disk"
n=0
for keep; do n=$((n + 1)); mkdir "$stash/keep/$n"; mount --rbind "$keep" "$stash/keep/$n"; done
for copy in {" ".join(COPIES)}; do
  mkdir -p "$stash/upper/$copy" "$stash/scratch/$copy"
  mount -t overlay -o "lowerdir=/$copy,upperdir=$stash/upper/$copy,workdir=$stash/scratch/$copy" overlay "/$copy"
done
for own in {" ".join(PRIVATE)}; do mkdir -p "/$own"; mount --bind "$stash/disk/$own" "/$own"; done
rm -f /etc/hostname /etc/hosts /etc/resolv.conf
cp "$stash"/disk/files/* /etc/
n=0
for keep; do n=$((n + 1)); mkdir -p "$keep"; mount --rbind "$stash/keep/$n" "$keep"; done
umount -l "$stash"
mount --bind "$run" /run
ip link set lo up
echo ready
exec tini -- sleep infinity > /dev/null 2>&1
"""
# Joins the control groups up to "--" and becomes what follows.
_JOIN = 'while [ "$1" != -- ]; do echo 0 > "$1/cgroup.procs" || exit 126; shift; done; shift; exec "$@"'
# The first fork after unshare --pid is the new namespace's first process; $! is its number out here.
_HOLD = 'script=$1; shift; sh -c "$script" init "$@" & echo $!'
_CHANGE_FOLDER = 'cd "$1" 2> /dev/null || cd /; shift; exec "$@"'


@dataclass(frozen=True, slots=True)
class Machine:
    """A running machine of a lab."""

    lab: str
    name: str
    init: Process

    @property
    def management(self) -> IPv4Address:
        """Address on the management network (eth0)."""
        return layout.address(layout.MANAGEMENT, self.name)

    @property
    def underlay(self) -> IPv4Address:
        """Address on the underlay (eth1, or br-phy once SocketPlane moved it there)."""
        return layout.address(layout.UNDERLAY, self.name)

    def path(self, inside: str) -> Path:
        """Return where a path of this machine's own is outside; others are the same."""
        parts = inside.lstrip("/")
        if parts.startswith("run/"):
            return _run(self.lab, self.name) / parts.removeprefix("run/")
        if any(f"{parts}/".startswith(f"{own}/") for own in PRIVATE):
            return _disk(self.lab, self.name) / parts
        return Path("/") / parts

    def command(self, argv: Sequence[str], folder: str = "/") -> list[str]:
        """Return the command that runs `argv` inside: with a host's environment, ended when its caller is killed."""
        environment = {"PATH": layout.program_path(), "HOME": "/root", "USER": "root", "LANG": "C.UTF-8"}
        if "TERM" in os.environ:
            environment["TERM"] = os.environ["TERM"]
        groups = [str(group) for group in cgroups.of_machine(self.lab, self.name)]
        return [
            *("sh", "-c", _JOIN, "join", *groups, "--"),
            *("nsenter", "--target", str(self.init.pid), "--all", "setpriv", "--pdeathsig", "KILL"),
            *("env", "--default-signal=INT,QUIT", "-i", *(f"{key}={value}" for key, value in environment.items())),
            *("sh", "-c", _CHANGE_FOLDER, "sh", folder, *argv),
        ]

    async def run(
        self,
        *argv: str,
        stdin: str | bytes | Path | None = None,
        timeout: float = 60.0,  # noqa: ASYNC109 - as in shell.run
        check: bool = True,
    ) -> shell.Completed:
        """Run a program inside to its end. Raises CommandFailed as `shell.run` does."""
        command = await asyncio.to_thread(self.command, argv)
        title = f"{self.name}: {shlex.join(argv)}"
        return await shell.run(command, stdin=stdin, timeout=timeout, check=check, title=title)

    async def network(self, *lines: str) -> None:
        """Run ip(8) commands in this machine's network; process numbers in them are ours."""
        command = ["nsenter", "--target", str(self.init.pid), "--net", "ip", "-batch", "-"]
        await shell.run(command, stdin="\n".join(lines) + "\n")

    async def no_offload(self, *interfaces: str) -> None:
        """Have checksums computed before packets leave: a userspace switch at the other end would see empty ones."""
        for interface in interfaces:
            enter = ["nsenter", "--target", str(self.init.pid), "--net"]
            await shell.run([*enter, "ethtool", "-K", interface, "tx", "off", "gro", "off"])


async def start(lab: str, name: str, machines: Sequence[str]) -> Machine:
    """Start a machine; `machines` are the names that it knows. Raises CommandFailed, Unavailable."""
    return await asyncio.to_thread(_start, lab, name, machines)


def _start(lab: str, name: str, machines: Sequence[str]) -> Machine:
    run, disk, stash = _run(lab, name), _disk(lab, name), layout.Layout(lab).run / f"{name}.mount"
    for folder in (run, stash, disk / "files", *(disk / own for own in PRIVATE)):
        folder.mkdir(parents=True, exist_ok=True)
    (disk / "tmp").chmod(0o1777)
    (run / "lock").mkdir(exist_ok=True)
    _write_files(disk / "files", name, machines)
    roots = [str(path) for path in cgroups.create(lab, name)]
    log = layout.Layout(lab).run / f"{name}.log"
    arguments = [name, str(run), str(disk), str(stash), _mount_groups(), *map(str, _hidden(layout.shared()))]
    argv = [
        *("sh", "-c", _JOIN, "join", *roots, "--"),
        *("unshare", "--mount", "--pid", "--net", "--uts", "--ipc", "--cgroup"),
        *("sh", "-c", _HOLD, "hold", _INIT, *arguments),
    ]
    answer = shell.spawn(argv, log=log).split()
    init = next((process(int(word)) for word in answer if word.isdigit()), None)
    if init is None or "ready" not in answer:
        raise Unavailable(f"machine {name} did not start: {shell.tail(log) or 'no message'}")
    return Machine(lab, name, init)


def _run(lab: str, name: str) -> Path:
    return layout.Layout(lab).run / name


def _disk(lab: str, name: str) -> Path:
    return layout.Layout(lab).storage / name


def _write_files(folder: Path, name: str, machines: Sequence[str]) -> None:
    hosts = ["127.0.0.1 localhost", "::1 localhost ip6-localhost ip6-loopback"]
    hosts += [f"{layout.address(layout.UNDERLAY, machine)} {machine}" for machine in machines]
    (folder / "hostname").write_text(f"{name}\n")
    (folder / "hosts").write_text("\n".join(hosts) + "\n")
    # Nobody serves names there, and says so at once, where no server at all would mean Docker's public ones.
    (folder / "resolv.conf").write_text(f"nameserver {layout.address(layout.MANAGEMENT, layout.FABRIC)}\n")


def _hidden(folders: Sequence[Path]) -> list[Path]:
    """Return those folders that a machine's own ones would hide."""
    own = [Path("/run"), *(Path("/") / name for name in (*PRIVATE, *COPIES))]
    return [folder for folder in folders if any(folder.is_relative_to(path) for path in own)]


def _mount_groups() -> str:
    """Return shell commands that show a machine its own groups and move its first process into the inner one."""
    lines = []
    hierarchies = cgroups.hierarchies()
    if all(hierarchy.mount != cgroups.ROOT for hierarchy in hierarchies):
        lines.append(f"mount -t tmpfs -o mode=755 cgroup {cgroups.ROOT}")
    for hierarchy in hierarchies:
        point = shlex.quote(str(hierarchy.mount))
        options = f"-o {shlex.quote(hierarchy.controllers)}" if hierarchy.controllers else ""
        lines += [f"mkdir -p {point}", f"mount -t {hierarchy.kind} {options} {hierarchy.kind} {point}"]
        lines.append(f"echo 0 > {point}/{cgroups.INIT}/cgroup.procs")
    return "\n".join(lines)
