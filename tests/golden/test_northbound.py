"""Every row and edge of a small cluster, as a file to read and to compare. Written anew with SOCKETPLANE_GOLDEN=update."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from socketplane.compile import Desired, Features, compile_all
from support.intent import CLUSTER, small_cluster

GOLDEN = Path(__file__).parent / "small_cluster.json"


def render(desired: Desired) -> dict[str, Any]:
    """Return rows by table, sorted, with the UUIDs of their children in the columns of edges."""
    tables: dict[str, dict[str, dict[str, Any]]] = {}
    for key, row in sorted(desired.rows.items()):
        columns = {name: sorted(value) if isinstance(value, frozenset) else value for name, value in row.items()}
        tables.setdefault(key.table, {})[str(key.uuid)] = columns
    for edge in sorted(desired.edges):
        tables[edge.table][str(edge.parent)].setdefault(edge.column, []).append(str(edge.child))
    return tables


def test_a_small_cluster_compiles_to_the_golden_file() -> None:
    found = render(compile_all(CLUSTER, Features(), small_cluster()))
    if os.environ.get("SOCKETPLANE_GOLDEN") == "update":
        GOLDEN.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n")
    assert found == json.loads(GOLDEN.read_text()), "see the difference, then run again with SOCKETPLANE_GOLDEN=update"
