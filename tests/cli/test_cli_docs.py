"""The references are what the program says of itself."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(("file", "writer"), [("cli.md", "cli_page"), ("openapi.json", "openapi")])
def test_references_are_current(file: str, writer: str) -> None:
    page = runpy.run_path(str(ROOT / "packaging/docs.py"))[writer]()
    assert (ROOT / "docs" / file).read_text() == page, "run `make docs`"
