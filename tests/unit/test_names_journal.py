"""The journal between agent and resolver."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from uuid import UUID

import pytest

from socketplane.agent.names import journal
from socketplane.agent.names.journal import Line, Reader, Writer
from socketplane.agent.names.table import Named, Table

WEB = UUID(int=1)
ONE = Named(WEB, int(IPv4Address("10.192.0.2")), "c1", "h2", ("one", "first"), int(IPv6Address("fd00::1")))
LINES: list[Line] = [
    journal.network_line(WEB, "web", internal=True),
    journal.put_line("e1", ONE),
    journal.local_line("e2", WEB, ONE.address + 1, "c2"),
    journal.silent_line({"h3"}),
]


def read(reader: Reader) -> Table:
    reader.take(*reader.fetch())
    return reader.table


def state(table: Table) -> object:
    return dict(table.entries()), dict(table.locals()), table.networks(), table.silent


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "names.journal"


def test_a_reader_follows_what_is_appended(path: Path) -> None:
    writer, reader = Writer(path), Reader(path, "h1")
    assert len(read(reader)) == 0
    assert writer.append(LINES), "there is no journal yet"
    writer.replace(LINES[:2])
    assert read(reader).addresses([WEB], "first") == [IPv4Address("10.192.0.2"), IPv6Address("fd00::1")]
    assert not writer.append(LINES[2:])
    assert read(reader).sees(IPv4Address("10.192.0.3")) == [WEB]
    assert not writer.append([journal.drop_line("e1"), journal.gone_line("e2"), journal.network_line(WEB, "")])
    assert state(read(reader)) == ({}, {}, {}, {"h3"})
    reader.close()


def test_a_new_journal_says_the_same(path: Path) -> None:
    table = Table("h1")
    for line in LINES:
        journal.apply(table, line)
    Writer(path).replace(LINES)
    reader = Reader(path, "h1")
    before = read(reader)
    assert state(before) == state(table)
    Writer(path).replace(list(journal.whole(table)))
    after = read(reader)
    assert after is not before
    assert state(after) == state(table)
    reader.close()


def test_a_journal_of_before_says_nothing_of_internal_networks(path: Path) -> None:
    path.write_text(f'["network","{WEB.hex}","web"]\n')
    reader = Reader(path, "h1")
    assert read(reader).networks() == {WEB: ("web", False)}
    reader.close()


def test_it_is_written_anew_before_it_is_much_larger_than_what_is_true(path: Path) -> None:
    writer = Writer(path)
    writer.replace(LINES)
    grown = 0
    while not writer.append(LINES * 100):
        grown += 1
        assert grown < 200
    assert path.stat().st_size < 2 << 20


def test_a_line_that_a_crash_cut_off_is_not_there(path: Path) -> None:
    writer, reader = Writer(path), Reader(path, "h1")
    writer.replace(LINES[:1])
    whole = path.read_bytes()
    with path.open("ab") as file:
        file.write(b'["put","e1"')
    assert state(read(reader)) == ({}, {}, {WEB: ("web", True)}, frozenset())
    assert reader.faults == 0
    path.write_bytes(whole)
    reader.close()


def test_what_is_not_understood_is_counted_and_left_out(path: Path) -> None:
    path.write_bytes(
        b'\n{}\n["put","e1"]\n["put","e1","xyz",1,"","c","h",["a"]]\nnull\n\xff\n["gone",1]\n["network",7,"x"]\n'
    )
    with path.open("ab") as file:
        file.write(b'["silent",["h3"]]\n')
    reader = Reader(path, "h1")
    assert state(read(reader)) == ({}, {}, {}, {"h3"})
    assert reader.faults == 8
    reader.close()


def test_what_was_read_stays_when_the_file_goes(path: Path) -> None:
    reader = Reader(path, "h1")
    Writer(path).replace(LINES)
    assert len(read(reader)) == 1
    path.unlink()
    assert len(read(reader)) == 1
    Writer(path).replace([])
    assert len(read(reader)) == 0
    reader.close()
