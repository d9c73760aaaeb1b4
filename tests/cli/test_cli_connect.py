"""How the controller is found, and what is said where it isn't."""

from __future__ import annotations

import os
import socket
import ssl
import subprocess
from contextlib import closing
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from cli_support import Cli
from fake_controller import Controller, Server

from socketplane.cli.connect import Connection, target_of
from socketplane.config import Paths
from socketplane.errors import Forbidden, InvalidInput, NotFound
from socketplane.identity import HostIdentity


def be(paths: Paths, role: str) -> None:
    HostIdentity(
        name="h2",
        system_id="s2",
        role=role,
        address=IPv4Address("192.0.2.2"),
        controllers=("127.0.0.1:1",),
        southbound=("ssl:192.0.2.1:6642",),
        gateway=IPv4Address("169.254.192.3"),
    ).save(paths.host_file)


@pytest.fixture
def certificates(paths: Paths) -> Paths:
    """A key and a certificate that stands for CA and host."""
    paths.pki.mkdir(parents=True)
    for name in ("ca", "host"):
        subprocess.run(
            [
                "openssl",
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:P-256",
                "-nodes",
                "-subj",
                "/CN=x",
                "-keyout",
                paths.pki / f"{name}.key",
                "-out",
                paths.pki / f"{name}.crt",
            ],
            check=True,
            capture_output=True,
        )
    return paths


def test_nowhere(cli: Cli) -> None:
    result = cli("network", "ls", code=1)
    assert result.stdout == ""
    assert result.stderr.startswith("Error: this machine is not a SocketPlane host yet; run `socketplane up`")


def test_the_socket_of_a_manager(paths: Paths) -> None:
    be(paths, "manager")
    assert target_of(Connection(paths)) == paths.controller_socket


def test_a_member_uses_its_certificate(certificates: Paths) -> None:
    be(certificates, "member")
    target = target_of(Connection(certificates))
    assert isinstance(target, tuple)
    assert target[0] == ["127.0.0.1:1"]
    assert target[1].verify_mode is ssl.CERT_REQUIRED
    assert target[1].check_hostname


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("/x/y.sock", Path("/x/y.sock")),
        ("unix:///x/y.sock", Path("/x/y.sock")),
        ("unix:/x/y.sock", Path("/x/y.sock")),
        ("h1", ["h1:6675"]),
        ("h1:7000, 192.0.2.9", ["h1:7000", "192.0.2.9:6675"]),
    ],
)
def test_a_given_controller(certificates: Paths, text: str, found: object) -> None:
    target = target_of(Connection(certificates, text))
    assert (target if isinstance(target, Path) else target[0]) == found


@pytest.mark.parametrize("text", ["https://h1", "h1:", ":6675", "h1:http", ","])
def test_an_address_that_can_not_be(certificates: Paths, text: str) -> None:
    with pytest.raises(InvalidInput, match="--controller"):
        target_of(Connection(certificates, text))


def test_files_of_a_remote_user(certificates: Paths, tmp_path: Path) -> None:
    pki = certificates.pki
    target_of(Connection(Paths(tmp_path / "elsewhere"), "h1", pki / "host.crt", pki / "host.key", pki / "ca.crt"))
    with pytest.raises(InvalidInput, match="belong together"):
        target_of(Connection(certificates, "h1", cert=pki / "host.crt"))
    with pytest.raises(InvalidInput, match="name the files"):
        target_of(Connection(Paths(tmp_path / "elsewhere"), "h1"))
    with pytest.raises(InvalidInput, match="can't be used"):
        target_of(Connection(certificates, "h1", pki / "host.crt", pki / "ca.key"))


def test_flag_and_environment(cli: Cli, tmp_path: Path) -> None:
    with Server(tmp_path / "other.sock", Controller()):
        where = f"unix://{tmp_path}/other.sock"
        assert cli.json("--controller", where, "network", "ls", "-o", "json") == []
        by_environment = Cli(cli.paths, cli.environment | {"SOCKETPLANE_CONTROLLER": where})
        assert by_environment.json("network", "ls", "-o", "json") == []


