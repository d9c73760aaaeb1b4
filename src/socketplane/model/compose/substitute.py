"""Compose's variables: $VAR, ${VAR}, ${VAR:-default}, ${VAR?error}, ${VAR+replacement}, nested; $$ is a dollar sign."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from socketplane.errors import InvalidInput

MAX_DEPTH = 10
"""Of defaults within defaults."""
MAX_LENGTH = 4 << 20
"""Of all that texts with variables become, together."""

_START = re.compile(r"\$(?:(?P<escaped>\$)|(?P<named>[A-Za-z_][A-Za-z0-9_]*)|\{)", re.ASCII)
_BRACED = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(?:(:?[-?+])(.*))?", re.ASCII | re.DOTALL)


@dataclass(slots=True)
class Variables:
    """What variables stand for. `unset` gathers the names that were asked for in vain: they became empty."""

    values: Mapping[str, str]
    unset: set[str] = field(default_factory=set)
    left: int = MAX_LENGTH

    def within(self, value: Any, path: str) -> Any:
        """Return a document's value with the variables in its texts replaced; keys stay as they are."""
        if isinstance(value, str):
            return self.text(value, path)
        if isinstance(value, Mapping):
            return {key: self.within(item, f"{path}.{key}") for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.within(item, f"{path}[{number}]") for number, item in enumerate(value)]
        return value

    def text(self, text: str, path: str, depth: int = 0) -> str:
        """Return a text with its variables replaced. Raises InvalidInput for what is no variable, or lacks its value."""
        if "$" not in text:
            return text
        if depth > MAX_DEPTH:
            raise InvalidInput(f"has variables nested more than {MAX_DEPTH} deep", field=path)
        parts: list[str] = []
        at = 0
        while match := _START.search(text, at):
            parts.append(text[at : match.start()])
            at = match.end()
            if match["escaped"]:
                parts.append("$")
            elif match["named"]:
                parts.append(self._plain(match["named"]))
            else:
                end = _closing(text, at)
                parts.append(self._braced(text[at : max(end, at)], end < 0, path, depth))
                at = end + 1
        parts.append(text[at:])
        self.left -= sum(map(len, parts))
        if self.left < 0:
            raise InvalidInput(f"texts become longer than {MAX_LENGTH >> 20} MiB by their variables", field=path)
        return "".join(parts)

    def _plain(self, name: str) -> str:
        if name not in self.values:
            self.unset.add(name)
        return self.values.get(name, "")

    def _braced(self, inner: str, unclosed: bool, path: str, depth: int) -> str:
        match = None if unclosed else _BRACED.fullmatch(inner)
        if match is None:
            problem = "a variable's brace is not closed" if unclosed else f"${{{inner[:60]}}} is no variable"
            remedy = "write ${NAME}, ${NAME:-default}, ${NAME:?error} or ${NAME:+replacement}; $$ for a dollar sign"
            raise InvalidInput(problem, field=path, remedy=remedy)
        name, operator, word = match.groups()
        if operator is None:
            return self._plain(name)
        value = self.values.get(name)
        there = bool(value) if operator[0] == ":" else value is not None
        if operator[-1] == "+":
            return self.text(word, path, depth + 1) if there else ""
        if there:
            return value or ""
        word = self.text(word, path, depth + 1)
        if operator[-1] == "-":
            return word
        problem = f"the variable {name} has to be set" + (f": {word}" if word else "")
        raise InvalidInput(problem, field=path, remedy="set it in the environment or in the file .env beside this one")


def _closing(text: str, at: int) -> int:
    """Return where the brace that was opened before `at` closes; -1 where it doesn't."""
    depth = 1
    while at < len(text):
        if text.startswith("$$", at):
            at += 1
        elif text.startswith("${", at):
            depth += 1
            at += 1
        elif text[at] == "}":
            depth -= 1
            if not depth:
                return at
        at += 1
    return -1
