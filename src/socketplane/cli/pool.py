"""`socketplane pool`: addresses of the outside that may be given to containers."""

from __future__ import annotations

from typing import Annotated

import typer

from socketplane.cli import connect, nouns, parse
from socketplane.cli.complete import pool_names
from socketplane.cli.output import Column, Output, OutputOption, QuietOption, clean, examples, out, show

app = typer.Typer(help="Pools: addresses of the outside that may be given to containers.", no_args_is_help=True)

COLUMNS = [
    Column("NAME", lambda pool: pool["name"], lambda _: "bold"),
    Column("ADDRESSES", lambda pool: f"{pool['first']}-{pool['last']}"),
    Column("GIVEN", lambda pool: f"{len(pool['used'])} of {pool['size']}"),
]

Names = Annotated[list[str], typer.Argument(metavar="POOL...", help="Names.", autocompletion=pool_names)]


@app.command("ls", epilog=examples("socketplane pool ls"))
def ls(ctx: typer.Context, output: OutputOption = Output.TABLE, quiet: QuietOption = False) -> None:
    """List pools."""
    with connect.session(connect.of(ctx)) as session:
        pools = session.items("/v1/pools")
    show(pools, COLUMNS, output, (lambda pool: pool["name"]) if quiet else None)


@app.command(
    "create",
    epilog=examples(
        "socketplane pool create lan 192.0.2.64/27",
        "socketplane pool create lan 192.0.2.70-192.0.2.80",
        "socketplane pool create lan6 2001:db8:0:1::7000/116",
    ),
)
def create(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the pool.")],
    addresses: Annotated[
        str,
        typer.Argument(
            metavar="CIDR|FIRST-LAST",
            help="Addresses that nobody uses, of a subnet that hosts have a link in. Of a CIDR all but its first and last.",
        ),
    ],
) -> None:
    """Say which addresses may be given, and print the pool's name."""
    from socketplane import wire  # heavy: pydantic

    body = parse.body(wire.PoolCreate, {"name": name, "range": addresses})
    with connect.session(connect.of(ctx)) as session:
        pool = session.call("POST", "/v1/pools", body)
    out(clean(pool["name"]))


@app.command("inspect", epilog=examples("socketplane pool inspect lan"))
def inspect(ctx: typer.Context, pools: Names, output: OutputOption = Output.JSON) -> None:
    """Show all that is known of pools, and the addresses that are given."""
    nouns.inspect(ctx, pools, output, lambda session, name: [session.get(connect.path("pools", name))])


@app.command("rm", epilog=examples("socketplane pool rm lan"))
def rm(ctx: typer.Context, pools: Names) -> None:
    """Remove pools. Refused while addresses of it are given."""
    nouns.remove(ctx, pools, lambda session, name: session.call("DELETE", connect.path("pools", name)))
