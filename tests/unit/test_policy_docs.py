"""What docs/policy.md and the README show can be applied as it stands."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from socketplane.model.policy import KINDS, parse
from support.schemas import ANY

ROOT = Path(__file__).parents[2]
PAGES = {name: (ROOT / name).read_text() for name in ("README.md", "docs/policy.md")}
BLOCKS = [block for page in PAGES.values() for block in re.findall(r"^```yaml\n(.*?)^```", page, re.M | re.S)]


def whole(block: Any) -> Any:
    """Return a block that shows a part of a spec as a document."""
    if "kind" in block:
        return block
    kind = "ClusterNetworkPolicy" if "tier" in block else "NetworkPolicy"
    return {"apiVersion": KINDS[kind].api_version, "kind": kind, "metadata": {"name": "shown"}, "spec": block}


@pytest.mark.parametrize("block", BLOCKS)
def test_an_example_is_read_and_valid(block: str) -> None:
    found = list(yaml.safe_load_all(block))
    assert found
    for document in map(whole, found):
        ANY.validate(document)
        assert parse(document, network="shop").name


def test_all_recipes_are_listed_and_all_links_lead_somewhere() -> None:
    page = PAGES["docs/policy.md"]
    links = [ROOT / "docs" / target for target in re.findall(r"\]\(([^#)]+)\)", page)]
    assert [link for link in links if not link.exists()] == []
    assert {link.name for link in links if link.suffix == ".yaml"} == {
        path.name for path in (ROOT / "examples" / "recipes").iterdir()
    }
