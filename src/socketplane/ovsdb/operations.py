"""The operations of a transaction, as plain data; the schema encodes them when they are sent."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

Condition = tuple[str, str, Any]
"""(column, function, value); function is one of == != < <= > >= includes excludes."""

Where = Sequence[Condition]
"""All conditions must hold; an empty one selects every row of the table."""

Mutation = tuple[str, str, Any]
"""(column, mutator, value); mutator is one of += -= *= /= %= insert delete."""


@dataclass(frozen=True, slots=True)
class Insert:
    """See insert()."""

    table: str
    row: Mapping[str, Any]
    uuid: UUID | None = None
    uuid_name: str | None = None


@dataclass(frozen=True, slots=True)
class Update:
    """See update()."""

    table: str
    where: Where
    row: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Mutate:
    """See mutate()."""

    table: str
    where: Where
    mutations: Sequence[Mutation]


@dataclass(frozen=True, slots=True)
class Delete:
    """See delete()."""

    table: str
    where: Where


@dataclass(frozen=True, slots=True)
class Wait:
    """See wait()."""

    table: str
    where: Where
    columns: Sequence[str]
    rows: Sequence[Mapping[str, Any]]
    until: str = "=="
    timeout: int | None = 0


@dataclass(frozen=True, slots=True)
class Select:
    """See select()."""

    table: str
    where: Where
    columns: Collection[str] | None = None


@dataclass(frozen=True, slots=True)
class AssertLock:
    """See assert_lock()."""

    name: str


@dataclass(frozen=True, slots=True)
class Comment:
    """See comment()."""

    text: str


@dataclass(frozen=True, slots=True)
class Abort:
    """See abort()."""


@dataclass(frozen=True, slots=True)
class Commit:
    """See commit()."""

    durable: bool = True


Operation = Insert | Update | Mutate | Delete | Wait | Select | AssertLock | Comment | Abort | Commit


def by_uuid(uuid: UUID) -> Where:
    """Select the one row with this UUID."""
    return (("_uuid", "==", uuid),)


def insert(table: str, row: Mapping[str, Any], uuid: UUID | None = None, uuid_name: str | None = None) -> Insert:
    """Insert a row: under a UUID of the caller's choice (ovsdb-server 2.13), or one that the server makes.

    The same transaction may refer to it by that `uuid`, or by NamedUuid(uuid_name).
    """
    return Insert(table, row, uuid, uuid_name)


def update(table: str, where: Where, row: Mapping[str, Any]) -> Update:
    """Replace the columns that `row` names, in every row that matches."""
    return Update(table, where, row)


def mutate(table: str, where: Where, mutations: Sequence[Mutation]) -> Mutate:
    """Change columns relative to what they are. `insert` on a map leaves existing keys as they are."""
    return Mutate(table, where, mutations)


def delete(table: str, where: Where) -> Delete:
    """Delete every row that matches."""
    return Delete(table, where)


def wait(
    table: str,
    where: Where,
    columns: Sequence[str],
    rows: Sequence[Mapping[str, Any]],
    until: str = "==",
    timeout: int | None = 0,
) -> Wait:
    """Go on only when the matching rows' `columns` equal `rows` (`until` "==") or differ from them ("!=").

    With timeout 0 (milliseconds) it is a check; with None it waits without end.
    """
    return Wait(table, where, columns, rows, until, timeout)


def select(table: str, where: Where = (), columns: Collection[str] | None = None) -> Select:
    """Read the rows that match: all columns, `_uuid` among them, or those named."""
    return Select(table, where, columns)


def assert_lock(name: str) -> AssertLock:
    """Fail the transaction with NotLockOwner unless this connection owns the lock."""
    return AssertLock(name)


def comment(text: str) -> Comment:
    """Write a comment into the server's log of the transaction."""
    return Comment(text)


def abort() -> Abort:
    """Fail the transaction with Aborted."""
    return Abort()


def commit(*, durable: bool = True) -> Commit:
    """Answer only when the transaction is on disk."""
    return Commit(durable)
