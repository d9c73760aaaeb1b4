"""The intent database's schema, and its upgrade when a newer program meets an older database."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import structlog

from socketplane.errors import Conflict, Unavailable
from socketplane.ovsdb.connection import connect
from socketplane.ovsdb.errors import OvsdbError, RequestFailed
from socketplane.ovsdb.remote import Remote

DATABASE = "SocketPlane"
SCHEMA_FILE = Path(str(files("socketplane.controller"))) / "socketplane.ovsschema"
"""What `ovsdb-tool create` makes the database from."""
_log = structlog.get_logger()


def load_schema() -> dict[str, Any]:
    """Return the schema that this program is for."""
    schema: dict[str, Any] = json.loads(SCHEMA_FILE.read_text())
    return schema


async def upgrade(remote: str, wanted: dict[str, Any]) -> None:
    """Make the database have the wanted schema: one that is older is converted, its content kept.

    Raises:
        Conflict: the database is of a newer program; nothing was changed.
        Unavailable: it does not answer, or refuses to be converted.
    """
    try:
        connection = await connect(Remote.parse(remote), None, lambda *_: None, lambda: None, 0)
    except OSError as error:
        raise Unavailable(f"the intent database does not answer: {error.strerror or error}", field=remote) from None
    try:
        present = await connection.call("get_schema", [DATABASE])
        have, want = version(present), version(wanted)
        if have > want:
            raise Conflict(
                f"the intent database has schema {present.get('version')}, this program knows {wanted['version']}",
                remedy="install the newer SocketPlane again; the database was not touched",
            )
        if have < want:
            _log.info("intent.convert", old=present.get("version"), new=wanted["version"])
            await connection.call("convert", [DATABASE, wanted], timeout=60.0)
    except RequestFailed as error:
        raise Unavailable(f"the intent database can't be converted: {error}", field=remote) from None
    except OvsdbError as error:
        raise Unavailable(f"the intent database does not answer: {error}", field=remote) from None
    finally:
        connection.close(Unavailable("done"))
        await connection.closed()


def version(schema: dict[str, Any]) -> tuple[int, ...]:
    """Return a schema's version as numbers, which compare as they should; one without is the oldest."""
    return tuple(int(part) for part in str(schema.get("version") or "0").split("."))
