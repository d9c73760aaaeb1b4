"""Policy documents from files and standard input, for the commands that take them."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from socketplane.cli.complete import network_names
from socketplane.cli.output import clean, note
from socketplane.errors import InvalidInput

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
    """Return the files' documents; errors name the file, and the document, line and field where they are in one."""
    from socketplane.model.documents import parse_documents  # heavy: yaml

    documents: dict[tuple[str, str], tuple[str, dict[str, object]]] = {}
    for name in dict.fromkeys(names):
        where = "standard input" if name == STDIN else name
        for policy in parse_documents(_content(name, where), where, network=network):
            key = (policy.network, policy.name)
            if key in documents:
                message = f"policy {policy.title} is already in {documents[key][0]}"
                raise InvalidInput(f"{where}: {message}", remedy="give each its own name")
            documents[key] = (where, json.loads(policy.document))
            if policy.left_out:
                note(f"{clean(where)}: {clean(policy.title)}: left out what a server wrote: {', '.join(policy.left_out)}")
    return [document for _, document in documents.values()]


def _content(name: str, where: str) -> bytes:
    from socketplane.model.yamltext import MAX_SIZE

    try:
        with contextlib.nullcontext(sys.stdin.buffer) if name == STDIN else Path(name).open("rb") as stream:
            return stream.read(MAX_SIZE + 1)  # one more than allowed is refused by the reader
    except OSError as error:
        raise InvalidInput(f"{where}: can't be read: {error.strerror}") from None
