"""Laws of compilation, over any history."""

from __future__ import annotations

import copy
import random
from dataclasses import replace
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from socketplane.compile import Compiler, Features, Intent, compile_all, operations
from socketplane.model.spec import Policy
from support.intent import CLUSTER, NAMES, endpoints, key_of, networks, settled, things, traffic
from support.northbound import Northbound
from support.policies import cluster_specs, specs

_zones = st.fixed_dictionaries({}, optional={"zone": st.sampled_from("ab")})
_networks = st.builds(lambda net, labels: replace(net, labels=labels), networks, _zones)
_names = st.sampled_from("pqr")
_policies = st.one_of(
    st.builds(Policy, st.sampled_from(NAMES), _names, st.integers(1, 9), specs),
    st.builds(Policy, st.just(""), _names, st.integers(1, 9), cluster_specs),
)
everything = st.one_of(things, _networks, _policies, _policies)
# What hangs together across units: the ranks of policies, networks' labels and names, segments that span them.
_guards = st.builds(Policy, st.just(""), _names, st.integers(1, 9), cluster_specs)
_audits = st.builds(
    Policy, st.sampled_from(NAMES), _names, st.integers(1, 9), specs.map(lambda it: replace(it, audit=True))
)
entangled = st.one_of(_guards, _guards, _networks, _audits, endpoints, traffic)


def histories(of: st.SearchStrategy[Intent], least: int) -> st.SearchStrategy[list[tuple[str, Intent, bool]]]:
    step = st.tuples(st.sampled_from(["put", "put", "put", "remove"]), of, st.booleans())
    return st.lists(step, min_size=least, max_size=40)


steps = histories(everything, 0)
features = st.builds(Features, acl_tier=st.booleans(), incremental=st.booleans())
History = list[tuple[str, Intent, bool]]

FOREIGN_GROUP, FOREIGN_SWITCH, FOREIGN_PORT, FOREIGN_ACL, FOREIGN_QOS = (UUID(int=number) for number in range(1, 6))


def play(history: History, compiler: Compiler, northbound: Northbound | None = None) -> dict[tuple[str, object], Intent]:
    """Run a history through a compiler, its differences into a database; return what stands at its end."""
    state: dict[tuple[str, object], Intent] = {}
    for action, thing, flush in history:
        if action == "put":
            compiler.put(thing)
            state[key_of(thing)] = thing
        else:
            compiler.remove(thing)
            state.pop(key_of(thing), None)
        if flush:
            difference = compiler.flush()
            if northbound is not None:
                northbound.apply(operations(difference, northbound))
    difference = compiler.flush()
    if northbound is not None:
        northbound.apply(operations(difference, northbound))
    return state


@given(steps | histories(entangled, 10), features)
def test_any_history_ends_in_what_a_fresh_start_compiles(history: History, able: Features) -> None:
    compiler = Compiler(CLUSTER, able)
    state = play(history, compiler)
    fresh = compile_all(CLUSTER, able, state.values())
    assert compiler.desired.rows == fresh.rows
    assert compiler.desired.edges == fresh.edges
    assert not compiler.flush()


@given(steps, st.randoms(use_true_random=False))
def test_the_order_in_which_the_intent_arrives_is_no_matter(history: History, chance: random.Random) -> None:
    state = play(history, Compiler(CLUSTER))
    fresh = compile_all(CLUSTER, Features(), state.values())
    things = list(state.values())
    chance.shuffle(things)
    shuffled = compile_all(CLUSTER, Features(), things)
    assert (shuffled.rows, shuffled.edges) == (fresh.rows, fresh.edges)


@given(steps, features)
def test_after_any_history_of_differences_a_full_pass_finds_nothing_to_do(history: History, able: Features) -> None:
    compiler, northbound = Compiler(CLUSTER, able), Northbound()
    play(history, compiler, northbound)
    assert operations(compiler.desired, northbound) == []
    assert {(table, uuid) for table, rows in northbound.items() for uuid in rows} == set(compiler.desired.rows)


@given(settled(), settled())
def test_a_full_pass_leads_from_any_state_to_any_other_and_then_rests(
    before: dict[tuple[str, object], Intent], after: dict[tuple[str, object], Intent]
) -> None:
    northbound = Northbound()
    northbound.apply(operations(compile_all(CLUSTER, Features(), before.values()), northbound))
    desired = compile_all(CLUSTER, Features(), after.values())
    northbound.apply(operations(desired, northbound))
    assert operations(desired, northbound) == []
    assert {(table, uuid) for table, rows in northbound.items() for uuid in rows} == set(desired.rows)


@given(steps, settled())
def test_what_others_put_beside_ours_survives(history: History, start: dict[tuple[str, object], Intent]) -> None:
    northbound = Northbound()
    compiler = Compiler(CLUSTER)
    for thing in start.values():
        compiler.put(thing)
    northbound.apply(operations(compiler.flush(), northbound))
    _add_foreign(northbound)
    before = copy.deepcopy(_foreign(northbound))
    play(history, compiler, northbound)
    northbound.apply(operations(compiler.desired, northbound))
    assert _foreign(northbound) == before
    assert operations(compiler.desired, northbound) == []


def _add_foreign(northbound: Northbound) -> None:
    """Add a switch with a port and a group with an ACL of others; their port and ACL are in groups of ours too."""
    ids = {"external_ids": {"owner": "somebody"}}
    port = {"name": "vm1", "type": "", "addresses": frozenset({"unknown"}), "port_security": frozenset(), "options": {}}
    northbound["Logical_Switch_Port"][FOREIGN_PORT] = {**port, **ids}
    northbound["QoS"][FOREIGN_QOS] = {"priority": 1, "direction": "to-lport", "match": "ip", "action": {"dscp": 1}, **ids}
    groups = {"load_balancer_group": frozenset()}
    switch = {"name": "other", "ports": frozenset({FOREIGN_PORT}), "qos_rules": frozenset({FOREIGN_QOS}), **groups, **ids}
    northbound["Logical_Switch"][FOREIGN_SWITCH] = switch
    northbound["ACL"][FOREIGN_ACL] = {"name": "other", "match": "ip", **ids}
    group = {"name": "other", "ports": frozenset({FOREIGN_PORT}), "acls": frozenset({FOREIGN_ACL}), **ids}
    northbound["Port_Group"][FOREIGN_GROUP] = group
    for row in northbound["Logical_Switch"].values():
        row["qos_rules"] |= {FOREIGN_QOS}
    for row in northbound["Port_Group"].values():
        row["ports"] |= {FOREIGN_PORT}
        row["acls"] |= {FOREIGN_ACL}
        row["external_ids"] = {**row["external_ids"], "note": "an operator's"}


def _foreign(northbound: Northbound) -> object:
    groups = [row for row in northbound["Port_Group"].values() if row["name"] == "sp_routed"]
    kept: list[object] = [
        (FOREIGN_PORT in row["ports"], FOREIGN_ACL in row["acls"], row["external_ids"].get("note")) for row in groups
    ]
    kept += [FOREIGN_QOS in row["qos_rules"] for row in northbound["Logical_Switch"].values() if row["name"] == "sp-hosts"]
    rows = [
        northbound["QoS"].get(FOREIGN_QOS),
        northbound["Logical_Switch_Port"].get(FOREIGN_PORT),
        northbound["Logical_Switch"].get(FOREIGN_SWITCH),
        northbound["ACL"].get(FOREIGN_ACL),
        northbound["Port_Group"].get(FOREIGN_GROUP),
    ]
    return rows, kept
