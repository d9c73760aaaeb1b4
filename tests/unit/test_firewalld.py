"""firewalld that is not there, and what is there and isn't it: the gateway goes on, and says what a person has to do."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from socketplane.agent.firewalld import Firewalld


@pytest.fixture
def firewalld(tmp_path: Path) -> Firewalld:
    return Firewalld(tmp_path / "bus", tmp_path / "state/firewalld.json")


def test_where_there_is_none_nothing_happens(firewalld: Firewalld, tmp_path: Path) -> None:
    asyncio.run(firewalld.ensure({"eth0"}))
    asyncio.run(firewalld.remove())
    assert firewalld.alarms == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("answer", [b"", b"ERROR\r\n", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"REJECTED EXTERNAL\r\n"])
async def test_a_bus_that_is_none_is_an_alarm_with_a_remedy(firewalld: Firewalld, tmp_path: Path, answer: bytes) -> None:
    def close(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)
        writer.close()

    async with await asyncio.start_unix_server(close, tmp_path / "bus"):
        await firewalld.ensure({"eth0"})
        (alarm,) = firewalld.alarms
        assert "`firewall-cmd --zone=trusted --add-interface=sp0`" in alarm
    (tmp_path / "bus").unlink()
    await firewalld.ensure({"eth0"})
    assert firewalld.alarms == []


@pytest.mark.parametrize(
    "text", ["", "[]", '{"changed": 1}', '{"changed": [["Interface"]]}', '{"changed": [["Rule", "a"]]}']
)
async def test_notes_that_are_damaged_are_no_obstacle(firewalld: Firewalld, tmp_path: Path, text: str) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state/firewalld.json").write_text(text)
    await firewalld.remove()
    assert firewalld.alarms == []
