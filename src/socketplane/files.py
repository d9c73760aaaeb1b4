"""Files that must never be half written."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path


def private_directory(path: Path) -> None:
    """Make a directory that only root may look into (0700); one that exists is closed to others."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.chmod(0o700)


def write_atomic(path: Path, data: bytes | str, mode: int = 0o600) -> None:
    """Replace a file's content whole or not at all, and survive a power cut right after.

    The content is never readable by others than `mode` says, not even for a moment.
    """
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)  # mkstemp makes it 0600
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data.encode() if isinstance(data, str) else data)
            file.flush()
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            temporary.unlink()
        raise
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
