"""Intent to northbound rows: pure, deterministic, one file per OVN concern. See docs/northbound.md."""

from __future__ import annotations

from socketplane.compile.compiler import Compiler, Intent, compile_all
from socketplane.compile.features import Features
from socketplane.compile.limits import unsupported
from socketplane.compile.operations import Actual, operations
from socketplane.compile.qos import unmarkable
from socketplane.compile.rows import OWNER, TABLES, UNIT, Desired, Difference, Edge, Output, Row, RowKey

__all__ = [
    "OWNER",
    "TABLES",
    "UNIT",
    "Actual",
    "Compiler",
    "Desired",
    "Difference",
    "Edge",
    "Features",
    "Intent",
    "Output",
    "Row",
    "RowKey",
    "compile_all",
    "operations",
    "unmarkable",
    "unsupported",
]
