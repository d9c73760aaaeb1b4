"""`leave`: the cluster forgets this host, then the host forgets the cluster."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import quote

from socketplane.cluster import down, rest
from socketplane.cluster.machine import Machine
from socketplane.cluster.steps import Progress, Step, perform
from socketplane.errors import InUse, NotFound, SocketPlaneError, Unauthenticated, Unavailable


def leave(machine: Machine, progress: Progress, *, force: bool) -> None:
    """Take this machine out of its cluster.

    Raises NotFound: it is in none. StepFailed: it still has containers on networks, or no controller answers; `force`
    leaves nonetheless.
    """
    machine.identity  # noqa: B018 - raises where there is none
    perform(_steps(machine, force=force), progress)


def _steps(machine: Machine, *, force: bool) -> Iterator[Step]:
    yield Step("leave", lambda: False, lambda: _ask(machine, force=force), "`socketplane leave --force` leaves nonetheless")
    yield from down.steps(machine, purge=True)


def _ask(machine: Machine, *, force: bool) -> str:
    name = machine.identity.name
    path = f"/v1/hosts/{quote(name, safe='')}" + ("?force=true" if force else "")
    try:
        rest.call(rest.target(machine), "DELETE", path)
    except NotFound:
        return "the cluster had forgotten it"
    except InUse:
        raise
    except (Unavailable, Unauthenticated, SocketPlaneError):
        if not force:
            raise
        return "without the controller, where `socketplane host rm` may be needed"
    return f"{name} is removed"
