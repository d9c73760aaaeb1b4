"""What the agent hears of OVN: ovn-controller's log, its control socket, and the report that says how this host is."""

import asyncio
import json

import pytest

from socketplane.agent.denials import Denials
from socketplane.agent.link import Link
from socketplane.agent.report import Reporter
from socketplane.agent.state import State
from socketplane.agent.tail import LogTail
from socketplane.agent.unixctl import ask, control_socket
from socketplane.errors import Unavailable
from support.agent_parts import Client, down
from support.ovsdb_server import OvsdbServer

LINE = "2026-01-01T00:00:00.000Z|{0:05}|{1}|WARN|{2}\n"
BAD = 'error parsing match "inport == x": Syntax error'


def test_a_rule_that_ovn_controller_dropped_is_an_alarm_until_it_starts_anew(tmp_path):
    path = tmp_path / "log"
    tail = LogTail(path)
    tail.read()
    assert tail.alarms == []
    path.write_text(LINE.format(1, "vlog", "opened log file") + LINE.format(20, "lflow", BAD))
    tail.read()
    tail.read()
    (alarm,) = tail.alarms
    assert alarm.endswith(BAD)
    path.rename(tmp_path / "log.1")
    path.write_text(LINE.format(21, "vlog", "opened log file") + LINE.format(22, "lflow", BAD)[:-9])
    tail.read()
    assert tail.alarms == [alarm], "rotated, not restarted; half a line is no line"
    with path.open("a") as file:
        file.write(LINE.format(22, "lflow", BAD)[-9:] + LINE.format(1, "vlog", "opened log file"))
    tail.read()
    assert tail.alarms == []


def test_alarms_are_found_that_are_older_than_the_agent_and_are_not_many(tmp_path):
    path = tmp_path / "log"
    path.write_text("".join(LINE.format(n, "lflow", f"{BAD} {n % 9}") for n in range(2, 200)) + "no line of a log\n")
    tail = LogTail(path)
    tail.read()
    assert len(tail.alarms) == 5


DENIAL = (
    "2026-01-01T00:00:{0:02}.000Z|{0:05}|acl_log(ovn_pinctrl0)|INFO|"
    'name="d3.ingress", verdict=drop, severity=info, direction=to-lport: '
    "tcp,nw_src=10.192.0.2,nw_dst=10.192.0.3,nw_frag=no,tp_src=1,tp_dst={1},tcp_flags=syn\n"
)


def refused(tail):
    return {denied.port: (seen.count, seen.last - seen.first) for denied, seen in tail.take_denied()}


def test_refused_packets_are_counted_from_where_they_were_taken_last(tmp_path):
    path = tmp_path / "log"
    path.write_text(DENIAL.format(2, 70) + LINE.format(3, "lflow", BAD))
    tail = LogTail(path)
    tail.read()
    assert (refused(tail), len(tail.alarms)) == ({}, 1), (
        "what was there before the first look is another agent's, or nobody's"
    )
    with path.open("a") as file:
        file.write(DENIAL.format(4, 80) + DENIAL.format(5, 81) + DENIAL.format(6, 80) + DENIAL.format(7, 80)[:-9])
    tail.read()
    mark = tail.mark
    assert refused(tail) == {80: (2, 2.0), 81: (1, 0.0)}
    with path.open("a") as file:
        file.write(DENIAL.format(7, 80)[-9:])
    tail.read()
    assert refused(tail) == {80: (1, 0.0)}
    again = LogTail(path, mark)
    again.read()
    assert (refused(again), len(again.alarms)) == ({80: (1, 0.0)}, 1)
    path.rename(tmp_path / "log.1")
    path.write_text(DENIAL.format(8, 90))
    for rotated in (again, LogTail(path, mark)):
        rotated.read()
        assert refused(rotated) == {90: (1, 0.0)}
    late = LogTail(tmp_path / "later")
    late.read()
    path.rename(tmp_path / "later")
    late.read()
    assert refused(late) == {90: (1, 0.0)}


