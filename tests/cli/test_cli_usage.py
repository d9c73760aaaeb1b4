"""Wrong usage, help, completion."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest
import typer
from cli_support import Cli
from fake_controller import Controller
from typer.main import get_command

from socketplane.cli.main import app


@pytest.mark.parametrize(
    "line",
    [
        "nonsense",
        "network",
        "network ls surplus",
        "network ls -o xml",
        "network ls --nonsense",
        "network create",
        "network create web --subnet 10.0.0.1/24",
        "network create web --subnet nonsense",
        "network create web --gateway 10.0.0.256",
        "network create web --ip-range 10.0.0.0/33",
        "network create web --label =x",
        "network create sp@ce",
        "network rm",
        "host inspect",
        "endpoint ls -l nonsense",
        "token create --ttl 0h",
        "token create --ttl soon",
        "token create --ttl 31d",
        "token create --uses 0",
        "policy apply",
        "policy rm /nowhere",
        "policy apply -f - --confirm-within soon",
        "policy rollback",
        "policy rollback -1",
        "policy rollback x",
        "policy confirm 0",
        "policy plan",
        "policy violations --since ages",
        "policy inspect web/",
        "policy inspect web/a/b",
        "policy rm web/a/b",
        "explain a",
        "explain a :80",
        "explain a b:",
        "explain a b:0",
        "explain a b:65536",
        "explain a b:80/dccp",
        "explain a b:80/",
        "explain a:80 b:80",
        "explain a/ b:80",
        "explain a /b",
        "explain a fd00::1:80:x",
        "explain a [fd00::1",
        "explain a [fd00::1]80",
        "explain a [b]:80",
        "network create web --subnet fd00::/64 --subnet fd01::/64",
        "network create web --subnet fd00::1/64",
        "network create web --gateway 10.0.0.1 --gateway 10.0.0.2",
        "completion fish",
        "--controller",
    ],
)
def test_wrong_usage_is_exit_code_2_and_asks_nothing(cli: Cli, controller: Controller, line: str) -> None:
    result = cli(*line.split(), code=2)
    assert result.stdout == "" or line == "network"
    assert controller.requests == []


def commands(group: object, *names: str) -> Iterator[tuple[tuple[str, ...], object]]:
    for name, command in getattr(group, "commands", {}).items():
        if getattr(command, "commands", None):
            yield from commands(command, *names, name)
        else:
            yield (*names, name), command


@pytest.mark.parametrize("names", [names for names, _ in commands(get_command(app))], ids=" ".join)
def test_help_of_every_command_has_an_example_that_exists(cli: Cli, names: tuple[str, ...]) -> None:
    text = cli(*names, "--help").stdout
    assert "Examples:" in text
    assert f"socketplane {' '.join(names)}" in text.split("Examples:")[1]


def test_the_contract_is_there() -> None:
    there = {" ".join(names) for names, _ in commands(get_command(app))}
    wanted = """up; down; join; leave; status; token create; token ls; token rm; host ls; host inspect; network ls;
        network create; network inspect; network rm; endpoint ls; endpoint inspect; policy apply; policy ls;
        policy inspect; policy rm; policy history; policy rollback; policy confirm;
        policy plan; policy violations; policy schema;
        explain; lab up; lab ls; lab exec; lab down; version; completion"""
    assert {" ".join(name.split()) for name in wanted.split(";")} <= there


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_completion_scripts(cli: Cli, shell: str) -> None:
    script = cli("completion", shell).stdout
    assert "_SOCKETPLANE_COMPLETE" in script
    if shell == "bash":
        subprocess.run(["bash", "-n"], input=script.encode(), check=True)


def complete(cli: Cli, words: str) -> list[str]:
    environment = {
        "_SOCKETPLANE_COMPLETE": "complete_bash",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split(" ")) - 1),
    }
    return Cli(cli.paths, cli.environment | environment)().stdout.split()


def test_completion_knows_commands_flags_and_names(cli: Cli, cluster: Controller) -> None:
    assert complete(cli, "socketplane net") == ["network"]
    assert "--subnet" in complete(cli, "socketplane network create --s")
    assert complete(cli, "socketplane network rm ") == ["web", "db"]
    assert complete(cli, "socketplane network rm w") == ["web"]
    assert complete(cli, "socketplane endpoint ls --host ") == ["h1", "h2"]
    assert complete(cli, "socketplane policy inspect web/") == ["web/allow-app"]
    assert complete(cli, "socketplane policy inspect g") == ["guard"]
    assert complete(cli, "socketplane explain ") == ["app-1", "web-1"]


def test_completion_without_a_controller_is_silent(cli: Cli) -> None:
    assert complete(cli, "socketplane network rm ") == []


def test_typer_is_asked_for_no_rich_help() -> None:
    assert isinstance(app, typer.Typer)
    assert app.rich_markup_mode is None
