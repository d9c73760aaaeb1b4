"""Text to YAML nodes (so JSON too) and values: bounded in size, depth and expansion; errors know file and line.

Other readers let the last of two equal keys win; here that is an error, as it hides what the first one says.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NoReturn

import yaml

from socketplane.errors import InvalidInput, SocketPlaneError

MAX_SIZE = 1 << 20
MAX_NODES = 200_000
"""Of one file, with what aliases stand for counted each time."""
MAX_DEPTH = 40

_PARTS = re.compile(r"\[[^\]]*\]|[^.\[\]]+")
"""Of a field's path: names, and what is in brackets (numbers, and keys that may have dots)."""

Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read_nodes(text: str | bytes, filename: str, loader: Any = Loader) -> list[yaml.Node]:
    """Return the node of each document that is not empty. `loader` resolves the tags of plain scalars."""
    content = _text(text, filename)
    return [node for node in _nodes(content, filename, loader) if not is_empty(node)]


def construct(node: yaml.Node) -> Any:
    """Return the value that a node stands for; only YAML's own types."""
    try:
        return yaml.constructor.SafeConstructor().construct_document(node)
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        problem = getattr(error, "problem", None) or str(error)
        raise InvalidInput(problem) from None


def is_empty(node: yaml.Node) -> bool:
    """Tell whether a node says nothing."""
    return isinstance(node, yaml.ScalarNode) and node.tag == "tag:yaml.org,2002:null"


def located(error: SocketPlaneError, where: str, root: yaml.Node) -> SocketPlaneError:
    """Return an error in a document's field with the file (`where`) and the field's line."""
    node, _ = _walk(root, error.field or "")
    return type(error)(_at(where, node, error.message), field=error.field, remedy=error.remedy)


def line_of(node: yaml.Node | yaml.Event) -> int:
    """Return the line where a node begins, from 1."""
    return node.start_mark.line + 1 if node.start_mark else 1


def find(node: yaml.Node, path: str) -> yaml.Node:
    """Return the node at a field's path, or the nearest one above it."""
    return _walk(node, path)[1]


def _walk(root: yaml.Node, path: str) -> tuple[yaml.Node, yaml.Node]:
    """Return where a field begins (its key, in a mapping) and its value, or the same of the nearest one above it."""
    found = (root, root)
    for part in _PARTS.findall(path):
        child = _child(found[1], part)
        if child is None:
            break
        found = child
    return found


def _text(text: str | bytes, filename: str) -> str:
    if len(text) > MAX_SIZE:
        raise InvalidInput(f"{filename}: is larger than {MAX_SIZE >> 20} MiB", remedy="split it into several files")
    if isinstance(text, str):
        return text
    try:
        return text.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{filename}: is not UTF-8 text (byte {error.start})") from None


def _nodes(content: str, filename: str, loader: Any) -> Iterator[yaml.Node]:
    """Yield each document's node, checked: what they stand for is of bounded size, and no key is there twice."""
    left = MAX_NODES
    try:
        _check_depth(content, filename, loader)
        for node in yaml.compose_all(content, Loader=loader):
            left = _check(node, left, filename)
            yield node
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or getattr(error, "reason", None) or "not YAML"
        raise InvalidInput(f"{filename}{line}: {problem}", remedy="check the indentation and quotes there") from None


def _check_depth(content: str, filename: str, loader: Any) -> None:
    """Refuse deep nesting before anything recurses into it: composing overruns the C stack."""
    depth = 0
    for event in yaml.parse(content, Loader=loader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MAX_DEPTH:
                _refuse(filename, event, f"is nested more than {MAX_DEPTH} deep")
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def _check(root: yaml.Node, left: int, filename: str) -> int:
    """Return how many values are left to be counted after this document's."""
    stack = [(root, 1)]
    while stack:
        node, depth = stack.pop()
        left -= 1
        if left < 0:
            _refuse(filename, node, f"stands for more than {MAX_NODES} values")
        if depth > MAX_DEPTH:
            _refuse(filename, node, f"is nested more than {MAX_DEPTH} deep")
        if isinstance(node, yaml.SequenceNode):
            stack.extend((child, depth + 1) for child in node.value)
        elif isinstance(node, yaml.MappingNode):
            keys: set[tuple[str, str]] = set()
            for key, value in node.value:
                if isinstance(key, yaml.ScalarNode):
                    if (key.tag, key.value) in keys:
                        _refuse(filename, key, f"{key.value[:60]!r} is there twice")
                    keys.add((key.tag, key.value))
                stack += [(key, depth + 1), (value, depth + 1)]
    return left


def _refuse(filename: str, node: yaml.Node | yaml.Event, problem: str) -> NoReturn:
    raise InvalidInput(_at(filename, node, problem))


def _at(where: str, node: yaml.Node | yaml.Event, message: str) -> str:
    return f"{where}, line {line_of(node)}: {message}"


def _child(node: yaml.Node, part: str) -> tuple[yaml.Node, yaml.Node] | None:
    """Return a field's key and value; of a list's element, twice the element."""
    name = part.strip("[]")
    if isinstance(node, yaml.SequenceNode) and name.isdecimal() and int(name) < len(node.value):
        return node.value[int(name)], node.value[int(name)]
    if isinstance(node, yaml.MappingNode):
        return next(((key, value) for key, value in node.value if key.value == name), None)
    return None
