"""docs/cli.md is what the program says of itself."""

from __future__ import annotations

import runpy
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_the_reference_is_current() -> None:
    page = runpy.run_path(str(ROOT / "packaging/docs.py"))["cli_page"]()
    assert (ROOT / "docs/cli.md").read_text() == page, "run `make docs`"
