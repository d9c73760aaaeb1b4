"""The intent database: its file, its schema, its server."""

from __future__ import annotations

from pathlib import Path

from socketplane.cluster import daemons, probe
from socketplane.cluster.machine import Machine
from socketplane.cluster.openvswitch import prepare_file
from socketplane.cluster.run import run
from socketplane.files import private_directory

SCHEMA = Path(__file__).resolve().parents[1] / "controller" / "socketplane.ovsschema"
DATABASE = "SocketPlane"


def stands(machine: Machine) -> bool:
    """Return whether the database is served, with the schema of this release."""
    daemon = daemons.intent(machine.paths)
    return probe.answers(daemon) and not _old(machine)


def start(machine: Machine) -> str | None:
    """Serve the database; one with an older schema is converted, in a running server too."""
    daemon = daemons.intent(machine.paths)
    if probe.answers(daemon):
        run(["ovsdb-client", "--timeout=60", "convert", _remote(machine), str(SCHEMA)], timeout=70)
        return "schema converted"
    private_directory(machine.paths.intent_db.parent)
    if probe.pid_of(daemon) is None:
        prepare_file(machine.paths.intent_db, SCHEMA)
        machine.paths.intent_db.chmod(0o600)
    machine.start(daemon)
    return None


def _old(machine: Machine) -> bool:
    answer = run(["ovsdb-client", "--timeout=10", "needs-conversion", _remote(machine), str(SCHEMA)])
    return answer.out.strip() == "yes"


def _remote(machine: Machine) -> str:
    return f"unix:{machine.paths.intent_socket}"
