"""The text that lets a machine join: where the controllers are, how to know them, and a secret."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field

from socketplane.errors import InvalidInput

PREFIX = "sp1."
_CONTROLLER = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,252}[A-Za-z0-9])?:[0-9]{1,5}")
_FINGERPRINT = re.compile(r"[0-9a-f]{64}")
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_SECRET = re.compile(r"[A-Za-z0-9_-]{16,128}")
_MAX = 4096


@dataclass(frozen=True, slots=True)
class JoinToken:
    """A token as handed to `socketplane join`. Only `hash_secret(secret)` is ever stored."""

    controllers: tuple[str, ...]
    """`address:port` of the REST API of each manager."""
    fingerprint: str
    """SHA-256 of the CA's certificate, so that a stranger in between is noticed."""
    id: str
    secret: str = field(repr=False)

    def encode(self) -> str:
        """Return the token's text."""
        parts = {"c": list(self.controllers), "f": self.fingerprint, "i": self.id, "s": self.secret}
        return PREFIX + base64.urlsafe_b64encode(json.dumps(parts, separators=(",", ":")).encode()).decode().rstrip("=")

    @staticmethod
    def decode(text: str) -> JoinToken:
        """Read a token's text. InvalidInput (field `token`): cut off, altered, or something else altogether."""
        text = "".join(text.split())  # mail and terminals break long lines
        if not text.startswith(PREFIX):
            raise _malformed(f"does not start with {PREFIX}")
        if len(text) > _MAX:
            raise _malformed("is too long")
        try:
            body = text.removeprefix(PREFIX).rstrip("=").encode("ascii")
            parts = json.loads(base64.b64decode(body + b"=" * (-len(body) % 4), altchars=b"-_", validate=True))
            token = JoinToken(tuple(parts["c"]), parts["f"], parts["i"], parts["s"])
        except (ValueError, KeyError, TypeError, RecursionError):
            # the cause holds parts of the secret: not chained
            raise _malformed("is cut off or altered") from None
        if not token._plausible():
            raise _malformed("is cut off or altered")
        return token

    def _plausible(self) -> bool:
        checks = [(_FINGERPRINT, self.fingerprint), (_ID, self.id), (_SECRET, self.secret)]
        checks += [(_CONTROLLER, controller) for controller in self.controllers]
        return bool(self.controllers) and all(isinstance(value, str) and form.fullmatch(value) for form, value in checks)


def new_token(controllers: Iterable[str], ca_fingerprint: str) -> JoinToken:
    """Make a token with a new id and a secret of 256 random bits."""
    return JoinToken(tuple(controllers), ca_fingerprint, secrets.token_hex(5), secrets.token_urlsafe(32))


def hash_secret(secret: str) -> str:
    """Return the hex SHA-256 of a secret, as the database keeps it (256 random bits need no slow hash)."""
    return hashlib.sha256(secret.encode()).hexdigest()


def _malformed(why: str) -> InvalidInput:
    remedy = "copy the whole text that `socketplane token create` printed"
    return InvalidInput(f"is malformed: it {why}", field="token", remedy=remedy)
