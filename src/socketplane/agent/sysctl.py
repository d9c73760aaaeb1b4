"""Settings of the kernel's IPv4 and IPv6 stacks, per link. Files under /proc/sys: reading and writing never blocks."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

_NET = Path("/proc/sys/net")


def forwards_everything() -> bool:
    """Return whether somebody made this machine a router (Docker does when it starts)."""
    return _read(_NET / "ipv4/ip_forward") == "1"


def get_ipv4(link: str, key: str) -> str | None:
    """Return a link's setting; None when there is no such link."""
    return _read(_NET / "ipv4/conf" / link / key)


def set_ipv4(link: str, key: str, value: str) -> bool:
    """Set a link's setting; return whether it was another. A link that is gone is passed over."""
    return _set(_NET / "ipv4/conf" / link / key, value)


def has_ipv6() -> bool:
    """Return whether the kernel has IPv6 at all."""
    return (_NET / "ipv6/conf").exists()


def links_ipv6() -> list[str]:
    """Return the links that have settings of IPv6; `all` and `default` are among them."""
    with suppress(FileNotFoundError):
        return sorted(entry.name for entry in (_NET / "ipv6/conf").iterdir())
    return []


def get_ipv6(link: str, key: str) -> str | None:
    """Return a link's setting; None when there is no such link."""
    return _read(_NET / "ipv6/conf" / link / key)


def set_ipv6(link: str, key: str, value: str) -> bool:
    """Set a link's setting; return whether it was another. A link that is gone is passed over."""
    return _set(_NET / "ipv6/conf" / link / key, value)


def _read(path: Path) -> str | None:
    with suppress(FileNotFoundError):
        return path.read_text().strip()
    return None


def _set(path: Path, value: str) -> bool:
    if _read(path) in (value, None):
        return False
    with suppress(FileNotFoundError):
        path.write_text(value)
        return True
    return False
