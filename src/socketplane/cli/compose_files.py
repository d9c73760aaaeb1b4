"""Compose files for the commands that take them: with the variables, the .env and the profiles that Compose would use."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from socketplane.cli.output import clean, note
from socketplane.cli.policy_files import STDIN, called, content

if TYPE_CHECKING:
    from socketplane.model.compose import Project

OVERRIDES = ("compose.override.yaml", "compose.override.yml", "docker-compose.override.yml", "docker-compose.override.yaml")
"""What `docker compose` reads too where it stands beside a file of the usual name."""
USUAL = ("compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml")

ProfilesOption = Annotated[
    list[str] | None,
    typer.Option(
        "--profile", metavar="PROFILE", help="A profile that is active; * for all. Repeatable. (COMPOSE_PROFILES)"
    ),
]


def projects(names: Iterable[str], profiles: Iterable[str]) -> list[Project]:
    """Return the files' projects; what a person should know about them goes to stderr. Raises SocketPlaneError."""
    found = [project(name, profiles) for name in dict.fromkeys(names)]
    for one in found:
        for warning in one.warnings:
            note(f"Warning: {clean(warning)}")
    return found


def project(name: str, profiles: Iterable[str]) -> Project:
    """Return one file's project. It is called as its folder, where nothing else names it."""
    from socketplane.model.compose import load, parse_env  # heavy: yaml

    text = content(name)
    environment = dict(os.environ)
    folder = ""
    if name != STDIN:
        place = Path(name).resolve().parent
        folder = place.name
        variables = place / ".env"
        if variables.is_file():
            environment = {**parse_env(content(str(variables)), str(variables), environment), **environment}
        if Path(name).name in USUAL:
            for other in OVERRIDES:
                if (place / other).exists():
                    note(f"Warning: {clean(other)} is not read; give the output of `docker compose config` to have it")
    active = {*profiles, *filter(None, environment.get("COMPOSE_PROFILES", "").split(","))}
    return load(text, called(name), folder=folder, environment=environment, profiles=active)
