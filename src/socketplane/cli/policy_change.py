"""`socketplane policy apply`, and what an answer to a change of policies looks like."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from socketplane.cli import connect, parse, policy_files, policy_plan
from socketplane.cli.output import Output, OutputOption, clean, examples, moment, note, out, show_json, title
from socketplane.cli.policy_files import FilesOption, NamespaceOption

ConfirmOption = Annotated[
    str | None,
    typer.Option(
        "--confirm-within",
        metavar="DURATION",
        help="Take the change back unless `policy confirm` comes within that time (60s, 10m; at most a day).",
    ),
]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        "apply",
        epilog=examples(
            "socketplane policy apply -f policies.yaml",
            "socketplane policy apply --network web -f web.yaml -f app.yaml",
            "socketplane policy apply -f policies.yaml --confirm-within 60s",
            "kubectl kustomize shop/ | socketplane policy apply -f -",
        ),
    )(apply)


def apply(
    ctx: typer.Context,
    files: FilesOption,
    network: NamespaceOption = None,
    confirm_within: ConfirmOption = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Change nothing, and show what would change, as `policy plan` does.")
    ] = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """Create or change policies. All the files' documents take effect together, or none does."""
    if dry_run:
        policy_plan.plan(ctx, files, network, output=output)
        return
    from socketplane import wire  # heavy: pydantic

    seconds = None if confirm_within is None else parse.duration(confirm_within, "--confirm-within", most="24h")
    body = {"documents": policy_files.read(files, network), "network": network, "confirm_within": seconds}
    wanted = parse.body(wire.PolicyApply, body)
    with connect.session(connect.of(ctx)) as session:
        outcome = session.call("POST", "/v1/policies", wanted)
    show_outcome(outcome, output)


def show_outcome(outcome: Mapping[str, Any], output: Output) -> None:
    """Print what a change of policies did; what a person has to know beside it goes to stderr."""
    if output is Output.JSON:
        show_json(outcome)
    else:
        for item in outcome["items"]:
            out(f"{item.get('kind', 'NetworkPolicy').lower()} {clean(title(item))} {item['change']}")
    for warning in outcome.get("warnings", ()):
        note(f"Warning: {clean(warning)}")
    if (confirm_by := outcome.get("confirm_by")) is not None:
        note(f"This is taken back at {moment(confirm_by)} unless you confirm it: socketplane policy confirm")
