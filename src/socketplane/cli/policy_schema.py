"""`socketplane policy schema`: the JSON schemas of policy documents, for editors and pipelines."""

from __future__ import annotations

from typing import Annotated

import typer

from socketplane.cli.output import examples, show_json


def _kinds() -> list[str]:
    from socketplane.model.schemas import KINDS

    return list(KINDS)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        "schema",
        epilog=examples(
            "socketplane policy schema > policy.schema.json",
            "socketplane policy schema NetworkPolicy | jq .properties.spec",
        ),
    )(schema)


def schema(
    kind: Annotated[
        str | None,
        typer.Argument(metavar="[KIND]", help="A kind of document; without it all kinds together.", autocompletion=_kinds),
    ] = None,
) -> None:
    """Print the JSON schema of policy documents, as this release reads them. It needs no controller."""
    from socketplane.model import schemas

    if kind is None:
        show_json(schemas.any_schema())
        return
    known = {name.casefold(): name for name in schemas.KINDS}
    show_json(schemas.schema(known.get(kind.casefold(), kind)))
