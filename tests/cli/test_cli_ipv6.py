"""IPv6 on the command line: networks, and the ends of `explain`."""

from __future__ import annotations

import pytest
from cli_support import Cli
from fake_controller import Controller

from socketplane import wire


def test_network_create_takes_a_subnet_and_a_gateway_of_each_version(cli: Cli, controller: Controller) -> None:
    cli("network", "create", "plain")
    assert {name: controller.requests[-1].body[name] for name in ("ipv6", "subnet6")} == {"ipv6": False, "subnet6": None}
    cli("network", "create", "six", "--ipv6")
    assert controller.requests[-1].body["ipv6"] is True
    both = ("--subnet", "10.200.0.0/24", "--subnet", "fd00::/64", "--gateway", "fd00::9", "--gateway", "10.200.0.9")
    cli("network", "create", "both", *both)
    wanted = {"subnet": "10.200.0.0/24", "subnet6": "fd00::/64", "gateway": "10.200.0.9", "gateway6": "fd00::9"}
    assert wanted.items() <= controller.requests[-1].body.items()
    line = cli("network", "ls").stdout.splitlines()[-1]
    assert "10.200.0.0/24, fd00::/64" in line
    assert "10.200.0.9, fd00::9" in line


@pytest.mark.parametrize(
    ("source", "destination", "asked"),
    [
        ("fd00::1", "[fd00::2]:80", {"src": ["fd00::1"], "dst": ["fd00::2"], "port": ["80"], "protocol": ["tcp"]}),
        ("web-1", "fd00::2", {"src": ["web-1"], "dst": ["fd00::2"], "protocol": ["icmp"]}),
        ("web/fd00::1", "[web/fd00::2]:53/udp", {"src": ["web/fd00::1"], "dst": ["web/fd00::2"], "port": ["53"]}),
        ("[fd00::1]", "[fd00::2]", {"src": ["fd00::1"], "dst": ["fd00::2"], "protocol": ["icmp"]}),
    ],
)
def test_explain_takes_ipv6_addresses(
    cli: Cli, controller: Controller, source: str, destination: str, asked: dict[str, list[str]]
) -> None:
    controller.explanation = wire.Explanation(
        verdict="allow", source="a", destination="b", protocol="tcp", port=80, direction="default", reason="r"
    )
    cli("explain", source, destination)
    assert asked.items() <= controller.requests[-1].query.items()


def test_reach_of_ipv6_is_tried_with_ipv6(cli: Cli, controller: Controller) -> None:
    cli("reach", "--ipv6", "--probe")
    assert controller.requests[-1].query == {"version": ["6"]}
