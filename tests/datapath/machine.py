"""A machine of the tests' own: namespaces with Open vSwitch (userspace datapath) and OVN in them.

All of its processes live in one PID namespace that dies with the test process, even when that is killed: then
nothing is left, because no namespace has a name, and veths die with the last process of theirs.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from socketplane.config import Paths

LIBC = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNET = 0x40000000
PR_SET_PDEATHSIG = 1
PATIENCE = 20.0


def _die_with_parent() -> None:
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def eventually(condition: Callable[[], bool], what: str, patience: float = PATIENCE) -> None:
    """Return once `condition` holds; fail when it does not within `patience` seconds."""
    end = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < end, f"not within {patience} s: {what}"
        time.sleep(0.02)


class Namespace:
    """A network namespace that lives as long as its first process: a container, or a machine of the LAN."""

    def __init__(self, machine: Machine | None = None, *unshare: str) -> None:
        into = machine.enter if machine else []
        command = [*into, "unshare", "--net", *unshare, "setpriv", "--pdeathsig", "KILL", "sleep", "infinity"]
        self.process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL, preexec_fn=_die_with_parent
        )
        self.pid = self._first()
        self.enter = ["nsenter", "--target", str(self.pid), "--net", "--"]

    def _first(self) -> int:
        """Return the PID (as seen here) of the innermost process once it sleeps in its own namespace."""
        found = self.process.pid

        def ready() -> bool:
            nonlocal found
            found = self.process.pid
            while children := Path(f"/proc/{found}/task/{found}/children").read_text().split():
                found = int(children[0])
            return Path(f"/proc/{found}/comm").read_text() == "sleep\n"

        eventually(ready, "a namespace's first process")
        return found

    def run(self, *command: str, check: bool = True, timeout: float = 30, stdin: bytes | None = None) -> str:
        """Run a command in here and return its output."""
        done = subprocess.run([*self.enter, *command], capture_output=True, timeout=timeout, input=stdin, check=False)
        assert not check or done.returncode == 0, f"{command}: {done.stdout.decode()}{done.stderr.decode()}"
        return done.stdout.decode()

    def popen(self, *command: str, **streams: int) -> subprocess.Popen[bytes]:
        """Start a command in here; it dies with the test process."""
        return subprocess.Popen([*self.enter, *command], preexec_fn=_die_with_parent, **streams)  # type: ignore[call-overload,no-any-return]

    @contextlib.contextmanager
    def inside(self) -> Iterator[None]:
        """Move the calling thread (and threads that it starts) into this network namespace."""
        with Path("/proc/thread-self/ns/net").open() as home, Path(f"/proc/{self.pid}/ns/net").open() as here:
            _setns(here.fileno())
            try:
                yield
            finally:
                _setns(home.fileno())

    def close(self) -> None:
        """End the first process, and with it the namespace."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        self.process.wait(10)


