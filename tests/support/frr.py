"""FRR's programs for tests: Debian's packages, unpacked into a cache and never installed, so that no service starts."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
import sysconfig
from collections.abc import Iterator
from pathlib import Path

INSTALLED = Path("/usr/lib/frr")
CACHE = Path("/var/cache/socketplane-lab") if os.geteuid() == 0 else Path.home() / ".cache/socketplane"
"""A lab's machines see the first one, too."""
VARIABLE = "SOCKETPLANE_FRR"
"""Environment variable that tells `socketplane up` where they are."""


def frr() -> Path:
    """Return the folder of programs, fetched if need be."""
    if (INSTALLED / "bgpd").exists():
        return INSTALLED
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "frr.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        found = CACHE / "frr" / _version()
        if not (found / "bgpd").exists():
            fresh = found.with_name(f".{found.name}.new")
            shutil.rmtree(fresh, ignore_errors=True)
            fresh.mkdir(parents=True)
            _unpack(fresh)
            _wrap(fresh, found)
            fresh.rename(found)
    return found


def _unpack(folder: Path) -> None:
    packages = sorted(_missing("frr"))
    _run("apt-get", "download", *packages, folder=folder)
    for package in sorted(folder.glob("*.deb")):
        _run("dpkg", "-x", package.name, "root", folder=folder)
        package.unlink()


def _wrap(fresh: Path, final: Path) -> None:
    """Add what starts bgpd with the libraries that came with it."""
    libraries = final / "root/usr/lib" / (sysconfig.get_config_var("MULTIARCH") or "")
    script = fresh / "bgpd"
    script.write_text(f'#!/bin/sh\nLD_LIBRARY_PATH={libraries}/frr:{libraries} exec {final}/root/usr/lib/frr/bgpd "$@"\n')
    script.chmod(0o755)


def _missing(package: str) -> set[str]:
    """Return a package and those of its libraries that this machine has not."""
    found, left = {package}, [package]
    while left:
        for library in _libraries(left.pop()):
            if library not in found and not _installed(library):
                found.add(library)
                left.append(library)
    return found


def _libraries(package: str) -> Iterator[str]:
    told = _run("apt-cache", "depends", "--no-recommends", "--no-suggests", "--important", package)
    yield from re.findall(r"^ *(?:Pre)?Depends: (lib\S+)$", told, re.MULTILINE)


def _installed(package: str) -> bool:
    status = subprocess.run(["dpkg-query", "-W", "-f", "${Status}", package], capture_output=True, text=True, check=False)
    return "install ok installed" in status.stdout


def _version() -> str:
    found = re.search(r"Candidate: (\S+)", _run("apt-cache", "policy", "frr"))
    assert found is not None, "apt knows no package frr"
    return found[1].replace(":", "-")


def _run(*command: str, folder: Path | None = None) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=180)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"
    return done.stdout
