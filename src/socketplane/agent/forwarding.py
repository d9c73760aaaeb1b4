"""Which links forward, and what that was before us.

Never the machine-wide switch: Docker closes its FORWARD chain only when it finds that switch off and turns it on
itself; had we turned it on, everything would be forwarded everywhere.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from functools import cached_property
from pathlib import Path

from socketplane.agent import sysctl
from socketplane.files import private_directory, write_atomic


class Forwarding:
    """Turns forwarding on for links, remembering (in a file) for which it was off. Its methods block a little."""

    def __init__(self, state: Path) -> None:
        self._state = state

    @cached_property
    def _changed(self) -> set[str]:
        return _load(self._state)

    def guarded(self, links: Collection[str]) -> frozenset[str]:
        """Return which of these forward, or will, only because of us: the firewall must stand before `ensure`."""
        if sysctl.forwards_everything():
            return frozenset()
        return frozenset(self._changed.intersection(links) | self._off(links))

    def ensure(self, links: Collection[str]) -> set[str]:
        """Let these links forward; return those for which it was off. A router's settings are left alone."""
        off = set() if sysctl.forwards_everything() else self._off(links)
        if off - self._changed:
            self._save(off)  # before the change: a crash in between must not lose it
        for link in off:
            sysctl.set_ipv4(link, "forwarding", "1")
        return off

    def restore(self) -> None:
        """Turn off what we turned on, unless the machine became a router meanwhile."""
        if not sysctl.forwards_everything():
            for link in self._changed:
                sysctl.set_ipv4(link, "forwarding", "0")
        self._changed.clear()
        self._state.unlink(missing_ok=True)

    @staticmethod
    def _off(links: Collection[str]) -> set[str]:
        return {link for link in links if sysctl.get_ipv4(link, "forwarding") == "0"}

    def _save(self, more: set[str]) -> None:
        private_directory(self._state.parent)
        write_atomic(self._state, json.dumps({"forwarding": sorted(self._changed | more)}) + "\n")
        self._changed.update(more)


def _load(state: Path) -> set[str]:
    try:
        return set(json.loads(state.read_text())["forwarding"])
    except FileNotFoundError:
        return set()
    except (ValueError, KeyError, TypeError):
        return set()  # nothing to restore is the safe reading: links keep forwarding, guarded by the firewall
