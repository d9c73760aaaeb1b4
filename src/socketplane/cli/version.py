"""`socketplane version` and `socketplane completion`: what needs no controller, and starts fast."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from socketplane import __version__
from socketplane.cli.output import Output, OutputOption, examples, out, show_json

API = "v1"


class Shell(StrEnum):
    """Shells with completion."""

    BASH = "bash"
    ZSH = "zsh"


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("version", epilog=examples("socketplane version", "socketplane version -o json"))(version)
    app.command(
        "completion",
        epilog=examples("source <(socketplane completion bash)", "socketplane completion zsh > ~/.zfunc/_socketplane"),
    )(completion)


def version(output: OutputOption = Output.TABLE) -> None:
    """Print this program's version."""
    if output is Output.JSON:
        show_json({"version": __version__, "api": API})
    else:
        out(f"socketplane {__version__}")


def completion(shell: Annotated[Shell, typer.Argument(metavar="bash|zsh", help="For which shell.")]) -> None:
    """Print a script that teaches a shell to complete commands, flags and names."""
    from typer._completion_shared import get_completion_script

    out(get_completion_script(prog_name="socketplane", complete_var="_SOCKETPLANE_COMPLETE", shell=shell.value))
