"""`socketplane expose`: containers that are reached at addresses of the outside."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from socketplane.cli import connect, nouns, parse
from socketplane.cli.complete import container_names, floating_addresses, network_names, pool_names
from socketplane.cli.output import Column, Output, OutputOption, QuietOption, clean, examples, out, show

DEFAULT = "add"


class Exposing(TyperGroup):
    """Takes what names no command for `add`'s arguments."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put the command in that may be left out."""
        if args and args[0] not in (*self.commands, *ctx.help_option_names):
            args.insert(0, DEFAULT)
        return super().parse_args(ctx, args)


app = typer.Typer(
    help="Floating addresses: addresses of the outside that lead to a container, wherever it runs. "
    f"`expose {DEFAULT}` may be written without `{DEFAULT}`.",
    cls=Exposing,
    no_args_is_help=True,
)


def holder(floating: Mapping[str, Any]) -> str:
    """Return the container that has an address."""
    return str(floating["container"] or floating["endpoint"][:12])


def state(floating: Mapping[str, Any]) -> str:
    """Return how it is, with the reason where its host does not answer for it."""
    return f"{floating['state']}: {floating['problem']}" if floating["problem"] else str(floating["state"])


def state_style(cell: str) -> str:
    """Return green for claimed, red for refused, yellow between."""
    return {"claimed": "green", "refused": "red"}.get(cell.partition(":")[0], "yellow")


COLUMNS = [
    Column("ADDRESS", lambda floating: floating["address"], lambda _: "bold"),
    Column("POOL", lambda floating: floating["pool"]),
    Column("FOR", lambda floating: floating["subject"]),
    Column("NETWORK", lambda floating: floating["network"]),
    Column("CONTAINER", holder),
    Column("HOST", lambda floating: floating["host"]),
    Column("STATE", state, state_style),
]


@app.command(
    DEFAULT,
    epilog=examples(
        "socketplane expose web-1 --address 192.0.2.70",
        "socketplane expose add -l app=shop --network web --pool lan",
    ),
)
def add(
    ctx: typer.Context,
    container: Annotated[
        str | None,
        typer.Argument(
            metavar="CONTAINER", help="Its name, or NETWORK/NAME: it has to be attached.", autocompletion=container_names
        ),
    ] = None,
    label: Annotated[
        list[str],
        typer.Option(
            "--label", "-l", metavar="KEY=VALUE", help="One of the containers with this label; repeatable, all must fit."
        ),
    ] = [],  # noqa: B006
    network: Annotated[
        str | None,
        typer.Option(metavar="NETWORK", help="On this network, where they are on several.", autocompletion=network_names),
    ] = None,
    address: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="This address of a pool; else the lowest that is free.")
    ] = None,
    pool: Annotated[
        str | None,
        typer.Option(metavar="POOL", help="An address of this pool, where there are several.", autocompletion=pool_names),
    ] = None,
) -> None:
    """Give a container an address of the outside, with all protocols and ports, and print it.

    Of several containers that fit, the oldest has it; when it goes, the next one. The address stays for a container of
    that name, or with these labels, that comes later, on whatever host.
    """
    from socketplane import wire  # heavy: pydantic

    if bool(container) == bool(label):
        raise typer.BadParameter("name a container, or give labels with -l", param_hint="CONTAINER")
    first, slash, name = (container or "").rpartition("/")
    if slash and network not in (None, first):
        raise typer.BadParameter(f"{container!r} is not on the network {network!r}", param_hint="--network")
    wanted = {
        "container": name,
        "labels": parse.labels(parse.label_filters(label)),
        "network": first or network,
        "address": parse.any_address(address, "--address") if address else None,
        "pool": pool,
    }
    body = parse.body(wire.Expose, wanted)
    with connect.session(connect.of(ctx)) as session:
        floating = session.call("POST", "/v1/floating", body)
    out(clean(floating["address"]))


@app.command("ls", epilog=examples("socketplane expose ls", "socketplane expose ls -o json"))
def ls(ctx: typer.Context, output: OutputOption = Output.TABLE, quiet: QuietOption = False) -> None:
    """List floating addresses: whom they are for, who has them, and whether that one's host answers for them."""
    with connect.session(connect.of(ctx)) as session:
        found = session.items("/v1/floating")
    show(found, COLUMNS, output, (lambda floating: floating["address"]) if quiet else None)


@app.command("rm", epilog=examples("socketplane expose rm 192.0.2.70"))
def rm(
    ctx: typer.Context,
    addresses: Annotated[
        list[str], typer.Argument(metavar="ADDRESS...", help="Addresses.", autocompletion=floating_addresses)
    ],
) -> None:
    """Take addresses back. Connections by them end."""
    nouns.remove(ctx, addresses, lambda session, text: session.call("DELETE", connect.path("floating", text)))
