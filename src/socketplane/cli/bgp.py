"""`socketplane bgp`: telling routers which containers each host has."""

from __future__ import annotations

import re
import stat
import sys
import time
from collections.abc import Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any

import typer

from socketplane.cli import connect, nouns, parse
from socketplane.cli.complete import host_names
from socketplane.cli.output import Column, Output, OutputOption, QuietOption, age, examples, note, show, show_json

app = typer.Typer(help="BGP: routers learn on which host containers of routed networks are.", no_args_is_help=True)
peers = typer.Typer(help="Routers that hosts tell.", no_args_is_help=True)
app.add_typer(peers, name="peer")

Asn = Annotated[int, typer.Option("--asn", metavar="N", min=1, max=4294967294, help="Number of the autonomous system.")]
HostOption = Annotated[
    str, typer.Option("--host", metavar="HOST", help="Of this host alone; else of all.", autocompletion=host_names)
]
_AT_MOST = 4096


@app.command("set", epilog=examples("socketplane bgp set --asn 64512"))
def set_(ctx: typer.Context, asn: Asn) -> None:
    """Say which autonomous system the hosts are. Sessions that are open begin anew if that changes."""
    from socketplane import wire  # heavy: pydantic

    body = parse.body(wire.BgpPut, {"asn": asn})
    with connect.session(connect.of(ctx)) as session:
        answer = session.call("PUT", "/v1/bgp", body)
    if not answer["peers"]:
        note("Nobody is told yet: add a router with `socketplane bgp peer add`")


@app.command(
    "status", epilog=examples("socketplane bgp status", "socketplane bgp status -o json | jq '.hosts[].announced'")
)
def status(ctx: typer.Context, output: OutputOption = Output.TABLE) -> None:
    """Show hosts' sessions with routers, and how many addresses each announces. The addresses are in the JSON."""
    with connect.session(connect.of(ctx)) as session:
        answer = session.get("/v1/bgp")
    if output is Output.JSON:
        show_json(answer)
        return
    now = time.time()
    columns = [
        Column("HOST", lambda row: row["host"], lambda _: "bold"),
        Column("PEER", lambda row: row["peer"]),
        Column("ESTABLISHED", lambda row: row["established"], lambda cell: "green" if cell == "yes" else "red"),
        Column("AGE", lambda row: age(row["since"], now)),
        Column("ANNOUNCED", lambda row: row["announced"]),
        Column("REASON", lambda row: row["reason"]),
    ]
    show([row for host in answer["hosts"] for row in _rows(answer, host)], columns, output)


@peers.command(
    "add",
    epilog=examples(
        "socketplane bgp peer add 192.0.2.1 --asn 64600",
        "socketplane bgp peer add 2001:db8::1 --asn 64600",
        "socketplane bgp peer add 192.0.2.1 --asn 64600 --host h1 --password-file secret",
    ),
)
def add(
    ctx: typer.Context,
    address: Annotated[str, typer.Argument(metavar="ADDRESS", help="The router's, which the host reaches directly.")],
    asn: Asn,
    host: HostOption = "",
    password_file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Holds the password (TCP MD5) and is readable by you alone; - for stdin."),
    ] = None,
) -> None:
    """Have hosts tell a router, on which this is configured as well. Its routes are not taken in.

    At an IPv4 address it is told of containers' IPv4 addresses, at one of IPv6 of those of IPv6: each needs its own.
    """
    from socketplane import wire  # heavy: pydantic

    password = _password(password_file) if password_file else ""
    if password_file and not re.fullmatch(r"[!-~]{1,80}", password):
        raise typer.BadParameter(
            "a password has 1 to 80 letters, digits and signs, no spaces", param_hint="--password-file"
        )
    where = parse.any_address(address, "ADDRESS")
    body = parse.body(wire.BgpPeerCreate, {"address": where, "asn": asn, "host": host, "password": password})
    with connect.session(connect.of(ctx)) as session:
        session.call("POST", "/v1/bgp/peers", body)


@peers.command("ls", epilog=examples("socketplane bgp peer ls", "socketplane bgp peer ls -o json"))
def ls(ctx: typer.Context, output: OutputOption = Output.TABLE, quiet: QuietOption = False) -> None:
    """List routers. Their passwords are not shown."""
    with connect.session(connect.of(ctx)) as session:
        found = session.items("/v1/bgp/peers")
    columns = [
        Column("ADDRESS", lambda peer: peer["address"], lambda _: "bold"),
        Column("ASN", lambda peer: peer["asn"]),
        Column("HOST", lambda peer: peer["host"] or "all"),
        Column("PASSWORD", lambda peer: peer["password"]),
    ]
    show(found, columns, output, (lambda peer: peer["address"]) if quiet else None)


@peers.command("rm", epilog=examples("socketplane bgp peer rm 192.0.2.1", "socketplane bgp peer rm 192.0.2.1 --host h1"))
def rm(
    ctx: typer.Context,
    addresses: Annotated[list[str], typer.Argument(metavar="ADDRESS...", help="Addresses of routers.")],
    host: HostOption = "",
) -> None:
    """End sessions with routers: they send nothing here any more."""
    flags = {"host": host} if host else {}
    nouns.remove(
        ctx,
        addresses,
        lambda session, address: session.call("DELETE", connect.path("bgp", "peers", address), params=flags),
    )


def _rows(answer: Mapping[str, Any], host: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return a host's sessions; those that it has not told of, with why."""
    state = host.get("status") or {}
    known = {session["peer"]: session for session in state.get("sessions", ())}
    wanted = [peer["address"] for peer in answer["peers"] if peer["host"] in ("", host["host"])]
    missing = "" if state.get("running") else "bgpd does not run there; `socketplane status` has why"
    missing = "its agent is not heard" if host.get("silent") else missing
    nothing = {"established": False, "since": None, "reason": missing}
    return [
        {"host": host["host"], "announced": _announced(state, peer), **nothing, **known.get(peer, {}), "peer": peer}
        for peer in wanted
    ]


def _announced(state: Mapping[str, Any], peer: str) -> int | None:
    """Return how many addresses a peer is told: those of its own version of IP."""
    if "announced" not in state:
        return None
    six = int(state.get("announced6", 0))
    return six if ip_address(peer).version == 6 else int(state["announced"]) - six


def _password(file: Path) -> str:
    """Return what a file holds, without the end of its line; a file that others may read is refused."""
    hint = "--password-file"
    if str(file) == "-":
        return sys.stdin.read(_AT_MOST).rstrip("\r\n")
    try:
        with file.open() as source:
            if stat.S_IMODE(file.stat().st_mode) & 0o077:
                raise typer.BadParameter(f"others may read {file}; chmod 600 {file}", param_hint=hint)
            return source.read(_AT_MOST).rstrip("\r\n")
    except (OSError, ValueError) as error:
        raise typer.BadParameter(f"{file}: {getattr(error, 'strerror', None) or error}", param_hint=hint) from None
