"""`socketplane up`, `down`, `join` and `leave`: this machine's place in a cluster."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network
from typing import TYPE_CHECKING, Annotated

import typer

from socketplane.cli import connect
from socketplane.cli.output import clean, examples, note, out
from socketplane.cli.progress import progress

if TYPE_CHECKING:
    from socketplane.cluster.machine import Machine

TOKEN_VARIABLE = "SOCKETPLANE_TOKEN"  # noqa: S105 - the variable's name


class Datapath(StrEnum):
    """Which of Open vSwitch's datapaths this host uses."""

    AUTO = "auto"
    KERNEL = "kernel"
    USERSPACE = "userspace"


def _address(text: str) -> IPv4Address:
    try:
        return IPv4Address(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is no IPv4 address") from None


def _pool(text: str) -> IPv4Network:
    try:
        return IPv4Network(text)
    except ValueError as error:
        raise typer.BadParameter(f"{error}") from None


NameOption = Annotated[str | None, typer.Option("--name", metavar="NAME", help="Name of this host (its host name).")]
AddressOption = Annotated[
    IPv4Address | None,
    typer.Option(
        "--address",
        metavar="ADDRESS",
        parser=_address,
        help="Address towards other hosts (the default route's interface's).",
    ),
]
UplinkOption = Annotated[
    str | None,
    typer.Option(
        "--uplink",
        metavar="INTERFACE",
        help="Interface towards other hosts; with the userspace datapath it moves into an Open vSwitch bridge.",
    ),
]
DatapathOption = Annotated[
    Datapath, typer.Option("--datapath", help="Open vSwitch's datapath; auto takes the kernel's if there is one.")
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("up", epilog=examples("sudo socketplane up", "sudo socketplane up --address 10.0.0.1 --pool 10.64.0.0/12"))(
        up
    )
    app.command("down", epilog=examples("sudo socketplane down", "sudo socketplane down --purge"))(down)
    app.command("join", epilog=examples("sudo socketplane join sp1.eyJ...", "sudo socketplane join - < token.txt"))(join)
    app.command("leave", epilog=examples("sudo socketplane leave", "sudo socketplane leave --force"))(leave)


def up(
    ctx: typer.Context,
    name: NameOption = None,
    address: AddressOption = None,
    uplink: UplinkOption = None,
    pool: Annotated[
        IPv4Network | None,
        typer.Option(
            "--pool", metavar="CIDR", parser=_pool, help="Addresses of all networks (10.192.0.0/10). First host only."
        ),
    ] = None,
    prefix: Annotated[
        int | None, typer.Option("--prefix", metavar="N", help="Prefix length of a network (22). First host only.")
    ] = None,
    datapath: DatapathOption = Datapath.AUTO,
    encrypt: Annotated[
        bool,
        typer.Option("--encrypt", help="Have all hosts encrypt what they send one another, by WireGuard. First host only."),
    ] = False,
    encrypt_port: Annotated[
        int | None,
        typer.Option("--encrypt-port", metavar="N", min=1, max=65535, help="Its UDP port (51820). First host only."),
    ] = None,
    encrypt_range: Annotated[
        IPv4Network | None,
        typer.Option(
            "--encrypt-range",
            metavar="CIDR",
            parser=_pool,
            help="Addresses of hosts inside WireGuard (169.254.208.0/20). First host only.",
        ),
    ] = None,
) -> None:
    """Make this machine a working host, the first of a new cluster if it is in none. Run again, it changes nothing."""
    from socketplane.cluster import preflight
    from socketplane.cluster.trust import Options
    from socketplane.cluster.up import up as bring_up

    machine = _machine(ctx)
    preflight.require_root()
    with _shown():
        chosen = Options(name, address, uplink, pool, prefix, _kernel(datapath), encrypt, encrypt_range, encrypt_port)
        changed = bring_up(machine, chosen, progress())
    if not changed:
        out("Nothing to do: all of it was running.")
    _show(ctx, machine)


def down(
    ctx: typer.Context,
    purge: Annotated[bool, typer.Option("--purge", help="Forget all data too: networks, policies, certificates.")] = False,
) -> None:
    """Stop and unwire everything of ours; data is kept, and what was here before is left alone.

    Running containers on our networks are stopped first; the next `up` starts them again.
    """
    from socketplane.cluster import preflight
    from socketplane.cluster.down import down as bring_down
    from socketplane.cluster.leave import purge as forget

    machine = _machine(ctx)
    preflight.require_root()
    with _shown():
        changed = (forget if purge else bring_down)(machine, progress())
    if not changed:
        out("Nothing to do: nothing of ours is here." if purge else "Nothing to do: nothing of ours was running.")
    elif not purge:
        out("Stopped. `socketplane up` brings it back; `socketplane down --purge` forgets the data too.")


def join(
    ctx: typer.Context,
    token: Annotated[
        str | None,
        typer.Argument(
            metavar="TOKEN",
            help=f"What `socketplane token create` printed; `-`: read it from standard input; none: ${TOKEN_VARIABLE}.",
        ),
    ] = None,
    name: NameOption = None,
    address: AddressOption = None,
    uplink: UplinkOption = None,
    datapath: DatapathOption = Datapath.AUTO,
) -> None:
    """Make this machine part of a cluster."""
    from socketplane.cluster import preflight
    from socketplane.cluster.join import join as enter
    from socketplane.cluster.trust import Options

    machine = _machine(ctx)
    preflight.require_root()
    text = _token(token)
    with _shown():
        enter(machine, text, Options(name, address, uplink, None, None, _kernel(datapath)), progress())
    _show(ctx, machine)


def leave(
    ctx: typer.Context,
    force: Annotated[
        bool, typer.Option("--force", help="Even with containers on our networks, or without a controller that answers.")
    ] = False,
) -> None:
    """Take this machine out of its cluster, and forget what it knew of it."""
    from socketplane.cluster import preflight
    from socketplane.cluster.leave import leave as go

    machine = _machine(ctx)
    preflight.require_root()
    with _shown():
        go(machine, progress(), force=force)
    out("This machine has left its cluster.")


def _machine(ctx: typer.Context) -> Machine:
    from socketplane.cluster.machine import Machine

    return Machine(connect.of(ctx).paths)


def _kernel(datapath: Datapath) -> bool | None:
    return None if datapath is Datapath.AUTO else datapath is Datapath.KERNEL


def _token(given: str | None) -> str:
    """Return the token's text: the argument, standard input for `-`, or the environment's."""
    text = sys.stdin.read() if given == "-" else given or os.environ.get(TOKEN_VARIABLE, "")
    if not text.strip():
        raise typer.BadParameter(f"give TOKEN, `-` for standard input, or set {TOKEN_VARIABLE}", param_hint="TOKEN")
    return text


@contextmanager
def _shown() -> Iterator[None]:
    began = time.monotonic()
    yield
    note(f"({time.monotonic() - began:.1f} s)")


def _show(ctx: typer.Context, machine: Machine) -> None:
    """Print where things stand, and what to type next."""
    from socketplane.cli.status import show_status

    out()
    with connect.session(connect.of(ctx)) as session:
        show_status(session.get("/v1/status"))
    out()
    identity = machine.identity
    if not machine.record.traits.borrows_underlay and identity.uplink is None:
        out("This kernel has no Open vSwitch module: containers reach those on other hosts once you name the")
        out("interface towards them: socketplane up --uplink INTERFACE")
    lines = ["socketplane network create web", "docker run -d --name one --network web IMAGE", "socketplane status"]
    if identity.manager:
        lines.append("socketplane token create        # then, on another machine: socketplane join TOKEN")
    out("Next:")
    for line in lines:
        out(f"  {clean(line) if '#' not in line else line}")
