"""Documents from files and standard input, for the commands that take them."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from socketplane.cli.complete import network_names
from socketplane.cli.output import clean, note
from socketplane.errors import InvalidInput

if TYPE_CHECKING:
    from socketplane.model.policy import Parsed, ParsedService

    P = TypeVar("P", Parsed, ParsedService)

STDIN = "-"

FilesOption = Annotated[
    list[str], typer.Option("--file", "-f", metavar="FILE", help="YAML or JSON; - is standard input. Repeatable.")
]
NamespaceOption = Annotated[
    str | None,
    typer.Option(
        "--network",
        metavar="NETWORK",
        help="Network of documents without metadata.namespace.",
        autocompletion=network_names,
    ),
]


def read(names: Iterable[str], network: str | None) -> list[dict[str, object]]:
    """Return the files' documents, as `parse` reads them."""
    return [json.loads(policy.document) for policy in parse(names, network)]


def read_services(names: Iterable[str], network: str | None) -> list[dict[str, object]]:
    """Return the documents of files of services, likewise."""
    from socketplane.model.documents import parse_services  # heavy: yaml

    found: list[ParsedService] = _parse(names, lambda text, where: parse_services(text, where, network=network), "service")
    return [json.loads(service.document) for service in found]


def parse(names: Iterable[str], network: str | None) -> list[Parsed]:
    """Return the files' policies; errors name the file, and the document, line and field where they are in one."""
    from socketplane.model.documents import parse_documents  # heavy: yaml

    return _parse(names, lambda text, where: parse_documents(text, where, network=network), "policy")


def _parse(names: Iterable[str], reader: Callable[[bytes, str], list[P]], what: str) -> list[P]:
    found: dict[tuple[str, str], tuple[str, P]] = {}
    for name in dict.fromkeys(names):
        where = called(name)
        for policy in reader(content(name), where):
            key = (policy.network, policy.name)
            if key in found:
                message = f"{what} {policy.title} is already in {found[key][0]}"
                raise InvalidInput(f"{where}: {message}", remedy="give each its own name")
            found[key] = (where, policy)
            if policy.left_out:
                note(f"{clean(where)}: {clean(policy.title)}: left out what a server wrote: {', '.join(policy.left_out)}")
    return [policy for _, policy in found.values()]


def called(name: str) -> str:
    """Return what errors call a file."""
    return "standard input" if name == STDIN else name


def content(name: str) -> bytes:
    """Return a file's bytes, at most one more than a reader of documents takes. Raises InvalidInput."""
    from socketplane.model.yamltext import MAX_SIZE

    try:
        with contextlib.nullcontext(sys.stdin.buffer) if name == STDIN else Path(name).open("rb") as stream:
            return stream.read(MAX_SIZE + 1)  # one more than allowed is refused by the reader
    except OSError as error:
        raise InvalidInput(f"{called(name)}: can't be read: {error.strerror}") from None
