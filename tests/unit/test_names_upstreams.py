"""Which servers the host asks, and which Docker hands to containers."""

from __future__ import annotations

from ipaddress import IPv4Address
from pathlib import Path

import pytest

from socketplane.agent.names.upstreams import Servers, read

ONE, TWO, THREE, STUB = (IPv4Address(text) for text in ("192.0.2.1", "192.0.2.2", "192.0.2.3", "127.0.0.53"))
HOME = IPv4Address("127.0.0.1")
DOCKERS = (IPv4Address("8.8.8.8"), IPv4Address("8.8.4.4"))


@pytest.mark.parametrize(
    ("resolv", "behind", "daemon", "expected"),
    [
        ("nameserver 192.0.2.1\nnameserver 192.0.2.2\n", "", "", Servers((ONE, TWO), (ONE, TWO))),
        (
            "# nameserver 192.0.2.9\nsearch x\nnameserver 192.0.2.1 # a\nnameserver fe80::1\nnameserver\n",
            "",
            "",
            Servers((ONE,), (ONE,)),
        ),
        ("nameserver 127.0.0.53\n", "nameserver 192.0.2.3\n", "", Servers((STUB,), (THREE,))),
        ("nameserver 127.0.0.53\n", "", "", Servers((STUB,), (STUB,))),
        ("nameserver 192.0.2.1\n", "", '{"dns": ["192.0.2.2", "x"]}', Servers((TWO,), (TWO,), of_docker=True)),
        (
            "nameserver 192.0.2.1\n",
            "",
            '{"dns": ["192.0.2.3", "192.0.2.2"]}',
            Servers((TWO,), (THREE, TWO), of_docker=True),
        ),
        ("nameserver 192.0.2.1\n", "", '{"dns": ["192.0.2.3"]}', Servers((ONE,), (THREE,), of_docker=True)),
        ("nameserver 192.0.2.1\n", "", '{"dns": ["127.0.0.1"]}', Servers((ONE,), (HOME,), of_docker=True)),
        ("nameserver 192.0.2.3\nnameserver 192.0.2.1\n", "", "{}", Servers((ONE,), (THREE, ONE))),
        ("", "", "", Servers(DOCKERS, DOCKERS)),
    ],
)
def test_servers(tmp_path: Path, resolv: str, behind: str, daemon: str, expected: Servers) -> None:
    for name, text in (
        ("etc/resolv.conf", resolv),
        ("run/systemd/resolve/resolv.conf", behind),
        ("etc/docker/daemon.json", daemon),
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        if text:
            (tmp_path / name).write_text(text)
    assert read(tmp_path, (THREE,)) == expected
    assert read(tmp_path, ()).loopback_only is (expected.handed in ((STUB,), (HOME,)))


@pytest.mark.parametrize("text", ["{", "[]", '{"dns": 5}', "\x00"])
def test_settings_of_docker_that_cannot_be_understood(tmp_path: Path, text: str) -> None:
    (tmp_path / "etc/docker").mkdir(parents=True)
    (tmp_path / "etc/docker/daemon.json").write_text(text)
    (tmp_path / "etc/resolv.conf").write_text("nameserver 192.0.2.1\n")
    found = read(tmp_path, ())
    assert "daemon.json can't be understood" in found.complaint
    assert found.handed == (ONE,)
