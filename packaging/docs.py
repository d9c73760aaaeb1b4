"""Writes the references that follow from the code: docs/cli.md, docs/openapi.json, docs/schemas. The same code, the same bytes."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from typer.main import get_command

DOCS = Path(__file__).resolve().parent.parent / "docs"
KIND = re.compile(r" <[^ ]+>$")
"""What the help appends to an argument's name: its type in Python."""

INTRODUCTION = """\
# The command line

Written by `make docs` from the program itself; don't edit.

Reading commands take `-o json` (what the controller answered, as it stands) or `-o table`: coloured on a terminal
(unless `NO_COLOR` is set), in a pipe plain columns under a heading in capitals, parted by two blanks, with `-` for an
empty cell. What is for a script goes to standard output; hints and errors (`Error: what; what to do`) go to standard error.

| exit code | meaning |
|---|---|
| 0 | done |
| 1 | the operation failed, as a whole or for one of the names given |
| 2 | wrong usage: nothing was tried |
| 3 | `explain`: the packet would be denied; `policy plan --exit-code`: something would change |

`lab exec` ends with the exit code of the command that it ran.

On a manager the controller is reached through its local socket, as root; on other hosts with the host's certificate,
which may read everything and change little. From elsewhere: `--controller`, `--cert`, `--key` and `--ca`, or
`SOCKETPLANE_CONTROLLER`, `SOCKETPLANE_CERT`, `SOCKETPLANE_KEY` and `SOCKETPLANE_CA`.

Completion: `source <(socketplane completion bash)`, or `zsh`.
"""


def walk(command: Any, parent: Any, name: str) -> Iterator[tuple[Any, Any]]:
    """Yield every command with its context, groups before what is in them."""
    context = command.context_class(command, parent=parent, info_name=name)
    yield command, context
    for child in command.list_commands(context) if hasattr(command, "commands") else ():
        if not command.commands[child].hidden:
            yield from walk(command.commands[child], context, child)


def section(command: Any, context: Any) -> str:
    """Return a command's part of the page."""
    group = bool(getattr(command, "commands", None))
    parts = [f"## {context.command_path}" if group else f"### {context.command_path}", (command.help or "").strip()]
    usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
    parts.append(f"```text\n{usage}\n```")
    records = [record for parameter in command.get_params(context) if (record := parameter.get_help_record(context))]
    lines = [f"- `{KIND.sub('', names)}`: {text.strip()}" for names, text in records if "--help" not in names]
    parts.append("\n".join(line.removesuffix(": ") for line in lines))
    if command.epilog:
        examples = [line.strip() for line in command.epilog.splitlines()[2:]]
        parts.append("```sh\n" + "\n".join(examples) + "\n```")
    return "\n\n".join(part for part in parts if part)


def cli_page() -> str:
    """Return docs/cli.md."""
    from socketplane.cli.main import app

    root = get_command(app)
    return "\n\n".join([INTRODUCTION.strip(), *(section(*found) for found in walk(root, None, "socketplane"))]) + "\n"


def openapi() -> str:
    """Return docs/openapi.json."""
    from socketplane.controller.api.app import make_routes
    from socketplane.controller.api.metrics import Metrics

    nobody: Any = None  # the routes are described, and never called
    return json.dumps(make_routes(Metrics(nobody)).openapi(), indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def schemas() -> Iterator[tuple[str, str]]:
    """Yield the documents' JSON schemas by the names of their files."""
    from socketplane.model.schemas import files

    for name, schema in files().items():
        yield f"schemas/{name}", json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def main() -> None:
    """Write what changed, and say so."""
    for name, content in (("cli.md", cli_page()), ("openapi.json", openapi()), *schemas()):
        page = DOCS / name
        page.parent.mkdir(exist_ok=True)
        if page.exists() and page.read_text() == content:
            sys.stdout.write(f"docs/{name}: unchanged\n")
        else:
            page.write_text(content)
            sys.stdout.write(f"docs/{name}: written\n")


if __name__ == "__main__":
    main()
