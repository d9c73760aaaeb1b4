"""Whatever arrives at the resolver, from containers or from servers, is answered or ignored, never a failure."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network
from uuid import UUID

import dns.message
from hypothesis import given, settings
from hypothesis import strategies as st

from socketplane.agent.names import message
from socketplane.agent.names.answers import Forward, Inside, decide
from socketplane.agent.names.table import Named, Table
from support.dnswire import query

WEB = UUID(int=1)
ASKER = IPv4Address("10.192.0.2")
INSIDE = Inside(IPv4Network("10.192.0.0/10"), IPv4Network("169.254.192.0/20"))
KINDS = ("A", "AAAA", "PTR", "ANY", "TXT", "SVCB", "OPT", "TSIG", "AXFR")
TABLE = Table("h1")
TABLE.name_network(WEB, "web")
TABLE.set_local("e1", WEB, int(ASKER), "c1")
TABLE.put("e2", Named(WEB, int(ASKER) + 1, "c2", "h2", ("api", "a.b")))

queries = st.builds(
    query,
    st.sampled_from(["api", "API.web", "a.b", "3.0.192.10.in-addr.arpa", "example.com", ".", "x" * 63]),
    st.sampled_from(KINDS),
    use_edns=st.sampled_from([-1, 0, 1]),
)


@st.composite
def mangled(draw: st.DrawFn) -> bytes:
    """A query with some bytes changed, cut off, or added."""
    wire = bytearray(draw(queries))
    for _ in range(draw(st.integers(0, 4))):
        wire[draw(st.integers(0, len(wire) - 1))] = draw(st.integers(0, 255))
    return bytes(wire[: draw(st.integers(0, len(wire)))] if draw(st.booleans()) else wire) + draw(st.binary(max_size=20))


@settings(max_examples=1500)
@given(st.one_of(mangled(), st.binary(max_size=600)), st.booleans())
def test_a_query_is_answered_forwarded_or_ignored(wire: bytes, stream: bool) -> None:
    said = decide(TABLE, INSIDE, ASKER, wire, stream=stream)
    if isinstance(said, Forward):
        assert said.query.question is not None
        assert len(message.refusal(said.query, dns.rcode.SERVFAIL)) >= message.HEADER
        return
    if not said.wire:
        assert len(wire) < message.HEADER or wire[2] & 0x80
        return
    reply = dns.message.from_wire(said.wire)
    assert said.wire[:2] == wire[:2]
    assert said.wire[2] & 0x80
    assert stream or len(said.wire) <= message.PAYLOAD
    assert reply.answer == [] or reply.rcode() == 0


@given(queries, st.one_of(mangled(), st.binary(max_size=100)))
def test_a_reply_fits_only_its_query(asked: bytes, reply: bytes) -> None:
    fits = message.fits(asked, reply)
    end = message.question_end(asked)
    same = reply[:2] == asked[:2] and reply[4:6] == b"\0\1" and reply[12:end].lower() == asked[12:end].lower()
    assert fits == (len(reply) >= end and bool(reply[2] & 0x80) and same)
    answered = asked[:2] + bytes([asked[2] | 0x80]) + asked[3:]
    assert message.fits(asked, answered)
