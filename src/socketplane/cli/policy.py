"""`socketplane policy`: who may talk to whom."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from socketplane.cli import connect, nouns, parse
from socketplane.cli.complete import network_names, policy_names
from socketplane.cli.output import Column, Output, OutputOption, QuietOption, clean, examples, note, out, show, show_json
from socketplane.errors import InvalidInput

app = typer.Typer(
    help="Policies: who may talk to whom (Kubernetes' NetworkPolicy; a namespace is a network).", no_args_is_help=True
)

STDIN = "-"

Policies = Annotated[
    list[str],
    typer.Argument(metavar="POLICY...", help="NETWORK/NAME, or NAME with --network.", autocompletion=policy_names),
]
NetworkOption = Annotated[
    str | None, typer.Option("--network", metavar="NETWORK", help="The policies' network.", autocompletion=network_names)
]


def types(policy: Mapping[str, Any]) -> object:
    """Return the directions that a policy restricts, as its document says or implies."""
    spec = policy["document"].get("spec") or {}
    return spec.get("policyTypes") or ["Ingress", *(["Egress"] if "egress" in spec else [])]


COLUMNS = [
    Column("NETWORK", lambda policy: policy["network"] + ("" if policy.get("network_exists", True) else " (absent)")),
    Column("NAME", lambda policy: policy["name"], lambda _: "bold"),
    Column("TYPES", types),
    Column("SUBJECTS", lambda policy: policy["subjects"]),
]


@app.command(
    "apply",
    epilog=examples(
        "socketplane policy apply -f policies.yaml",
        "socketplane policy apply --network web -f web.yaml -f app.yaml",
        "kubectl kustomize shop/ | socketplane policy apply -f -",
    ),
)
def apply(
    ctx: typer.Context,
    files: Annotated[
        list[str], typer.Option("--file", "-f", metavar="FILE", help="YAML or JSON; - is standard input. Repeatable.")
    ],
    network: Annotated[
        str | None,
        typer.Option(
            "--network",
            metavar="NETWORK",
            help="Network of documents without metadata.namespace.",
            autocompletion=network_names,
        ),
    ] = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Create or change policies. All the files' documents take effect together, or none does."""
    from socketplane import wire  # heavy: pydantic

    wanted = parse.body(wire.PolicyApply, {"documents": _read(files, network), "network": network})
    with connect.session(connect.of(ctx)) as session:
        applied = session.call("POST", "/v1/policies", wanted)
    if output is Output.JSON:
        show_json(applied)
        return
    for item in applied:
        out(f"networkpolicy {clean(item['network'])}/{clean(item['name'])} {item['change']}")
        if not item.get("network_exists", True):
            note(f"Warning: there is no network {clean(item['network'])}; the policy holds from when there is one")


@app.command("ls", epilog=examples("socketplane policy ls", "socketplane policy inspect $(socketplane policy ls -q)"))
def ls(
    ctx: typer.Context, network: NetworkOption = None, output: OutputOption = Output.TABLE, quiet: QuietOption = False
) -> None:
    """List policies. SUBJECTS is the number of endpoints that a policy selects now."""
    with connect.session(connect.of(ctx)) as session:
        policies = session.items("/v1/policies")
    shown = [policy for policy in policies if network in (None, policy["network"])]
    show(shown, COLUMNS, output, (lambda policy: f"{policy['network']}/{policy['name']}") if quiet else None)


@app.command(
    "inspect",
    epilog=examples("socketplane policy inspect web/allow-app", "socketplane policy inspect --network web allow-app"),
)
def inspect(
    ctx: typer.Context, policies: Policies, network: NetworkOption = None, output: OutputOption = Output.JSON
) -> None:
    """Show policies with their documents."""
    references = {name: parse.policy_reference(name, network) for name in policies}
    nouns.inspect(ctx, policies, output, lambda session, name: [session.get(connect.path("policies", *references[name]))])


@app.command(
    "rm", epilog=examples("socketplane policy rm web/allow-app", "socketplane policy rm --network web allow-app allow-db")
)
def rm(ctx: typer.Context, policies: Policies, network: NetworkOption = None) -> None:
    """Remove policies. A network without any is open inside, as Docker's networks are."""
    references = {name: parse.policy_reference(name, network) for name in policies}
    nouns.remove(ctx, policies, lambda session, name: session.call("DELETE", connect.path("policies", *references[name])))


def _read(names: Iterable[str], network: str | None) -> list[dict[str, object]]:
    """Return the files' documents; errors name the file, and the document, line and field where they are in one."""
    from socketplane.model.documents import parse_documents  # heavy: yaml

    documents: dict[tuple[str, str], tuple[str, dict[str, object]]] = {}
    for name in dict.fromkeys(names):
        where = "standard input" if name == STDIN else name
        for policy in parse_documents(_content(name, where), where, network=network):
            key = (policy.network, policy.name)
            if key in documents:
                message = f"policy {policy.network}/{policy.name} is already in {documents[key][0]}"
                raise InvalidInput(f"{where}: {message}", remedy="give each its own name")
            documents[key] = (where, json.loads(policy.document))
    return [document for _, document in documents.values()]


def _content(name: str, where: str) -> bytes:
    from socketplane.model.yamltext import MAX_SIZE

    try:
        with contextlib.nullcontext(sys.stdin.buffer) if name == STDIN else Path(name).open("rb") as stream:
            return stream.read(MAX_SIZE + 1)  # one more than allowed is refused by the reader
    except OSError as error:
        raise InvalidInput(f"{where}: can't be read: {error.strerror}") from None
