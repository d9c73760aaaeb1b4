"""`socketplane explain`: would this packet pass, and who says so."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from socketplane.cli import connect, parse
from socketplane.cli.complete import container_names
from socketplane.cli.output import Output, OutputOption, clean, examples, out, pairs, show_json

DENIED = 3
"""Exit code of `explain` for a packet that does not pass."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        "explain",
        epilog=examples(
            "socketplane explain web-1 app-1:8080",
            "socketplane explain shop/web-1 10.192.0.7:53/udp",
            "socketplane explain web-1 db-1",
            "socketplane explain 203.0.113.9 h1:8080",
            "socketplane explain outside web-1:80",
            "socketplane explain web-1 shop/api:80  # a service: judged by its backends",
        ),
    )(explain)


def explain(
    ctx: typer.Context,
    source: Annotated[
        str,
        typer.Argument(
            metavar="SRC",
            help="CONTAINER, NETWORK/CONTAINER, a host, an address, or `outside`: all of them.",
            autocompletion=container_names,
        ),
    ],
    destination: Annotated[
        str,
        typer.Argument(
            metavar="DST[:PORT[/PROTO]]", help="The same, with a port and tcp, udp or sctp.", autocompletion=container_names
        ),
    ],
    output: OutputOption = Output.TABLE,
) -> None:
    """Say whether a packet would pass, by which rule of which policy. Exit code 0: allowed, 3: denied.

    Without a port it is about a ping. HOST:PORT is about the container that is published there.
    """
    place = parse.source(source)
    target, port, protocol = parse.destination(destination)
    with connect.session(connect.of(ctx)) as session:
        answer = session.get("/v1/explain", {"src": place, "dst": target, "port": port, "protocol": protocol})
    if output is Output.JSON:
        show_json(answer)
    else:
        _describe(answer)
    if answer["verdict"] != "allow":
        raise typer.Exit(DENIED)


def _describe(answer: dict[str, Any]) -> None:
    service = answer["protocol"] + ("" if answer["port"] is None else f"/{answer['port']}")
    allowed = answer["verdict"] == "allow"
    pairs(
        {
            "VERDICT": answer["verdict"],
            "FROM": answer["source"],
            "TO": f"{answer['destination']} {service}",
            "DECIDED BY": answer["direction"],
            "POLICY": answer["policy"],
            "RULE": answer["rule"],
            "REASON": answer["reason"],
            **({"NOTE": answer["note"]} if answer.get("note") else {}),
            **({"AUDIT": f"would be denied by {answer['would_deny']}"} if answer.get("would_deny") else {}),
        },
        style="bold green" if allowed else "bold red",
    )
    for step in answer.get("steps", []):
        if step != answer["reason"]:  # the last one is
            out(f"  {clean(step)}")
