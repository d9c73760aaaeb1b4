"""What goes into the machine and comes out of it: tar archives, written to disks without a file system."""

from __future__ import annotations

import compileall
import importlib.util
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
            for file in (CHECKOUT / name, *_compiled(name)):
                if file.is_symlink() or file.is_file():  # or it was deleted, and not committed
                    inside = str(PLACE / file.relative_to(CHECKOUT)).lstrip("/")
                    tar.add(file, inside, recursive=False, filter=_of_root)
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
            tar.extraction_filter = getattr(tarfile, "tar_filter", None)  # since 3.12 Python wants to be told
            tar.extractall(target)
        return int((target / "code").read_text())
    except (tarfile.ReadError, OSError, ValueError):
        return None


def _compiled(name: str) -> list[Path]:
    """Return what Python made of a source of ours: an emulated processor takes long for all of them."""
    source = CHECKOUT / name
    if not name.startswith("src/") or source.suffix != ".py" or not source.is_file():
        return []
    compileall.compile_file(source, quiet=2)
    return [Path(importlib.util.cache_from_source(source))]


def _of_root(info: tarfile.TarInfo) -> tarfile.TarInfo:
    info.uid = info.gid = 0
    info.uname = info.gname = "root"
    return info
