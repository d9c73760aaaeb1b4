"""A procedure: what is done is left alone, what fails stops it and says what to do."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from socketplane.cluster.run import CommandFailed
from socketplane.cluster.steps import Outcome, Step, StepFailed, perform
from socketplane.errors import Conflict


class Told:
    """Remembers what was shown."""

    def __init__(self) -> None:
        self.events: list[tuple[str, ...]] = []

    def begin(self, name: str) -> None:
        self.events.append(("begin", name))

    def end(self, name: str, outcome: Outcome, detail: str) -> None:
        self.events.append((outcome, name, detail))

    def failed(self, name: str, lines: Sequence[str]) -> None:
        self.events.append(("failed", name, *lines))


def switch(name: str, state: set[str]) -> Step:
    def do() -> str:
        state.add(name)
        return "on"

    return Step(name, lambda: name in state, do, f"look at {name}")


def test_only_what_is_not_done_is_done() -> None:
    state, told = {"a"}, Told()
    assert perform([switch("a", state), switch("b", state)], told)
    assert state == {"a", "b"}
    assert told.events == [("begin", "a"), ("already", "a", ""), ("begin", "b"), ("done", "b", "on")]


def test_a_second_run_changes_nothing() -> None:
    state: set[str] = set()
    assert perform([switch("a", state)], Told())
    assert not perform([switch("a", state)], Told())


def failing(error: Exception) -> Step:
    def do() -> str:
        raise error

    return Step("b", lambda: False, do, "look at b")


@pytest.mark.parametrize(
    ("error", "field", "remedy"),
    [
        (CommandFailed("b ended", ["first", "last"]), "b", "look at b"),
        (CommandFailed("b ended", ["first", "last"], "do this"), "b", "do this"),
        (Conflict("no", field="address", remedy="do that"), "b", "do that"),
        (PermissionError(13, "Permission denied", "/x"), "b", "look at b"),
    ],
)
def test_a_failure_stops_and_names_the_step_and_the_remedy(error: Exception, field: str, remedy: str) -> None:
    state, told = set[str](), Told()
    with pytest.raises(StepFailed) as caught:
        perform([switch("a", state), failing(error), switch("c", state)], told)
    assert (caught.value.field, caught.value.remedy) == (field, remedy)
    assert state == {"a"}
    assert told.events[-1] == ("failed", "b", *getattr(error, "lines", ()))


def test_an_error_while_looking_fails_the_step_too() -> None:
    def look() -> bool:
        raise Conflict("already otherwise")

    with pytest.raises(StepFailed, match="already otherwise"):
        perform([Step("a", look, lambda: None, "")], Told())


def test_an_interrupt_ends_the_display_and_goes_on_up() -> None:
    told = Told()
    with pytest.raises(KeyboardInterrupt):
        perform([failing(KeyboardInterrupt())], told)  # type: ignore[arg-type]
    assert told.events[-1] == ("failed", "b")
