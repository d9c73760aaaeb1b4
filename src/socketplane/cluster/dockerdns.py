"""Docker's own setting `dns`: that every container of this host asks the resolver first. On request, and reversible."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from socketplane.config import RESOLVER_ADDRESS, Paths
from socketplane.errors import Conflict, InvalidInput
from socketplane.files import private_directory, write_atomic

_KEY = "dns"
_MODE = 0o644
_RESOLVER = str(RESOLVER_ADDRESS)


class Setting(NamedTuple):
    """What daemon.json says now, and what it said before; None: nothing of it."""

    file: Path
    before: list[str] | None
    now: list[str] | None
    live_restore: bool

    @property
    def changed(self) -> bool:
        """Whether anything was to be done."""
        return self.before != self.now


def file(paths: Paths) -> Path:
    """Return where Docker's settings are."""
    return paths.root / "etc/docker/daemon.json"


def ours(paths: Paths) -> bool:
    """Return whether `enable` changed the setting, and nobody took it back."""
    return _record(paths).exists()


def enable(paths: Paths) -> Setting:
    """Put the resolver before what stands there. The second time changes nothing.

    Raises:
        InvalidInput: the file can't be understood; it stays as it is.
        Conflict: dockerd has its servers as a flag, and would not start with both.
    """
    told = _read(file(paths))
    before = _servers(paths, told)
    if before is not None and _RESOLVER in before:
        return _setting(paths, told, before, before)
    _refuse_flag(paths)
    now = [_RESOLVER, *(before or ())]
    private_directory(paths.state)
    write_atomic(_record(paths), orjson.dumps({"before": before, "now": now, "made": not file(paths).exists()}))
    _write(paths, told, now)
    return _setting(paths, told, before, now)


def disable(paths: Paths) -> Setting:
    """Bring back what was there before; of what somebody else wrote since then, only the resolver is taken out.

    Raises InvalidInput as `enable` does.
    """
    told = _read(file(paths))
    before = _servers(paths, told)
    now = before
    if before is not None and _RESOLVER in before:
        now = [server for server in before if server != _RESOLVER] or None
        if (known := _known(paths)) and known.get("now") == before:
            now = known.get("before")
        if known.get("made") and now is None and told.keys() == {_KEY}:
            file(paths).unlink()
        else:
            _write(paths, told, now)
    _record(paths).unlink(missing_ok=True)
    return _setting(paths, told, before, now)


def forget(paths: Paths) -> str | None:
    """Disable it as a part of `down`, which a file that can't be understood must not keep from its end; return a note."""
    try:
        disable(paths)
    except InvalidInput as error:
        _record(paths).unlink(missing_ok=True)
        return f"left as it is ({error}): take {_RESOLVER} out of it"
    return f"{file(paths)} is as before; dockerd reads it at its start"


def _record(paths: Paths) -> Path:
    return paths.state / "docker-dns.json"


def _setting(paths: Paths, told: Mapping[str, Any], before: list[str] | None, now: list[str] | None) -> Setting:
    return Setting(file(paths), before, now, told.get("live-restore") is True)


def _read(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text()
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise _unreadable(path, str(error)) from None
    try:
        told = orjson.loads(text) if text.strip() else {}
    except orjson.JSONDecodeError as error:
        raise _unreadable(path, str(error)) from None
    if not isinstance(told, dict):
        raise _unreadable(path, "it is no object")
    return told


def _servers(paths: Paths, told: Mapping[str, Any]) -> list[str] | None:
    found = told.get(_KEY)
    if found is None:
        return None
    if not isinstance(found, list) or not all(isinstance(server, str) for server in found):
        raise _unreadable(file(paths), f"{_KEY} is no list of addresses")
    return found


def _unreadable(path: Path, why: str) -> InvalidInput:
    return InvalidInput(f"{path} can't be understood: {why}", field=str(path), remedy="mend it; nothing was changed")


def _write(paths: Paths, told: dict[str, Any], servers: list[str] | None) -> None:
    changed = {key: value for key, value in told.items() if key != _KEY} if servers is None else {**told, _KEY: servers}
    path = file(paths)
    path.parent.mkdir(parents=True, exist_ok=True)
    mode = path.stat().st_mode & 0o777 if path.exists() else _MODE
    target = path.resolve()  # where it is a link, what it leads to is replaced
    write_atomic(target, orjson.dumps(changed, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE), mode)


def _known(paths: Paths) -> dict[str, Any]:
    try:
        found = orjson.loads(_record(paths).read_bytes())
    except (FileNotFoundError, orjson.JSONDecodeError):
        return {}
    return found if isinstance(found, dict) else {}


def _refuse_flag(paths: Paths) -> None:
    try:
        pid = int((paths.root / "run/docker.pid").read_text())
        arguments = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
    except (OSError, ValueError):
        return
    if any(argument == "--dns" or argument.startswith("--dns=") for argument in arguments):
        raise Conflict(
            "dockerd was started with --dns, and does not start with both that and the setting",
            field="--dns",
            remedy=f"give it --dns {_RESOLVER} before the others there",
        )
