"""`policy apply`: files and standard input, all or nothing, errors that point at the place."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cli_support import Cli
from fake_controller import Controller

from socketplane.errors import Conflict


def document(name: str, network: str | None = "web", spec: str = "{podSelector: {}}") -> str:
    namespace = f", namespace: {network}" if network else ""
    return f"apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{name: {name}{namespace}}}\nspec: {spec}\n"


@pytest.fixture
def write(tmp_path: Path):
    def write(name: str, *documents: str) -> str:
        (tmp_path / name).write_text("---\n".join(documents))
        return str(tmp_path / name)

    return write


def test_files_and_standard_input_in_one_request(cli: Cli, controller: Controller, write) -> None:
    files = write("a.yaml", document("one"), document("two")), write("b.json", document("three", "db"))
    result = cli("policy", "apply", "-f", files[0], "-f", files[1], "-f", "-", stdin=document("four"))
    names = ["web/one", "web/two", "db/three", "web/four"]
    assert result.stdout.splitlines() == [f"networkpolicy {name} created" for name in names]
    assert len(controller.requests) == 1
    assert [item["metadata"]["name"] for item in controller.requests[0].body["documents"]] == [
        "one",
        "two",
        "three",
        "four",
    ]


def test_json_names_what_was_done(cli: Cli, controller: Controller, write) -> None:
    applied = cli.json("policy", "apply", "-f", write("a.yaml", document("one")), "-o", "json")
    created = {"kind": "NetworkPolicy", "network": "web", "name": "one", "change": "created", "network_exists": True}
    assert applied == {"items": [created], "revision": 1, "confirm_by": None, "warnings": []}


def test_the_flag_stands_in_for_the_namespace(cli: Cli, controller: Controller, write) -> None:
    file = write("a.yaml", document("one", None), document("two", "db"))
    cli("policy", "apply", "--network", "web", "-f", file)
    assert [item["metadata"]["namespace"] for item in controller.requests[0].body["documents"]] == ["web", "db"]
    assert "--network" in cli("policy", "apply", "-f", file, code=1).stderr


def test_errors_name_file_document_line_and_field(cli: Cli, controller: Controller, write) -> None:
    bad = document("two", spec="\n  podSelector: {}\n  ingres: []")
    error = cli("policy", "apply", "-f", write("a.yaml", document("one"), bad), code=1).stderr
    for part in ("Error: ", "a.yaml", "document 2", "line ", "ingres", "did you mean ingress?"):
        assert part in error
    assert controller.requests == []


@pytest.mark.parametrize(
    ("content", "part"),
    [
        (b"", "no document"),
        (b"---\n---\n", "no document"),
        (b"\xff\xfe\x00", "UTF-8"),
        (b"a: [", "line"),
        (b"[]", "mapping"),
        (b"# " + b"x" * (10 << 20), "larger than"),
        (document("x", spec="{podSelector: {matchExpressions: [{key: a}]}}").encode(), "matchExpressions"),
    ],
)
def test_bad_files_are_refused_here(cli: Cli, controller: Controller, tmp_path: Path, content: bytes, part: str) -> None:
    (tmp_path / "bad.yaml").write_bytes(content)
    by_file = cli("policy", "apply", "-f", str(tmp_path / "bad.yaml"), code=1).stderr
    assert "bad.yaml" in by_file
    assert part in by_file
    by_input = cli("policy", "apply", "-f", "-", stdin=content, code=1).stderr
    assert "standard input" in by_input
    assert part in by_input
    assert controller.requests == []


def test_a_file_that_is_not_there(cli: Cli, controller: Controller, tmp_path: Path) -> None:
    assert "No such file" in cli("policy", "apply", "-f", str(tmp_path / "none.yaml"), code=1).stderr
    assert "Is a directory" in cli("policy", "apply", "-f", str(tmp_path), code=1).stderr
    assert controller.requests == []


def test_one_policy_in_two_files(cli: Cli, controller: Controller, write) -> None:
    files = write("a.yaml", document("one")), write("b.yaml", document("one"))
    error = cli("policy", "apply", "-f", files[0], "-f", files[1], code=1).stderr
    assert "web/one is already in" in error
    assert controller.requests == []
    cli("policy", "apply", "-f", files[0], "-f", files[0])


def test_what_the_controller_refuses(cli: Cli, controller: Controller, write) -> None:
    controller.refusal = Conflict("too many policies", remedy="remove some")
    result = cli("policy", "apply", "-f", write("a.yaml", document("one")), code=1)
    assert (result.stdout, result.stderr) == ("", "Error: too many policies; remove some\n")


def test_what_inspect_prints_can_be_applied_again(cli: Cli, cluster: Controller, write) -> None:
    shown = cli.json("policy", "inspect", "web/allow-app")[0]["document"]
    whole = {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy"} | shown
    assert cli("policy", "apply", "-f", "-", stdin=json.dumps(whole)).stdout == "networkpolicy web/allow-app created\n"
