"""Folders that take long to make, kept in the user's cache: each is there whole or not at all."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

HOME = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "socketplane"
_UNUSED = 7 * 86400.0
"""Seconds after which a folder that nobody asked for goes when another is made."""
_PARTIAL = ".partial"


def cached(kind: str, label: str, ingredients: bytes, make: Callable[[Path], None], home: Path = HOME) -> Path:
    """Return the folder that `make` filled from these ingredients, made now if it isn't there.

    Another process that makes one of this kind is waited for. What an interrupted one left is removed.
    """
    folder = home / kind
    folder.mkdir(parents=True, exist_ok=True)
    found = folder / f"{label}-{hashlib.sha256(ingredients).hexdigest()[:16]}"
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not found.exists():
            _clean(folder)
            fresh = found.with_name(f"{found.name}{_PARTIAL}")
            fresh.mkdir()
            make(fresh)
            fresh.rename(found)
        os.utime(found)
    return found


def _clean(folder: Path) -> None:
    for entry in folder.iterdir():
        if entry.is_dir() and (entry.suffix == _PARTIAL or time.time() - entry.stat().st_mtime > _UNUSED):
            shutil.rmtree(entry)
