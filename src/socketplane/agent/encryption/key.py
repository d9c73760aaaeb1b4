"""This host's key. It is made here, and only its public half is told."""

from __future__ import annotations

from base64 import b64decode, b64encode
from dataclasses import dataclass, field
from pathlib import Path

import structlog
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from socketplane.files import private_directory, write_atomic

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Key:
    """A key of WireGuard, both halves in base64."""

    private: str = field(repr=False)
    public: str


def load_or_make(path: Path) -> Key:
    """Return the key in this file. One that is missing, or can't be read as a key, is made anew: peers are told it."""
    try:
        private = X25519PrivateKey.from_private_bytes(b64decode(path.read_text().strip(), validate=True))
    except (FileNotFoundError, ValueError) as error:
        private = X25519PrivateKey.generate()
        private_directory(path.parent)
        write_atomic(path, _text(private.private_bytes_raw()) + "\n")
        _log.info("encryption.key_made", why=type(error).__name__)
    return Key(_text(private.private_bytes_raw()), _text(private.public_key().public_bytes_raw()))


def _text(key: bytes) -> str:
    return b64encode(key).decode()
