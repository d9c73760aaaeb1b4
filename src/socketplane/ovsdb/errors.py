"""What can go wrong between a client and an OVSDB server.

OvsdbError
├── InvalidOperation            the operation can't be encoded: unknown table or column, value of the wrong type
├── ProtocolError               the peer sent what is not OVSDB; the connection is dropped
├── RequestFailed               the server refused a request other than a transaction
├── Disconnected                no answer came: the transaction may have been committed or not
│   ├── NotConnected            nothing was sent, so nothing was committed
│   └── Unanswered              still connected, but no answer within the timeout
└── TransactionFailed           the server answered: nothing was committed
    ├── ConstraintViolation     index, range, enumeration, immutable column, number of rows
    ├── ReferentialViolation    a reference to a row that does not exist, or a row that is still referred to
    ├── DuplicateUuid           an insert's own uuid exists already
    ├── DuplicateName           an insert's uuid_name is used twice in the transaction
    ├── NotLockOwner            assert_lock
    ├── WaitFailed              a wait's condition did not come true in time
    ├── Aborted                 the transaction asked for it
    ├── InvalidMutation         division by zero, result out of range
    ├── PermissionDenied        role-based access control, or a read-only server
    ├── Malformed               the server could not parse the operation
    └── ResourcesExhausted
        └── IoError             the server could not write its file: disk full, for example
"""

from __future__ import annotations


class OvsdbError(Exception):
    """Base of everything that this package raises."""


class InvalidOperation(OvsdbError, ValueError):
    """An operation does not fit the server's schema; nothing was sent."""


class ProtocolError(OvsdbError):
    """The peer sent what is not OVSDB."""


class RequestFailed(OvsdbError):
    """The server refused a request: `error` is its short tag, `details` its explanation."""

    def __init__(self, method: str, error: str, details: str = "") -> None:
        super().__init__(f"{method}: {error}" + (f": {details}" if details else ""))
        self.method = method
        self.error = error
        self.details = details


class Disconnected(OvsdbError):
    """No answer came: what was sent may have been committed or not."""


class NotConnected(Disconnected):
    """There was no connection, so nothing was sent."""


class Unanswered(Disconnected):
    """The connection stands, but the answer did not come within the timeout."""


class TransactionFailed(OvsdbError):
    """The server rolled the transaction back.

    `index` is the operation at fault; len(operations) when the commit as a whole failed (deferred constraints,
    storage); None when the server refused the request before executing it.
    """

    def __init__(self, index: int | None, error: str, details: str = "", where: str = "") -> None:
        super().__init__(error + (f": {details}" if details else "") + (f" ({where})" if where else ""))
        self.index = index
        self.error = error
        self.details = details


class ConstraintViolation(TransactionFailed):
    """An index, a range, an enumeration, an immutable column or the number of rows or elements forbids it."""


class ReferentialViolation(TransactionFailed):
    """A reference would point to nothing."""


class DuplicateUuid(TransactionFailed):
    """The row that an insert names by its own uuid exists already."""


class DuplicateName(TransactionFailed):
    """Two inserts of the transaction have the same uuid_name."""


class NotLockOwner(TransactionFailed):
    """The connection does not own the lock that the transaction asserts."""


class WaitFailed(TransactionFailed):
    """The condition of a wait did not come true within its timeout."""


class Aborted(TransactionFailed):
    """The transaction contained an abort."""


class InvalidMutation(TransactionFailed):
    """Division by zero, or a result that the column can't hold."""


class PermissionDenied(TransactionFailed):
    """The connection's role may not do this, or the server is read-only."""


class Malformed(TransactionFailed):
    """The server could not parse the operation."""


class ResourcesExhausted(TransactionFailed):
    """The server lacks memory or disk space."""


class IoError(ResourcesExhausted):
    """The server could not write to its storage."""


_BY_TAG: dict[str, type[TransactionFailed]] = {
    "constraint violation": ConstraintViolation,
    "referential integrity violation": ReferentialViolation,
    "duplicate uuid": DuplicateUuid,
    "duplicate uuid name": DuplicateName,
    "duplicate uuid-name": DuplicateName,
    "not owner": NotLockOwner,
    "timed out": WaitFailed,
    "aborted": Aborted,
    "domain error": InvalidMutation,
    "range error": InvalidMutation,
    "permission error": PermissionDenied,
    "not allowed": PermissionDenied,
    "syntax error": Malformed,
    "unknown column": Malformed,
    "unknown table": Malformed,
    "unknown database": Malformed,
    "unknown mutator": Malformed,
    "unknown function": Malformed,
    "resources exhausted": ResourcesExhausted,
    "I/O error": IoError,
}


def transaction_failed(index: int | None, error: str, details: str = "", where: str = "") -> TransactionFailed:
    """Return the exception for a server's error tag; TransactionFailed itself for a tag that is not known."""
    return _BY_TAG.get(error, TransactionFailed)(index, error, details, where)
