"""The programs of a release's Open vSwitch and OVN, ready to go before this machine's."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from releases import cache, debian
from socketplane.errors import NotFound, Unavailable
from socketplane.lab.layout import PROGRAMS

SUITES = {"bookworm": "Debian 12", "trixie": "Debian 13"}
"""The releases that are supported."""
PACKAGES = ("openvswitch-switch", "ovn-central", "ovn-host")
_BROUGHT = ("openvswitch-common", "openvswitch-switch", "ovn-common", "ovn-central", "ovn-host")
_FOLDERS = ("/usr/bin", "/usr/sbin", "/usr/lib/openvswitch-switch")
_ROOT = ".root"
# The release's /usr in the place of this machine's, in a mount namespace that ends with the program: so everything
# else is where callers mean it, in a machine of the lab too, and process, signals and sockets are the program's own.
_WRAPPER = """#!/bin/sh
exec unshare --mount sh -c 'mount --bind "$0" /usr && exec "$@"' "${{0%/*}}/{root}/usr" {program} "$@"
"""


def programs(suite: str) -> Path | None:
    """Return the folder of a release's programs, made now if it isn't there; None: they are this machine's own.

    Raises NotFound for a release that isn't supported, and as `debian.debootstrap` does.
    """
    if suite not in SUITES:
        raise NotFound(f"no release {suite!r}", field="release", remedy=f"there are {', '.join(SUITES)}")
    if suite == debian.own_suite():
        return None
    made_by = [Path(module.__file__ or "").read_text() for module in (debian,)] + [Path(__file__).read_text()]
    return cache.cached("releases", suite, json.dumps([suite, *made_by]).encode(), partial(make, suite))


def make(suite: str, folder: Path) -> None:
    """Fill a folder with a release and its programs."""
    root = folder / _ROOT
    debian.debootstrap(suite, PACKAGES, root)
    for package in _BROUGHT:
        for line in (root / f"var/lib/dpkg/info/{package}.list").read_text().splitlines():
            file = root / line.lstrip("/")
            if str(Path(line).parent) in _FOLDERS and _compiled(file):
                wrapper = folder / file.name
                wrapper.write_text(_WRAPPER.format(root=_ROOT, program=line))
                wrapper.chmod(0o755)


def environment(suite: str, given: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return an environment in which programs, tests and labs take a release's Open vSwitch and OVN."""
    found = {key: value for key, value in given.items() if key != PROGRAMS}
    folder = programs(suite)
    if folder is not None:
        found |= {"PATH": f"{folder}:{given.get('PATH', os.defpath)}", PROGRAMS: str(folder)}
    return found


def versions(env: Mapping[str, str]) -> str:
    """Return what the programs of an environment call themselves."""
    return f"Open vSwitch {_version('ovs-vswitchd', env)}, OVN {_version('ovn-northd', env)}"


def _version(program: str, env: Mapping[str, str]) -> str:
    try:
        done = subprocess.run(["env", program, "--version"], stdout=subprocess.PIPE, text=True, env=env, check=True)
    except subprocess.CalledProcessError:
        raise Unavailable(f"{program} does not run", remedy="install the packages: sudo make packages") from None
    return done.stdout.splitlines()[0].split()[-1]


def _compiled(file: Path) -> bool:
    """Return whether a file is a program and no script, which would ask for an interpreter of the release."""
    if file.is_symlink() or not file.is_file():
        return False
    with file.open("rb") as opened:
        return opened.read(4) == b"\x7fELF"
