"""`socketplane policy`: who may talk to whom."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from socketplane.cli import (
    connect,
    nouns,
    parse,
    policy_change,
    policy_compose,
    policy_history,
    policy_plan,
    policy_schema,
    policy_test,
    policy_violations,
)
from socketplane.cli.complete import network_names, policy_names
from socketplane.cli.group import finish
from socketplane.cli.output import Column, Output, OutputOption, QuietOption, clean, examples, fail, out, show, title

app = typer.Typer(
    help="Policies: who may talk to whom (Kubernetes' NetworkPolicy and ClusterNetworkPolicy; a namespace is a network), "
    "and how much (TrafficPolicy).",
    no_args_is_help=True,
)

TRAFFIC = "TrafficPolicy"

Policies = Annotated[
    list[str],
    typer.Argument(
        metavar="POLICY...",
        help="NETWORK/NAME, or NAME with --network; NAME alone is a ClusterNetworkPolicy.",
        autocompletion=policy_names,
    ),
]
NetworkOption = Annotated[
    str | None, typer.Option("--network", metavar="NETWORK", help="The policies' network.", autocompletion=network_names)
]


def types(policy: Mapping[str, Any]) -> object:
    """Return the directions that a policy is about, as its document says or implies."""
    spec = policy["document"].get("spec") or {}
    if policy.get("kind") == TRAFFIC:
        return [name.capitalize() for name in ("ingress", "egress", "mark") if spec.get(name)]
    if policy.get("kind") == "ClusterNetworkPolicy":
        return [name.capitalize() for name in ("ingress", "egress") if spec.get(name)]
    return spec.get("policyTypes") or ["Ingress", *(["Egress"] if spec.get("egress") else [])]


def mode(policy: Mapping[str, Any]) -> object:
    """Return whether a policy is enforced; nothing for one that has no mode."""
    return None if policy.get("kind") == TRAFFIC else policy.get("mode", "enforce")


COLUMNS = [
    Column("KIND", lambda policy: policy.get("kind", "NetworkPolicy")),
    Column("NETWORK", lambda policy: policy["network"] + ("" if policy.get("network_exists", True) else " (absent)")),
    Column("NAME", lambda policy: policy["name"], lambda _: "bold"),
    Column("TIER", lambda policy: policy.get("tier")),
    Column("PRIORITY", lambda policy: policy.get("priority")),
    Column("MODE", mode, lambda cell: "yellow" if cell == "audit" else ""),
    Column("TYPES", types),
    Column("SUBJECTS", lambda policy: policy["subjects"]),
]

policy_plan.register(app)
policy_change.register(app)


@app.command("ls", epilog=examples("socketplane policy ls", "socketplane policy inspect $(socketplane policy ls -q)"))
def ls(
    ctx: typer.Context, network: NetworkOption = None, output: OutputOption = Output.TABLE, quiet: QuietOption = False
) -> None:
    """List policies. SUBJECTS is the number of endpoints that a policy selects now."""
    with connect.session(connect.of(ctx)) as session:
        policies = session.items("/v1/policies")
    shown = [policy for policy in policies if network in (None, policy["network"] or parse.NO_NETWORK)]
    show(shown, COLUMNS, output, title if quiet else None)


@app.command(
    "inspect",
    epilog=examples(
        "socketplane policy inspect web/allow-app",
        "socketplane policy inspect --network web allow-app",
        "socketplane policy inspect guard-rails",
    ),
)
def inspect(
    ctx: typer.Context, policies: Policies, network: NetworkOption = None, output: OutputOption = Output.JSON
) -> None:
    """Show policies with their documents."""
    references = {name: parse.policy_reference(name, network) for name in policies}
    nouns.inspect(ctx, policies, output, lambda session, name: [session.get(connect.path("policies", *references[name]))])


@app.command(
    "rm",
    epilog=examples(
        "socketplane policy rm web/allow-app",
        "socketplane policy rm --network web allow-app allow-db",
        "socketplane policy rm guard-rails",
    ),
)
def rm(ctx: typer.Context, policies: Policies, network: NetworkOption = None) -> None:
    """Remove policies, together. A network without any is open inside, as Docker's networks are."""
    from socketplane import wire  # heavy: pydantic

    named = {name: _title(*parse.policy_reference(name, network)) for name in policies}
    with connect.session(connect.of(ctx)) as session:
        outcome = session.call("POST", "/v1/policies/remove", wire.PolicyRemove(policies=list(named.values())))
    removed = {title(item) for item in outcome["items"]}
    for name, wanted in named.items():
        if wanted in removed:
            out(clean(name))
        else:
            fail(f"no policy {wanted}; `socketplane policy ls` lists them")
    finish(removed.issuperset(named.values()))


def _title(network: str, name: str) -> str:
    return name if network == parse.NO_NETWORK else f"{network}/{name}"


policy_history.register(app)
policy_violations.register(app)
policy_schema.register(app)
policy_test.register(app)
policy_compose.register(app)
