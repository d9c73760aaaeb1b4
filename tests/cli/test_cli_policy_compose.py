"""`policy from-compose`, and the example that goes through it to a test of policy."""

from __future__ import annotations

from pathlib import Path

import pytest
from cli_support import Cli

from socketplane.model.documents import parse_documents

SHOP = Path(__file__).resolve().parents[2] / "examples" / "shop"


@pytest.fixture
def shop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(SHOP)


@pytest.mark.usefixtures("shop")
def test_the_examples_policy_is_what_its_compose_file_declares(cli: Cli) -> None:
    result = cli("policy", "from-compose", "compose.yaml")
    assert result.stdout == Path("policy.yaml").read_text()
    assert result.stderr == ""


@pytest.mark.usefixtures("shop")
def test_the_examples_assertions_hold_under_its_policy_and_not_without(cli: Cli) -> None:
    arguments = ("policy", "test", "-f", "tests.yaml", "--compose", "compose.yaml")
    assert " assertions hold" in cli(*arguments, "--policy", "policy.yaml").stderr
    found = cli.json(*arguments, "-o", "json", code=1)
    assert {item["expect"] for item in found if item["result"] == "fail"} == {"deny"}


@pytest.mark.usefixtures("shop")
def test_json_is_a_list_that_apply_takes(cli: Cli) -> None:
    printed = cli("policy", "from-compose", "compose.yaml", "-o", "json", "--egress").stdout
    policies = parse_documents(printed, "p.json")
    assert [policy.title for policy in policies][:2] == ["shop_front/shop.web", "shop_front/shop.app"]
    assert policies == parse_documents(cli("policy", "from-compose", "compose.yaml", "--egress").stdout, "p.yaml")


def test_from_standard_input_with_what_a_person_should_know(cli: Cli) -> None:
    services = "{web: {depends_on: [db], networks: [n]}, db: {networks: [m], profiles: [x]}}"
    text = f"name: a\nservices: {services}\nnetworks: {{n: , m: }}"
    result = cli("policy", "from-compose", "-", "--profile", "x", stdin=text)
    assert "a.web" in result.stdout
    assert "Warning: web depends_on db, but they share no network: nothing allows it" in result.stderr
    assert "Warning: standard input: policies do not hold on a_m, a_n" in result.stderr
    nothing = cli("policy", "from-compose", "-", stdin="name: a\nservices: {web: {network_mode: host}}")
    assert nothing.stdout.startswith("# ") and nothing.stdout.count("\n") == 1
    assert "no service is on a network" in nothing.stderr


def test_a_bad_file_is_refused_by_name(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "compose.yaml"
    path.write_text("services:\n  web:\n    extends: {file: other.yaml, service: web}\n")
    stderr = cli("policy", "from-compose", str(path), code=1).stderr
    for part in ("services.web.extends.file: ", "compose.yaml, line 3: ", "docker compose config"):
        assert part in stderr
