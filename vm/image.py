"""The machine's image: Debian, its kernel, systemd, and the locked dependencies. The checkout is not in it."""

from __future__ import annotations

import json
import shutil
import tomllib
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from releases import cache, debian

from vm import programs
from vm.say import say

CHECKOUT = Path(__file__).resolve().parents[1]
GUEST = Path(__file__).resolve().parent / "guest"
PLACE = Path("/opt/socketplane")
"""Where the checkout is in the machine, its virtual environment within."""
MACHINE_PACKAGES = ("linux-image-cloud-amd64", "initramfs-tools", "systemd-sysv", "dbus", "python3")
MORE_OF_SUITE = {"trixie": ("docker-cli",)}
SIZE = "8G"
"""Of the machine's disk; what is not used takes no room here."""
STOPPED = (
    *("docker.service", "docker.socket", "containerd.service"),
    *("openvswitch-switch.service", "ovn-central.service", "ovn-host.service"),
    *("apt-daily.timer", "apt-daily-upgrade.timer", "e2scrub_reap.service", "fstrim.timer"),
)
"""Units that Debian enables and that a job may start: most jobs have their own daemons in a lab."""


@dataclass(frozen=True, slots=True)
class Image:
    """Files that a machine boots from."""

    folder: Path

    @property
    def disk(self) -> Path:
        """The root file system, not to be written to."""
        return self.folder / "disk.ext4"

    @property
    def kernel(self) -> Path:
        """Debian's kernel."""
        return self.folder / "vmlinuz"

    @property
    def initrd(self) -> Path:
        """What the kernel starts with, modules of disks in it."""
        return self.folder / "initrd.img"


def image(suite: str = "bookworm") -> Image:
    """Return the image, made where there is none of the same content. Raises SocketPlaneError."""
    return Image(cache.cached("vm", suite, ingredients(suite), partial(_make, suite)))


def ingredients(suite: str) -> bytes:
    """Return what the image is made of now: another image has other ones."""
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]
    files = [CHECKOUT / "requirements.lock", *sorted(GUEST.iterdir()), Path(__file__), Path(debian.__file__)]
    return json.dumps([suite, packages(suite), project, *(file.read_text() for file in files)], sort_keys=True).encode()


def packages(suite: str) -> list[str]:
    """Return the Debian packages of the machine."""
    named = programs.run(CHECKOUT / "packaging/packages", "--list").split()
    return [*named, *MACHINE_PACKAGES, *MORE_OF_SUITE.get(suite, ())]


def _make(suite: str, folder: Path) -> None:
    programs.require("mke2fs")
    root = folder / "root"
    say(f"debootstrap of {suite}")
    debian.debootstrap(suite, packages(suite), root)
    for junk in ("var/cache/apt/archives", "var/lib/apt/lists"):
        shutil.rmtree(root / junk, ignore_errors=True)
    _configure(root)
    _install(root, folder / "wheels")
    say("writing the image")
    made = Image(folder)
    shutil.copy(next((root / "boot").glob("vmlinuz-*")), made.kernel)
    shutil.copy(next((root / "boot").glob("initrd.img-*")), made.initrd)
    programs.run("mke2fs", "-q", "-t", "ext4", "-d", root, made.disk, SIZE)
    shutil.rmtree(root)


def _configure(root: Path) -> None:
    """Have the machine run its job once it is up."""
    shutil.copy(GUEST / "job.service", root / "etc/systemd/system/job.service")
    shutil.copy(GUEST / "job", root / "usr/local/sbin/job")
    (root / "usr/local/sbin/job").chmod(0o755)
    (root / "etc/hostname").write_text("machine\n")
    (root / "etc/hosts").write_text("127.0.0.1 localhost machine\n::1 localhost\n")
    (root / "etc/fstab").write_text("/dev/vda / ext4 defaults 0 1\n")
    programs.run("chroot", root, "systemctl", "--quiet", "disable", *STOPPED)
    programs.run("chroot", root, "systemctl", "--quiet", "enable", "job.service")


def _install(root: Path, wheels: Path) -> None:
    """Install the locked dependencies, and the project so that it runs from its checkout's place.

    What is needed is fetched out here, with this machine's settings of pip, and checked against the lock.
    """
    say("installing the locked dependencies")
    place = root / PLACE.relative_to("/")
    (place / "src/socketplane").mkdir(parents=True)
    (place / "src/socketplane/__init__.py").touch()
    for name in ("pyproject.toml", "README.md", "LICENSE", "requirements.lock"):
        shutil.copy(CHECKOUT / name, place)
    version = programs.run("chroot", root, "python3", "-c", "import sys; print('%d.%d' % sys.version_info[:2])").strip()
    options = ("--quiet", "--require-hashes", "--no-deps", "--python-version", version, "--dest", wheels)
    programs.run(CHECKOUT / ".venv/bin/pip", "download", *options, "-r", CHECKOUT / "requirements.lock")
    inside = place / "wheels"
    wheels.rename(inside)
    python = PLACE / ".venv/bin/python"
    pip = ("chroot", root, python, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--no-cache-dir")
    programs.run("chroot", root, "python3", "-m", "venv", PLACE / ".venv")
    programs.run(*pip, "--find-links", PLACE / "wheels", "--require-hashes", "-r", PLACE / "requirements.lock")
    programs.run(*pip, "--no-build-isolation", "--editable", PLACE)
    shutil.rmtree(inside)
    for name in ("src/socketplane", "pyproject.toml", "README.md", "LICENSE", "requirements.lock"):
        gone = place / name
        shutil.rmtree(gone) if gone.is_dir() else gone.unlink()
