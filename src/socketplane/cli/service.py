"""`socketplane service`: an address and a name for several containers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from socketplane.cli import connect, nouns, parse, policy_files
from socketplane.cli.complete import network_names, service_names
from socketplane.cli.output import (
    Column,
    Output,
    OutputOption,
    QuietOption,
    clean,
    examples,
    note,
    out,
    show,
    show_json,
    title,
)
from socketplane.cli.policy_files import FilesOption, NamespaceOption

app = typer.Typer(
    help="Services: an address and a name for all ready containers of a selector (Kubernetes' Service; a namespace is a "
    "network).",
    no_args_is_help=True,
)

Services = Annotated[
    list[str],
    typer.Argument(metavar="SERVICE...", help="NETWORK/NAME, or NAME with --network.", autocompletion=service_names),
]
NetworkOption = Annotated[
    str | None, typer.Option("--network", metavar="NETWORK", help="The services' network.", autocompletion=network_names)
]


def ports(service: Mapping[str, Any]) -> str:
    """Return a service's ports as `docker ps` writes published ones."""
    return ", ".join(
        f"{port['port']}->{port['target']}/{port['protocol']}"
        if port["port"] != port["target"]
        else f"{port['port']}/{port['protocol']}"
        for port in service["ports"]
    )


def address(service: Mapping[str, Any]) -> str:
    """Return a service's addresses."""
    if service.get("headless"):
        return "headless"
    return ", ".join(filter(None, (service.get("address"), service.get("address6"))))


COLUMNS = [
    Column("NETWORK", lambda service: service["network"]),
    Column("NAME", lambda service: service["name"], lambda _: "bold"),
    Column("ADDRESS", address),
    Column("PORTS", ports),
    Column("SELECTOR", lambda service: service["selector"]),
    Column(
        "READY",
        lambda service: f"{service['ready']}/{len(service['backends'])}",
        lambda cell: "red" if cell.startswith("0/") else "",
    ),
    Column("PROBLEM", lambda service: service.get("problem"), lambda cell: "yellow" if cell != "-" else ""),
]


@app.command(
    "apply",
    epilog=examples("socketplane service apply -f web.yaml", "socketplane service apply --network shop -f - < web.yaml"),
)
def apply(
    ctx: typer.Context, files: FilesOption, network: NamespaceOption = None, output: OutputOption = Output.TABLE
) -> None:
    """Create or change services. All the files' documents take effect together, or none does."""
    from socketplane import wire  # heavy: pydantic

    wanted = parse.body(wire.ServiceApply, {"documents": policy_files.read_services(files, network), "network": network})
    with connect.session(connect.of(ctx)) as session:
        outcome = session.call("POST", "/v1/services", wanted)
    if output is Output.JSON:
        show_json(outcome)
    else:
        for item in outcome["items"]:
            out(f"service {clean(title(item))} {item['change']}")
    for warning in outcome.get("warnings", ()):
        note(f"Warning: {clean(warning)}")


@app.command("ls", epilog=examples("socketplane service ls", "socketplane service ls --network shop -o json"))
def ls(
    ctx: typer.Context, network: NetworkOption = None, output: OutputOption = Output.TABLE, quiet: QuietOption = False
) -> None:
    """List services. READY is how many of the containers that a service selects are its backends now."""
    with connect.session(connect.of(ctx)) as session:
        services = session.items("/v1/services")
    shown = [service for service in services if network in (None, service["network"])]
    show(shown, COLUMNS, output, title if quiet else None)


@app.command(
    "inspect", epilog=examples("socketplane service inspect shop/web", "socketplane service inspect shop/web | jq")
)
def inspect(
    ctx: typer.Context, services: Services, network: NetworkOption = None, output: OutputOption = Output.JSON
) -> None:
    """Show services with their backends, and why one is not ready."""
    paths = {name: _path(name, network) for name in services}
    nouns.inspect(ctx, services, output, lambda session, name: [session.get(paths[name])])


@app.command("rm", epilog=examples("socketplane service rm shop/web", "socketplane service rm --network shop web api"))
def rm(ctx: typer.Context, services: Services, network: NetworkOption = None) -> None:
    """Remove services. Their addresses are free again, and connections through them end."""
    paths = {name: _path(name, network) for name in services}
    nouns.remove(ctx, services, lambda session, name: session.call("DELETE", paths[name]))


@app.command("schema", epilog=examples("socketplane service schema > service.schema.json"))
def schema() -> None:
    """Print the JSON schema of a Service, as this release reads it. It needs no controller."""
    from socketplane.model import schemas

    show_json(schemas.schema("Service"))


def _path(text: str, network: str | None) -> str:
    """Return the API's path of NETWORK/NAME, or of NAME with a --network beside it."""
    first, slash, name = text.partition("/")
    if not slash:
        first, name = network or "", text
    elif network is not None and network != first:
        raise typer.BadParameter(f"{text!r} is not on the network {network!r}", param_hint="--network")
    if not (first and name) or "/" in name:
        raise typer.BadParameter(f"{text!r} names no service; write NETWORK/NAME", param_hint="SERVICE")
    return connect.path("services", first, name)
