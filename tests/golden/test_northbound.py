"""What is compiled, as files to read and to compare. Written anew with SOCKETPLANE_GOLDEN=update.

Every row and edge of a small cluster; and the groups and ACLs of policies of all kinds, with tiers and without.
"""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from socketplane.compile import Desired, Features, Intent, compile_all, unsupported
from socketplane.model.spec import Operator, Policy, Port, Protocol, Requirement, Rule, Selector, Tier
from support.intent import CLUSTER, allow, endpoint, host, network, policy, selector, small_cluster, tcp
from support.policies import accept, audited, block, deny, guard, on, pass_on

HERE = Path(__file__).parent


def render(desired: Desired) -> dict[str, Any]:
    """Return rows by table, sorted, with the UUIDs of their children in the columns of edges."""
    tables: dict[str, dict[str, dict[str, Any]]] = {}
    for key, row in sorted(desired.rows.items()):
        columns = {name: sorted(value) if isinstance(value, frozenset) else value for name, value in row.items()}
        tables.setdefault(key.table, {})[str(key.uuid)] = columns
    for edge in sorted(desired.edges):
        tables[edge.table][str(edge.parent)].setdefault(edge.column, []).append(str(edge.child))
    return tables


def compare(name: str, found: str) -> None:
    """Compare with a file, or write it."""
    path = HERE / name
    if os.environ.get("SOCKETPLANE_GOLDEN") == "update":
        path.write_text(found)
    assert found == path.read_text(), "see the difference, then run again with SOCKETPLANE_GOLDEN=update"


def test_a_small_cluster_compiles_to_the_golden_file() -> None:
    found = render(compile_all(CLUSTER, Features(), small_cluster()))
    compare("small_cluster.json", json.dumps(found, indent=1, sort_keys=True) + "\n")


def policies(features: Features) -> list[Policy]:
    """Return policies with all that the language has, or all that this server can have."""
    expression = Selector.of(
        {}, [Requirement("tier", Operator.IN, ("back", "middle")), Requirement("old", Operator.EXISTS)]
    )
    shop = selector(zone="shop")
    ingress = (
        Rule((on(shop, app="web"),), (*tcp(80, 443), Port(Protocol.TCP, 8000, 8099))),
        allow(expression, ports=(Port(Protocol.SCTP, 3868),)),
        Rule((block("0.0.0.0/0", "198.51.100.0/24"), block("198.51.100.7/32")), tcp(22)),
    )
    metadata = block("169.254.169.254/32", pool=True)
    found = [
        policy("everything", 1, selector(app="app"), ingress=ingress, egress=(allow(),)),
        audited(policy("trial", 2, selector(app="web"), ingress=(allow(selector(app="app")),), egress=())),
        guard("no-metadata", 3, on(), priority=10, egress=(deny(metadata),)),
        guard("monitoring", 4, on(), priority=20, ingress=(accept(on(app="monitor"), ports=tcp(9100)),)),
    ]
    if features.acl_tier:
        leave = guard("leave-shop", 5, on(shop), priority=0, ingress=(pass_on(on(shop)), deny(on())))
        base = guard("closed", 6, on(), tier=Tier.BASELINE, ingress=(deny(on()),))
        found += [leave, base]
    return found


def lines(desired: Desired) -> list[str]:
    """Return groups with what they select, and ACLs with what they do, the strongest first."""
    groups = {key.uuid: row for key, row in desired.rows.items() if key.table == "Port_Group"}
    of_acl = {edge.child: groups[edge.parent]["name"] for edge in desired.edges if edge.column == "acls"}
    found = [
        f"group {row['name']}: {row['external_ids'].get('socketplane:networks', '-')} / "
        f"{row['external_ids'].get('socketplane:selector', '-')}"
        for row in groups.values()
    ]
    acls = [(of_acl[key.uuid], row) for key, row in desired.rows.items() if key.table == "ACL"]
    acls.sort(key=lambda it: (it[1].get("tier", 0), -it[1]["priority"], it[1]["name"], it[1]["match"]))
    return sorted(found) + [
        f"acl on {group}: {row.get('tier', '-')} {row['priority']} {row['direction']} {row['action']} {row['name']}"
        f" label={row['label']}{' log ' + row['meter'] if row['log'] else ''}: {row['match']}"
        for group, row in acls
    ]


@pytest.mark.parametrize("features", [Features(acl_tier=True, incremental=True), Features()])
def test_policies_of_all_kinds_compile_to_the_golden_files(features: Features) -> None:
    web, data = replace(network(0), labels={"zone": "shop"}), network(1)
    intent: list[Intent] = [host(1), web, data, endpoint(1, web, "h1", {"app": "app"}), endpoint(2, data, "h1")]
    of_all_kinds = policies(features)
    assert unsupported(features, of_all_kinds) is None
    found = lines(compile_all(CLUSTER, features, [*intent, *of_all_kinds]))
    compare(f"policies_{'with' if features.acl_tier else 'without'}_tiers.txt", "\n".join(found) + "\n")
