"""Finding by labels, both ways."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from socketplane.compile.lookup import Labelled, Selecting, alternatives, traits_of
from socketplane.model.spec import Operator, Requirement, Selector
from support.policies import labels, selectors


@given(st.dictionaries(st.integers(1, 6), labels), selectors)
def test_what_a_selector_selects_is_found(things: dict[int, dict[str, str]], selector: Selector) -> None:
    index: Labelled[int] = Labelled()
    for thing, of_thing in things.items():
        index.put(thing, {"app": "z", "other": "z"})
        index.put(thing, of_thing)
    assert sorted(index.selected(selector)) == sorted(thing for thing, of in things.items() if selector.matches(of))
    for thing in things:
        index.put(thing, None)
    assert not index
    assert index.selected(selector) == []


@given(st.lists(st.tuples(selectors, selectors), unique=True, max_size=12), st.data(), labels, labels)
def test_the_selectors_that_select_something_are_found_by_one_or_the_other(
    pairs: list[tuple[Selector, Selector]], data: st.DataObject, near: dict[str, str], far: dict[str, str]
) -> None:
    index: Selecting[tuple[Selector, Selector]] = Selecting()
    for one, other in pairs:
        index.add((one, other), [*alternatives("near", one), *alternatives("far", other)])
    gone = set(data.draw(st.lists(st.sampled_from(pairs), unique=True))) if pairs else set()
    for pair in gone:
        index.discard(pair)
    found = list(index.candidates([*traits_of("near", near), *traits_of("far", far)]))
    assert len(found) == len(set(found))
    wanted = {(one, other) for one, other in pairs if one.matches(near) and other.matches(far)} - gone
    assert wanted <= set(found) <= set(pairs) - gone
    for pair in set(pairs) - gone:
        index.discard(pair)
    assert not index


def searched(selectors: list[Selector], labels: dict[str, str]) -> int:
    """Return how many of these selectors are looked at for something with these labels."""
    index: Selecting[Selector] = Selecting()
    for selector in selectors:
        index.add(selector, alternatives("it", selector))
    return len(list(index.candidates(traits_of("it", labels))))


def test_a_search_looks_only_at_what_may_match() -> None:
    mine = {"app": "7", "env": "production", "tier": "3"}
    by_label = [Selector.of({"app": str(n)}) for n in range(1000)]
    common = [Selector.of({"env": "production", "app": str(n)}) for n in range(1000)]
    listed = [Selector.of({}, [Requirement("app", Operator.IN, (str(n), str(n + 1000)))]) for n in range(1000)]
    exists = [Selector.of({}, [Requirement(f"key{n}", Operator.EXISTS)]) for n in range(1000)]
    mixed = [Selector.of({}, [Requirement("app", Operator.NOT_IN, ("7",)), *s.expressions]) for s in exists]
    assert searched(by_label, mine) == searched(listed, mine) == searched(listed, {"app": "1007"}) == 1
    assert searched(common, mine) <= 2
    assert searched(exists, mine) == searched(mixed, mine) == 0


def test_what_wants_the_absence_of_a_label_is_always_looked_at() -> None:
    absent = Selector.of({}, [Requirement("app", Operator.DOES_NOT_EXIST)])
    assert searched([absent], {}) == searched([absent], {"app": "a"}) == 1
