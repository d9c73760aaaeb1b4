"""`socketplane reach --probe`: what is asked, tried again and printed."""

from __future__ import annotations

import pytest
from cli_support import Cli
from fake_controller import Controller

from socketplane import wire

A, B = "a" * 64, "b" * 64


def sample(port: int | None, expected: str, protocol: str = "tcp") -> wire.ReachSample:
    return wire.ReachSample.model_validate(
        {
            "source": A,
            "destination": B,
            "protocol": protocol,
            "port": port,
            "source_name": "web/web-1",
            "destination_name": "web/db-1",
            "source_group": "web/app=web",
            "destination_group": "web/app=db",
            "expected": expected,
        }
    )


@pytest.fixture
def some(cluster: Controller) -> Controller:
    cluster.samples = wire.ReachSamples(
        items=[sample(5432, "allow"), sample(5433, "deny"), sample(53, "allow", "udp"), sample(None, "deny", "icmp")],
        complete=True,
    )
    cluster.probed = {
        ("tcp", 5432): [("open", "", True)],
        ("tcp", 5433): [("timeout", "", True)],
        ("udp", 53): [("timeout", "", None)],
        ("icmp", None): [("timeout", "", True)],
    }
    return cluster


def test_what_is_expected_beside_what_is_observed(cli: Cli, some: Controller) -> None:
    assert cli.columns("reach", "--probe") == [
        ["FROM", "TO", "PORT", "EXPECTED", "OBSERVED"],
        ["web/app=web (web-1)", "web/app=db (db-1)", "tcp/5432", "allow", "reached"],
        ["web/app=web (web-1)", "web/app=db (db-1)", "tcp/5433", "deny", "no answer"],
        ["web/app=web (web-1)", "web/app=db (db-1)", "udp/53", "allow", "no answer"],
        ["web/app=web (web-1)", "web/app=db (db-1)", "ping", "deny", "no answer"],
    ]
    assert [request.path for request in some.requests] == ["/v1/reach/samples", "/v1/probes"]
    assert some.requests[0].query == {}
    assert cli("reach", "--probe").stderr == "3 as expected, 0 not, 1 without a result.\n"


def test_the_query_is_that_of_reach(cli: Cli, some: Controller) -> None:
    some.samples = wire.ReachSamples(items=some.samples.items, complete=False)
    told = cli("reach", "--probe", "--network", "web", "--by", "app", "--limit", "7").stderr
    assert some.requests[0].query == {"network": ["web"], "by": ["app"], "limit": ["7"]}
    assert "There is more to try than the limit allows: --limit." in told


def test_what_contradicts_is_tried_once_more(cli: Cli, some: Controller) -> None:
    some.probed["tcp", 5432] = [("timeout", "", False), ("refused", "", True)]
    assert cli.columns("reach", "--probe")[1][-1] == "reached, nobody listens"
    again = some.requests[-1].body
    assert [item["port"] for item in again["items"]] == [5432] and again["wait"] == 3.0


def test_a_contradiction_is_a_failure(cli: Cli, some: Controller) -> None:
    some.probed["icmp", None] = [("open", "", False)] * 2
    result = cli("reach", "--probe", code=1)
    assert result.stdout.splitlines()[-1].endswith("ping      deny      contradicts: reached")
    assert result.stderr == "2 as expected, 1 not, 1 without a result.\n"
    some.probed["icmp", None] = [("open", "", False)] * 2
    found = cli.json("reach", "--probe", "-o", "json", code=1)
    assert found["complete"] and found["items"][-1]["agrees"] is False
    assert found["items"][0] == {
        **sample(5432, "allow").model_dump(mode="json"),
        "outcome": "open",
        "detail": "",
        "agrees": True,
    }


def test_nothing_that_comes_out_is_no_success(cli: Cli, some: Controller) -> None:
    for outcomes in some.probed.values():
        outcomes[:] = [("skipped", "the agent of h1 does not answer", None)]
    result = cli("reach", "--probe", code=1)
    assert "no connection says anything" in result.stderr and "the agent of h1 does not answer" in result.stderr
    some.samples = wire.ReachSamples(items=[], complete=True)
    assert len(cli.columns("reach", "--probe")) == 1


def test_many_are_tried_in_parts(cli: Cli, some: Controller) -> None:
    some.samples = wire.ReachSamples(items=[sample(5432, "allow")] * 130, complete=True)
    some.probed["tcp", 5432] = [("open", "", True)] * 130
    cli("reach", "--probe", "-o", "json")
    assert [len(request.body["items"]) for request in some.requests[1:]] == [64, 64, 2]


def test_a_limit_is_of_probes(cli: Cli, some: Controller) -> None:
    assert "--probe" in cli("reach", "--limit", "3", code=2).stderr
