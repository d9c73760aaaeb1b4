"""Reading a document field by field, so that every complaint names the path and what was expected."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from difflib import get_close_matches
from types import MappingProxyType
from typing import Any

from socketplane.errors import InvalidInput, Unsupported


def kind_of(value: object) -> str:
    """Return what a value is, in the words of a YAML document."""
    if value is None:
        return "empty"
    if isinstance(value, bool):
        return f"the boolean {str(value).lower()}"
    if isinstance(value, int) and value.bit_length() > 256:
        return "a huge number"  # Python refuses to write out the hugest
    if isinstance(value, int | float):
        return f"the number {value}"
    if isinstance(value, str):
        return f"the text {_shorten(value)!r}"
    if isinstance(value, Mapping):
        return "a mapping"
    return "a list" if isinstance(value, list | tuple) else f"the {type(value).__name__} {_shorten(str(value))}"


def _shorten(text: str) -> str:
    return text if len(text) <= 60 else text[:57] + "..."


def nearest(name: str, known: Collection[str], others: Mapping[str, str] = MappingProxyType({})) -> str:
    """Return a remedy for a name that isn't known. `others` are names that people know from elsewhere, and ours."""
    for ours in known:
        if ours.casefold() == name.casefold():
            return f"did you mean {ours}?"
    if name.casefold() in others:
        return f"did you mean {others[name.casefold()]}?"
    found = get_close_matches(name[:100], known, n=1, cutoff=0.6)
    return f"did you mean {found[0]}?" if found else f"known here: {', '.join(sorted(known))}"


class Fields:
    """A mapping of the document at a path. `take` the known fields, then `finish`: what is left over is refused."""

    __slots__ = ("_known", "_left", "path")

    def __init__(self, value: object, path: str) -> None:
        if not isinstance(value, Mapping):
            raise InvalidInput(f"has to be a mapping, not {kind_of(value)}", field=path or None)
        self.path = path
        self._left: dict[str, Any] = {}
        self._known: list[str] = []
        for key, item in value.items():
            if not isinstance(key, str):
                raise InvalidInput(f"a field's name has to be text, not {kind_of(key)}", field=path or None)
            self._left[key] = item

    def at(self, name: str) -> str:
        """Return the path of a field."""
        return f"{self.path}.{name}" if self.path else name

    def take(self, name: str) -> Any:
        """Return a field's value; None where it is absent or empty."""
        self._known.append(name)
        return self._left.pop(name, None)

    def has(self, name: str) -> bool:
        """Return whether a field that was not taken yet is there, empty or not."""
        return name in self._left

    def required(self, name: str, remedy: str) -> Any:
        """Return a field's value; refused where it is absent or empty."""
        value = self.take(name)
        if value is None:
            raise InvalidInput("is missing", field=self.at(name), remedy=remedy)
        return value

    def items(self, name: str) -> Iterator[tuple[Any, str]] | None:
        """Return a list's elements with their paths; None where the list is absent."""
        value = self.take(name)
        return None if value is None else elements(value, self.at(name))

    def refuse(self, **unsupported: str) -> None:
        """Refuse fields that the standard has and this version doesn't, each with a remedy."""
        for name, remedy in unsupported.items():
            self._known.append(name)
            if name in self._left:
                raise Unsupported("is not supported in this version", field=self.at(name), remedy=remedy or None)

    def finish(self, **others: str) -> None:
        """Refuse whatever was not taken. `others` are fields that people know from elsewhere, and what they are here."""
        for name in self._left:
            remedy = f"did you mean {others[name]}?" if name in others else nearest(name, self._known)
            raise InvalidInput("unknown field", field=self.at(name), remedy=remedy)


def elements(value: object, path: str) -> Iterator[tuple[Any, str]]:
    """Return a list's elements with their paths."""
    if not isinstance(value, list | tuple):
        raise InvalidInput(f"has to be a list, not {kind_of(value)}", field=path, remedy="write its elements with -")
    return ((element, f"{path}[{index}]") for index, element in enumerate(value))


def text(value: object, path: str, *, what: str = "text") -> str:
    """Return a value that has to be text."""
    if isinstance(value, str):
        if "\0" in value or any("\ud800" <= char <= "\udfff" for char in value):
            raise InvalidInput("has characters that no text can hold (NUL, or half of a surrogate pair)", field=path)
        return value
    remedy = "put it in quotes" if isinstance(value, bool | int | float) else None
    raise InvalidInput(f"has to be {what}, not {kind_of(value)}", field=path, remedy=remedy)


def texts(value: object, path: str) -> dict[str, str]:
    """Return a mapping of text to text; empty where it is absent."""
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise InvalidInput(f"has to be a mapping, not {kind_of(value)}", field=path)
    return {text(key, path, what="a mapping of text"): text(item, f"{path}[{key}]") for key, item in value.items()}


def number(value: object, path: str, low: int, high: int) -> int:
    """Return a whole number that has to lie within bounds."""
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise InvalidInput(f"has to be a number from {low} to {high}, not {kind_of(value)}", field=path)
    return value


def choice(
    value: object, path: str, what: str, known: Collection[str], others: Mapping[str, str] = MappingProxyType({})
) -> str:
    """Return a text that has to be one of those known."""
    name = text(value, path)
    if name not in known:
        raise InvalidInput(f"unknown {what} {_shorten(name)!r}", field=path, remedy=nearest(name, known, others))
    return name
