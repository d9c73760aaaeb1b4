"""The documents of a request, read one by one."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from socketplane.errors import InvalidInput, SocketPlaneError
from socketplane.model.policy import Parsed, ParsedService

T = TypeVar("T", bound=Parsed | ParsedService)


def read_all(documents: Iterable[Any], parse: Callable[[Any], T], kind: str) -> list[T]:
    """Parse documents; an error says which it is about. InvalidInput: one is there twice; else what `parse` raises."""
    parsed: dict[tuple[str, str], T] = {}
    for number, document in enumerate(documents):
        where = f"documents[{number}]"
        try:
            found = parse(document)
        except SocketPlaneError as error:
            field = f"{where}.{error.field}" if error.field else where
            raise type(error)(error.message, field=field, remedy=error.remedy) from None
        key = (found.network, found.name)
        if key in parsed:
            raise InvalidInput(f"{kind} {found.title} is there twice", field=where, remedy="leave one out")
        parsed[key] = found
    return list(parsed.values())