class Machine(Namespace):
    """A host with OVS and OVN, its files under `root`."""

    def __init__(self, root: Path) -> None:
        super().__init__(None, "--mount", "--pid", "--fork")
        self.enter = ["nsenter", "--target", str(self.pid), "--net", "--mount", "--pid", "--"]
        self.paths = Paths(root)
        self.ovs, self.ovn = self.paths.ovs_socket.parent, self.paths.northbound_socket.parent
        for folder in (self.ovs, self.ovn, self.paths.state):
            folder.mkdir(parents=True)
        self.variables = {"OVS_RUNDIR": self.ovs, "OVN_RUNDIR": self.ovn, "OVS_LOGDIR": root, "OVN_LOGDIR": root}
        self.enter += ["env", *(f"{key}={value}" for key, value in self.variables.items())]
        self.run("mount", "-t", "sysfs", "sysfs", "/sys")
        self.run("mount", "-t", "proc", "proc", "/proc")
        self.run("ip", "link", "set", "lo", "up")

    def daemon(self, *command: str) -> None:
        """Start one of OVS' or OVN's daemons in the background."""
        self.run(*command, "--detach", "--no-chdir", f"--log-file={self.paths.root}/{Path(command[0]).name}.log")

    def pid_of(self, folder: Path, name: str) -> str:
        """Return the PID of a daemon as this machine's own PID namespace counts."""
        return (folder / f"{name}.pid").read_text().strip()

    def start_databases(self) -> None:
        """Start the local and the central databases."""
        share = "/usr/share"
        for database, schema, folder in (
            ("conf", f"{share}/openvswitch/vswitch.ovsschema", self.ovs),
            ("ovnnb", f"{share}/ovn/ovn-nb.ovsschema", self.ovn),
            ("ovnsb", f"{share}/ovn/ovn-sb.ovsschema", self.ovn),
        ):
            self.run("ovsdb-tool", "create", f"{folder}/{database}.db", schema)
        self.start_local_database()
        central = [f"{self.ovn}/ovnnb.db", f"{self.ovn}/ovnsb.db"]
        self.daemon(
            "ovsdb-server",
            f"--remote=punix:{self.paths.northbound_socket}",
            f"--pidfile={self.ovn}/central.pid",
            f"--unixctl={self.ovn}/central.ctl",
            *central,
        )
        self.nbctl("init")
        self.run("ovn-sbctl", self._central, "init")

    def start_local_database(self) -> None:
        """Start ovsdb-server for the Open_vSwitch database."""
        remote = f"--remote=punix:{self.paths.ovs_socket}"
        self.daemon("ovsdb-server", remote, "--pidfile", f"--unixctl={self.ovs}/ovsdb.ctl", f"{self.ovs}/conf.db")
        self.vsctl("--no-wait", "init")

    def start_vswitchd(self) -> None:
        """Start ovs-vswitchd without the kernel's datapath."""
        self.daemon("ovs-vswitchd", "--disable-system", "--pidfile", f"--unixctl={self.ovs}/vswitchd.ctl", self._local)

    def stop_vswitchd(self) -> None:
        """End ovs-vswitchd in order."""
        pid = self.pid_of(self.ovs, "ovs-vswitchd")
        self.run("ovs-appctl", "-t", f"{self.ovs}/vswitchd.ctl", "exit", "--cleanup")
        self._gone(pid, "ovs-vswitchd")

    def kill(self, folder: Path, name: str) -> None:
        """Kill a daemon as a crash would, and wait until it is gone."""
        pid = self.pid_of(folder, name)
        self.run("kill", "-KILL", pid)
        self._gone(pid, name)

    def _gone(self, pid: str, name: str) -> None:
        def runs() -> bool:  # no process here reaps what a daemon leaves
            return "State:" in self.run("sh", "-c", f"grep 'State:.[^ZX]' /proc/{pid}/status", check=False)

        eventually(lambda: not runs(), f"{name} has ended")

    def start_ovn(self, system_id: str) -> None:
        """Make this machine a chassis, and start northd and ovn-controller."""
        remote = f"unix:{self.paths.northbound_socket}"
        ids = [f"system-id={system_id}", f"ovn-remote={remote}", "ovn-encap-type=geneve", "ovn-encap-ip=127.0.0.1"]
        ids.append("ovn-monitor-all=true")
        self.vsctl("--no-wait", "set", "open", ".", *(f'external_ids:{i.replace("=", "=" + chr(34), 1)}"' for i in ids))
        self.daemon("ovn-northd", f"--ovnnb-db={remote}", f"--ovnsb-db={remote}", "--pidfile")
        self.start_controller()

    def start_controller(self) -> None:
        """Start ovn-controller."""
        self.daemon("ovn-controller", self._local, "--pidfile")

    @property
    def _local(self) -> str:
        return f"unix:{self.paths.ovs_socket}"

    @property
    def _central(self) -> str:
        return f"--db=unix:{self.paths.northbound_socket}"

    def vsctl(self, *arguments: str) -> str:
        """Run ovs-vsctl."""
        return self.run("ovs-vsctl", f"--db={self._local}", *arguments).strip()

    def nbctl(self, *arguments: str) -> str:
        """Run ovn-nbctl."""
        return self.run("ovn-nbctl", self._central, *arguments).strip()

    def close(self) -> None:
        """End every process of the machine."""
        super().close()
        shutil.rmtree(self.paths.root, ignore_errors=True)


def _setns(descriptor: int) -> None:
    if LIBC.setns(descriptor, CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")
