"""`policy violations`, and `policy schema`."""

from __future__ import annotations

from cli_support import Cli
from fake_controller import Controller

from socketplane import wire


def violation(**more: object) -> wire.PolicyViolation:
    values = {
        "host": "h1",
        "rule": "a3.ingress",
        "source": "10.192.0.2",
        "destination": "10.192.0.3",
        "protocol": "tcp",
        "port": 5432,
        "count": 7,
        "first": 1.0,
        "last": 1_800_000_000.0,
        "mode": "audit",
        "policy": "web/db",
        "source_name": "web/front",
    }
    return wire.PolicyViolation.model_validate(values | more)


def test_violations(cli: Cli, controller: Controller) -> None:
    unnamed = {"rule": "isolation", "policy": "", "mode": "enforce", "protocol": "icmp", "port": None, "source_name": ""}
    controller.violations = [violation(destination_name="web/db-1"), violation(**unnamed)]
    assert cli.columns("policy", "violations") == [
        ["LAST", "COUNT", "MODE", "POLICY", "RULE", "FROM", "TO", "SERVICE", "HOST"],
        ["2027-01-15 08:00:00Z", "7", "audit", "web/db", "a3.ingress", "web/front", "web/db-1", "tcp/5432", "h1"],
        ["2027-01-15 08:00:00Z", "7", "enforce", "-", "isolation", "10.192.0.2", "10.192.0.3", "icmp", "h1"],
    ]
    assert controller.requests[-1].query == {}
    shown = cli.json("policy", "violations", "--policy", "web/db", "--since", "1h", "-o", "json")
    assert shown == [item.model_dump(mode="json") for item in controller.violations]
    assert controller.requests[-1].query == {"policy": ["web/db"], "since": ["3600"]}


def test_schemas_need_no_controller(cli: Cli) -> None:
    assert cli.json("policy", "schema", "networkpolicy")["properties"]["kind"] == {"const": "NetworkPolicy"}
    assert "ClusterNetworkPolicy" in cli("policy", "schema").stdout
    assert "known here: NetworkPolicy, " in cli("policy", "schema", "Ingress", code=1).stderr
