"""`policy history`, `rollback`, `confirm`, and `apply --confirm-within`."""

from __future__ import annotations

import pytest
from cli_support import Cli
from fake_controller import Controller
from test_cli_policy_apply import document

from socketplane import wire
from socketplane.errors import Conflict

MOMENT, SHOWN = 1_800_000_000.0, "2027-01-15 08:00:00Z"


def changed(name: str, change: str = "created", network: str = "web") -> dict[str, str]:
    return {
        "kind": "NetworkPolicy" if network else "ClusterNetworkPolicy",
        "network": network,
        "name": name,
        "change": change,
    }


@pytest.fixture
def past(controller: Controller) -> Controller:
    """Three changes: one of five policies, one that came back, and one that waits."""
    many = [changed("guard", network=""), *(changed(name) for name in "abcd")]
    controller.revisions = [
        wire.PolicyRevision(number=7, time=MOMENT, who="local", action="apply", changes=many),
        wire.PolicyRevision(
            number=8, time=MOMENT, who="CN=ops", action="rollback", target=6, changes=[changed("a", "removed")]
        ),
        wire.PolicyRevision(
            number=9,
            time=MOMENT,
            who="local",
            action="apply",
            changes=[changed("b", "configured")],
            confirm_by=MOMENT + 60,
            state="waiting",
        ),
    ]
    return controller


def test_history_is_a_table_or_json(cli: Cli, past: Controller) -> None:
    assert cli.columns("policy", "history") == [
        ["REVISION", "TIME", "WHO", "ACTION", "STATE", "CHANGES"],
        ["7", SHOWN, "local", "apply", "-", "created guard, created web/a, created web/b, 2 more"],
        ["8", SHOWN, "CN=ops", "rollback to 6", "-", "removed web/a"],
        ["9", SHOWN, "local", "apply", "waiting", "configured web/b"],
    ]
    shown = cli.json("policy", "history", "-o", "json")
    assert len(shown[0]["changes"]) == 5
    assert shown[2]["confirm_by"] == MOMENT + 60


def test_rollback_says_what_it_changed(cli: Cli, past: Controller) -> None:
    items = [wire.PolicyApplied(network="web", name="a", change="removed")]
    items.append(wire.PolicyApplied(kind="ClusterNetworkPolicy", network="", name="guard", change="configured"))
    past.outcome = wire.PolicyOutcome(items=items, revision=10)
    result = cli("policy", "rollback", "7")
    assert result.stdout.splitlines() == ["networkpolicy web/a removed", "clusternetworkpolicy guard configured"]
    assert past.requests[-1].body == {"revision": 7}
    past.outcome = wire.PolicyOutcome(items=[])
    nothing = cli("policy", "rollback", "9")
    assert (nothing.stdout, nothing.stderr) == ("", "All policies are as they were after revision 9.\n")
    assert cli.json("policy", "rollback", "9", "-o", "json")["revision"] is None


def test_confirm(cli: Cli, past: Controller) -> None:
    assert cli("policy", "confirm").stdout == "revision 9 confirmed\n"
    assert past.requests[-1].body == {"revision": None}
    assert cli.json("policy", "confirm", "9", "-o", "json")["state"] == "confirmed"
    assert past.requests[-1].body == {"revision": 9}
    past.refusal = Conflict("no change of policies waits to be confirmed", remedy="see the history")
    refused = cli("policy", "confirm", code=1)
    assert refused.stderr == "Error: no change of policies waits to be confirmed; see the history\n"


def test_apply_with_a_way_back(cli: Cli, controller: Controller) -> None:
    applied = [wire.PolicyApplied(network="web", name="a", change="created", network_exists=False)]
    controller.outcome = wire.PolicyOutcome(items=applied, revision=1, confirm_by=MOMENT, warnings=["the rule\nis dead"])
    result = cli("policy", "apply", "-f", "-", "--confirm-within", "2m", stdin=document("a"))
    assert controller.requests[-1].body["confirm_within"] == 120
    assert result.stdout == "networkpolicy web/a created\n"
    assert result.stderr.splitlines() == [
        "Warning: the rule is dead",
        f"This is taken back at {SHOWN} unless you confirm it: socketplane policy confirm",
    ]
    for wrong in ("2d", "0.5s"):
        result = cli("policy", "apply", "-f", "-", "--confirm-within", wrong, stdin=document("a"), code=2)
        assert f"Invalid value for --confirm-within: '{wrong}' has to be from 1s to 24h" in result.stderr
