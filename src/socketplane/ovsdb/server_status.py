"""Whether a server is one to stay with, as its `_Server` database tells (ovsdb-server(5))."""

from __future__ import annotations

from typing import Any

from socketplane.ovsdb.errors import OvsdbError

DATABASE = "_Server"
MONITOR = "_Server"
REQUEST: dict[str, Any] = {"Database": [{"columns": ["name", "model", "connected", "leader"]}]}


class Unsuitable(OvsdbError):
    """The server does not have the database, has lost its cluster, or does not lead it."""


class ServerStatus:
    """Follows a plain monitor of `_Server` on one connection."""

    def __init__(self, database: str, *, leader_only: bool) -> None:
        self._database = database
        self._leader_only = leader_only
        self._rows: dict[str, dict[str, Any]] = {}

    def take(self, updates: Any) -> None:
        """Take a <table-updates>; raise Unsuitable if the server is not, or no longer, one to talk to."""
        for uuid, update in updates.get("Database", {}).items():
            if update.get("new") is None:
                self._rows.pop(uuid, None)
            else:
                self._rows[uuid] = update["new"]
        self._check()

    def _check(self) -> None:
        for row in self._rows.values():
            if row.get("name") != self._database:
                continue
            if row.get("connected") is not True:
                raise Unsuitable("the server has no contact with its cluster")
            if self._leader_only and row.get("leader") is not True:
                raise Unsuitable("the server does not lead its cluster")
            return
        raise Unsuitable(f"the server has no database {self._database}")
