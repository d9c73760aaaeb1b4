"""What is printed: in a pipe, on a terminal, to a reader that leaves, in odd characters."""

from __future__ import annotations

import io
import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path
from uuid import UUID

import pytest
from cli_support import Cli
from fake_controller import Controller
from hypothesis import given
from hypothesis import strategies as st

from socketplane import wire
from socketplane.cli import output

COMMAND = Path(sys.executable).with_name("socketplane")


def many(count: int) -> list[wire.Network]:
    return [
        wire.Network(id=UUID(int=n), name=f"network-{n}", subnet="10.192.0.0/22", gateway="10.192.0.1")
        for n in range(count)
    ]


def environment(cli: Cli) -> dict[str, str]:
    """This process's, less what would change how Python writes, with the fake as controller."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return kept | {"SOCKETPLANE_CONTROLLER": f"unix://{cli.paths.controller_socket}"}


def run(cli: Cli, *args: str, **more: object) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [COMMAND, *args], env=environment(cli) | more.pop("env", {}), check=False, capture_output=True, **more
    )


def test_odd_characters(cli: Cli, cluster: Controller) -> None:
    name = "na\x1b[31mme\tü漢\u202e\nx"
    cluster.endpoints[0] = cluster.endpoints[0].model_copy(update={"name": name})
    lines = cli("endpoint", "ls").stdout.splitlines()
    assert len(lines) == 4
    assert "\x1b" not in lines[1]
    assert "\u202e" not in lines[1]
    assert "ü漢" in lines[1]
    assert cli.json("endpoint", "ls", "-o", "json")[0]["name"] == name


def test_a_message_can_not_steer_the_terminal(cli: Cli, controller: Controller) -> None:
    from socketplane.errors import InvalidInput

    controller.refusal = InvalidInput("bad \x1b]0;title\x07 \n name")
    assert cli("network", "create", "x", code=1).stderr == "Error: bad \\x1b]0;title\\x07 name\n"


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_an_encoding_that_lacks_characters(cli: Cli, cluster: Controller, encoding: str) -> None:
    cluster.endpoints[0] = cluster.endpoints[0].model_copy(update={"name": "漢"})
    as_json = run(cli, "endpoint", "ls", "-o", "json", env={"PYTHONIOENCODING": encoding})
    assert json.loads(as_json.stdout.decode(encoding))[0]["name"] == "漢"
    table = run(cli, "endpoint", "ls", env={"PYTHONIOENCODING": encoding})
    assert (table.returncode, table.stderr) == (0, b"")
    assert b"\\u6f22" in table.stdout


@pytest.mark.parametrize("form", ["table", "json"])
def test_a_reader_that_leaves(cli: Cli, controller: Controller, form: str) -> None:
    controller.networks = many(3000)
    with subprocess.Popen(
        [COMMAND, "network", "ls", "-o", form], env=environment(cli), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 1


def test_a_reader_that_never_was(cli: Cli, controller: Controller) -> None:
    """Little output stays in the buffer until the end: that write fails quietly, too."""
    reading, writing = os.pipe()
    os.close(reading)
    result = subprocess.run([COMMAND, "version"], env=environment(cli), stdout=writing, stderr=subprocess.PIPE, check=False)
    os.close(writing)
    assert (result.returncode, result.stderr) == (1, b"")


def on_a_terminal(cli: Cli, *args: str, **more: str) -> str:
    """What a terminal of 100 columns gets."""
    main, end = pty.openpty()
    values = {**environment(cli), "COLUMNS": "100", "TERM": "xterm", **more}
    with subprocess.Popen([COMMAND, *args], env=values, stdout=end, stderr=end):
        os.close(end)
        written = io.BytesIO()
        while piece := _read(main):
            written.write(piece)
    os.close(main)
    return written.getvalue().decode()


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 65536)
    except OSError:  # the other end was closed
        return b""


def test_colour_on_a_terminal_unless_refused(cli: Cli, cluster: Controller) -> None:
    green = "\x1b[32m"
    assert green in on_a_terminal(cli, "host", "ls", NO_COLOR="")
    plain = on_a_terminal(cli, "host", "ls", NO_COLOR="1")
    assert green not in plain
    assert "192.0.2.1" in plain
    assert "\x1b[31m" in on_a_terminal(cli, "host", "inspect", "h9", NO_COLOR="")
    assert "\x1b[31m" not in on_a_terminal(cli, "host", "inspect", "h9", NO_COLOR="1")


def test_a_narrow_terminal_loses_nothing(cli: Cli, cluster: Controller) -> None:
    text = on_a_terminal(cli, "network", "ls", "--no-trunc", COLUMNS="60", NO_COLOR="1")
    assert "".join(text.split()).count("11111111") == 1
    assert max(len(re.sub(r"\x1b\[\d*m", "", line)) for line in text.splitlines()) <= 60


@given(st.text())
def test_cells_are_one_printable_line(text: str) -> None:
    shown = output.cell(text)
    assert shown
    assert shown.isprintable()
    assert "  " not in shown


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5, "0s"),
        (0, "0s"),
        (59, "59s"),
        (119, "119s"),
        (120, "2m"),
        (3599, "59m"),
        (3600, "1h"),
        (86400, "1d"),
        (200000, "2d"),
    ],
)
def test_spans(seconds: float, text: str) -> None:
    assert output.span(seconds) == text


def test_an_object_inside_of_a_cell_is_json() -> None:
    assert output.cell({"app": "web", "n": 1}) == "app=web,n=1"
    assert output.cell({"spec": {"ports": [80]}}) == 'spec={"ports": [80]}'
    assert output.cell([{"a": "ü"}, "b"]) == '{"a": "ü"},b'


def test_points_in_time_are_readable(capsys: pytest.CaptureFixture[str]) -> None:
    output.show_objects([{"name": "web", "created": 1700000000.5, "seen": None}], output.Output.TABLE)
    assert capsys.readouterr().out.splitlines()[2:] == ["created  2023-11-14 22:13:20Z", "seen     -"]