def test_a_controller_that_does_not_answer(cli: Cli, paths: Paths) -> None:
    be(paths, "manager")
    result = cli("network", "ls", code=1)
    assert "no controller answers" in result.stderr
    assert "controller.sock" in result.stderr


def test_status_without_a_controller_tells_what_runs_here(cli: Cli, paths: Paths) -> None:
    be(paths, "manager")
    paths.docker_socket.parent.mkdir(parents=True, exist_ok=True)
    with closing(socket.socket(socket.AF_UNIX)) as engine:
        engine.bind(str(paths.docker_socket))
        engine.listen()
        paths.agent_socket.parent.mkdir(parents=True, exist_ok=True)
        with closing(socket.socket(socket.AF_UNIX)) as stale:
            stale.bind(str(paths.agent_socket))
        result = cli("status", code=1)
    lines = {line.strip().partition("  ")[0]: line for line in result.stderr.splitlines()}
    assert lines["Docker engine"].endswith(" running")
    assert "not running" in lines["agent"]
    assert lines["controller"].endswith("absent")
    assert lines["Open vSwitch"].endswith("absent")
    assert result.stderr.splitlines()[-1].startswith("Error: no controller answers")
    assert result.stderr.splitlines()[-1].endswith("start it: sudo socketplane up")
    assert result.stdout == ""


def test_status_on_a_member_names_the_controller(cli: Cli, certificates: Paths) -> None:
    be(certificates, "member")
    result = cli("status", code=1)
    assert "On this machine:" in result.stderr
    assert "127.0.0.1:1" in result.stderr.splitlines()[-1]


def test_status_in_json_says_nothing_on_stdout_when_it_fails(cli: Cli) -> None:
    result = cli("status", "-o", "json", code=1)
    assert result.stdout == ""
    assert result.stderr.startswith("Error: ")


def test_not_json(cli: Cli, controller: Controller) -> None:
    controller.raw = b"<html>\xff"
    assert "no SocketPlane controller" in cli("network", "ls", code=1).stderr


def test_a_refused_host_is_told_where_to_go(cluster: Controller, paths: Paths) -> None:
    """The session of a member, with the fake's socket in place of TLS."""
    import asyncio

    from socketplane.cli.connect import Session
    from socketplane.transport.client import ControllerClient

    cluster.refusal = Forbidden("only an administrator may make tokens")
    with asyncio.Runner() as runner:
        client = ControllerClient(paths.controller_socket)
        runner.run(client.__aenter__())
        session = Session(runner, client, ["192.0.2.1:6675"])
        with pytest.raises(Forbidden, match="run it as root on the manager host h1"):
            session.call("DELETE", "/v1/tokens/t1")
        runner.run(client.__aexit__(None, None, None))


@pytest.mark.skipif(os.geteuid() != 0, reason="drops root's rights")
def test_another_user_is_told_to_use_sudo(paths: Paths) -> None:
    be(paths, "manager")
    code = (
        "import os, sys\n"
        "from socketplane.cli.connect import Connection, target_of; from socketplane.config import Paths\n"
        "from socketplane.errors import Forbidden; from pathlib import Path\n"
        "os.setuid(65534)  # only now: the checkout may be where nobody else can read\n"
        "try: target_of(Connection(Paths(Path(sys.argv[1]))))\n"
        "except Forbidden as error: sys.exit('sudo' not in str(error))\n"
        "sys.exit('no error')"
    )
    import sys

    subprocess.run([sys.executable, "-c", code, str(paths.root)], check=True)


def test_only_the_files_of_this_host_are_read(paths: Paths) -> None:
    with pytest.raises(NotFound):
        target_of(Connection(paths))
