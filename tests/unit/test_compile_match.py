"""What rules match."""

from __future__ import annotations

import pytest

from socketplane.compile import names
from socketplane.compile.match import rule_matches
from socketplane.model.spec import Direction, Members, Peer, Port, Protocol, Selector
from support.intent import CLUSTER, network, selector, tcp
from support.policies import block, on

WEB = network(0).id
UDP, SCTP, TCP = Protocol.UDP, Protocol.SCTP, Protocol.TCP


def matches(
    *peers: Peer, ports: tuple[Port, ...] | None = None, direction: Direction = Direction.INGRESS, anyone: bool = False
) -> list[str]:
    found = rule_matches(direction, None if anyone else peers, ports, network=WEB, cluster=CLUSTER)
    return [match for _, match in found]


@pytest.mark.parametrize(
    ("ports", "expected"),
    [
        (None, "ip4"),
        (tcp(80), "ip4 && tcp.dst == 80"),
        (tcp(443, 80, 80), "ip4 && tcp.dst == {80, 443}"),
        ((Port(SCTP),), "ip4 && sctp"),
        ((Port(SCTP, 5), Port(SCTP)), "ip4 && sctp"),
        ((Port(TCP, 8000, 9000),), "ip4 && 8000 <= tcp.dst <= 9000"),
        ((Port(TCP, 8000, 8000),), "ip4 && tcp.dst == 8000"),
        ((Port(TCP, 8000, 9000), *tcp(80, 8080, 443)), "ip4 && (tcp.dst == {80, 443} || 8000 <= tcp.dst <= 9000)"),
        ((Port(UDP, 1, 9), Port(UDP, 10, 20), Port(UDP, 30, 40)), "ip4 && (1 <= udp.dst <= 20 || 30 <= udp.dst <= 40)"),
    ],
)
def test_ports_of_a_protocol_are_one_match(ports: tuple[Port, ...] | None, expected: str) -> None:
    assert matches(anyone=True, ports=ports) == [expected]


def test_each_protocol_has_its_match() -> None:
    assert matches(anyone=True, ports=(*tcp(80), Port(UDP, 53), Port(SCTP, 7, 9))) == [
        "ip4 && tcp.dst == 80",
        "ip4 && udp.dst == 53",
        "ip4 && 7 <= sctp.dst <= 9",
    ]


def test_members_are_address_sets_of_their_groups() -> None:
    own, others = Members(selector(app="a")), on(selector(zone="x"), app="a")
    groups = sorted(
        [names.segment_group(WEB, selector(app="a")), names.segment_group(selector(zone="x"), selector(app="a"))]
    )
    assert matches(own, others, own, ports=tcp(80)) == [f"ip4.src == ${group}_ip4 && tcp.dst == 80" for group in groups]
    assert matches(Members(), direction=Direction.EGRESS) == [f"ip4.dst == $sp_n_{WEB.hex}_ip4"]


def test_all_blocks_of_a_rule_are_one_set() -> None:
    blocks = block("192.0.2.0/24", "192.0.2.0/25"), block("198.51.100.7/32"), block("2001:db8::/32")
    assert matches(*blocks, direction=Direction.EGRESS, ports=tcp(443)) == [
        "ip4.dst == {192.0.2.128/25, 198.51.100.7} && tcp.dst == 443"
    ]
    assert matches(block("192.0.2.0/24")) == ["ip4.src == 192.0.2.0/24"]
    assert matches(block("0.0.0.0/0", pool=True)) == ["ip4"]


def test_blocks_that_mean_nothing_match_nothing() -> None:
    assert matches(block("10.192.0.0/22")) == matches(block("2001:db8::/32")) == matches() == []


def test_groups_of_different_meaning_have_different_names() -> None:
    meanings = [
        (WEB, selector(app="a")),
        (network(1).id, selector(app="a")),
        (Selector(), selector(app="a")),
        (selector(app="a"), Selector()),
        (selector(app="a"), selector(app="a")),
        (WEB, selector(app="a", b="c")),
        (WEB, Selector()),
        (Selector(), Selector()),
    ]
    found = [names.segment_group(*meaning) for meaning in meanings]
    assert len(set(found)) == len(meanings)
    assert all(len(name) <= 63 and name.isidentifier() for name in found)
