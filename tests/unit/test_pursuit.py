"""Which forbidden streams are interrupted next."""

from socketplane.agent.pursuit import AT_ONCE, PERSISTENCE, Pursuit


def test_each_is_interrupted_until_it_is_gone_or_clearly_not_answered():
    pursuit = Pursuit()
    streams = {"a": 30.0, "b": 60.0, "ends by itself": 2.0}
    assert set(pursuit.choose(streams, 0.0)) == {"a", "b"}
    pursuit.note(["a", "b"], ["a", "b"], 0.0)
    assert set(pursuit.left(streams, 0.0)) == set(streams)
    assert pursuit.choose({"b": 60.0}, 5.0) == ["b"]
    pursuit.note(["b"], ["b"], 5.0)
    assert pursuit.left({"b": 119.0}, PERSISTENCE - 1) == ["b"]
    assert pursuit.left({"b": 120.0}, PERSISTENCE) == pursuit.choose({"b": 120.0}, PERSISTENCE) == []


def test_one_that_nobody_can_interrupt_is_never_done_with():
    pursuit = Pursuit()
    pursuit.note(["a", "b"], ["b"], 0.0)
    assert pursuit.unheard == 1
    assert pursuit.left({"a": 1030.0, "b": 1030.0}, 1000.0) == pursuit.choose({"a": 1030.0}, 1000.0) == ["a"]
    pursuit.note(["a"], ["a"], 1000.0)
    assert pursuit.unheard == 0


def test_of_many_those_that_live_come_first():
    pursuit = Pursuit()
    idle = {f"idle{number}": 60.0 for number in range(50 * AT_ONCE)}
    assert len(pursuit.choose({**idle, "lively": 30.0}, 0.0)) == AT_ONCE
    chosen = pursuit.choose({**idle, "lively": 32.0}, 2.0)
    assert chosen[0] == "lively" and len(chosen) == AT_ONCE
