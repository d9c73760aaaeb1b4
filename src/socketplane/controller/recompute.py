"""What ovn-northd forgets where it computes only what changed, and how it is had to compute everything anew.

Where ports and rules change in one turn of it, incremental releases (seen with 25.03) leave these ports out of the groups
that a switch floods to: what is sent to many, as multicast is, does not reach those containers, and nothing says so. Any
change of a switch's own row mends that.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from uuid import UUID

from socketplane.compile.names import HOSTS_SWITCH
from socketplane.ovsdb import Operation, by_uuid, mutate
from socketplane.ovsdb.operations import Mutate

NEAR = 10.0
"""Seconds within which northd may take changes in one turn, being busy."""
LATER = 2.0
KEY = "northd-computed"
"""In external_ids of the switch of the hosts: none of the keys that we compare, and nobody reads it."""
_RULES = frozenset({"ACL", "Meter", "Meter_Band"})


class Recompute:
    """When northd is to compute everything anew: `due`, None while it need not."""

    def __init__(self) -> None:
        self.due: float | None = None
        self._ports = self._rules = float("-inf")

    def note(self, operations: Iterable[Operation], now: float) -> None:
        """Take in what was written."""
        for operation in operations:
            if _mutates(operation, "Logical_Switch", "ports", "insert"):
                self._ports = now
            elif _mutates(operation, "Port_Group", "acls") or getattr(operation, "table", "") in _RULES:
                self._rules = now
        if now == max(self._ports, self._rules) and abs(self._ports - self._rules) <= NEAR:
            self.due = now + LATER if self.due is None else self.due


def touch(switches: Mapping[UUID, Mapping[str, Any]]) -> list[Operation]:
    """Return what has northd compute everything anew; nothing where it has nothing of ours."""
    for uuid, row in switches.items():
        if row["name"] == HOSTS_SWITCH:
            number = int(row["external_ids"].get(KEY, "0")) + 1
            changes = [("external_ids", "delete", frozenset({KEY})), ("external_ids", "insert", {KEY: str(number)})]
            return [mutate("Logical_Switch", by_uuid(uuid), changes)]
    return []


def _mutates(operation: Operation, table: str, *mutation: str) -> bool:
    """Return whether an operation has a mutation of that table that begins so: column, how."""
    return (
        isinstance(operation, Mutate)
        and operation.table == table
        and any(found[: len(mutation)] == mutation for found in operation.mutations)
    )
