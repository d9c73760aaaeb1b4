"""A procedure as a list of values: what is to be reached, how to see that it is, how to reach it, what to do if not."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar, Protocol

from socketplane.errors import SocketPlaneError


class Outcome(StrEnum):
    """What became of a step."""

    ALREADY = "already"
    DONE = "done"


@dataclass(frozen=True, slots=True)
class Step:
    """A step; `done` looks, `do` acts (and returns a word about it, or nothing), `remedy` is for when it fails."""

    name: str
    done: Callable[[], bool]
    do: Callable[[], str | None]
    remedy: str


class Progress(Protocol):
    """Shows how a procedure goes on."""

    def begin(self, name: str) -> None:
        """A step begins."""

    def end(self, name: str, outcome: Outcome, detail: str) -> None:
        """It ended well."""

    def failed(self, name: str, lines: Sequence[str]) -> None:
        """It failed; the lines are the last of its log."""


class StepFailed(SocketPlaneError):
    """A step failed: `field` names it."""

    code: ClassVar[str] = "step_failed"


def perform(steps: Iterable[Step], progress: Progress) -> bool:
    """Do the steps that are not done yet, in order; return whether there were any.

    Raises StepFailed at the first that fails; those before it stay done.
    """
    changed = False
    for step in steps:
        progress.begin(step.name)
        try:
            if step.done():
                progress.end(step.name, Outcome.ALREADY, "")
                continue
            detail = step.do() or ""
        except (SocketPlaneError, OSError) as error:
            progress.failed(step.name, getattr(error, "lines", ()))
            raise _failure(step, error) from error
        except BaseException:
            progress.failed(step.name, ())
            raise
        changed = True
        progress.end(step.name, Outcome.DONE, detail)
    return changed


def _failure(step: Step, error: SocketPlaneError | OSError) -> StepFailed:
    if isinstance(error, OSError):
        return StepFailed(str(error), field=step.name, remedy=step.remedy)
    message = f"{error.field}: {error.message}" if error.field else error.message
    return StepFailed(message, field=step.name, remedy=error.remedy or step.remedy)
