"""An asyncio client for OVSDB: RFC 7047 with the extensions of ovsdb-server(7).

    async with Client(["unix:/run/ovn/ovnnb_db.sock"], "OVN_Northbound") as client:
        replica = await client.monitor({"Logical_Switch": ["name", "ports"]})
        await client.transact(insert("Logical_Switch", {"name": "web"}))
        assert any(row["name"] == "web" for row in replica["Logical_Switch"].values())

Generic: it knows no schema. The codec (types, codec, schema, operations, transaction, jsonstream, replica, monitor)
touches no sockets.
"""

from socketplane.ovsdb.client import Client
from socketplane.ovsdb.errors import (
    Aborted,
    ConstraintViolation,
    Disconnected,
    DuplicateName,
    DuplicateUuid,
    InvalidMutation,
    InvalidOperation,
    IoError,
    Malformed,
    NotConnected,
    NotLockOwner,
    OvsdbError,
    PermissionDenied,
    ProtocolError,
    ReferentialViolation,
    RequestFailed,
    ResourcesExhausted,
    TransactionFailed,
    Unanswered,
    WaitFailed,
)
from socketplane.ovsdb.lock import Lock
from socketplane.ovsdb.operations import (
    Operation,
    Where,
    abort,
    assert_lock,
    by_uuid,
    comment,
    commit,
    delete,
    insert,
    mutate,
    select,
    update,
    wait,
)
from socketplane.ovsdb.remote import Backoff, Tls
from socketplane.ovsdb.replica import Replica, RowChange
from socketplane.ovsdb.schema import Column, Schema, Table
from socketplane.ovsdb.transaction import Result
from socketplane.ovsdb.types import NamedUuid, Row

__all__ = [
    "Aborted",
    "Backoff",
    "Client",
    "Column",
    "ConstraintViolation",
    "Disconnected",
    "DuplicateName",
    "DuplicateUuid",
    "InvalidMutation",
    "InvalidOperation",
    "IoError",
    "Lock",
    "Malformed",
    "NamedUuid",
    "NotConnected",
    "NotLockOwner",
    "Operation",
    "OvsdbError",
    "PermissionDenied",
    "ProtocolError",
    "ReferentialViolation",
    "Replica",
    "RequestFailed",
    "ResourcesExhausted",
    "Result",
    "Row",
    "RowChange",
    "Schema",
    "Table",
    "Tls",
    "TransactionFailed",
    "Unanswered",
    "WaitFailed",
    "Where",
    "abort",
    "assert_lock",
    "by_uuid",
    "comment",
    "commit",
    "delete",
    "insert",
    "mutate",
    "select",
    "update",
    "wait",
]
