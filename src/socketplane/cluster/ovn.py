"""OVN's databases on a manager: their files, and who may connect to the southbound."""

from __future__ import annotations

import json
import socket
import ssl
from typing import Any

from socketplane.cluster import daemons, network, probe
from socketplane.cluster.daemons import Daemon
from socketplane.cluster.machine import Machine
from socketplane.cluster.openvswitch import prepare_file
from socketplane.cluster.run import run
from socketplane.config import SOUTHBOUND_PORT, Paths
from socketplane.errors import Unavailable
from socketplane.pki import CA_CERT, SERVER_CERT, SERVER_KEY
from socketplane.transport.tls import client_context

LISTENER = f"pssl:{SOUTHBOUND_PORT}"
ROLE = "ovn-controller"
"""Role of OVN's access control: a host may change what is its own, as far as the tables tell."""
PROBE_INTERVAL = 60_000
_SCHEMA = "usr/share/ovn/ovn-{}.ovsschema"


def start_database(machine: Machine, daemon: Daemon) -> None:
    """Start the northbound or southbound database, with its file where it has none."""
    short = daemon.name.removeprefix("ovn-")
    files = {name: daemons.ovn_database_file(machine.paths, name) for name in ("nb", "sb")}
    missing = {str(file) for file in files.values() if not file.exists()}  # Debian's ovn-central makes both at once
    if missing:
        machine.note(files=tuple({*machine.record.files, *missing}))
    if not machine.systemd and probe.pid_of(daemon) is None:
        prepare_file(files[short], machine.paths.root / _SCHEMA.format(short))
    machine.start(daemon)
    database_socket = machine.paths.northbound_socket if short == "nb" else machine.paths.southbound_socket
    run([f"ovn-{short}ctl", "--timeout=10", f"--db=unix:{database_socket}", "--no-leader-only", "init"])


def listens(machine: Machine) -> bool:
    """Return whether the southbound takes hosts with a certificate, in the role of a host."""
    return configured(machine.paths) and _handshake(machine)


def listen(machine: Machine) -> str:
    """Let hosts connect to the southbound with their certificates."""
    paths = machine.paths
    pki = paths.pki
    if not _connection(paths):
        network.require_free_port(SOUTHBOUND_PORT, "the southbound database")
    stale = [row["_uuid"] for row in _rows(paths, "Connection") if row["target"].startswith(LISTENER)]
    commands: list[str] = []
    for uuid in stale:
        commands += ["--", "remove", "SB_Global", ".", "connections", uuid]
    connection = [f'target="{LISTENER}"', f"role={ROLE}", f"inactivity_probe={PROBE_INTERVAL}"]
    commands += ["--", "--id=@host", "create", "Connection", *connection]
    commands += ["--", "add", "SB_Global", ".", "connections", "@host"]
    _sbctl(paths, "init", *commands)
    _sbctl(paths, "set-ssl", *(str(pki / file) for file in (SERVER_KEY, SERVER_CERT, CA_CERT)))
    if not probe.wait_until(lambda: _handshake(machine), 10):
        raise Unavailable(f"the southbound database does not answer on port {SOUTHBOUND_PORT}")
    return f"port {SOUTHBOUND_PORT}"


def close(machine: Machine) -> None:
    """Take back what `listen` did."""
    paths = machine.paths
    for row in _rows(paths, "Connection"):
        if row["target"] == LISTENER and row["role"] == ROLE:
            _sbctl(paths, "remove", "SB_Global", ".", "connections", row["_uuid"])
    if _ssl_files(paths) == _wanted_files(paths):
        _sbctl(paths, "del-ssl")


def configured(paths: Paths) -> bool:
    """Return whether the southbound database's own settings are ours."""
    return _connection(paths) and _ssl_files(paths) == _wanted_files(paths)


def _connection(paths: Paths) -> bool:
    rows = [row for row in _rows(paths, "Connection") if row["target"].startswith(LISTENER)]
    return [(row["target"], row["role"]) for row in rows] == [(LISTENER, ROLE)]


def _ssl_files(paths: Paths) -> list[str]:
    rows = _rows(paths, "SSL")
    return [str(rows[0][column]) for column in ("private_key", "certificate", "ca_cert")] if rows else []


def _wanted_files(paths: Paths) -> list[str]:
    return [str(paths.pki / file) for file in (SERVER_KEY, SERVER_CERT, CA_CERT)]


def _handshake(machine: Machine) -> bool:
    """Return whether our own server answers, and not another that took the port."""
    address = str(machine.identity.address)
    context = client_context(machine.paths.pki)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        with (
            socket.create_connection((address, SOUTHBOUND_PORT), timeout=3) as plain,
            context.wrap_socket(plain, server_hostname=address),
        ):
            return True
    except OSError:
        return False


def _sbctl(paths: Paths, *arguments: str) -> str:
    flags = ["--timeout=10", f"--db=unix:{paths.southbound_socket}", "--no-leader-only"]
    return run(["ovn-sbctl", *flags, *arguments]).out


def _rows(paths: Paths, table: str) -> list[dict[str, Any]]:
    answer = json.loads(_sbctl(paths, "--format=json", "list", table))
    rows = [dict(zip(answer["headings"], row, strict=True)) for row in answer["data"]]
    return [{column: _plain(value) for column, value in row.items()} for row in rows]


def _plain(value: Any) -> Any:
    return value[1] if isinstance(value, list) and value[:1] == ["uuid"] else value
