"""The image `socketplane/lab`, made from this machine's programs: no registry is needed.

It holds busybox with its applets, curl, iperf3 and socat with the libraries that they load.
"""

from __future__ import annotations

import asyncio
import hashlib
import io
import os
import shutil
import tarfile
from collections.abc import Iterable
from pathlib import Path

from socketplane.errors import Unavailable
from socketplane.lab import layout, shell
from socketplane.lab.machine import Machine

IMAGE = "socketplane/lab"
RECIPE = "1"
"""Part of the tarball's name: raise it when the content changes for the same programs."""
PROGRAMS = ("curl", "iperf3", "socat")
LEFT_OUT = frozenset({"wget"})
"""Applets that crash in a release that we support; curl does the same."""
FILES = {
    "etc/passwd": "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n",
    "etc/group": "root:x:0:\nnogroup:x:65534:\n",
    "etc/nsswitch.conf": "hosts: files dns\n",
    "www/index.html": "socketplane\n",
}
FOLDERS = ("bin", "etc", "root", "tmp", "www")


async def tarball() -> Path:
    """Return the image's tarball, made once for each set of programs. Raises Unavailable where a program is missing."""
    sources = await _sources()
    applets = (await shell.run([str(sources["bin/busybox"]), "--list"])).out.split()
    return await asyncio.to_thread(_make, sources, applets)


async def load(machine: Machine, image: Path) -> None:
    """Make the image known to a machine's engine."""
    changes = ["--change", 'CMD ["sh"]', "--change", "ENV PATH=/bin:/usr/bin"]
    await machine.run("docker", "import", *changes, "-", IMAGE, stdin=image, timeout=60.0)


async def _sources() -> dict[str, Path]:
    """Return the files that go into the image, by their path inside."""
    programs = await asyncio.to_thread(lambda: {name: _program(name) for name in ("busybox", *PROGRAMS)})
    sources = {"bin/busybox": programs.pop("busybox")}
    for name, program in programs.items():
        sources[f"bin/{name}"] = program
        for library in _libraries((await shell.run(["ldd", str(program)])).out):
            sources[str(library).lstrip("/")] = library
    return dict(sorted(sources.items()))


def _make(sources: dict[str, Path], applets: list[str]) -> Path:
    target = layout.CACHE / f"image-{_digest(sources, applets)}.tar"
    if not target.exists():
        layout.CACHE.mkdir(parents=True, exist_ok=True)
        _write(target, sources, applets)
        for old in layout.CACHE.glob("image-*.tar"):
            if old != target:
                old.unlink(missing_ok=True)
    return target


def _program(name: str) -> Path:
    found = shutil.which(name, path=layout.program_path())
    if found is None:
        raise Unavailable(f"{name} is not installed", remedy="install the packages: sudo make packages")
    return Path(found).resolve()


def _libraries(listing: str) -> list[Path]:
    """Return the paths in ldd's answer: `name => /path (address)` or `/path (address)`."""
    words = (line.split("=>")[-1].split() for line in listing.splitlines())
    return [Path(parts[0]) for parts in words if parts and parts[0].startswith("/")]


def _digest(sources: dict[str, Path], applets: Iterable[str]) -> str:
    digest = hashlib.sha256(RECIPE.encode())
    for name, path in sources.items():
        digest.update(name.encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    digest.update(repr((sorted(applets), sorted(FILES.items()))).encode())
    return digest.hexdigest()[:16]


def _write(target: Path, sources: dict[str, Path], applets: Iterable[str]) -> None:
    temporary = target.with_name(f"{target.name}.{os.getpid()}")
    with tarfile.open(temporary, "w") as tar:
        for folder in FOLDERS:
            info = tarfile.TarInfo(folder)
            info.type, info.mode = tarfile.DIRTYPE, 0o1777 if folder == "tmp" else 0o755
            tar.addfile(info)
        for name, path in sources.items():
            data = path.read_bytes()
            _add(tar, name, data, 0o755)
        for name, text in FILES.items():
            _add(tar, name, text.encode(), 0o644)
        for applet in sorted(set(applets) - LEFT_OUT - {"busybox", *PROGRAMS}):
            link = tarfile.TarInfo(f"bin/{applet}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(link)
    temporary.replace(target)


def _add(tar: tarfile.TarFile, name: str, data: bytes, mode: int) -> None:
    info = tarfile.TarInfo(name)
    info.size, info.mode = len(data), mode
    tar.addfile(info, io.BytesIO(data))
