"""`socketplane policy from-compose`: the policies that a Compose file already declares, to review."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from socketplane.cli import compose_files
from socketplane.cli.compose_files import ProfilesOption
from socketplane.cli.output import clean, examples, note, show_json
from socketplane.cli.policy_files import called


class Form(StrEnum):
    """How documents are printed."""

    YAML = "yaml"
    JSON = "json"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        "from-compose",
        epilog=examples(
            "socketplane policy from-compose compose.yaml > policy.yaml",
            "socketplane policy from-compose --egress compose.yaml | socketplane policy plan -f -",
            "docker compose config | socketplane policy from-compose -",
        ),
    )(from_compose)


def from_compose(
    file: Annotated[str, typer.Argument(metavar="FILE", help="A Compose file; - is standard input.")],
    egress: Annotated[
        bool, typer.Option("--egress", help="Restrict the way out, too: to what a service depends on, nothing outside.")
    ] = False,
    profile: ProfilesOption = None,
    output: Annotated[Form, typer.Option("--output", "-o", metavar="yaml|json", help="How to answer.")] = Form.YAML,
) -> None:
    """Print the least privilege that a Compose file declares, as policies to review. It needs no cluster.

    From depends_on, links, networks, expose and ports. Comments say where each rule comes from.
    """
    from socketplane.model.least_privilege import apart, as_json, as_yaml, propose  # heavy: yaml

    (project,) = compose_files.projects([file], profile or [])
    proposals = propose(project, egress=egress)
    for remark in apart(project):
        note(f"Warning: {clean(remark)}")
    if not proposals:
        note("Warning: no service is on a network: there is nothing to say")
    if output is Form.JSON:
        show_json(as_json(proposals))
    else:
        title = f"What {called(file)} declares, and nothing more. Review it; then: socketplane policy apply -f FILE"
        typer.echo(as_yaml(proposals, title), nl=False)
