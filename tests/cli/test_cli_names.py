"""`names enable` and `disable`: Docker's own settings on this host."""

from __future__ import annotations

import json
from ipaddress import IPv4Address

from cli_support import Cli

from socketplane.identity import HostIdentity


def _join(cli: Cli) -> None:
    gateway = IPv4Address("169.254.192.2")
    HostIdentity("h1", "0f3c", "member", IPv4Address("10.0.0.1"), (), (), gateway).save(cli.paths.host_file)


def test_dockers_setting_is_changed_and_taken_back_and_it_is_said(cli: Cli) -> None:
    _join(cli)
    file = cli.paths.root / "etc/docker/daemon.json"
    done = cli("names", "enable")
    assert done.stdout == f"{file}: dns is 169.254.53.53\n"
    assert "It was not set." in done.stderr
    assert "stops this host's containers" in done.stderr
    assert json.loads(file.read_text()) == {"dns": ["169.254.53.53"]}
    assert "Nothing was to be done." in cli("names", "enable").stderr
    file.write_text('{"dns": ["169.254.53.53"], "live-restore": true}')
    done = cli("names", "disable")
    assert done.stdout == f"{file}: dns is not set\n"
    assert "containers go on" in done.stderr


def test_errors_change_nothing(cli: Cli) -> None:
    assert "socketplane up" in cli("names", "enable", code=1).stderr
    _join(cli)
    file = cli.paths.root / "etc/docker/daemon.json"
    file.parent.mkdir(parents=True)
    file.write_text("{")
    for command in ("enable", "disable"):
        assert "can't be understood" in cli("names", command, code=1).stderr
    assert file.read_text() == "{"
