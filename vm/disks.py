"""What goes into the machine and comes out of it: tar archives, written to disks without a file system."""

from __future__ import annotations

import io
import subprocess
import tarfile
from pathlib import Path

from vm.image import CHECKOUT, PLACE

JOB = Path("/srv/job")
"""Folder in the machine: `run` is the job's script, what is in `results` comes out."""
RESULTS_SIZE = 1 << 30
"""Of the disk for results; what is not used takes no room."""


def pack(disk: Path, script: str) -> None:
    """Write the checkout as it stands, changes that are not committed included, and the job's script."""
    listed = subprocess.run(
        ["git", "-C", str(CHECKOUT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        check=True,
        stdout=subprocess.PIPE,
    ).stdout.decode()
    with tarfile.open(disk, "w") as tar:
        for name in sorted(set(listed.split("\0")) - {""}):
            file = CHECKOUT / name
            if file.is_symlink() or file.is_file():  # or it was deleted, and not committed
                tar.add(file, str(PLACE / name).lstrip("/"), recursive=False, filter=_of_root)
        data = script.encode()
        info = tarfile.TarInfo(str(JOB / "run").lstrip("/"))
        info.size, info.mode = len(data), 0o755
        tar.addfile(info, io.BytesIO(data))


def blank(disk: Path) -> None:
    """Make the disk for results."""
    with disk.open("wb") as file:
        file.truncate(RESULTS_SIZE)


def unpack(disk: Path, target: Path) -> int | None:
    """Unpack the results; return the job's exit code, None where the machine ended without having written it."""
    try:
        with tarfile.open(disk, "r:") as tar:
            tar.extractall(target)
        return int((target / "code").read_text())
    except (tarfile.ReadError, OSError, ValueError):
        return None


def _of_root(info: tarfile.TarInfo) -> tarfile.TarInfo:
    info.uid = info.gid = 0
    info.uname = info.gname = "root"
    return info
