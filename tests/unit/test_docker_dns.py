"""Docker's setting `dns`: changed once, kept apart from all else that stands there, and taken back."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from socketplane.cluster import dockerdns
from socketplane.config import Paths
from socketplane.errors import Conflict, InvalidInput

RESOLVER = "169.254.53.53"


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    paths = Paths(tmp_path)
    (tmp_path / "etc/docker").mkdir(parents=True)
    (tmp_path / "run").mkdir()
    return paths


def told(paths: Paths) -> object:
    return json.loads(dockerdns.file(paths).read_text())


@pytest.mark.parametrize("before", [None, "", "{}", '{"live-restore": true, "dns": ["192.0.2.1"], "z": {"a": 1}}'])
def test_it_is_changed_once_and_taken_back(paths: Paths, before: str | None) -> None:
    file = dockerdns.file(paths)
    if before is not None:
        file.write_text(before)
        file.chmod(0o640)
    was = json.loads(before or "{}")
    done = dockerdns.enable(paths)
    assert (done.before, done.now, done.live_restore) == (was.get("dns"), [RESOLVER, *was.get("dns", [])], "z" in was)
    assert told(paths) == {**was, "dns": done.now}
    assert dockerdns.ours(paths)
    text = file.read_bytes()
    assert not dockerdns.enable(paths).changed
    assert file.read_bytes() == text
    assert file.stat().st_mode & 0o777 == (0o644 if before is None else 0o640)
    assert dockerdns.disable(paths).now == was.get("dns")
    assert file.exists() is (before is not None)
    assert before is None or told(paths) == was
    assert not dockerdns.ours(paths)
    assert not dockerdns.disable(paths).changed


def test_what_somebody_else_wrote_meanwhile_stays(paths: Paths) -> None:
    dockerdns.enable(paths)
    dockerdns.file(paths).write_text(json.dumps({"dns": ["192.0.2.5", RESOLVER], "debug": True}))
    dockerdns.disable(paths)
    assert told(paths) == {"dns": ["192.0.2.5"], "debug": True}
    dockerdns.enable(paths)
    dockerdns.file(paths).write_text('{"dns": ["192.0.2.6"]}')
    assert not dockerdns.disable(paths).changed
    assert told(paths) == {"dns": ["192.0.2.6"]}


def test_what_stood_there_by_hand_is_not_ours(paths: Paths) -> None:
    dockerdns.file(paths).write_text(json.dumps({"dns": [RESOLVER]}))
    assert not dockerdns.enable(paths).changed
    assert not dockerdns.ours(paths), "`down` leaves it alone"
    assert dockerdns.disable(paths).now is None
    assert told(paths) == {}


@pytest.mark.parametrize("text", ["{", "[]", "null", '{"dns": "192.0.2.1"}', '{"dns": [1]}', '{"dns": [],}', "\xff\xfe"])
def test_what_can_not_be_understood_is_an_error_and_untouched(paths: Paths, text: str) -> None:
    file = dockerdns.file(paths)
    file.write_text(text, encoding="latin-1")
    before = file.read_bytes()
    for change in (dockerdns.enable, dockerdns.disable):
        with pytest.raises(InvalidInput, match=r"daemon\.json can't be understood") as caught:
            change(paths)
        assert caught.value.field == str(file)
    assert file.read_bytes() == before
    assert not dockerdns.ours(paths)


def test_down_takes_it_back_or_says_why_not(paths: Paths) -> None:
    dockerdns.enable(paths)
    assert "as before" in str(dockerdns.forget(paths))
    assert not dockerdns.file(paths).exists()
    dockerdns.enable(paths)
    dockerdns.file(paths).write_text("{")
    assert RESOLVER in str(dockerdns.forget(paths))
    assert not dockerdns.ours(paths), "which is said once"


def test_a_crash_in_between_leaves_what_can_be_done_again(paths: Paths) -> None:
    dockerdns.enable(paths)
    dockerdns.file(paths).write_text('{"dns": ["192.0.2.1"]}')  # as before: only our note was written
    assert not dockerdns.disable(paths).changed
    dockerdns.enable(paths)
    record = paths.state / "docker-dns.json"
    record.write_text("{")  # nobody's crash writes half a file, but then
    assert dockerdns.disable(paths).now == ["192.0.2.1"]


@pytest.mark.parametrize("flag", [["--dns", "192.0.2.1"], ["--dns=192.0.2.1"]])
def test_a_flag_of_dockerd_is_in_the_way(paths: Paths, flag: list[str]) -> None:
    script = "import sys; print(flush=True); sys.stdin.read()"
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", script, *flag], stdin=pipe, stdout=pipe) as dockerd:
        assert dockerd.stdout is not None
        dockerd.stdout.readline()
        (paths.root / "run/docker.pid").write_text(f"{dockerd.pid}\n")
        with pytest.raises(Conflict, match="--dns"):
            dockerdns.enable(paths)
        dockerd.kill()
    assert not dockerdns.file(paths).exists()
    (paths.root / "run/docker.pid").write_text(str(os.getpid()))
    assert dockerdns.enable(paths).changed


def test_a_link_leads_to_the_file_that_is_changed(paths: Paths) -> None:
    real = paths.root / "real.json"
    real.write_text("{}")
    dockerdns.file(paths).symlink_to(real)
    dockerdns.enable(paths)
    assert dockerdns.file(paths).is_symlink()
    assert json.loads(real.read_text()) == {"dns": [RESOLVER]}
