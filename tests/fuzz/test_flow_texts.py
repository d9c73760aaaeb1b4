"""What the agent reads of others' texts: whatever is in them, it is understood or left out, and never raises."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from socketplane import wire
from socketplane.agent.acllog import parse
from socketplane.agent.conntrack import open_streams
from socketplane.agent.tail import LogTail

RULES = st.sampled_from([b"d1.ingress", b"isolation", b"a3.egress", b"r1.0", b"unknown.ingress", b"x", b"<unnamed>"])
VALUES = st.one_of(st.binary(max_size=20), st.from_regex(rb"\A[0-9]{1,6}(\.[0-9]{1,4}){0,5}\Z"))
FIELDS = st.lists(st.tuples(st.sampled_from([b"nw_src", b"nw_dst", b"tp_dst", b"nw_frag", b"zz"]), VALUES), max_size=8)


@given(
    st.one_of(st.just(b"2026-11-24T11:05:07.720Z"), st.binary(max_size=30)),
    RULES,
    st.sampled_from([b"drop", b"allow", b"pass", b"reject", b""]),
    st.one_of(st.sampled_from([b"tcp", b"udp", b"icmp", b"ip"]), st.binary(max_size=15)),
    FIELDS,
)
def test_a_refused_packet_is_reported_or_left_out(time, rule, verdict, protocol, fields):
    packet = b",".join([protocol, *(key + b"=" + value for key, value in fields)])
    message = b'name="%s", verdict=%s, severity=info, direction=to-lport: %s' % (rule, verdict, packet)
    if (found := parse(time, message)) is not None:
        denied, seen = found
        wire.DenialReport(**denied._asdict(), count=seen.count, first=seen.first, last=seen.last)
        assert denied.rule.encode() == rule


@given(st.binary(max_size=300))
def test_any_message(message):
    assert parse(b"2026-11-24T11:05:07.720Z", message) is None


@given(st.lists(st.one_of(st.binary(max_size=60), st.just(b"t|00002|acl_log(x)|INFO|name=")), max_size=10))
def test_any_log(tmp_path_factory, lines):
    path = tmp_path_factory.mktemp("log") / "log"
    path.write_bytes(b"\n".join(lines))
    tail = LogTail(path, (0, 0))
    tail.read()
    assert len(tail.take_denied()) == 0


NUMBERS = st.one_of(st.integers(0, 70000).map(str), st.text(max_size=4))
ADDRESSES = st.one_of(st.ip_addresses().map(str), st.from_regex(r"\A[0-9.]{1,20}\Z"))


@given(ADDRESSES, ADDRESSES, NUMBERS, NUMBERS, NUMBERS, st.one_of(st.just(""), NUMBERS.map(",mark={}".format), st.text()))
def test_any_connection(source, destination, source_port, port, zone, rest):
    ends = f"orig=(src={source},dst={destination},sport={source_port},dport={port})"
    line = f"udp,{ends},reply=(src={destination},dst={source},sport={port},dport={source_port}),zone={zone}{rest}"
    for found in open_streams(f"\n{line}\n{line}", range(70000)):
        assert re.fullmatch(r"[0-9a-f.:]+", found.source) and str(found.zone) in line


@given(st.text())
def test_any_table(text):
    assert open_streams(text, range(70000)) == {}
