"""How a procedure's steps are shown: with a spinner on a terminal, a line each in a pipe."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from socketplane.cli.output import clean, note, out
from socketplane.cluster.steps import Outcome, Progress

if TYPE_CHECKING:
    from rich.status import Status

WIDTH = 24
_WORDS = {Outcome.ALREADY: "ok", Outcome.DONE: "done"}


def progress() -> Progress:
    """Return what suits standard output."""
    return Terminal() if sys.stdout.isatty() else Lines()


class Lines:
    """One line for each step when it has ended; flushed, so that a log shows where it hangs."""

    def begin(self, name: str) -> None:
        """Say nothing yet."""

    def end(self, name: str, outcome: Outcome, detail: str) -> None:
        """Print what became of it."""
        out(f"{_WORDS[outcome].ljust(6)}{name.ljust(WIDTH)}{clean(detail)}".rstrip())
        sys.stdout.flush()

    def failed(self, name: str, lines: Sequence[str]) -> None:
        """Print the step, and its log on stderr."""
        out(f"{'FAILED'.ljust(6)} {name}")
        sys.stdout.flush()
        for line in lines:
            note(f"    {clean(line)}")


class Terminal:
    """A spinner while a step goes on, then a line with a mark."""

    def __init__(self) -> None:
        from rich.console import Console

        self._console = Console(highlight=False)
        self._status: Status | None = None

    def begin(self, name: str) -> None:
        """Show what goes on."""
        self._status = self._console.status(f" {name}")
        self._status.start()

    def end(self, name: str, outcome: Outcome, detail: str) -> None:
        """Show what became of it."""
        self._stop()
        mark = "[dim]·[/]" if outcome is Outcome.ALREADY else "[green]✓[/]"
        self._console.print(f"{mark} {name.ljust(WIDTH)}[dim]{_escape(detail)}[/]")

    def failed(self, name: str, lines: Sequence[str]) -> None:
        """Show the step, and its log."""
        self._stop()
        self._console.print(f"[red]✗[/] {name}")
        for line in lines:
            self._console.print(f"    [dim]{_escape(line)}[/]")

    def _stop(self) -> None:
        if self._status:
            self._status.stop()
            self._status = None


def _escape(text: str) -> str:
    from rich.markup import escape

    return escape(clean(text))