async def test_refused_packets_are_told_once(tmp_path, until):
    path, client = tmp_path / "log", Client()
    path.write_text("")
    state, link = State(tmp_path / "agent.json"), Link(client, "h1")
    task = asyncio.create_task(Denials(state, link, LogTail(path), look_every=0.01).run())
    await until(lambda: state.log)
    client.answer = down

    def write(*lines):
        with path.open("a") as file:
            file.write("".join(lines))

    await asyncio.to_thread(write, DENIAL.format(1, 80), DENIAL.format(2, 80))
    await until(lambda: len(client.calls) > 2)
    await asyncio.to_thread(write, DENIAL.format(3, 81))
    client.answer = lambda method, path, body: None
    await until(lambda: state.log == (path.stat().st_ino, path.stat().st_size))
    task.cancel()
    told = {body.request: [(item.port, item.count) for item in body.items] for *_, body in client.calls}
    assert list(told.values()) == [[(80, 2)], [(81, 1)]], "one that could not be told is told as it was"
    assert client.calls[0][:2] == ("POST", "/v1/hosts/h1/denials")


async def test_a_real_daemon_answers_on_its_control_socket(tmp_path, until):
    async def answered():  # it accepts clients a moment before it has its control socket
        try:
            return await ask(server.control, "version")
        except Unavailable:
            return ""

    schema = {"name": "Empty", "version": "1.0.0", "tables": {}}
    async with OvsdbServer(schema, tmp_path / "db") as server:
        assert "ovsdb-server" in await until(answered)
        with pytest.raises(Unavailable, match="not a valid command"):
            await ask(server.control, "nonsense")
        server.pause()
        with pytest.raises(Unavailable, match="not in time"):
            await ask(server.control, "version", seconds=0.05)
        server.resume()
    with pytest.raises(Unavailable):
        await ask(server.control, "version")


def test_control_sockets_are_found_by_pid_or_age(tmp_path):
    assert control_socket(tmp_path, "ovn-controller") is None
    (tmp_path / "ovn-controller.7.ctl").touch()
    assert control_socket(tmp_path, "ovn-controller") == tmp_path / "ovn-controller.7.ctl"
    (tmp_path / "ovn-controller.pid").write_text("9\n")
    assert control_socket(tmp_path, "ovn-controller") is None
    (tmp_path / "ovn-controller.9.ctl").touch()
    assert control_socket(tmp_path, "ovn-controller") == tmp_path / "ovn-controller.9.ctl"


async def test_the_report_says_what_this_host_is(tmp_path, until):
    async def answer(reader, writer):
        request = json.loads(await reader.read(1000))
        result = {"connection-status": "connected", "version": "ovs-vswitchd (Open vSwitch) 3.1.0\n"}[request["method"]]
        body = json.dumps({"id": request["id"], "result": result, "error": None}).encode()
        for part in (body[:9], body[9:]):
            writer.write(part)
            await writer.drain()
        writer.close()

    client = Client()
    conflicts = ["web: taken"]
    reporter = Reporter(
        Link(client, "h1"),
        tmp_path,
        datapath=lambda: ("userspace", 1442, 1500),
        docker=lambda: "20.10.24",
        conflicts=lambda: conflicts,
        alarms=lambda: ["other"],
        look_every=0.01,
        interval=3600,
    )
    assert not (await reporter.gather()).ovn_controller
    for name in ("ovn", "openvswitch"):
        await asyncio.to_thread((tmp_path / name).mkdir)
    server = await asyncio.start_unix_server(answer, tmp_path / "ovn" / "ovn-controller.1.ctl")
    switch = await asyncio.start_unix_server(answer, tmp_path / "openvswitch" / "ovs-vswitchd.1.ctl")
    report = await reporter.gather()
    assert (report.datapath, report.mtu, report.underlay_mtu, report.ovs, report.docker, report.ovn_controller) == (
        "userspace", 1442, 1500, "3.1.0", "20.10.24", True,
    )  # fmt: skip
    assert report.conflicts == ["web: taken"]
    assert report.alarms == ["other"]
    task = asyncio.create_task(reporter.run())
    await until(lambda: len(client.calls) == 1)
    conflicts.append("db: taken")
    await until(lambda: len(client.calls) == 2)
    task.cancel()
    server.close()
    switch.close()
    method, path, body = client.calls[1]
    assert (method, path, body.conflicts) == ("PUT", "/v1/hosts/h1/report", ["db: taken", "web: taken"])
