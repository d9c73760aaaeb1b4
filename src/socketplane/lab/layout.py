"""Names, addresses and folders of a lab: all of it follows from the lab's name and the host's number."""

from __future__ import annotations

import os
import re
import sys
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from socketplane.errors import InvalidInput

RUN = Path("/run/socketplane-lab")
STORAGE = Path("/var/lib/socketplane-lab")
CACHE = Path("/var/cache/socketplane-lab")
"""The image's tarball, shared by all labs and kept when they go."""
MANAGEMENT = IPv4Network("198.18.0.0/24")
UNDERLAY = IPv4Network("198.19.0.0/24")
PROGRAMS = "SOCKETPLANE_LAB_PROGRAMS"
"""Environment variable: a folder of programs that go before the distribution's."""
FABRIC = "fabric"
"""The machine that holds the bridges; it has the last address of both networks and stands for a stranger outside."""
MAX_HOSTS = 32
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")


def check_name(name: str) -> str:
    """Return a lab's name. Raises InvalidInput: it becomes a part of file names."""
    if not _NAME.fullmatch(name):
        raise InvalidInput(f"{name!r} is no name for a lab", field="name", remedy="use a-z, 0-9 and -, 32 at most")
    return name


@dataclass(frozen=True, slots=True)
class Layout:
    """Where a lab's things are."""

    name: str

    @property
    def run(self) -> Path:
        """State, sockets and pid files."""
        return RUN / self.name

    @property
    def storage(self) -> Path:
        """What the machines' disks hold."""
        return STORAGE / self.name

    @property
    def file(self) -> Path:
        """What the lab consists of."""
        return self.run / "lab.json"

    @property
    def directories(self) -> tuple[Path, Path]:
        """All folders of the lab."""
        return self.run, self.storage


def host_names(hosts: int) -> list[str]:
    """Return h1, h2, ... Raises InvalidInput for a number that no lab can have."""
    if not 1 <= hosts <= MAX_HOSTS:
        raise InvalidInput(f"a lab has 1 to {MAX_HOSTS} hosts, not {hosts}", field="hosts")
    return [f"h{number}" for number in range(1, hosts + 1)]


def address(network: IPv4Network, machine: str) -> IPv4Address:
    """Return a machine's address on one of the lab's networks: h1 has .1, the fabric .254."""
    return network[-2] if machine == FABRIC else network[int(machine[1:])]


def programs() -> Path | None:
    """Return the folder whose programs machines run in the place of the distribution's (another release's dockerd, ...)."""
    given = os.environ.get(PROGRAMS)
    return Path(given).resolve() if given else None


def program_path() -> str:
    """Return the PATH inside a machine: our programs, the distribution's, then what was put into /usr/local."""
    others = f"{found}:" if (found := programs()) else ""
    distribution = "/usr/sbin:/usr/bin:/sbin:/bin"
    return f"{Path(sys.prefix) / 'bin'}:{others}{distribution}:/usr/local/sbin:/usr/local/bin"


def checkout() -> Path:
    """Return the checkout that our code is in, or the installed package's folder."""
    package = Path(__file__).resolve().parents[1]
    return package.parent.parent if package.parent.name == "src" else package


def shared() -> list[Path]:
    """Return folders that are needed inside a machine: the checkout, the Python that runs it, others' programs."""
    needed = {checkout(), Path(sys.prefix).resolve(), Path(sys.base_prefix).resolve(), programs()}
    return sorted(path for path in needed - {Path("/usr")} if path is not None)
