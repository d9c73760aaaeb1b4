"""`policy plan`, and `policy apply --dry-run`."""

from __future__ import annotations

import pytest
from cli_support import Cli
from fake_controller import Controller
from test_cli_policy_apply import document

from socketplane import wire


def change(source: str, destination: str, ports: str) -> wire.ReachChange:
    return wire.ReachChange(source=source, destination=destination, ports=ports, sources=3, destinations=2)


@pytest.fixture
def planned(controller: Controller) -> Controller:
    items = [
        wire.PolicyApplied(network="web", name="one", change="configured"),
        wire.PolicyApplied(kind="ClusterNetworkPolicy", network="", name="guard", change="unchanged"),
    ]
    controller.plan = wire.PolicyPlan(
        items=items,
        allowed=[change("web/app=front", "web/app=db", "tcp/5432")],
        denied=[change("web/*", "web/app=db", "any but tcp/5432")],
        warnings=["web/one: a rule matches nobody"],
    )
    return controller


def test_a_plan_shows_policies_and_what_they_mean(cli: Cli, planned: Controller) -> None:
    result = cli("policy", "plan", "-f", "-", "--by", "app", "--by", "tier", stdin=document("one"))
    lines = [[part.strip() for part in line.split("  ") if part.strip()] for line in result.stdout.splitlines()]
    assert lines == [
        ["networkpolicy web/one configured"],
        ["clusternetworkpolicy guard unchanged"],
        [],
        ["CHANGE", "FROM", "TO", "PORTS", "SOURCES", "DESTINATIONS"],
        ["allow", "web/app=front", "web/app=db", "tcp/5432", "3", "2"],
        ["deny", "web/*", "web/app=db", "any but tcp/5432", "3", "2"],
    ]
    assert result.stderr == "Warning: web/one: a rule matches nobody\n"
    (request,) = planned.requests
    assert (request.path, request.body["by"]) == ("/v1/policies/plan", ["app", "tier"])


def test_a_dry_run_is_a_plan(cli: Cli, planned: Controller, tmp_path) -> None:
    (tmp_path / "one.yaml").write_text(document("one"))
    file = str(tmp_path / "one.yaml")
    whole = planned.plan.model_dump(mode="json")
    assert cli.json("policy", "apply", "--dry-run", "-f", file, "-o", "json") == whole
    assert cli.json("policy", "plan", "-f", file, "-o", "json") == whole
    assert {request.path for request in planned.requests} == {"/v1/policies/plan"}


def test_the_exit_code_tells_whether_something_would_change(cli: Cli, planned: Controller) -> None:
    cli("policy", "plan", "-f", "-", "--exit-code", stdin=document("one"), code=3)
    planned.plan = wire.PolicyPlan(items=planned.plan.items[1:], allowed=[], denied=[])
    result = cli("policy", "plan", "-f", "-", "--exit-code", stdin=document("one"))
    assert result.stdout == "clusternetworkpolicy guard unchanged\n"
    assert result.stderr == "Nothing would change for the endpoints that there are now.\n"
