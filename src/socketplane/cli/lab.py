"""`socketplane lab`: several hosts on this machine, to try things out."""

from __future__ import annotations

import time
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from socketplane.cli.output import Column, Output, OutputOption, age, examples, fail, note, out, show

app = typer.Typer(help="A lab: several hosts on this machine, in namespaces, each with its own Docker engine.")
DEFAULT = "lab"


def _labs() -> list[str]:
    from socketplane.lab import command

    return command.names()


def _hosts(ctx: typer.Context) -> list[str]:
    from socketplane.lab import command

    return command.hosts(ctx.params.get("name") or DEFAULT)


NameOption = Annotated[
    str, typer.Option("--name", metavar="NAME", help="Which lab; several may be up at once.", autocompletion=_labs)
]


class Datapath(StrEnum):
    """Which of Open vSwitch's datapaths the hosts use."""

    AUTO = "auto"
    KERNEL = "kernel"
    USERSPACE = "userspace"


@app.command("up", epilog=examples("sudo socketplane lab up", "sudo socketplane lab up --hosts 2 --name small"))
def up(
    hosts: Annotated[int, typer.Option(metavar="N", min=1, help="How many hosts: h1, h2, ...")] = 3,
    name: NameOption = DEFAULT,
    datapath: Annotated[
        Datapath, typer.Option(help="Open vSwitch's datapath; auto takes the kernel's if there is one.")
    ] = (Datapath.AUTO),
    encrypt: Annotated[
        bool, typer.Option("--encrypt", help="Have the hosts encrypt what they send one another; needs WireGuard.")
    ] = False,
    bare: Annotated[bool, typer.Option("--bare", help="Machines and network only, without SocketPlane.")] = False,
) -> None:
    """Make a lab; returns when a container on any of its hosts would work."""
    from socketplane.lab import command

    began = time.monotonic()

    def say(step: str) -> None:
        note(f"{time.monotonic() - began:5.1f} s  {step}")

    lab = command.up(name, hosts, bare=bare, datapath=datapath.value, encrypt=encrypt, say=say)
    for line in command.next_steps(lab):
        out(line)


@app.command("ls", epilog=examples("socketplane lab ls", "socketplane lab ls -o json"))
def ls(output: OutputOption = Output.TABLE) -> None:
    """List the labs on this machine, the remains of crashed ones included."""
    from socketplane.lab import command

    now = time.time()
    columns = [
        Column("NAME", lambda lab: lab["name"]),
        Column("STATE", lambda lab: lab["state"]),
        Column("HOSTS", lambda lab: lab["hosts"]),
        Column("AGE", lambda lab: age(lab["created"], now)),
    ]
    show(command.listing(), columns, output)


@app.command(
    "exec",
    epilog=examples("socketplane lab exec h2 -- docker ps", "socketplane lab exec h1 -- bash"),
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
)
def execute(
    host: Annotated[
        str,
        typer.Argument(metavar="HOST", help="h1, h2, ..., or fabric: a stranger outside the hosts.", autocompletion=_hosts),
    ],
    arguments: Annotated[list[str], typer.Argument(metavar="-- COMMAND...", help="What to run there.")],
    name: NameOption = DEFAULT,
) -> None:
    """Run a command on a host of a lab: with its files, network and engine, and with its exit code."""
    from socketplane.lab import command

    # Parsing stops at HOST, so that the command's own flags need no --; where it stands it is still there.
    command.execute(name, host, arguments[1:] if arguments[0] == "--" else arguments, Path.cwd())


@app.command("down", epilog=examples("sudo socketplane lab down", "sudo socketplane lab down --all"))
def down(
    name: NameOption = DEFAULT,
    everything: Annotated[bool, typer.Option("--all", help="Every lab on this machine.")] = False,
) -> None:
    """Remove a lab with all that is in it; nothing happens where there is none."""
    from socketplane.errors import SocketPlaneError
    from socketplane.lab import command

    good = True
    for each in command.names() if everything else [name]:
        try:
            note(f"lab {each} is gone" if command.down(each) else f"there is no lab {each}: nothing to do")
        except SocketPlaneError as error:
            fail(error)
            good = False
    if not good:
        raise typer.Exit(1)
