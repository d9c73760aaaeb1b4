"""`socketplane network`: networks that exist on every host."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any
from uuid import uuid4

import typer

from socketplane.cli import connect, nouns, parse
from socketplane.cli.complete import network_names
from socketplane.cli.output import Column, Output, OutputOption, QuietOption, clean, examples, out, show
from socketplane.errors import NotFound

app = typer.Typer(help="Networks: each one exists on every host under its name.", no_args_is_help=True)

SHORT = 13
"""Characters of an id in a table: its first two groups."""

Names = Annotated[
    list[str], typer.Argument(metavar="NETWORK...", help="Names, ids or the starts of ids.", autocompletion=network_names)
]

Name = Annotated[
    str, typer.Argument(metavar="NETWORK", help="Name, id or the start of an id.", autocompletion=network_names)
]


def columns(full: bool) -> list[Column]:
    """Return the columns of a table of networks, with whole ids or their starts."""
    return [
        Column("NETWORK ID", lambda network: network["id"] if full else network["id"][:SHORT]),
        Column("NAME", lambda network: network["name"], lambda _: "bold"),
        Column("SUBNET", lambda network: _both(network, "subnet")),
        Column("GATEWAY", lambda network: _both(network, "gateway")),
        Column("INTERNAL", lambda network: network["internal"]),
        Column("ENDPOINTS", lambda network: network["endpoints"]),
    ]


def _both(network: Mapping[str, Any], field: str) -> str:
    """Return a network's subnet or gateway, of IPv4 and of IPv6 if it has that."""
    return ", ".join(filter(None, (network[field], network.get(f"{field}6"))))


def find(session: connect.Session, reference: str) -> dict[str, Any]:
    """Return the network of that name, id or start of an id. Raises NotFound, or Conflict where several fit."""
    try:
        network: dict[str, Any] = session.get(connect.path("networks", reference))
    except NotFound as missing:
        return dict(nouns.by_prefix(session.items("/v1/networks"), reference, "network", missing))
    return network


@app.command("ls", epilog=examples("socketplane network ls", "socketplane network inspect $(socketplane network ls -q)"))
def ls(
    ctx: typer.Context,
    output: OutputOption = Output.TABLE,
    quiet: QuietOption = False,
    no_trunc: Annotated[bool, typer.Option("--no-trunc", help="Show whole ids.")] = False,
) -> None:
    """List networks."""
    with connect.session(connect.of(ctx)) as session:
        networks = session.items("/v1/networks")
    show(networks, columns(no_trunc), output, (lambda network: network["id"]) if quiet else None)


@app.command(
    "create",
    epilog=examples(
        "socketplane network create web",
        "socketplane network create db --subnet 10.200.0.0/24 --internal --label tier=data",
        "socketplane network create six --ipv6",
        "socketplane network create front --routed",
    ),
)
def create(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the network, on every host.")],
    subnet: Annotated[
        list[str],
        typer.Option(
            metavar="CIDR", help="Addresses of the network; else free ones of the pool. One of IPv4, one of IPv6."
        ),
    ] = [],  # noqa: B006
    gateway: Annotated[
        list[str], typer.Option(metavar="ADDRESS", help="Gateway; else the first address. One of IPv4, one of IPv6.")
    ] = [],  # noqa: B006
    ipv6: Annotated[bool, typer.Option("--ipv6", help="Give containers IPv6 addresses too.")] = False,
    ip_range: Annotated[
        str | None, typer.Option(metavar="CIDR", help="Give containers addresses of this part only.")
    ] = None,
    internal: Annotated[bool, typer.Option("--internal", help="No way out to the world.")] = False,
    routed: Annotated[
        bool, typer.Option("--routed", help="Let the outside meet containers at their own addresses, both ways.")
    ] = False,
    label: Annotated[list[str], typer.Option("--label", metavar="KEY=VALUE", help="Set a label; repeatable.")] = [],  # noqa: B006
) -> None:
    """Create a network on every host and print its id."""
    from socketplane import wire  # heavy: pydantic

    wanted = {
        "name": name,
        **parse.by_version("subnet", [parse.any_subnet(text, "--subnet") for text in subnet]),
        **parse.by_version("gateway", [parse.any_address(text, "--gateway") for text in gateway]),
        "ipv6": ipv6,
        "ip_range": parse.subnet(ip_range, "--ip-range") if ip_range else None,
        "internal": internal,
        "routed": routed,
        "labels": parse.labels(label),
        "request": str(uuid4()),  # the client may send it twice
    }
    body = parse.body(wire.NetworkCreate, wanted)
    with connect.session(connect.of(ctx)) as session:
        network = session.call("POST", "/v1/networks", body)
    out(clean(network["id"]))


@app.command("update", epilog=examples("socketplane network update web --routed"))
def update(
    ctx: typer.Context,
    networks: Names,
    routed: Annotated[
        bool, typer.Option("--routed/--no-routed", help="Let the outside meet containers at their own addresses, or not.")
    ],
) -> None:
    """Change networks, at once and with containers on them."""
    from socketplane import wire  # heavy: pydantic

    body = wire.NetworkPatch(routed=routed)
    nouns.change(
        ctx,
        networks,
        lambda session, name: session.call("PATCH", connect.path("networks", find(session, name)["id"]), body),
    )


@app.command("inspect", epilog=examples("socketplane network inspect web", "socketplane network inspect web db -o table"))
def inspect(ctx: typer.Context, networks: Names, output: OutputOption = Output.JSON) -> None:
    """Show all that is known of networks."""
    nouns.inspect(ctx, networks, output, lambda session, reference: [find(session, reference)])


@app.command(
    "reserve",
    epilog=examples(
        "socketplane network reserve web 10.192.0.50 db", "docker run --name db --network web --ip 10.192.0.50 IMAGE"
    ),
)
def reserve(
    ctx: typer.Context,
    network: Name,
    address: Annotated[str, typer.Argument(metavar="ADDRESS", help="An address of the network.")],
    container: Annotated[str, typer.Argument(metavar="CONTAINER", help="Name of the container that may have it.")],
) -> None:
    """Keep an address for the container of a name, on whatever host it is made; no other gets it."""
    from socketplane import wire  # heavy: pydantic

    body = parse.body(wire.ReservationPut, {"container": container})
    with connect.session(connect.of(ctx)) as session:
        session.call("PUT", _reservation(session, network, address), body)


@app.command("unreserve", epilog=examples("socketplane network unreserve web 10.192.0.50"))
def unreserve(
    ctx: typer.Context,
    network: Name,
    addresses: Annotated[list[str], typer.Argument(metavar="ADDRESS...", help="Addresses that are reserved.")],
) -> None:
    """Keep addresses for nobody any more; who has one goes on."""
    with connect.session(connect.of(ctx)) as session:
        for address in addresses:
            session.call("DELETE", _reservation(session, network, address))


def _reservation(session: connect.Session, network: str, address: str) -> str:
    wanted = str(parse.any_address(address, "ADDRESS"))
    return connect.path("networks", find(session, network)["id"], "reservations", wanted)


@app.command("rm", epilog=examples("socketplane network rm web", "socketplane network rm web db"))
def rm(ctx: typer.Context, networks: Names) -> None:
    """Remove networks from every host. Refused while a container anywhere is connected."""
    nouns.remove(
        ctx, networks, lambda session, name: session.call("DELETE", connect.path("networks", find(session, name)["id"]))
    )
