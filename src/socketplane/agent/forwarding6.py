"""Makes the kernel forward IPv6, and leaves everything else of this machine as it was.

IPv6 has one switch for the whole machine. It also makes every link a router's, which takes no router advertisements: the
machine would lose its own way out. So each link gets back what it had, at once; the switch alone decides what is
forwarded. What links that come later begin with stays as it was too: that is how Docker, when it makes this machine a
router for networks of its own, finds something to do, and closes its FORWARD chain; and how we see that somebody did.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from socketplane.agent import sysctl
from socketplane.files import private_directory, write_atomic

_ALL, _DEFAULT, _ON, _OFF = "all", "default", "1", "0"
_KEPT = ("forwarding", "accept_ra")
Links = dict[str, dict[str, str]]
"""Of each link, what its settings were."""


class Forwarding6:
    """Turns the switch on and off, remembering in a file that it was us. Its methods block a little."""

    def __init__(self, state: Path) -> None:
        self._state = state

    def guarded(self) -> bool:
        """Return whether this machine forwards, or will, only because of us: the firewall must stand before `ensure`."""
        return _get(_DEFAULT) != _ON and (self._load() is not None or _get(_ALL) == _OFF)

    def ensure(self) -> bool:
        """Have IPv6 forwarded; return whether that was to be done."""
        unfinished, forwards = self._load(), _get(_ALL) == _ON
        if forwards and not unfinished:
            return False
        links = unfinished or _links()
        if not links:
            return False  # this machine has no IPv6
        self._save(links)  # before the change: a crash in between must not lose it
        router = _get(_DEFAULT)
        for link, kept in links.items():
            if kept["accept_ra"] == _ON:
                sysctl.set_ipv6(link, "accept_ra", "2")  # else the switch takes the routes away that it brought
        sysctl.set_ipv6(_ALL, "forwarding", _ON)
        sysctl.set_ipv6(_DEFAULT, "forwarding", router or _OFF)
        _put_back({link: {"forwarding": router or _OFF} for link in _links()} | links)
        self._save({})
        return True

    def restore(self) -> None:
        """Turn off what we turned on, unless somebody made this machine a router meanwhile."""
        unfinished = self._load()
        if unfinished is None:
            return
        _put_back(unfinished)
        if _get(_DEFAULT) != _ON:
            links = _links()
            sysctl.set_ipv6(_ALL, "forwarding", _OFF)
            _put_back(links)
        self._state.unlink(missing_ok=True)

    def _save(self, links: Links) -> None:
        private_directory(self._state.parent)
        write_atomic(self._state, json.dumps({"links": links}) + "\n")

    def _load(self) -> Links | None:
        """Return the links that are not as they were yet; None: the switch is not ours."""
        try:
            found = json.loads(self._state.read_text())["links"]
            return {str(link): {key: str(kept[key]) for key in _KEPT} for link, kept in found.items()}
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError, AttributeError):
            return {}  # ours it is


def _links() -> Links:
    found = {link: {key: sysctl.get_ipv6(link, key) for key in _KEPT} for link in sysctl.links_ipv6()}
    return {
        link: {key: value for key, value in kept.items() if value is not None}
        for link, kept in found.items()
        if link not in (_ALL, _DEFAULT) and None not in kept.values()
    }


def _put_back(links: Mapping[str, Mapping[str, str]]) -> None:
    for link, kept in links.items():
        for key, value in kept.items():
            sysctl.set_ipv6(link, key, value)


def _get(link: str) -> str | None:
    return sysctl.get_ipv6(link, "forwarding")
