"""What Open vSwitch says of its connections, and what ovn-controller's log says of packets that a rule refused."""

from __future__ import annotations

from datetime import UTC, datetime
from ipaddress import IPv4Address, IPv6Address

import pytest

from socketplane.agent.acllog import parse
from socketplane.agent.conntrack import Stream, open_streams

TABLE = """\
udp,orig=(src=10.192.0.3,dst=10.192.0.2,sport=5000,dport=9),reply=(src=10.192.0.2,dst=10.192.0.3,sport=9,dport=5000),zone=8
udp,orig=(src=10.192.0.3,dst=10.192.0.2,sport=5000,dport=9),reply=(src=10.192.0.2,dst=10.192.0.3,sport=9,dport=5000),zone=9,timeout=12,mark=2
udp,orig=(src=10.192.0.4,dst=10.192.0.2,sport=1,dport=9),reply=(src=10.192.0.2,dst=10.192.0.4,sport=9,dport=1),zone=8,mark=1
udp,orig=(src=10.192.0.5,dst=10.192.0.2,sport=1,dport=9),reply=(src=10.192.0.2,dst=10.192.0.5,sport=9,dport=1),zone=8,mark=3,\
labels=0x1001000000000000000000000000
udp,orig=(src=10.192.0.6,dst=10.192.0.2,sport=1,dport=9),reply=(src=10.192.0.2,dst=10.192.0.6,sport=9,dport=1),zone=88
udp,orig=(src=10.192.0.7,dst=10.192.0.2,sport=1,dport=9),reply=(src=10.192.0.2,dst=10.192.0.7,sport=9,dport=1)
udp,orig=(src=10.192.0.8,dst=10.192.0.2,sport=1,dport=9),reply=(src=10.192.0.2,dst=10.192.0.8,sport=9,dport=1),id=0,zone=8,\
status=SEEN_REPLY|CONFIRMED,timeout=29,labels=0x1
udp,orig=(src=fd00::1,dst=fd00::2,sport=1,dport=9),reply=(src=fd00::2,dst=fd00::1,sport=9,dport=1),zone=8
tcp,orig=(src=10.192.0.3,dst=10.192.0.2,sport=5000,dport=9),reply=(src=10.192.0.2,dst=10.192.0.3,sport=9,dport=5000),zone=8,\
protoinfo=(state=ESTABLISHED)
icmp,orig=(src=10.192.0.3,dst=10.192.0.2,id=1,type=8,code=0),reply=(src=10.192.0.2,dst=10.192.0.3,id=1,type=0,code=0),zone=8
"""


def test_streams_that_are_open_in_ports_zones():
    server = "10.192.0.2"
    here = {
        Stream(8, "10.192.0.3", 5000, server, 9): 0,
        Stream(8, "10.192.0.8", 1, server, 9): 29,
        Stream(8, "fd00::1", 1, "fd00::2", 9): 0,
    }
    assert open_streams(TABLE, {8}) == here
    assert open_streams(TABLE, {8, 9, 0}) == {**here, Stream(9, "10.192.0.3", 5000, server, 9): 12}
    assert open_streams(TABLE, set()) == open_streams("", {8}) == {}


TIME = b"2026-11-24T11:05:07.720Z"
PACKET = (
    b"vlan_tci=0x0000,dl_src=02:53:0a:c0:00:03,dl_dst=02:53:0a:c0:00:02,nw_src=10.192.0.3,nw_dst=10.192.0.2,nw_tos=0,"
    b"nw_ecn=0,nw_ttl=64,nw_frag=%s"
)
WHOLE, LATER = PACKET % b"no", PACKET % b"later"


@pytest.mark.parametrize(
    ("rule", "verdict", "packet", "protocol", "port"),
    [
        (b"d1.ingress", b"drop", b"udp," + WHOLE + b",tp_src=5000,tp_dst=9", "udp", 9),
        (b"isolation", b"drop", b"tcp," + WHOLE + b",tp_src=1,tp_dst=80,tcp_flags=syn", "tcp", 80),
        (b"r12.3", b"drop", b"icmp," + WHOLE + b",icmp_type=8,icmp_code=0", "icmp", None),
        (b"unknown.egress", b"drop", b"udp," + LATER + b",tp_src=0,tp_dst=0", "udp", None),
        (b"a7.egress", b"allow", b"sctp," + WHOLE + b",tp_src=1,tp_dst=2", "sctp", 2),
        (b"a7.egress", b"pass", b"tcp," + WHOLE + b",tp_src=1,tp_dst=2", "tcp", 2),
    ],
)
def test_a_refused_packet(rule, verdict, packet, protocol, port):
    message = b'name="%s", verdict=%s, severity=info, direction=to-lport: %s' % (rule, verdict, packet)
    kind, seen = parse(TIME, message)
    assert kind == (rule.decode(), IPv4Address("10.192.0.3"), IPv4Address("10.192.0.2"), protocol, port)
    at = datetime(2026, 11, 24, 11, 5, 7, 720000, UTC).timestamp()
    assert (seen.count, seen.first, seen.last) == (1, at, at)


def test_a_refused_packet_of_ipv6():
    packet = b"tcp6,vlan_tci=0x0000,ipv6_src=fd00::3,ipv6_dst=fd00::1:2,ipv6_label=0x9,nw_frag=no,tp_src=1,tp_dst=80"
    kind, _ = parse(TIME, b'name="d1.ingress", verdict=drop, severity=info, direction=to-lport: %s' % packet)
    assert kind == ("d1.ingress", IPv6Address("fd00::3"), IPv6Address("fd00::1:2"), "tcp", 80)


@pytest.mark.parametrize(
    ("name", "verdict", "packet"),
    [
        (b"r12.3", b"allow", b"icmp," + WHOLE),
        (b"<unnamed>", b"drop", b"icmp," + WHOLE),
        (b"somebody's", b"drop", b"icmp," + WHOLE),
        (b"d1.ingress", b"drop", b"arp,arp_spa=10.192.0.3"),
        (b"d1.ingress", b"drop", b""),
    ],
)
def test_what_is_no_refused_packet_of_ours(name, verdict, packet):
    assert parse(TIME, b'name="%s", verdict=%s, severity=info, direction=to-lport: %s' % (name, verdict, packet)) is None
