"""The file .env beside a Compose file: KEY=value lines, with quotes, comments and variables as Compose reads them."""

from __future__ import annotations

import re
from collections.abc import Mapping

from socketplane.errors import InvalidInput, SocketPlaneError
from socketplane.model.compose.substitute import Variables

MAX_SIZE = 1 << 20

_LINE = re.compile(r"[^\S\n]*(?:export[^\S\n]+)?(?P<name>[A-Za-z_][A-Za-z0-9_.-]*)[^\S\n]*(?P<assigned>[=:][^\S\n]*)?")
_DOUBLE = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_SINGLE = re.compile(r"'((?:[^'\\]|\\.)*)'", re.DOTALL)
_BARE = re.compile(r"[^\n]*")
_COMMENT = re.compile(r"(?:^|\s)#.*")
_REST = re.compile(r"[^\S\n]*(?:#[^\n]*)?(?:\n|\Z)")
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "a": "\a", "b": "\b", "f": "\f", "v": "\v"}


def parse_env(text: str | bytes, filename: str, environment: Mapping[str, str]) -> dict[str, str]:
    """Return the file's variables. Values may use variables of the environment and earlier ones of the file.

    Raises InvalidInput with file and line.
    """
    if len(text) > MAX_SIZE:
        raise InvalidInput(f"{filename}: is larger than {MAX_SIZE >> 20} MiB")
    if isinstance(text, bytes):
        try:
            text = text.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise InvalidInput(f"{filename}: is not UTF-8 text (byte {error.start})") from None
    text = text.replace("\r\n", "\n")
    found: dict[str, str] = {}
    at = 0
    while at < len(text):
        blank = _REST.match(text, at)
        if blank:
            at = blank.end()
            continue
        line = text.count("\n", 0, at) + 1
        try:
            at = _assignment(text, at, found, environment)
        except SocketPlaneError as error:
            remedy = error.remedy or "write NAME=value"
            raise InvalidInput(f"{filename}, line {line}: {error.message}", remedy=remedy) from None
    return found


def _assignment(text: str, at: int, found: dict[str, str], environment: Mapping[str, str]) -> int:
    """Read one assignment into `found`; return where the next line begins."""
    start = _LINE.match(text, at)
    if start is None:
        raise InvalidInput("is no assignment")
    at, name = start.end(), start["name"]
    known = Variables({**found, **environment})
    if not start["assigned"]:
        # A name alone takes what the environment has.
        value = environment.get(name)
    elif double := _DOUBLE.match(text, at):
        at, value = double.end(), known.text(_unescape(double[1]), name)
    elif single := _SINGLE.match(text, at):
        at, value = single.end(), single[1].replace("\\'", "'")
    elif text[at : at + 1] in ("'", '"'):
        raise InvalidInput("a quote is not closed")
    else:
        bare = _BARE.match(text, at)
        assert bare is not None  # noqa: S101 - it matches nothing too
        at, value = bare.end(), known.text(_COMMENT.sub("", bare[0]).strip(), name)
    rest = _REST.match(text, at)
    if rest is None:
        raise InvalidInput(f"something follows the value of {name}")
    if value is not None:
        found[name] = value
    return rest.end()


def _unescape(text: str) -> str:
    r"""Return the text of double quotes; \$ stays no variable."""

    def one(match: re.Match[str]) -> str:
        char = match[1]
        return "$$" if char == "$" else _ESCAPES.get(char, char if char in '"\\' else match[0])

    return re.sub(r"\\(.)", one, text, flags=re.DOTALL)
