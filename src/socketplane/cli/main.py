"""The command `socketplane`: common flags, and one file per noun."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from socketplane.cli import (
    bgp,
    cluster,
    endpoint,
    explain,
    expose,
    host,
    lab,
    names,
    network,
    policy,
    pool,
    reach,
    service,
    status,
    token,
    version,
)
from socketplane.cli.connect import Connection
from socketplane.cli.group import Root
from socketplane.cli.output import examples
from socketplane.config import Paths

app = typer.Typer(
    name="socketplane",
    help="Software-defined networking for plain Docker: one overlay over many hosts, segmented by label.",
    cls=Root,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback(epilog=examples("sudo socketplane up", "socketplane network create web", "docker run --network web ..."))
def root(
    ctx: typer.Context,
    controller: Annotated[
        str | None,
        typer.Option(envvar="SOCKETPLANE_CONTROLLER", metavar="HOST[:PORT]", help="A remote controller (or unix:///PATH)."),
    ] = None,
    cert: Annotated[Path | None, typer.Option(envvar="SOCKETPLANE_CERT", metavar="FILE", help="Your certificate.")] = None,
    key: Annotated[Path | None, typer.Option(envvar="SOCKETPLANE_KEY", metavar="FILE", help="Its key.")] = None,
    ca: Annotated[Path | None, typer.Option(envvar="SOCKETPLANE_CA", metavar="FILE", help="The cluster's CA.")] = None,
) -> None:
    """Keep the common flags where the commands find them."""
    paths = ctx.obj if isinstance(ctx.obj, Paths) else Paths()
    ctx.obj = Connection(paths, controller, cert, key, ca)


cluster.register(app)
status.register(app)
app.add_typer(token.app, name="token")
app.add_typer(host.app, name="host")
app.add_typer(network.app, name="network")
app.add_typer(endpoint.app, name="endpoint")
app.add_typer(pool.app, name="pool")
app.add_typer(expose.app, name="expose")
app.add_typer(names.app, name="names")
app.add_typer(policy.app, name="policy")
app.add_typer(service.app, name="service")
app.add_typer(bgp.app, name="bgp")
explain.register(app)
reach.register(app)
app.add_typer(lab.app, name="lab")
version.register(app)


def main() -> None:
    """Run the command line of this process."""
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    app(prog_name="socketplane")
