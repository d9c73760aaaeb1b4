"""Where our lines in iptables' filter table go, and when they have to be set."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network

import pytest

from socketplane.agent.iptables import Saved, rules
from socketplane.agent.ruleset import Boundary

BOUNDARY = Boundary(
    IPv4Network("10.192.0.0/10"),
    IPv4Network("169.254.192.0/20"),
    IPv4Address("169.254.192.2"),
    exits=frozenset({"eth0"}),
    resolvers=frozenset({IPv4Address("198.51.100.53")}),
    underlay=IPv4Address("192.0.2.1"),
)
OPEN = [":INPUT ACCEPT [0:0]", ":FORWARD ACCEPT [0:0]", ":OUTPUT ACCEPT [0:0]"]
DOCKER = [":INPUT ACCEPT [0:0]", ":FORWARD DROP [0:0]", ":DOCKER-USER - [0:0]", "-A FORWARD -j DOCKER-USER"]
UFW = [":INPUT DROP [0:0]", ":FORWARD DROP [0:0]", "-A INPUT -j ufw-before-input", "-A FORWARD -j ufw-before-forward"]


def saved(*lines: str) -> Saved:
    return Saved.parse("\n".join(["*filter", *lines, "COMMIT"]))


def insertions(table: Saved) -> list[str]:
    return [line for line in table.script(rules(BOUNDARY)).splitlines() if line.startswith("-I")]


@pytest.mark.parametrize("lines", [[], OPEN, [*OPEN, "-A OUTPUT -j DROP"]])
def test_what_drops_nothing_needs_nothing(lines: list[str]) -> None:
    assert saved(*lines).closed() == []
    assert saved(*lines).removal() == ""


def test_behind_dockers_users_and_before_everybody_else() -> None:
    assert insertions(saved(*DOCKER, "-A FORWARD -o docker0 -j DOCKER")) == ["-I FORWARD 2 -j SOCKETPLANE"]
    assert insertions(saved(*UFW)) == ["-I FORWARD 1 -j SOCKETPLANE", "-I INPUT 1 -j SOCKETPLANE-IN"]


@pytest.mark.parametrize(
    ("forward", "right"),
    [
        (["DOCKER-USER", "SOCKETPLANE"], True),
        (["DOCKER-USER", "DOCKER", "SOCKETPLANE"], False),
        (["SOCKETPLANE", "DOCKER-USER"], False),
        (["DOCKER-USER", "SOCKETPLANE", "SOCKETPLANE"], False),
        (["DOCKER-USER"], False),
        (["SOCKETPLANE"], True),
    ],
)
def test_whether_the_call_is_right(forward: list[str], right: bool) -> None:
    table = saved(":FORWARD DROP [0:0]", *(f"-A FORWARD -j {chain}" for chain in forward))
    assert table.called() is right
    assert table.script([]).count("-D FORWARD -j SOCKETPLANE") == forward.count("SOCKETPLANE")


def test_a_call_that_an_older_version_made_goes() -> None:
    table = saved(*DOCKER, "-A FORWARD -j SOCKETPLANE", "-A DOCKER-USER -j SOCKETPLANE", ":SOCKETPLANE - [0:0]")
    assert not table.called()
    assert "-D DOCKER-USER -j SOCKETPLANE" in table.script([])
    assert table.removal().splitlines()[1:-1] == [
        "-D FORWARD -j SOCKETPLANE",
        "-D DOCKER-USER -j SOCKETPLANE",
        "-F SOCKETPLANE",
        "-X SOCKETPLANE",
    ]


def test_the_host_takes_answers_questions_that_were_led_and_tunnels() -> None:
    received = [rule.removeprefix("-A SOCKETPLANE-IN ") for rule in rules(BOUNDARY) if "SOCKETPLANE-IN" in rule]
    assert received == [
        "-i sp0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
        "-d 169.254.192.2 -m conntrack --ctstate DNAT -p udp --dport 6676 -j ACCEPT",
        "-d 169.254.192.2 -m conntrack --ctstate DNAT -p tcp --dport 6676 -j ACCEPT",
        "-d 192.0.2.1 -p udp --dport 6081 -j ACCEPT",
    ]
