"""`socketplane pool` and `socketplane expose`: what is sent, what is shown."""

from __future__ import annotations

import pytest
from cli_support import Cli
from fake_controller import Controller


def test_lists(cli: Cli, cluster: Controller) -> None:
    assert cli.columns("pool", "ls") == [["NAME", "ADDRESSES", "GIVEN"], ["lan", "192.0.2.65-192.0.2.94", "2 of 30"]]
    assert cli.columns("expose", "ls") == [
        ["ADDRESS", "POOL", "FOR", "NETWORK", "CONTAINER", "HOST", "STATE"],
        ["192.0.2.70", "lan", "web-1", "web", "web-1", "h1", "claimed"],
        ["192.0.2.71", "lan", "app=x", "db", "web-1", "h1", "refused: taken"],
    ]
    assert cli("expose", "ls", "-q").stdout.split() == ["192.0.2.70", "192.0.2.71"]
    assert cli("pool", "ls", "-q").stdout == "lan\n"
    assert '"used"' in cli("pool", "inspect", "lan").stdout


@pytest.mark.parametrize(
    ("arguments", "body"),
    [
        (("web-1", "--address", "192.0.2.70"), {"container": "web-1", "address": "192.0.2.70"}),
        (("add", "web-1"), {"container": "web-1"}),
        (("db/web-1", "--pool", "lan"), {"container": "web-1", "network": "db", "pool": "lan"}),
        (("-l", "app=shop", "-l", "tier=a", "--network", "db"), {"labels": {"app": "shop", "tier": "a"}, "network": "db"}),
    ],
)
def test_what_is_exposed(cli: Cli, cluster: Controller, arguments: tuple[str, ...], body: dict[str, object]) -> None:
    done = cli("expose", *arguments)
    assert done.stdout == ("192.0.2.71\n" if "db" in str(arguments) else "192.0.2.70\n")
    sent = {key: value for key, value in cluster.requests[-1].body.items() if value not in ("", {}, None)}
    assert sent == body


@pytest.mark.parametrize(
    "arguments",
    [
        ("web-1", "-l", "app=shop"),
        ("-l", "app"),
        ("add",),
        ("web/web-1", "--network", "db"),
        ("web-1", "--address", "here"),
        ("web-1", "--pool", "-"),
    ],
)
def test_wrong_usage(cli: Cli, cluster: Controller, arguments: tuple[str, ...]) -> None:
    cli("expose", *arguments, code=2)
    assert cluster.requests == []


def test_pools_and_addresses_are_made_and_removed(cli: Cli, cluster: Controller) -> None:
    assert cli("pool", "create", "lan", "192.0.2.64/27").stdout == "lan\n"
    assert cluster.requests[-1].body == {"name": "lan", "range": "192.0.2.64/27"}
    assert cli("expose", "rm", "192.0.2.70", "192.0.2.99", code=1).stdout == "192.0.2.70\n"
    assert [str(each.address) for each in cluster.floating] == ["192.0.2.71"]
    cli("pool", "rm", "lan")
    assert cluster.pools == []
