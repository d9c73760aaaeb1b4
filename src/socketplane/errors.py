"""The exception tree. One base per boundary; the REST API maps `status` and `code` once.

SocketPlaneError
├── InvalidInput         400  what was asked for can't be right: names the field and the remedy
├── Unauthenticated      401  no certificate, or a token that is wrong, used up or expired
├── Forbidden            403  a host asked for what only an administrator may do, or for another host's
├── NotFound             404
├── Conflict             409  right in itself, but not with what exists
│   ├── NameInUse
│   ├── AddressInUse
│   ├── SubnetOverlap
│   ├── InUse                 still has endpoints
│   └── Exhausted             no free address or subnet left
├── Unsupported          422  known to the standard, not to this version: named, never ignored
└── Unavailable          503  a part that is needed does not answer; nothing was changed
"""

from __future__ import annotations

from typing import Any, ClassVar


class SocketPlaneError(Exception):
    """An error that a person reads: what is wrong, where (`field`), and what to do (`remedy`)."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal"

    def __init__(self, message: str, *, field: str | None = None, remedy: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.field = field
        self.remedy = remedy

    def __str__(self) -> str:
        text = f"{self.field}: {self.message}" if self.field else self.message
        return f"{text}; {self.remedy}" if self.remedy else text

    def as_dict(self) -> dict[str, Any]:
        """Return the error's JSON form: code, message, field, remedy."""
        return {"code": self.code, "message": self.message, "field": self.field, "remedy": self.remedy}


class InvalidInput(SocketPlaneError):
    """What was asked for can't be right."""

    status, code = 400, "invalid_input"


class Unauthenticated(SocketPlaneError):
    """No identity, or a token that is wrong, used up or expired."""

    status, code = 401, "unauthenticated"


class Forbidden(SocketPlaneError):
    """The identity is known and may not do this."""

    status, code = 403, "forbidden"


class NotFound(SocketPlaneError):
    """No such object."""

    status, code = 404, "not_found"


class Conflict(SocketPlaneError):
    """Right in itself, but not together with what exists."""

    status, code = 409, "conflict"


class NameInUse(Conflict):
    """Another object has this name."""

    code = "name_in_use"


class AddressInUse(Conflict):
    """Another holder has this address."""

    code = "address_in_use"


class SubnetOverlap(Conflict):
    """Another network's subnet overlaps."""

    code = "subnet_overlap"


class InUse(Conflict):
    """The object still has users."""

    code = "in_use"


class Exhausted(Conflict):
    """No free address or subnet is left."""

    code = "exhausted"


class Unsupported(SocketPlaneError):
    """Known to the standard, not to this version."""

    status, code = 422, "unsupported"


class Unavailable(SocketPlaneError):
    """A part that is needed does not answer; nothing was changed."""

    status, code = 503, "unavailable"


def _tree(base: type[SocketPlaneError]) -> list[type[SocketPlaneError]]:
    return [base, *(leaf for child in base.__subclasses__() for leaf in _tree(child))]


_BY_CODE = {kind.code: kind for kind in _tree(SocketPlaneError)}


def from_dict(data: dict[str, Any]) -> SocketPlaneError:
    """Return the error that `as_dict` described; an unknown code becomes a SocketPlaneError."""
    kind = _BY_CODE.get(str(data.get("code")), SocketPlaneError)
    return kind(str(data.get("message", "unknown error")), field=data.get("field"), remedy=data.get("remedy"))
