"""`socketplane token`: permissions to join."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from socketplane.cli import connect, nouns, parse
from socketplane.cli.output import (
    Column,
    Output,
    OutputOption,
    QuietOption,
    age,
    clean,
    examples,
    note,
    out,
    show,
    show_json,
    span,
)

app = typer.Typer(help="Tokens: permissions for machines to join.", no_args_is_help=True)


@app.command("create", epilog=examples("socketplane token create", "TOKEN=$(socketplane token create --ttl 1h --uses 3)"))
def create(
    ctx: typer.Context,
    ttl: Annotated[str, typer.Option(metavar="DURATION", help="How long it is good: 30m, 24h, 7d.")] = "24h",
    uses: Annotated[int, typer.Option(metavar="N", min=1, max=1000, help="How many machines may join with it.")] = 1,
    output: OutputOption = Output.TABLE,
) -> None:
    """Create a token and print it. It is shown only once."""
    from socketplane import wire  # heavy: pydantic

    wanted = parse.body(wire.TokenCreate, {"ttl": parse.duration(ttl, "--ttl"), "uses": uses})
    with connect.session(connect.of(ctx)) as session:
        token = session.call("POST", "/v1/tokens", wanted)
    if output is Output.JSON:
        show_json(token)
        return
    out(clean(token["token"]))
    machines = "one machine" if uses == 1 else f"{uses} machines"
    note(f"Lets {machines} join within {span(parse.duration(ttl, '--ttl'))}. On the new machine, as root:")
    note("  socketplane join TOKEN      or, in a checkout:  make join TOKEN=...")


@app.command("ls", epilog=examples("socketplane token ls", "socketplane token ls -o json"))
def ls(ctx: typer.Context, output: OutputOption = Output.TABLE, quiet: QuietOption = False) -> None:
    """List tokens, used and expired ones too until they are removed. Their secrets are not kept."""
    with connect.session(connect.of(ctx)) as session:
        tokens = session.items("/v1/tokens")
    now = time.time()
    columns = [
        Column("TOKEN ID", lambda token: token["id"]),
        Column("AGE", lambda token: age(token["created"], now)),
        Column("EXPIRES IN", lambda token: span(token["expires"] - now) if token["expires"] > now else "expired"),
        Column("USES LEFT", lambda token: token["uses"]),
    ]
    show(tokens, columns, output, (lambda token: token["id"]) if quiet else None)


@app.command("rm", epilog=examples("socketplane token rm 3f2a9c1e"))
def rm(
    ctx: typer.Context, tokens: Annotated[list[str], typer.Argument(metavar="TOKEN_ID...", help="Ids of tokens.")]
) -> None:
    """Withdraw tokens: nobody joins with them any more."""
    nouns.remove(ctx, tokens, lambda session, token: session.call("DELETE", connect.path("tokens", token)))
