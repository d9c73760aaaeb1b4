"""`leave`: the cluster forgets this host, then the host forgets the cluster."""

from __future__ import annotations

from functools import partial
from itertools import chain
from urllib.parse import quote

from socketplane.cluster import down, rest
from socketplane.cluster.machine import Machine
from socketplane.cluster.steps import Progress, Step, perform
from socketplane.errors import InUse, NotFound, Unauthenticated, Unavailable


def leave(machine: Machine, progress: Progress, *, force: bool) -> None:
    """Take this machine out of its cluster.

    Raises NotFound: it is in none. StepFailed: it still has containers on networks, other hosts need it, or no controller
    answers; `force` leaves nonetheless.
    """
    machine.identity  # noqa: B018 - raises where there is none
    perform(chain([_step(machine, force=force)], down.steps(machine, purge=True)), progress)


def purge(machine: Machine, progress: Progress) -> bool:
    """Undo `up` and forget all data; a member leaves its cluster if it can. Return whether anything was to be done."""
    member = machine.find_identity()
    first = [_step(machine, force=True)] if member and not member.manager else []
    return perform(chain(first, down.steps(machine, purge=True)), progress)


def _step(machine: Machine, *, force: bool) -> Step:
    do = partial(_ask, machine, force=force)
    return Step("membership", lambda: not machine.joined, do, "`socketplane leave --force` leaves nonetheless")


def _ask(machine: Machine, *, force: bool) -> str:
    identity = machine.identity
    path = f"/v1/hosts/{quote(identity.name, safe='')}"
    try:
        if identity.manager and not force:
            _refuse_to_orphan(machine)
        rest.call(rest.target(machine), "DELETE", path + ("?force=true" if force else ""))
    except InUse as error:
        raise InUse(error.message, remedy="mend that, or `socketplane leave --force`") from error
    except NotFound:
        return "the cluster had forgotten this host"
    except (Unavailable, Unauthenticated):
        if not force:
            raise
        return "no controller to say goodbye to"
    return f"{identity.name} has left"


def _refuse_to_orphan(machine: Machine) -> None:
    hosts = rest.call(rest.target(machine), "GET", "/v1/hosts")["items"]
    others = sorted(host["name"] for host in hosts if host["name"] != machine.identity.name)
    if others:
        raise InUse(f"this host is the cluster's manager, and {', '.join(others)} would be left without one")
