"""A Debian release in a folder."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from socketplane.errors import Forbidden, Unavailable

SECONDS = 900
_LINES = 12


def own_suite() -> str:
    """Return the code name of the release that this machine runs."""
    return platform.freedesktop_os_release().get("VERSION_CODENAME", "")


def debootstrap(suite: str, packages: Sequence[str], target: Path) -> None:
    """Put a release's smallest system and some packages into an empty folder. Its log stays beside it on failure.

    Runs in namespaces of its own, which end with us: however that is, no mount and no process stays.

    Raises Forbidden without root's rights, Unavailable with what to do where it can't be done.
    """
    if os.geteuid() != 0:
        raise Forbidden("debootstrap needs root", remedy="run it again with sudo")
    if shutil.which("debootstrap") is None:
        raise Unavailable("not installed: debootstrap", remedy="apt-get install debootstrap")
    alone = ("setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc")
    wanted = f"--include={','.join(packages)}"
    command = [*alone, "debootstrap", "--variant=minbase", wanted, suite, str(target), *_mirror()]
    log = target.with_name(f"{target.name}.log")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C"}
    with log.open("wb") as out:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=environment, timeout=SECONDS, check=False
        )
    if done.returncode:
        last = "\n".join(log.read_text(errors="replace").splitlines()[-_LINES:])
        raise Unavailable(f"debootstrap of {suite} failed:\n{last}", remedy=f"see {log}, and whether apt-get update works")
    log.unlink()


def _mirror() -> list[str]:
    """Return where apt gets Debian from on this machine; nothing: debootstrap's own."""
    fields = "$(ORIGIN) $(LABEL) $(SITE)"
    command = ["apt-get", "indextargets", "--format", fields, "Created-By: Packages"]
    told = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=False).stdout
    found = [words[2] for line in told.splitlines() if (words := line.split())[:2] == ["Debian", "Debian"]]
    return found[:1]
