"""Connections out of containers of this host: through their interfaces, under their policies, by no program of theirs."""

from __future__ import annotations

import os
import socket
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

from socketplane.agent.attempt import UNREACHABLE, Attempts, Target, family
from socketplane.agent.inside import enter, in_own_thread

SKIPPED = "skipped"
"""Outcome of what was not tried; the detail says why."""
GONE = "the container is gone"
_ANY_PORT = 9


@dataclass(frozen=True, slots=True)
class Attempt:
    """A connection to try: out of the container that a process is in, from an address that is the container's."""

    pid: int
    source: str
    target: Target


class Outcome(NamedTuple):
    """How it ended, as `attempt` has it or `SKIPPED`, and what else there is to say."""

    outcome: str
    detail: str = ""


async def try_all(attempts: Sequence[Attempt], wait: float) -> list[Outcome]:
    """Return how each ended, after so many seconds at most."""
    return await in_own_thread(partial(_run, attempts, wait), "probe")


def _run(attempts: Sequence[Attempt], wait: float) -> list[Outcome]:
    by_process: defaultdict[int, list[int]] = defaultdict(list)
    for number, attempt in enumerate(attempts):
        by_process[attempt.pid].append(number)
    found: dict[int, Outcome] = {}
    under_way = Attempts()
    for pid, numbers in by_process.items():
        try:
            enter(pid)
        except OSError:
            found.update(dict.fromkeys(numbers, Outcome(SKIPPED, GONE)))
            continue
        for number in numbers:
            reason = _obstacle(attempts[number])
            if reason:
                found[number] = reason
            else:
                under_way.begin(number, attempts[number].target)
    under_way.finish(wait)
    return [found.get(number) or Outcome(under_way.outcomes[number]) for number in range(len(attempts))]


def _obstacle(attempt: Attempt) -> Outcome | None:
    """Return why a connection would not be the one that is meant.

    A container on several networks sends to what is far by one of them. And the process may be another one's by now.
    """
    address = attempt.target[1]
    try:
        with socket.socket(family(address), socket.SOCK_DGRAM) as sock:
            sock.connect((address, _ANY_PORT))  # sends nothing
            source = str(sock.getsockname()[0])
    except OSError as error:
        return Outcome(UNREACHABLE, os.strerror(error.errno or 0))
    return None if source == attempt.source else Outcome(SKIPPED, f"the container sends there from {source}")
