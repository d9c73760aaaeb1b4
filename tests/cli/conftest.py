from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from fake import Controller, Server
from typer.testing import CliRunner, Result

from socketplane import wire
from socketplane.cli.main import app
from socketplane.config import Paths

WEB, DATABASE = UUID("11111111-aaaa-4000-8000-000000000001"), UUID("22222222-bbbb-4000-8000-000000000002")


@dataclass
class Cli:
    """Runs commands in this process as on the host whose files are below `paths`."""

    paths: Paths
    environment: dict[str, str | None]

    def __call__(self, *args: str, code: int = 0, stdin: str | bytes | None = None) -> Result:
        result = CliRunner(env=self.environment).invoke(app, args, input=stdin, obj=self.paths, prog_name="socketplane")
        assert result.exit_code == code, (args, result.output, result.exception)
        assert "Traceback" not in result.output
        if code != 0 and not isinstance(result.exception, SystemExit):
            raise AssertionError(f"{args}: {result.exception!r}") from result.exception
        return result

    def json(self, *args: str, code: int = 0) -> Any:
        return json.loads(self(*args, code=code).stdout)

    def columns(self, *args: str) -> list[list[str]]:
        """The table of a pipe, cut where two blanks part its columns."""
        return [[part.strip() for part in line.split("  ") if part.strip()] for line in self(*args).stdout.splitlines()]


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return Paths(tmp_path)


@pytest.fixture
def cli(paths: Paths) -> Cli:
    unset = ("SOCKETPLANE_CONTROLLER", "SOCKETPLANE_CERT", "SOCKETPLANE_KEY", "SOCKETPLANE_CA", "NO_COLOR")
    return Cli(paths, dict.fromkeys(unset))


@pytest.fixture
def controller(paths: Paths) -> Iterator[Controller]:
    """An empty controller behind this host's socket."""
    with Server(paths.controller_socket, Controller()) as server:
        yield server.controller


@pytest.fixture
def cluster(controller: Controller) -> Controller:
    """Two hosts, two networks, three endpoints, a policy and a token."""
    report = wire.HostReport(version="0.1.0", datapath="userspace", docker="20.10.24", ovs="3.1.0", ovn_controller=True)
    controller.hosts = [
        wire.Host(
            name="h1",
            system_id="s1",
            address="192.0.2.1",
            gateway="169.254.192.2",
            endpoints=2,
            ready=True,
            seen=1.0,
            report=report,
        ),
        wire.Host(name="h2", system_id="s2", address="192.0.2.2", gateway="169.254.192.3"),
    ]
    controller.networks = [
        wire.Network(id=WEB, name="web", subnet="10.192.0.0/22", gateway="10.192.0.1", endpoints=2),
        wire.Network(id=DATABASE, name="db", subnet="10.192.4.0/22", gateway="10.192.4.1", internal=True, endpoints=1),
    ]
    controller.endpoints = [
        endpoint("a", WEB, "web", "h1", "10.192.0.2", "web-1", up=True, labels={"app": "shop"}),
        endpoint("b", WEB, "web", "h2", "10.192.0.3", "app-1"),
        endpoint("c", DATABASE, "db", "h1", "10.192.4.2", "app-1", known=False),
    ]
    document = {"metadata": {"name": "allow-app", "namespace": "web"}, "spec": {"podSelector": {}, "egress": []}}
    controller.policies = [wire.Policy(network="web", name="allow-app", number=1, subjects=2, document=document)]
    controller.tokens = [wire.Token(id="t1", created=1.0, expires=4e9, uses=2)]
    return controller


def endpoint(
    letter: str, network: UUID, network_name: str, host: str, address: str, name: str, **more: Any
) -> wire.Endpoint:
    return wire.Endpoint(
        id=letter * 64,
        network=network,
        network_name=network_name,
        host=host,
        address=address,
        mac="02:53:0a:c0:00:02",
        container=name.encode().hex().ljust(64, "0"),
        name=name,
        **more,
    )
