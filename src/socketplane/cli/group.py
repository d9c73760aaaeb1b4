"""The root command: one place where errors become a line on stderr and an exit code."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import typer
from typer.core import TyperGroup

from socketplane.cli.output import fail
from socketplane.errors import SocketPlaneError, Unavailable

FAILED = 1
ORDER = (
    *("up", "join", "leave", "down", "status", "token", "host", "network", "endpoint", "pool", "expose", "names"),
    *("policy", "explain", "reach", "lab", "version", "completion"),
)
"""Commands as the help lists them: as one needs them."""
Item = TypeVar("Item")


class Root(TyperGroup):
    """Runs a command; a SocketPlaneError is printed and ends it with exit code 1."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the commands' names in the help's order; what is not in it comes last."""
        there = super().list_commands(ctx)
        return [name for name in ORDER if name in there] + [name for name in there if name not in ORDER]

    def invoke(self, ctx: Any) -> Any:
        """Run the command and write out what it printed, so that a reader who left early is noticed here."""
        with reported():
            try:
                return super().invoke(ctx)
            finally:
                sys.stdout.flush()


@contextmanager
def reported() -> Iterator[None]:
    """Turn errors that a person can do something about into `Error: ...` and exit code 1."""
    try:
        yield
    except SocketPlaneError as error:
        fail(error)
        raise typer.Exit(FAILED) from None
    except BrokenPipeError:
        # Whoever read us has seen enough. What is still buffered goes nowhere, quietly, at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(FAILED) from None


def each(names: Iterable[str], action: Callable[[str], Item]) -> tuple[list[Item], bool]:
    """Do something for each name as Docker does: an error is printed and the rest goes on.

    Returns what was answered, and whether all went well. Raises Unavailable: nothing can go on without a controller.
    """
    answers: list[Item] = []
    good = True
    for name in dict.fromkeys(names):
        try:
            answers.append(action(name))
        except Unavailable:
            raise
        except SocketPlaneError as error:
            fail(error)
            good = False
    return answers, good


def finish(good: bool) -> None:
    """End the command with exit code 1 where something went wrong."""
    if not good:
        raise typer.Exit(FAILED)
