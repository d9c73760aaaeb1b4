"""When ovn-northd is had to compute everything anew: as ports and rules change close to one another, and only then."""

from __future__ import annotations

from uuid import uuid4

import pytest

from socketplane.compile.names import HOSTS_SWITCH
from socketplane.controller.recompute import KEY, LATER, NEAR, Recompute, touch
from socketplane.ovsdb import Operation, by_uuid, insert, mutate, update

PORT = mutate("Logical_Switch", by_uuid(uuid4()), [("ports", "insert", frozenset({uuid4()}))])
MEMBER = mutate("Port_Group", by_uuid(uuid4()), [("ports", "insert", frozenset({uuid4()}))])
RULE = insert("ACL", {"priority": 1}, uuid=uuid4())
FEWER = mutate("Port_Group", by_uuid(uuid4()), [("acls", "delete", frozenset({uuid4()}))])
METER = update("Meter", by_uuid(uuid4()), {"unit": "pktps"})
GONE = mutate("Logical_Switch", by_uuid(uuid4()), [("ports", "delete", frozenset({uuid4()}))])


@pytest.mark.parametrize("rule", [RULE, FEWER, METER])
@pytest.mark.parametrize("apart", [0.0, NEAR])
def test_ports_and_rules_close_to_one_another(rule: Operation, apart: float) -> None:
    for first, second in ((PORT, rule), (rule, PORT)):
        recompute = Recompute()
        recompute.note([first], 100.0)
        assert recompute.due is None
        recompute.note([second], 100.0 + apart)
        assert recompute.due == 100.0 + apart + LATER
        recompute.note([PORT, rule], 101.0 + apart)
        assert recompute.due == 100.0 + apart + LATER, "changes that go on do not put it off"


def test_what_comes_alone_or_much_later_does_not_ask_for_it() -> None:
    for changes in ([PORT, MEMBER], [RULE, FEWER, METER], [GONE, RULE], [MEMBER, RULE]):
        recompute = Recompute()
        recompute.note(changes, 100.0)
        assert recompute.due is None
    recompute = Recompute()
    recompute.note([PORT], 100.0)
    recompute.note([RULE], 101.0 + NEAR)
    assert recompute.due is None
    recompute.note([MEMBER], 102.0 + NEAR)
    assert recompute.due is None


def test_it_changes_a_row_of_ours_each_time_and_keeps_what_is_there() -> None:
    ours, theirs = uuid4(), uuid4()
    row = {"name": HOSTS_SWITCH, "external_ids": {"socketplane:owner": "x"}}
    for number in ("1", "2"):
        (operation,) = touch({theirs: {"name": "theirs", "external_ids": {}}, ours: row})
        changes = [("external_ids", "delete", frozenset({KEY})), ("external_ids", "insert", {KEY: number})]
        assert operation == mutate("Logical_Switch", by_uuid(ours), changes), "what else is there stays"
        row = {"name": HOSTS_SWITCH, "external_ids": {"socketplane:owner": "x", KEY: number}}
    assert touch({}) == []
