"""host.json: what is read is what was written, and nothing else is taken for it."""

from __future__ import annotations

import json
from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from socketplane.errors import InvalidInput, NotFound
from socketplane.files import write_atomic
from socketplane.identity import HostIdentity

IDENTITY = HostIdentity(
    name="h1",
    system_id="0f3c",
    role="manager",
    address=IPv4Address("10.0.0.1"),
    controllers=("10.0.0.1:6675",),
    southbound=("ssl:10.0.0.1:6642",),
    gateway=IPv4Address("169.254.192.2"),
)


@pytest.mark.parametrize("identity", [IDENTITY, replace(IDENTITY, role="member", uplink="eth1", prefix=24)])
def test_round_trip(tmp_path: Path, identity: HostIdentity) -> None:
    path = tmp_path / "state" / "host.json"
    identity.save(path)
    assert HostIdentity.load(path) == identity
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_absent_says_how_to_begin(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="socketplane up"):
        HostIdentity.load(tmp_path / "host.json")


@pytest.mark.parametrize(
    "change", [{"format": 2}, {"role": "boss"}, {"address": "10.0.0"}, {"pool": "10.0.0.1/8"}, {"name": None}]
)
def test_what_can_not_be_right_is_refused(tmp_path: Path, change: dict[str, object]) -> None:
    path = tmp_path / "host.json"
    IDENTITY.save(path)
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(InvalidInput, match=r"host\.json"):
        HostIdentity.load(path)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}"])
def test_rubbish_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "host.json"
    path.write_text(text)
    with pytest.raises(InvalidInput):
        HostIdentity.load(path)


def test_a_failed_write_leaves_the_old_file_and_no_rubbish(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    write_atomic(path, "old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_atomic(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
