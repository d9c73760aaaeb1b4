"""The virtual machine's outside: what goes in and comes out, errors, and that nothing stays. A script plays QEMU."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
import tarfile
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest
from vm import disks, image, programs, qemu
from vm.image import Image

from socketplane.errors import SocketPlaneError, Unavailable

CHECKOUT = Path(__file__).resolve().parents[2]
QEMU = """\
#!{python}
import pathlib, sys, tarfile, io, time
if "-S" in sys.argv:
    sys.exit(1)
files = [word.split(",")[0].removeprefix("file=") for word in sys.argv if word.startswith("file=")]
boots = pathlib.Path(__file__).with_name("boots")
boots.write_text(boots.read_text() + "x" if boots.exists() else "x")
def done(code):
    with tarfile.open(files[2], "w") as tar:
        info = tarfile.TarInfo("code")
        info.size = len(code)
        tar.addfile(info, io.BytesIO(code.encode()))
"""
Play = Callable[[str], Path]


@pytest.fixture
def play(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Play:
    """Return what puts a QEMU of ours on the PATH that does as it is told, and returns the folder it is in."""
    folder = tmp_path / "programs"
    folder.mkdir()

    def begin(script: str) -> Path:
        for name, text in {
            "qemu-system-x86_64": QEMU.format(python=sys.executable) + textwrap.dedent(script),
            "qemu-img": "#!/bin/sh\n",
        }.items():
            (folder / name).write_text(text)
            (folder / name).chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
        (tmp_path / "tmp").mkdir(exist_ok=True)
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
        monkeypatch.setattr(qemu, "_available", lambda: 8192)
        return folder

    return begin


def job(tmp_path: Path, timeout: float = 20.0) -> int:
    return qemu.run(Image(tmp_path), "#!/bin/sh\n", tmp_path / "results", timeout=timeout)


def test_the_jobs_exit_code_is_ours_and_nothing_stays(play: Play, tmp_path: Path) -> None:
    play("done('3')")
    assert job(tmp_path) == 3
    assert list((tmp_path / "tmp").iterdir()) == []


def test_a_job_that_asks_for_it_is_run_again_after_a_reboot(play: Play, tmp_path: Path) -> None:
    folder = play("done('75' if len(boots.read_text()) < 3 else '0')")
    assert job(tmp_path) == 0
    assert (folder / "boots").read_text() == "xxx"


def test_reboots_have_an_end(play: Play, tmp_path: Path) -> None:
    play("done('75')")
    with pytest.raises(qemu.JobLost, match="more than 4 reboots"):
        job(tmp_path)


@pytest.mark.parametrize(
    ("script", "what"),
    [
        ("", "ended without a result"),
        ("sys.exit('no such device')", "ended with code 1"),
        (
            "[pathlib.Path(w.split('path=')[1].split(',')[0]).write_text('panic!') for w in sys.argv if 'path=' in w]",
            "panic!",
        ),
        ("done('no number')", "ended without a result"),
    ],
)
def test_a_machine_that_ends_before_its_job_is_an_error(play: Play, tmp_path: Path, script: str, what: str) -> None:
    play(script)
    with pytest.raises(qemu.JobLost, match=what):
        job(tmp_path)
    assert list((tmp_path / "tmp").iterdir()) == []


def test_a_machine_that_takes_too_long_is_ended(play: Play, tmp_path: Path) -> None:
    folder = play("pathlib.Path(__file__).with_name('pid').write_text(str(__import__('os').getpid())); time.sleep(60)")
    with pytest.raises(qemu.JobLost, match="not done in time"):
        job(tmp_path, timeout=2.0)
    assert not Path("/proc", (folder / "pid").read_text()).exists()
    assert list((tmp_path / "tmp").iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupt_leaves_nothing(play: Play, tmp_path: Path, number: signal.Signals) -> None:
    folder = play("print(__import__('os').getpid(), flush=True); time.sleep(60)")
    caller = textwrap.dedent(f"""
        import sys
        from pathlib import Path
        from vm import __main__ as program, qemu
        from vm.image import Image
        program.image = lambda suite: Image(Path({str(tmp_path)!r}))
        qemu._available = lambda: 8192
        sys.argv = ["vm", "--results", {str(tmp_path / "results")!r}, "run", "true"]
        sys.exit(program.main())
    """)
    environment = {**os.environ, "TMPDIR": str(tmp_path / "tmp"), "PYTHONPATH": str(CHECKOUT)}
    argv = [sys.executable, "-c", caller]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        pid = process.stdout.readline().strip()
        process.send_signal(number)
        _, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "interrupted" in err
    assert not Path("/proc", pid).exists()
    assert list((tmp_path / "tmp").iterdir()) == []
    assert folder.exists()


def test_what_is_missing_is_named(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = play("")
    monkeypatch.setattr(programs, "path", lambda: str(folder))
    (folder / "qemu-img").unlink()
    with pytest.raises(Unavailable, match=r"not installed: qemu-img, setpriv; .*qemu-utils"):
        qemu.check()


def test_without_memory_nothing_is_tried(play: Play, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = play("done('0')")
    monkeypatch.setattr(qemu, "_available", lambda: qemu.MEMORY)
    with pytest.raises(Unavailable, match=f"{qemu.MEMORY} are available"):
        job(tmp_path)
    assert not (folder / "boots").exists()


def test_the_checkout_goes_in_as_it_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkout = tmp_path / "checkout"
    checkout.mkdir()
    monkeypatch.setattr(disks, "CHECKOUT", checkout)

    def git(*arguments: str) -> None:
        subprocess.run(["git", "-C", str(checkout), *arguments], check=True, stdout=subprocess.DEVNULL)

    git("init", "-q")
    (checkout / "src").mkdir()
    for name in ("kept", "changed", "gone", ".gitignore"):
        (checkout / name).write_text("ignored\n__pycache__\n")
    (checkout / "src/code.py").write_text("x = 1\n")
    git("add", "-A")
    (checkout / "changed").write_text("now")
    (checkout / "gone").unlink()
    (checkout / "new").write_text("")
    (checkout / "ignored").write_text("")
    disks.pack(tmp_path / "disk", "#!/bin/sh\nexit 4\n")
    with tarfile.open(tmp_path / "disk") as tar:
        names = {Path("/", name).relative_to("/") for name in tar.getnames()}
        changed = tar.extractfile("opt/socketplane/changed")
        assert changed is not None
        assert changed.read() == b"now"
        assert tar.getmember("srv/job/run").mode & 0o111
        assert {info.uid for info in tar.getmembers()} == {0}
    place = Path("opt/socketplane")
    compiled = Path(importlib.util.cache_from_source(place / "src/code.py"))
    plain = {place / name for name in ("kept", "changed", "new", ".gitignore", "src/code.py")}
    assert names == {*plain, compiled, Path("srv/job/run")}


def test_what_goes_into_the_image_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image, "packages", lambda suite: ["one"])
    before = image.ingredients("bookworm")
    assert image.ingredients("bookworm") == before
    assert image.ingredients("trixie") != before
    monkeypatch.setattr(image, "packages", lambda suite: ["one", "two"])
    assert image.ingredients("bookworm") != before
    monkeypatch.setattr(image, "packages", lambda suite: ["one"])
    guest = tmp_path / "guest"
    guest.mkdir()
    monkeypatch.setattr(image, "GUEST", guest)
    assert image.ingredients("bookworm") != before


def test_the_machine_has_the_packages_of_a_host() -> None:
    named = image.packages("trixie")
    assert {"openvswitch-switch", "ovn-host", "docker.io", "docker-cli", "linux-image-cloud-amd64"} <= set(named)
    assert "docker-cli" not in image.packages("bookworm")


def test_a_failing_program_is_told_with_its_last_lines() -> None:
    with pytest.raises(SocketPlaneError, match=r"sh ended with code 3: one\ntwo"):
        programs.run("sh", "-c", "echo one; echo two >&2; exit 3")
