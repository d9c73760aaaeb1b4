"""Closing the gap between what is desired and what is there, without touching what is others'."""

from __future__ import annotations

from uuid import UUID

import pytest

from socketplane.compile import Compiler, operations
from socketplane.compile.rows import EDGE_COLUMNS, ROOT_TABLES, identity
from socketplane.ovsdb.operations import Delete, Insert, Mutate, Update
from support.intent import CLUSTER, endpoint, host, network, small_cluster
from support.northbound import Northbound

WEB = network(0)
STRANGER = UUID(int=77)


@pytest.fixture
def compiler() -> Compiler:
    found = Compiler(CLUSTER)
    for thing in small_cluster():
        found.put(thing)
    found.flush()
    return found


@pytest.fixture
def northbound(compiler: Compiler) -> Northbound:
    found = Northbound()
    found.apply(operations(compiler.desired, found))
    return found


def test_a_new_parent_is_inserted_with_its_edges_in_it(compiler: Compiler) -> None:
    ops = operations(compiler.desired, Northbound())
    assert {type(op) for op in ops} == {Insert}
    assert sum(len(op.row.get(c, ())) for op in ops for c, _ in EDGE_COLUMNS.get(op.table, ())) == len(
        compiler.desired.edges
    )  # type: ignore[union-attr]


def test_a_row_changed_by_hand_is_written_back_alone(compiler: Compiler, northbound: Northbound) -> None:
    uuid, row = next((u, r) for u, r in northbound["ACL"].items() if r["name"] == "isolation")
    wanted = row["match"]
    row["match"], row["external_ids"] = "0", {**row["external_ids"], "mine": "x"}
    assert operations(compiler.desired, northbound) == [Update("ACL", (("_uuid", "==", uuid),), {"match": wanted})]


def test_a_row_deleted_by_hand_comes_back_with_its_edges(compiler: Compiler, northbound: Northbound) -> None:
    uuid = identity(CLUSTER.id, "Logical_Switch", str(WEB.id))
    del northbound["Logical_Switch"][uuid]
    northbound.apply([])
    northbound.apply(operations(compiler.desired, northbound))
    assert operations(compiler.desired, northbound) == []
    assert len(northbound["Logical_Switch"][uuid]["ports"]) == 5


def test_a_row_that_lost_its_owner_is_known_by_its_uuid(compiler: Compiler, northbound: Northbound) -> None:
    for rows in northbound.values():
        for row in rows.values():
            row["external_ids"] = {"mine": "x"}
    ops = operations(compiler.desired, northbound)
    assert {type(op) for op in ops} == {Update}
    northbound.apply(ops)
    assert operations(compiler.desired, northbound) == []
    assert all(row["external_ids"]["mine"] == "x" for rows in northbound.values() for row in rows.values())


def test_a_port_put_into_a_group_by_hand_leaves_it(compiler: Compiler, northbound: Northbound) -> None:
    port = identity(CLUSTER.id, "Logical_Switch_Port", endpoint(4, WEB, "h1").id)
    group = next(
        row for row in northbound["Port_Group"].values() if row["name"].startswith("sp_s_") and port not in row["ports"]
    )
    group["ports"] |= {port}
    (op,) = operations(compiler.desired, northbound)
    assert isinstance(op, Mutate)
    assert op.mutations == [("ports", "delete", frozenset({port}))]


def test_a_strangers_reference_to_our_row_stays_and_is_no_reason_to_act(compiler: Compiler, northbound: Northbound) -> None:
    acl = next(uuid for uuid, row in northbound["ACL"].items() if row["name"] == "r2.0")
    theirs = {"name": "theirs", "ports": frozenset(), "acls": frozenset({acl}), "external_ids": {}}
    northbound["Port_Group"][STRANGER] = theirs
    for thing in small_cluster():
        compiler.remove(thing)
    northbound.apply(operations(compiler.flush(), northbound))
    assert acl in northbound["ACL"]
    assert operations(compiler.desired, northbound) == []


def test_only_roots_are_deleted_and_only_ours(compiler: Compiler, northbound: Northbound) -> None:
    northbound["Logical_Switch"][STRANGER] = {
        "name": "x",
        "ports": frozenset(),
        "qos_rules": frozenset(),
        "load_balancer_group": frozenset(),
        "external_ids": {"socketplane:owner": "other"},
    }
    ops = operations(Compiler(CLUSTER).desired, northbound)
    deleted = {op.table for op in ops if isinstance(op, Delete)}
    assert not ops or deleted <= ROOT_TABLES
    northbound.apply(ops)
    assert {table: list(rows) for table, rows in northbound.items() if rows} == {"Logical_Switch": [STRANGER]}


def test_an_edge_to_what_is_missing_is_left_to_the_next_full_pass(compiler: Compiler, northbound: Northbound) -> None:
    del northbound["Logical_Switch"][identity(CLUSTER.id, "Logical_Switch", str(WEB.id))]
    compiler.put(endpoint(9, WEB, host(1)))
    northbound.apply(operations(compiler.flush(), northbound))
    northbound.apply(operations(compiler.desired, northbound))
    assert identity(CLUSTER.id, "Logical_Switch_Port", endpoint(9, WEB, "h1").id) in northbound["Logical_Switch_Port"]
    assert operations(compiler.desired, northbound) == []


def test_an_edge_to_a_row_that_someone_deleted_does_not_spoil_the_transaction(
    compiler: Compiler, northbound: Northbound
) -> None:
    # The segment's drop is renamed and keeps its place: only what changed is looked at.
    drop = next(uuid for uuid, row in northbound["ACL"].items() if row["name"] == "d2.ingress")
    difference = compiler.flush()
    difference.edges.update({edge: True for edge in compiler.desired.edges if edge.child == drop})
    for row in northbound["Port_Group"].values():
        row["acls"] -= {drop}
    del northbound["ACL"][drop]
    assert operations(difference, northbound) == []
    northbound.apply(operations(compiler.desired, northbound))
    assert drop in northbound["ACL"]


def test_a_difference_applied_twice_is_applied_once(compiler: Compiler, northbound: Northbound) -> None:
    compiler.put(endpoint(9, WEB, host(1), {"app": "db"}))
    difference = compiler.flush()
    northbound.apply(operations(difference, northbound))
    assert operations(difference, northbound) == []
