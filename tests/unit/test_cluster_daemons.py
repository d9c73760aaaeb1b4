"""The daemons as data: what their command lines must and must not say."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from socketplane.cluster import daemons, unitfiles
from socketplane.cluster.daemons import Daemon
from socketplane.cluster.run import environment
from socketplane.config import Paths
from socketplane.model.forwarding import KERNEL, USERSPACE

PATHS = Paths()
ALL = [
    daemons.ovs_database(PATHS),
    daemons.ovs_switch(PATHS, KERNEL),
    daemons.ovs_switch(PATHS, USERSPACE),
    daemons.northbound(PATHS),
    daemons.southbound(PATHS),
    daemons.northd(PATHS),
    daemons.ovn_controller(PATHS),
    daemons.intent(PATHS),
    daemons.controller(PATHS),
    daemons.plugin(PATHS),
    daemons.resolver(PATHS),
    daemons.agent(PATHS),
    daemons.bgp(PATHS),
    daemons.docker(PATHS),
]
UNITS = Path(unitfiles.__file__).parent / "units"


@pytest.mark.parametrize("daemon", ALL, ids=lambda daemon: daemon.name)
def test_forking_daemons_detach_and_write_their_pidfile_and_log(daemon: Daemon) -> None:
    flags = {"--detach", "--monitor", f"--pidfile={daemon.pidfile}", f"--log-file={daemon.log}"}
    assert daemon.forks == flags.issubset(daemon.argv)
    assert daemon.forks or not flags & set(daemon.argv) - {f"--pidfile={daemon.pidfile}"}


@pytest.mark.parametrize("daemon", ALL, ids=lambda daemon: daemon.name)
def test_files_are_where_the_distributions_tools_look(daemon: Daemon) -> None:
    ours = daemon.name.startswith("socketplane-")
    assert daemon.pidfile.is_relative_to("/run/socketplane") == ours
    assert daemon.pidfile.is_relative_to("/run")
    assert daemon.log.is_relative_to("/var/log")


def test_names_are_unique() -> None:
    names = [daemon.name for daemon in ALL if "--disable-system" not in daemon.argv]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("daemon", [daemons.northbound(PATHS), daemons.intent(PATHS)], ids=lambda daemon: daemon.name)
def test_these_databases_are_on_unix_sockets_only(daemon: Daemon) -> None:
    remotes = [word for word in daemon.argv if word.startswith("--remote=") and not word.startswith("--remote=db:")]
    assert [word.split(":")[0] for word in remotes] == ["--remote=punix"]


def test_the_kernel_is_left_alone_without_its_module() -> None:
    assert "--disable-system" in daemons.ovs_switch(PATHS, USERSPACE).argv
    assert "--disable-system" not in daemons.ovs_switch(PATHS, KERNEL).argv


def test_ovn_controller_shows_the_hosts_certificate() -> None:
    argv = daemons.ovn_controller(PATHS).argv
    assert "--private-key=/var/lib/socketplane/pki/host.key" in argv
    assert "--ca-cert=/var/lib/socketplane/pki/ca.crt" in argv


def test_our_units_are_there() -> None:
    wanted = {unit for daemon in ALL for unit in daemon.units if unit.startswith("socketplane-")}
    assert {file.name for file in UNITS.iterdir()} == wanted


def test_the_intent_unit_serves_what_the_direct_daemon_serves() -> None:
    text = (UNITS / "socketplane-intent.service").read_text()
    start = next(line for line in text.splitlines() if line.startswith("ExecStart="))
    daemon = daemons.intent(PATHS)
    for word in (
        daemon.argv[1],
        *(word for word in daemon.argv if word.startswith(("--remote", "--unixctl", "--pidfile"))),
    ):
        assert word in start.split()


def test_the_bgp_unit_starts_what_the_direct_daemon_starts() -> None:
    text = (UNITS / "socketplane-bgp.service").read_text().replace("\\\n", "")
    start = next(line for line in text.splitlines() if line.startswith("ExecStart="))
    assert start.removeprefix("ExecStart=").split() == list(daemons.bgp(PATHS).argv)


def test_dockers_requests_wait_in_a_socket_that_outlives_the_agent() -> None:
    text = (UNITS / "socketplane-plugin.socket").read_text()
    assert f"ListenStream={PATHS.plugin_socket}" in text
    assert "Before=docker.service" in text


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd here")
def test_systemd_understands_our_units(tmp_path: Path) -> None:
    program = tmp_path / "bin"
    program.mkdir()
    for name in ("socketplane-agent", "socketplane-controller", "socketplane-plugin", "socketplane-resolver", "bgpd"):
        (program / name).write_text("#!/bin/sh\n")
        (program / name).chmod(0o755)
    for file in UNITS.iterdir():
        text = file.read_text().replace("@BIN@", str(program)).replace("ExecStart=/usr/lib/frr", f"ExecStart={program}")
        (tmp_path / file.name).write_text(text)
    units = [str(tmp_path / file.name) for file in UNITS.iterdir()]
    done = subprocess.run(["systemd-analyze", "--man=no", "verify", *units], capture_output=True, text=True)
    assert (done.returncode, [line for line in done.stderr.splitlines() if "socketplane" in line]) == (0, [])


def test_debians_ovn_controller_gets_our_certificate_and_keeps_the_operators_options() -> None:
    text = unitfiles.files(PATHS, KERNEL)[Path("/etc/systemd/system") / unitfiles.OVN_DROP_IN]
    assert "\nExecStart=\nExecStart=/usr/share/ovn/scripts/ovn-ctl start_controller" in text
    for option, file in (("key", "host.key"), ("cert", "host.crt"), ("ca-cert", "ca.crt")):
        assert f" --ovn-controller-ssl-{option}=/var/lib/socketplane/pki/{file} " in text
    assert text.endswith(" $OVN_CTL_OPTS\n")


def test_daemons_get_no_secrets_from_our_environment() -> None:
    given = {"SOCKETPLANE_TOKEN": "sp1.x", "TOKEN": "x", "AWS_SECRET": "x", "PATH": "/bin", "https_proxy": "http://p"}
    assert environment(given) == {"PATH": "/bin", "https_proxy": "http://p"}
    assert "/usr/sbin" in environment({})["PATH"]


def test_without_the_kernels_module_debians_switch_is_started_past_its_script() -> None:
    name = Path("/etc/systemd/system") / unitfiles.OVS_DROP_IN
    assert name not in unitfiles.files(PATHS, KERNEL)
    text = unitfiles.files(PATHS, USERSPACE)[name]
    assert "\nExecStart=\nExecStart=/usr/sbin/ovs-vswitchd unix:/run/openvswitch/db.sock" in text
    assert " --disable-system " in text
    assert "--monitor" not in text
