"""Marks as QoS rows."""

from __future__ import annotations

from ipaddress import IPv4Network

from socketplane.compile import Compiler, Edge, unmarkable
from socketplane.compile.names import segment_group
from socketplane.compile.rows import Row, identity
from socketplane.errors import Exhausted
from socketplane.model.spec import Block, Members, Port, Protocol
from socketplane.model.traffic import Limit, Limits, Mark, TrafficPolicy, TrafficSpec
from support.intent import CLUSTER, endpoint, host, network, policy, selector, tcp

WEB = network(0)
APP, DB = selector(app="app"), selector(app="db")


def traffic(name: str, number: int, *marks: Mark, on: str = "web") -> TrafficPolicy:
    return TrafficPolicy(on, name, number, TrafficSpec(APP, Limits(Limit(1_000_000)), marks))


def compiled(*policies: TrafficPolicy) -> Compiler:
    compiler = Compiler(CLUSTER)
    for thing in (host(1), WEB, endpoint(1, WEB, "h1", {"app": "app"}), *policies):
        compiler.put(thing)
    compiler.flush()
    return compiler


def rows(compiler: Compiler) -> list[Row]:
    """Return the QoS rows, the strongest first."""
    found = [row for key, row in compiler.desired.rows.items() if key.table == "QoS"]
    return sorted(found, key=lambda row: (-row["priority"], row["match"]))


def groups(compiler: Compiler) -> set[str]:
    return {row["name"] for key, row in compiler.desired.rows.items() if key.table == "Port_Group"}


def test_a_mark_becomes_a_row_for_each_peer_and_protocol() -> None:
    peers = (Members(DB), Block(IPv4Network("192.0.2.0/24")))
    compiler = compiled(traffic("t", 7, Mark(46, peers, (*tcp(80, 81), Port(Protocol.UDP))), Mark(0)))
    app, db = segment_group(WEB.id, APP), segment_group(WEB.id, DB)
    assert [(row["priority"], row["action"], row["direction"], row["match"]) for row in rows(compiler)] == [
        (32000, {"dscp": 46}, "from-lport", f"ip4.src == ${app}_ip4 && ip4.dst == ${db}_ip4 && tcp.dst == {{80, 81}}"),
        (32000, {"dscp": 46}, "from-lport", f"ip4.src == ${app}_ip4 && ip4.dst == ${db}_ip4 && udp"),
        (32000, {"dscp": 46}, "from-lport", f"ip4.src == ${app}_ip4 && ip4.dst == 192.0.2.0/24 && tcp.dst == {{80, 81}}"),
        (32000, {"dscp": 46}, "from-lport", f"ip4.src == ${app}_ip4 && ip4.dst == 192.0.2.0/24 && udp"),
        (31999, {"dscp": 0}, "from-lport", f"ip4.src == ${app}_ip4 && ip4"),
    ]
    assert {row["external_ids"]["socketplane:policy"] for row in rows(compiler)} == {"web/t"}
    assert {row["external_ids"]["socketplane:unit"] for row in rows(compiler)} == {"traffic/web/t"}
    switch = identity(CLUSTER.id, "Logical_Switch", str(WEB.id))
    assert {edge[:3] for edge in compiler.desired.edges if edge.column == "qos_rules"} == {
        Edge("Logical_Switch", switch, "qos_rules", switch)[:3]
    }
    assert {app, db} <= groups(compiler)


def test_the_oldest_policy_is_the_strongest_however_they_came() -> None:
    compiler = compiled(traffic("young", 9, Mark(1)), traffic("old", 2, Mark(2), Mark(3)), traffic("elsewhere", 1, on="x"))
    assert [row["action"]["dscp"] for row in rows(compiler)] == [2, 3, 1]
    compiler.put(traffic("old", 2, Mark(3)))
    difference = compiler.flush()
    assert [row["action"]["dscp"] for row in rows(compiler)] == [3, 1]
    assert {key.table for key in difference.rows} == {"QoS"}, "no port is touched"


def test_without_marks_there_are_no_rows_and_no_groups() -> None:
    compiler = compiled(traffic("limits", 1))
    assert rows(compiler) == []
    assert segment_group(WEB.id, APP) not in groups(compiler)


def test_segments_live_as_long_as_a_policy_of_either_kind_uses_them() -> None:
    marking = traffic("p", 2, Mark(1, (Members(DB),)))
    compiler = compiled(marking)
    compiler.put(policy("p", 1, APP, ingress=()))
    compiler.remove(marking)
    compiler.flush()
    assert rows(compiler) == []
    assert segment_group(WEB.id, APP) in groups(compiler)
    assert segment_group(WEB.id, DB) not in groups(compiler)
    compiler.remove(policy("p", 1, APP, ingress=()))
    compiler.flush()
    assert segment_group(WEB.id, APP) not in groups(compiler)


def test_more_marks_than_fit_are_refused_before() -> None:
    full = [traffic(f"t{number}", number, *[Mark(1)] * 100) for number in range(1, 321)]
    assert unmarkable(full) is None
    assert isinstance(unmarkable([*full, traffic("one", 999, Mark(1))]), Exhausted)
    assert unmarkable([*full, traffic("one", 999, Mark(1), on="data")]) is None
