"""Other releases' programs: made once, whole or not at all, and run with their own /usr."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest
from releases import debian, programs
from releases.cache import cached

from socketplane.errors import NotFound
from socketplane.lab.layout import PROGRAMS

BUSYBOX = shutil.which("busybox")


def write(folder: Path) -> None:
    (folder / "made").write_text("whole")


def test_a_folder_is_made_once_for_the_same_ingredients(tmp_path: Path) -> None:
    made = cached("kind", "name", b"1", write, tmp_path)
    assert (made / "made").read_text() == "whole"

    def never(folder: Path) -> None:
        raise AssertionError

    assert cached("kind", "name", b"1", never, tmp_path) == made
    assert cached("kind", "name", b"2", write, tmp_path) != made


def test_what_was_interrupted_is_made_anew_and_leaves_nothing(tmp_path: Path) -> None:
    def interrupted(folder: Path) -> None:
        (folder / "half").write_text("")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cached("kind", "name", b"1", interrupted, tmp_path)
    made = cached("kind", "name", b"1", write, tmp_path)
    assert [file.name for file in made.iterdir()] == ["made"]
    assert [entry.name for entry in (tmp_path / "kind").iterdir() if entry.is_dir()] == [made.name]


def test_what_nobody_used_for_long_goes(tmp_path: Path) -> None:
    old, used = (cached("kind", "name", each, write, tmp_path) for each in (b"old", b"used"))
    os.utime(old, (0, time.time() - 30 * 86400))
    new = cached("kind", "name", b"new", write, tmp_path)
    assert {entry for entry in (tmp_path / "kind").iterdir() if entry.is_dir()} == {used, new}


def test_a_release_that_is_not_supported_is_refused() -> None:
    with pytest.raises(NotFound, match="no release 'sid'"):
        programs.programs("sid")


def test_this_machine_s_own_release_needs_no_other_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(debian, "own_suite", lambda: "bookworm")
    assert programs.environment("bookworm", {"PATH": "/bin", PROGRAMS: "/elsewhere"}) == {"PATH": "/bin"}


@pytest.mark.skipif(os.geteuid() != 0 or BUSYBOX is None, reason="makes mount namespaces, and needs busybox")
def test_a_program_sees_its_release_s_usr_and_everything_else_of_the_caller(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def debootstrap(suite: str, packages: tuple[str, ...], target: Path) -> None:
        (target / "usr/bin").mkdir(parents=True)
        shutil.copy(str(BUSYBOX), target / "usr/bin/busybox")
        (target / "usr/bin/script").write_text("#!/usr/bin/python3\n")
        (target / "usr/mine").write_text(suite)
        info = target / "var/lib/dpkg/info"
        info.mkdir(parents=True)
        for package in ("openvswitch-common", "openvswitch-switch", "ovn-common", "ovn-central", "ovn-host"):
            (info / f"{package}.list").write_text("/.\n/usr/bin\n/usr/bin/busybox\n/usr/bin/script\n/usr/mine\n")

    monkeypatch.setattr(debian, "debootstrap", debootstrap)
    programs.make("trixie", tmp_path)
    assert sorted(file.name for file in tmp_path.iterdir()) == [programs._ROOT, "busybox"]
    (tmp_path / "caller's file").write_text("seen")
    told = subprocess.check_output(
        ["busybox", "cat", "/usr/mine", tmp_path / "caller's file"], env={"PATH": f"{tmp_path}:/bin"}
    )
    assert told == b"trixieseen"
    assert not Path("/usr/mine").exists()
