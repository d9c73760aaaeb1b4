"""Daemons run directly: real processes, started once, seen by what they answer, stopped by their own number."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from socketplane.cluster import daemons, probe
from socketplane.cluster.daemons import Control, Daemon, Database, Http
from socketplane.cluster.machine import Machine
from socketplane.cluster.record import Moved, Record
from socketplane.cluster.run import CommandFailed, run
from socketplane.cluster.supervisor import Direct
from socketplane.config import Paths
from socketplane.errors import InvalidInput

SERVER = """
import http.server, socketserver, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()
    def log_message(self, *words): pass
    def address_string(self): return ""
print("began", flush=True)
socketserver.UnixStreamServer(sys.argv[1], Handler).serve_forever()
"""


def machine_in(folder: Path) -> Machine:
    return Machine(Paths(folder), Direct())


def server(folder: Path, script: str = SERVER, patience: float = 10.0) -> Daemon:
    socket = folder / "s"
    (folder / "a-server").write_text(script)
    argv = (sys.executable, str(folder / "a-server"), str(socket))
    probing = Http(socket, "GET", "/")
    return Daemon(
        "a-server", "server", argv, folder / "run/pid", folder / "log/log", probing, (), patience=patience, startup=patience
    )


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    for file in tmp_path.rglob("*pid"):
        text = file.read_text().strip() if file.is_file() else ""
        if text.isdigit() and probe.runs(int(text), Path(sys.executable).name):
            os.kill(int(text), signal.SIGKILL)


def test_start_and_stop(folder: Path) -> None:
    machine, daemon = machine_in(folder), server(folder)
    assert not probe.answers(daemon)
    machine.start(daemon)
    pid = probe.pid_of(daemon)
    assert pid is not None
    assert probe.answers(daemon)
    assert machine.ours(daemon)
    assert os.getsid(pid) != os.getsid(0)
    assert machine.stop(daemon)
    assert not probe.runs(pid, Path(sys.executable).name)
    assert not probe.answers(daemon)
    assert not machine.ours(daemon)
    assert not machine.stop(daemon)


def test_what_someone_else_started_is_not_stopped(folder: Path) -> None:
    machine, daemon = machine_in(folder), server(folder)
    Direct().start(daemon)
    assert not machine.stop(daemon)
    assert probe.answers(daemon)
    Direct().stop(daemon)


def test_what_was_started_before_a_reboot_is_not_ours_now(folder: Path) -> None:
    machine, daemon = machine_in(folder), server(folder)
    machine.note(started={daemon.name: "another boot"})
    assert not machine.ours(daemon)


def test_one_that_ends_at_once_is_an_error_with_its_last_words(folder: Path) -> None:
    machine, daemon = machine_in(folder), server(folder, "import sys\nsys.exit('port taken')")
    with pytest.raises(CommandFailed, match="ended at once with code 1") as caught:
        machine.start(daemon)
    assert caught.value.lines == ("port taken",)
    assert not daemon.pidfile.exists()


def test_old_log_lines_are_not_taken_for_new(folder: Path) -> None:
    machine, daemon = machine_in(folder), server(folder, "import sys\nsys.exit('now')")
    daemon.log.parent.mkdir()
    daemon.log.write_text("long ago\n")
    with pytest.raises(CommandFailed) as caught:
        machine.start(daemon)
    assert caught.value.lines == ("now",)


def test_one_that_never_works_is_an_error(folder: Path) -> None:
    silent = "import time\nprint('waiting', flush=True)\ntime.sleep(60)"
    machine, daemon = machine_in(folder), server(folder, silent, patience=1.0)
    with pytest.raises(CommandFailed, match="does not work after 1 s") as caught:
        machine.start(daemon)
    assert caught.value.lines == ("waiting",)
    assert machine.stop(daemon)


def test_a_pidfile_that_names_another_program_is_no_daemon(folder: Path) -> None:
    daemon = server(folder)
    daemon.pidfile.parent.mkdir()
    with subprocess.Popen(["sleep", "60"]) as another:
        daemon.pidfile.write_text(f"{another.pid}\n")
        assert probe.pid_of(daemon) is None
        another.kill()
    daemon.pidfile.write_text("rubbish")
    assert probe.pid_of(daemon) is None


def test_one_that_ignores_a_polite_word_is_ended(folder: Path) -> None:
    deaf = "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + SERVER
    machine, daemon = machine_in(folder), server(folder, deaf, patience=1.0)
    machine.start(daemon)
    pid = probe.pid_of(daemon)
    machine.stop(daemon)
    assert pid is not None
    assert not probe.runs(pid, Path(sys.executable).name)


@pytest.mark.skipif(shutil.which("ovsdb-server") is None, reason="no Open vSwitch here")
def test_a_database_of_open_vswitchs_kind(folder: Path) -> None:
    schema = folder / "schema"
    schema.write_text('{"name": "Small", "version": "1.0.0", "tables": {}}')
    run(["ovsdb-tool", "create", str(folder / "db"), str(schema)])
    run_folder, log, socket = folder / "run", folder / "log/db.log", folder / "db.sock"
    pidfile = run_folder / "small.pid"
    control = folder / "small.ctl"
    arguments = (str(folder / "db"), f"--remote=punix:{socket}", f"--unixctl={control}")
    argv = daemons._ovs("ovsdb-server", *arguments, pidfile=pidfile, log=log)
    daemon = Daemon("small", "small", argv, pidfile, log, Database(socket, "Small"), (), control)
    machine = machine_in(folder)
    machine.start(daemon)
    assert probe.answers(daemon)
    assert not probe.answers(Daemon("small", "small", argv, pidfile, log, Database(socket, "Other"), (), control))
    assert probe.answers(Daemon("small", "small", argv, pidfile, log, Control(), (), control))
    pid = probe.pid_of(daemon)
    assert machine.stop(daemon)
    assert pid is not None
    assert not probe.runs(pid, "ovsdb-server")
    assert probe.control_socket(daemon) is None


def test_a_program_that_is_missing_or_slow_is_a_clear_error() -> None:
    with pytest.raises(CommandFailed, match="there is no program no-such-program"):
        run(["no-such-program"])
    with pytest.raises(CommandFailed, match=r"sleep did not end within 0.1 s"):
        run(["sleep", "5"], timeout=0.1)
    with pytest.raises(CommandFailed, match="error: third"):
        run(["sh", "-c", "echo first >&2; echo error: third >&2; echo ^ >&2; exit 3"])


def test_the_record_is_read_as_written(tmp_path: Path) -> None:
    moved = Moved("eth1", "02:00:00:00:00:01", 1500, ("10.0.0.1/24",), (("-4", "default", "via", "10.0.0.254"),))
    record = Record({"x": "boot"}, {"ovn-remote": None, "y": "z"}, moved, ("c1",), False, ("/etc/file",))
    record.save(tmp_path / "state/machine.json")
    assert Record.load(tmp_path / "state/machine.json") == record
    assert Record.load(tmp_path / "absent") == Record()
    (tmp_path / "broken").write_text("{")
    with pytest.raises(InvalidInput):
        Record.load(tmp_path / "broken")
