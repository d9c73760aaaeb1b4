"""Run a job in the machine: boot, follow its output, take its results, leave nothing behind."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from socketplane.errors import SocketPlaneError, Unavailable
from vm import disks, programs
from vm.image import Image
from vm.say import say

MEMORY = 3072
"""MiB of the machine; so much has to be free here, and some more for QEMU itself."""
OVERHEAD = 384
HARDWARE = ("-accel", "kvm", "-cpu", "host")
EMULATION = ("-accel", "tcg,thread=multi", "-cpu", "max")
AGAIN = 75
"""Exit code of a job that is to be run again after a reboot (`EX_TEMPFAIL`)."""
BOOTS = 5
PARAMETERS = "root=/dev/vda rw console=ttyS0 loglevel=4 panic=-1 mitigations=off systemd.show_status=no"
TAIL = 40
"""Lines of the console that an error shows."""


class JobLost(SocketPlaneError):
    """The machine ended, or had to be ended, before its job did."""

    code = "job_lost"


def run(image: Image, script: str, results: Path, *, timeout: float, interactive: bool = False) -> int:
    """Run a script in a machine of its own; return its exit code. Results and the console's log are in `results` then.

    The root disk can be written to; that lasts over the job's reboots, and not longer. What the script writes to its
    standard output and error comes out on ours.

    Raises Unavailable where no machine can run, JobLost when it ends before the job or takes longer than `timeout`.
    """
    check()
    shutil.rmtree(results, ignore_errors=True)
    results.mkdir(parents=True)
    console = results / "console.log"
    with tempfile.TemporaryDirectory(prefix="socketplane-vm-") as name:
        folder = Path(name)
        disks.pack(folder / "checkout.tar", script)
        overlay = folder / "disk.qcow2"
        programs.run("qemu-img", "create", "-q", "-f", "qcow2", "-b", image.disk, "-F", "raw", overlay)
        deadline = time.monotonic() + timeout
        for boot in range(BOOTS):
            disks.blank(folder / "results.tar")
            files = (overlay, folder / "checkout.tar", folder / "results.tar")
            say("booting the machine" if boot == 0 else "booting the machine again")
            _boot(image, files, console, deadline, interactive=interactive)
            code = disks.unpack(folder / "results.tar", results)
            if code is None:
                raise JobLost(f"the machine ended without a result; its console said:\n{_tail(console)}")
            if code != AGAIN:
                return code
    raise JobLost(f"the job asked for more than {BOOTS - 1} reboots")


def check() -> None:
    """Raise Unavailable where no machine can run here."""
    programs.require("qemu-system-x86_64", "qemu-img", "setpriv")
    free = _available()
    if free < MEMORY + OVERHEAD:
        remedy = "end something that uses much, and try again"
        raise Unavailable(f"the machine takes {MEMORY + OVERHEAD} MiB of memory, and {free} are available", remedy=remedy)


def _available() -> int:
    """Return how many MiB of memory can be used here."""
    lines = Path("/proc/meminfo").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable:")) // 1024


def _boot(image: Image, files: tuple[Path, Path, Path], console: Path, deadline: float, *, interactive: bool) -> None:
    """Run QEMU until the machine powers itself off. Raises JobLost when that is not in time."""
    sys.stdout.flush()
    begin = time.monotonic()
    process = subprocess.Popen(
        ["setpriv", "--pdeathsig", "KILL", *_command(image, files, console)],
        stdin=None if interactive else subprocess.DEVNULL,
    )
    try:
        code = process.wait(None if interactive else max(1.0, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        raise JobLost(f"the machine was not done in time; its console said last:\n{_tail(console)}") from None
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
    if code != 0:
        raise JobLost(f"QEMU ended with code {code}; the machine's console said:\n{_tail(console)}")
    say(f"the machine ran for {time.monotonic() - begin:.0f} s")


def _command(image: Image, files: tuple[Path, Path, Path], console: Path) -> list[str]:
    drives = zip(files, ("qcow2", "raw", "raw"), strict=True)
    return [
        *(
            "qemu-system-x86_64",
            *(HARDWARE if _kvm_works() else EMULATION),
            "-smp",
            "2",
            "-m",
            str(MEMORY),
            "-nodefaults",
            "-no-user-config",
            "-display",
            "none",
        ),
        *("-nic", "none", "-no-reboot", "-device", "virtio-rng-pci"),
        *("-kernel", str(image.kernel), "-initrd", str(image.initrd), "-append", PARAMETERS),
        *(word for file, form in drives for word in ("-drive", f"file={file},format={form},if=virtio,cache=unsafe")),
        *("-chardev", f"file,id=console,path={console},append=on", "-serial", "chardev:console"),
        *("-chardev", "stdio,id=job,signal=off", "-serial", "chardev:job"),
    ]


def _kvm_works() -> bool:
    """Return whether the processor's own virtualization can be used: the device may be there, and a machine not start."""
    argv = ("qemu-system-x86_64", *HARDWARE, "-S", "-nodefaults", "-display", "none", "-monitor", "stdio")
    try:
        done = subprocess.run(
            argv, input=b"quit\n", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=10, check=False
        )
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


def _tail(console: Path) -> str:
    try:
        lines = console.read_text(errors="replace").splitlines()
    except OSError:
        lines = []
    return "\n".join(lines[-TAIL:]) or "nothing"
