"""DNS messages: what a query asks, and answers to it, with dnspython's codec. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address

import dns.edns
import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.reversename
import dns.rrset

TTL = 1
"""Seconds for which an answer may be kept: names come and go with containers."""
PAYLOAD = 1232
"""What we take and send by UDP with EDNS: it fits everywhere without fragments."""
PLAIN = 512
LARGEST = 65535
HEADER = 12
_OPCODE = 0x78
"""Of the header's third byte; zero for a query."""
_KINDS = {4: dns.rdatatype.A, 6: dns.rdatatype.AAAA}


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked. `name` is without the final dot; `reverse` the address whose name is asked for."""

    name: str
    type: int
    reverse: IPv4Address | IPv6Address | None = None


@dataclass(frozen=True, slots=True)
class Query:
    """A message that came; `question` is None where it is answered with an error (`error`) alone."""

    message: dns.message.Message
    question: Question | None = None
    error: dns.rcode.Rcode = dns.rcode.NOERROR

    @property
    def room(self) -> int:
        """How long an answer by UDP may be."""
        if self.message.edns < 0:
            return PLAIN
        return min(max(self.message.payload, PLAIN), PAYLOAD)


def parse(wire: bytes) -> Query | None:
    """Return the query; None for what gets no answer: answers, and what has no whole header."""
    if len(wire) < HEADER or wire[2] & 0x80:
        return None
    if wire[2] & _OPCODE:
        return Query(_header(wire), error=dns.rcode.NOTIMP)
    try:
        message = dns.message.from_wire(wire, ignore_trailing=True)
    except (dns.exception.DNSException, ValueError, IndexError, NotImplementedError):
        return Query(_header(wire), error=dns.rcode.FORMERR)
    if len(message.question) != 1 or wire[4:6] != b"\0\1":
        return Query(message, error=dns.rcode.FORMERR)
    if message.edns > 0:
        return Query(message, error=dns.rcode.BADVERS)
    asked = message.question[0]
    if asked.rdclass != dns.rdataclass.IN:
        return Query(message, error=dns.rcode.REFUSED)
    name = asked.name.to_text(omit_final_dot=True)
    return Query(message, Question(name, asked.rdtype, _reversed(asked.name)))


def addresses(query: Query, found: Sequence[IPv4Address | IPv6Address], room: int) -> bytes:
    """Answer with the addresses where they were asked for; else with nothing, which says that the name is there."""
    answer = _answer(query)
    asked = query.message.question[0]
    for version, kind in _KINDS.items():
        packed = [address.packed for address in found if address.version == version]
        if packed and asked.rdtype in (kind, dns.rdatatype.ANY):
            records = [dns.rdata.from_wire(dns.rdataclass.IN, kind, it, 0, len(it)) for it in packed]
            answer.answer.append(dns.rrset.from_rdata_list(asked.name, TTL, records))
    return _wire(answer, room)


def pointer(query: Query, name: str, room: int) -> bytes:
    """Answer with a name where it was asked for."""
    answer = _answer(query)
    asked = query.message.question[0]
    if asked.rdtype in (dns.rdatatype.PTR, dns.rdatatype.ANY):
        target = dns.name.from_text(name).to_wire() or b""
        record = dns.rdata.from_wire(dns.rdataclass.IN, dns.rdatatype.PTR, target, 0, len(target))
        answer.answer.append(dns.rrset.from_rdata_list(asked.name, TTL, [record]))
    return _wire(answer, room)


def refusal(query: Query, code: dns.rcode.Rcode) -> bytes:
    """Answer with an error."""
    answer = _answer(query)
    if code not in (dns.rcode.NXDOMAIN, dns.rcode.NOERROR):
        answer.flags &= ~dns.flags.AA
    answer.set_rcode(code)
    return _wire(answer, LARGEST)


def fits(wire: bytes, reply: bytes) -> bool:
    """Return whether a reply answers this very query: the same id and question. Case is not compared."""
    end = question_end(wire)
    return len(reply) >= end and bool(reply[2] & 0x80) and reply[:2] == wire[:2] and _same(wire, reply, end)


def question_end(wire: bytes) -> int:
    """Return where the question of a parsed query ends."""
    at = HEADER
    while at < len(wire) and 0 < wire[at] < 64:
        at += wire[at] + 1
    return min(at + 5, len(wire))


def _same(wire: bytes, reply: bytes, end: int) -> bool:
    return reply[4:6] == b"\0\1" and reply[HEADER:end].lower() == wire[HEADER:end].lower()


def _header(wire: bytes) -> dns.message.Message:
    message = dns.message.QueryMessage(id=int.from_bytes(wire[:2], "big"))
    message.flags = int.from_bytes(wire[2:4], "big") & (0x7800 | dns.flags.RD)
    return message


def _answer(query: Query) -> dns.message.Message:
    asked = query.message
    answer = dns.message.QueryMessage(id=asked.id)
    answer.flags = dns.flags.QR | dns.flags.AA | dns.flags.RA | (asked.flags & (dns.flags.RD | 0x7800))
    answer.question = list(asked.question) if query.question else []
    if asked.edns >= 0:
        answer.use_edns(0, payload=PAYLOAD)
    return answer


def _wire(answer: dns.message.Message, room: int) -> bytes:
    """Return the bytes; what has no room is left out, and said to be, so that it is asked for by TCP."""
    try:
        return answer.to_wire(max_size=room)
    except dns.exception.TooBig:
        answer.answer = []
        answer.flags |= dns.flags.TC
        return answer.to_wire(max_size=room)


def _reversed(name: dns.name.Name) -> IPv4Address | IPv6Address | None:
    if len(name.labels) < 2 or name.labels[-2].lower() != b"arpa":
        return None
    try:
        return ip_address(dns.reversename.to_address(name))
    except (dns.exception.DNSException, ValueError):
        return None
