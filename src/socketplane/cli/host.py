"""`socketplane host`: the machines of the cluster."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from socketplane.cli import connect, nouns, parse
from socketplane.cli.complete import host_names
from socketplane.cli.output import Column, Output, OutputOption, QuietOption, age, examples, show

app = typer.Typer(help="The machines of the cluster.", no_args_is_help=True)

Names = Annotated[list[str], typer.Argument(metavar="HOST...", help="Names of hosts.", autocompletion=host_names)]


def report(host: Mapping[str, Any], key: str) -> Any:
    """Return what the host's agent said last about `key`, None while it has said nothing."""
    return (host.get("report") or {}).get(key)


def ready_style(cell: str) -> str:
    """Return green for yes, red for no."""
    return "green" if cell == "yes" else "red"


def columns(now: float) -> list[Column]:
    """Return the columns of a table of hosts."""
    return [
        Column("NAME", lambda host: host["name"], lambda _: "bold"),
        Column("ADDRESS", lambda host: host["address"]),
        Column("READY", lambda host: host["ready"], ready_style),
        Column("DATAPATH", lambda host: report(host, "datapath")),
        Column("MTU", lambda host: report(host, "mtu") or None),
        Column("DOCKER", lambda host: report(host, "docker")),
        Column("ENDPOINTS", lambda host: host["endpoints"]),
        Column("SEEN", lambda host: age(host.get("seen"), now)),
    ]


@app.command("ls", epilog=examples("socketplane host ls", "socketplane host ls -o json | jq '.[] | select(.ready | not)'"))
def ls(ctx: typer.Context, output: OutputOption = Output.TABLE, quiet: QuietOption = False) -> None:
    """List hosts. SEEN is the time since a host's agent was heard."""
    with connect.session(connect.of(ctx)) as session:
        hosts = session.items("/v1/hosts")
    show(hosts, columns(time.time()), output, (lambda host: host["name"]) if quiet else None)


@app.command("inspect", epilog=examples("socketplane host inspect h1", "socketplane host inspect h1 h2 -o table"))
def inspect(ctx: typer.Context, hosts: Names, output: OutputOption = Output.JSON) -> None:
    """Show all that is known of hosts."""
    nouns.inspect(ctx, hosts, output, lambda session, name: [session.get(connect.path("hosts", name))])


@app.command(
    "update",
    epilog=examples(
        "socketplane host update h1 --label-add rack=r1 --label-add disk=ssd", "socketplane host update h1 --label-rm rack"
    ),
)
def update(
    ctx: typer.Context,
    hosts: Names,
    label_add: Annotated[list[str], typer.Option("--label-add", metavar="KEY=VALUE", help="Set a label; repeatable.")] = [],  # noqa: B006
    label_rm: Annotated[list[str], typer.Option("--label-rm", metavar="KEY", help="Remove a label; repeatable.")] = [],  # noqa: B006
) -> None:
    """Change labels of hosts, by which policies select hosts."""
    if not label_add and not label_rm:
        raise typer.BadParameter("nothing to change", param_hint="--label-add or --label-rm")
    from socketplane import wire  # heavy: pydantic

    body = parse.body(wire.HostPatch, {"add": parse.labels(label_add, "--label-add"), "remove": label_rm})
    with connect.session(connect.of(ctx)) as session:
        for name in hosts:
            session.call("PATCH", connect.path("hosts", name), body)


@app.command("rm", epilog=examples("socketplane host rm h3", "socketplane host rm h3 --force"))
def rm(
    ctx: typer.Context,
    hosts: Names,
    force: Annotated[bool, typer.Option("--force", help="Even with containers on our networks.")] = False,
) -> None:
    """Take hosts that are gone for good out of the cluster. On one that still runs, use `socketplane leave` there."""
    flags = {"force": "true"} if force else {}
    nouns.remove(ctx, hosts, lambda session, name: session.call("DELETE", connect.path("hosts", name), params=flags))
