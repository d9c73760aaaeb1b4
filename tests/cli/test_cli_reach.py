"""`socketplane reach`: what is asked and printed."""

from __future__ import annotations

import pytest
from cli_support import Cli
from fake_controller import Controller

from socketplane import wire


@pytest.fixture
def some(cluster: Controller) -> Controller:
    web, db = ({"name": f"web/app={name}", "size": size, "total": 3} for name, size in (("web", 3), ("db", 1)))
    outside = {"name": "outside", "size": 0, "total": 0}
    cluster.reach = wire.Reach.model_validate(
        {
            "groups": [web, {**db, "size": 3}],
            "lines": [
                {"sources": [web], "destinations": [db], "ports": ["tcp/5432", "ping"], "summary": "tcp/5432, ping"},
                {"sources": [web, db], "destinations": [outside], "ports": ["any"], "summary": "any"},
            ],
        }
    )
    return cluster


def test_lines_say_who_reaches_whom_with_their_numbers(cli: Cli, some: Controller) -> None:
    assert cli.columns("reach") == [
        ["FROM", "TO", "PORTS"],
        ["web/app=web (3)", "web/app=db (1 of 3)", "tcp/5432, ping"],
        ["web/app=web (3), web/app=db (1 of 3)", "outside", "any"],
    ]
    assert some.requests[-1].query == {}


def test_network_and_keys_are_asked_for(cli: Cli, some: Controller) -> None:
    assert cli.json("reach", "--network", "web", "--by", "app", "--by", "tier", "-o", "json") == some.reach.model_dump(
        mode="json"
    )
    assert some.requests[-1].query == {"network": ["web"], "by": ["app", "tier"]}
