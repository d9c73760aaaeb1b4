"""Finding by labels, both ways: which things a selector may select, and which selectors may select a thing."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator
from typing import Generic, TypeVar

from socketplane.model.spec import Labels, Operator, Selector

T = TypeVar("T", bound=Hashable)
K = TypeVar("K")
V = TypeVar("V")

Trait = tuple[str, str, str | None]
"""A label of one of several things that are looked at together (the first part says which); without value, its key."""


class Labelled(Generic[T]):
    """Things by their labels."""

    def __init__(self) -> None:
        self._labels: dict[T, Labels] = {}
        self._having: dict[tuple[str, str], set[T]] = {}

    def __bool__(self) -> bool:
        return bool(self._labels)

    def put(self, thing: T, labels: Labels | None) -> None:
        """Note a thing's labels; None forgets it."""
        for pair in self._labels.pop(thing, {}).items():
            take(self._having, pair, thing)
        if labels is not None:
            self._labels[thing] = labels
            for pair in labels.items():
                self._having.setdefault(pair, set()).add(thing)

    def labels(self, thing: T) -> Labels:
        """Return the labels of a thing that is noted."""
        return self._labels[thing]

    def selected(self, selector: Selector) -> list[T]:
        """Return the things that a selector selects."""
        return [thing for thing in self._candidates(selector) if selector.matches(self._labels[thing])]

    def _candidates(self, selector: Selector) -> Iterable[T]:
        if selector.match_labels:
            return min((self._having.get(pair, set()) for pair in selector.match_labels), key=len)
        for expression in selector.expressions:
            if expression.operator is Operator.IN:
                return (thing for value in expression.values for thing in self._having.get((expression.key, value), ()))
        return self._labels


class Selecting(Generic[T]):
    """Things that want certain traits of others, found by those that the others have.

    A thing is kept under alternatives: sets of traits of which whatever it wants has at least one. The alternative that
    fewest others are kept under is taken: traits that are common would make every search look at all.
    """

    def __init__(self) -> None:
        self._under: dict[Trait, dict[T, None]] = {}
        self._traits: dict[T, tuple[Trait, ...]] = {}
        self._rest: dict[T, None] = {}

    def __bool__(self) -> bool:
        return bool(self._traits or self._rest)

    def add(self, thing: T, alternatives: Iterable[tuple[Trait, ...]]) -> None:
        """Keep a thing; one without alternatives is found by every search."""
        chosen = min(
            alternatives, key=lambda traits: sum(len(self._under.get(trait, ())) for trait in traits), default=None
        )
        if chosen is None:
            self._rest[thing] = None
            return
        self._traits[thing] = chosen
        for trait in chosen:
            self._under.setdefault(trait, {})[thing] = None

    def discard(self, thing: T) -> None:
        """Forget a thing that is kept."""
        self._rest.pop(thing, None)
        for trait in self._traits.pop(thing, ()):
            kept = self._under[trait]
            del kept[thing]
            if not kept:
                del self._under[trait]

    def candidates(self, traits: Iterable[Trait]) -> Iterator[T]:
        """Yield all things that may want what has these traits, and some others; each once, as a key has one value."""
        yield from self._rest
        if self._under:
            for trait in traits:
                yield from self._under.get(trait, ())


def traits_of(kind: str, labels: Labels) -> list[Trait]:
    """Return what labels offer."""
    return [trait for key, value in labels.items() for trait in ((kind, key, value), (kind, key, None))]


def alternatives(kind: str, selector: Selector) -> Iterator[tuple[Trait, ...]]:
    """Yield sets of traits of which whatever the selector selects has at least one."""
    for key, value in selector.match_labels:
        yield ((kind, key, value),)
    for expression in selector.expressions:
        if expression.operator is Operator.IN:
            yield tuple((kind, expression.key, value) for value in expression.values)
        elif expression.operator is Operator.EXISTS:
            yield ((kind, expression.key, None),)


def take(index: dict[K, set[V]], key: K, value: V) -> None:
    """Remove a value from an index, and the entry with its last value."""
    values = index[key]
    values.remove(value)
    if not values:
        del index[key]
