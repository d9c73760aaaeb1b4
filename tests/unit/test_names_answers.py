"""What is answered to whom: names, who sees them, and DNS's own rules."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address
from uuid import UUID

import dns.flags
import dns.message
import dns.rcode
import pytest

from socketplane.agent.names import message
from socketplane.agent.names.answers import Forward, Inside, decide
from socketplane.agent.names.table import Named, Table
from support.dnswire import query, read

WEB, DATA, LAB = (UUID(int=number) for number in (1, 2, 3))
INSIDE = Inside(IPv4Network("10.192.0.0/10"), IPv4Network("169.254.192.0/20"))
ASKER = IPv4Address("10.192.0.2")


def named(network: UUID, address: str, *names: str, host: str = "h2", container: str = "") -> Named:
    return Named(network, int(IPv4Address(address)), container or names[0], host, names)


@pytest.fixture
def table() -> Table:
    """Return what h1 knows: asker (on web), two (on web and lab); on h2 a service of two on web, db on data."""
    table = Table("h1")
    for network, name in ((WEB, "web"), (DATA, "data"), (LAB, "lab")):
        table.name_network(network, name)
    table.put("e1", named(WEB, "10.192.0.2", "asker", host="h1"))
    table.put("e2", named(WEB, "10.192.0.3", "two", host="h1"))
    table.put("e3", named(LAB, "10.192.8.3", "two", host="h1"))
    table.put("a1", named(WEB, "10.192.0.10", "shop_api_1", "api", "front"))
    table.put("a2", named(WEB, "10.192.0.11", "shop_api_2", "api"))
    table.put("d1", named(DATA, "10.192.4.10", "db"))
    table.put("l1", named(LAB, "10.192.8.10", "rat", "api"))
    table.set_local("e1", WEB, int(ASKER), "asker")
    table.set_local("e2", WEB, int(IPv4Address("10.192.0.3")), "two")
    table.set_local("e3", LAB, int(IPv4Address("10.192.8.3")), "two")
    return table


def ask(table: Table, name: str, kind: str = "A", source: str = str(ASKER)) -> tuple[str, list[str]] | None:
    said = decide(table, INSIDE, IPv4Address(source), query(name, kind))
    return None if isinstance(said, Forward) else read(said.wire)


@pytest.mark.parametrize(
    ("name", "addresses"),
    [
        ("shop_api_1", ["10.192.0.10"]),
        ("front", ["10.192.0.10"]),
        ("api", ["10.192.0.10", "10.192.0.11"]),
        ("API", ["10.192.0.10", "10.192.0.11"]),
        ("shop_api_2.web", ["10.192.0.11"]),
        ("api.Web", ["10.192.0.10", "10.192.0.11"]),
        ("asker", ["10.192.0.2"]),
    ],
)
def test_names_of_the_askers_network(table: Table, name: str, addresses: list[str]) -> None:
    assert ask(table, name) == ("NOERROR", addresses)


@pytest.mark.parametrize("name", ["db", "db.data", "rat.lab", "nobody", "nobody.web", "web", "example.com", "com", "."])
def test_other_names_are_somebody_elses_to_answer(table: Table, name: str) -> None:
    """Names of other networks are not told apart from those that nobody has."""
    assert ask(table, name) is None


def test_a_container_on_two_networks_sees_both_whatever_address_it_asks_from(table: Table) -> None:
    for source in ("10.192.0.3", "10.192.8.3"):
        assert ask(table, "rat", source=source) == ("NOERROR", ["10.192.8.10"])
        assert ask(table, "api", source=source) == ("NOERROR", ["10.192.0.10", "10.192.0.11", "10.192.8.10"])
        assert ask(table, "api.lab", source=source) == ("NOERROR", ["10.192.8.10"])
        assert ask(table, "db", source=source) is None


def test_both_kinds_of_addresses(table: Table) -> None:
    six = IPv6Address("fd00:1::a")
    table.put("a2", named(WEB, "10.192.0.11", "shop_api_2", "api")._replace(address6=int(six)))
    assert ask(table, "api", "AAAA") == ("NOERROR", ["fd00:1::a"])
    assert ask(table, "api") == ("NOERROR", ["10.192.0.10", "10.192.0.11"])
    assert ask(table, "shop_api_2", "ANY") == ("NOERROR", ["10.192.0.11", "fd00:1::a"])
    assert ask(table, "front", "AAAA") == ("NOERROR", [])
    assert ask(table, six.reverse_pointer, "PTR") == ("NOERROR", ["shop_api_2.web."])
    table.discard("a2")
    assert ask(table, six.reverse_pointer, "PTR") is None


@pytest.mark.parametrize("kind", ["AAAA", "MX", "HTTPS", "PTR", "TXT"])
def test_what_a_name_does_not_have_is_no_data_and_not_no_name(table: Table, kind: str) -> None:
    assert ask(table, "api", kind) == ("NOERROR", [])


def test_any_is_the_addresses(table: Table) -> None:
    assert ask(table, "front", "ANY") == ("NOERROR", ["10.192.0.10"])


def test_reverse(table: Table) -> None:
    def reverse(address: str, kind: str = "PTR") -> tuple[str, list[str]] | None:
        return ask(table, IPv4Address(address).reverse_pointer, kind)

    assert reverse("10.192.0.11") == ("NOERROR", ["shop_api_2.web."])
    assert reverse("10.192.0.11", "A") == ("NOERROR", [])
    assert reverse("10.192.4.10") == ("NXDOMAIN", []), "of another network, and never asked outside"
    assert reverse("10.192.0.99") == ("NXDOMAIN", [])
    assert reverse("192.0.2.1") is None
    assert ask(table, "0.192.10.in-addr.arpa", "PTR") is None


@pytest.mark.parametrize("source", ["10.192.0.10", "10.192.77.77", "169.254.192.3"])
def test_who_is_inside_and_not_a_container_of_this_host_is_refused(table: Table, source: str) -> None:
    for name in ("api", "example.com"):
        assert ask(table, name, source=source) == ("REFUSED", [])


def test_others_of_this_host_are_forwarded_for(table: Table) -> None:
    assert ask(table, "api", source="172.17.0.2") is None
    assert ask(table, IPv4Address("10.192.0.11").reverse_pointer, "PTR", "172.17.0.2") == ("NXDOMAIN", [])


def test_a_name_goes_with_its_endpoint_and_comes_back_as_another(table: Table) -> None:
    table.discard("a1")
    assert ask(table, "api") == ("NOERROR", ["10.192.0.11"])
    assert ask(table, "front") is None
    table.put("a3", named(WEB, "10.192.0.12", "front"))
    assert ask(table, "front") == ("NOERROR", ["10.192.0.12"])
    table.discard("a3")
    assert ask(table, "front") is None


def test_what_this_host_knows_of_its_own_counts_at_once(table: Table) -> None:
    """The controller may be away when a container here ends."""
    table.drop_local("e2")
    assert ask(table, "two") is None
    assert ask(table, "api", source="10.192.0.3") == ("REFUSED", [])


def test_a_container_asks_before_the_controller_told_of_it(table: Table) -> None:
    table.set_local("e9", WEB, int(IPv4Address("10.192.0.9")), "")
    assert ask(table, "front", source="10.192.0.9") == ("NOERROR", ["10.192.0.10"])


def test_names_of_a_host_that_is_gone_disappear(table: Table) -> None:
    table.set_silent(["h2"])
    assert ask(table, "front") is None
    assert ask(table, "two") == ("NOERROR", ["10.192.0.3"])
    table.set_silent(["h1"])
    assert ask(table, "front") == ("NOERROR", ["10.192.0.10"])
    assert ask(table, "two") == ("NOERROR", ["10.192.0.3"]), "this host is here, whatever others say"


def answer(table: Table, wire: bytes, *, stream: bool = False) -> dns.message.Message:
    said = decide(table, INSIDE, ASKER, wire, stream=stream)
    assert not isinstance(said, Forward)
    return dns.message.from_wire(said.wire)


def test_an_answer_is_like_its_query(table: Table) -> None:
    asked = dns.message.make_query("ApI.", "A", id=4711)
    reply = answer(table, asked.to_wire())
    assert (reply.id, reply.question) == (4711, asked.question)
    assert reply.answer[0].name.to_text() == "ApI.", "spelled as it was asked (0x20)"
    assert reply.answer[0].ttl == message.TTL <= 5
    assert reply.flags == dns.flags.QR | dns.flags.AA | dns.flags.RD | dns.flags.RA
    assert reply.edns == -1


def crowd(table: Table, count: int) -> None:
    for number in range(count):
        table.put(f"m{number}", named(WEB, f"10.192.1.{number}", f"many_{number}", "many"))


@pytest.mark.parametrize(
    ("options", "count", "room"),
    [({}, 29, 512), ({"use_edns": 0, "payload": 4096}, 70, 1232), ({"use_edns": 0, "payload": 100}, 28, 512)],
)
def test_what_does_not_fit_is_truncated_and_whole_by_tcp(
    table: Table, options: dict[str, int], count: int, room: int
) -> None:
    crowd(table, count)
    whole = answer(table, query("many", **options))
    assert not whole.flags & dns.flags.TC
    assert len(whole.answer[0]) == count
    crowd(table, 2 * count)
    wire = query("many", **options)
    reply = answer(table, wire)
    assert reply.flags & dns.flags.TC
    assert not reply.answer
    said = decide(table, INSIDE, ASKER, wire)
    assert not isinstance(said, Forward)
    assert len(said.wire) <= room
    assert len(answer(table, wire, stream=True).answer[0]) == 2 * count


def test_edns(table: Table) -> None:
    reply = answer(table, query("api", use_edns=0, payload=4096))
    assert (reply.edns, reply.payload) == (0, 1232)
    assert answer(table, query("api", use_edns=1)).rcode() == dns.rcode.BADVERS


def test_what_is_no_plain_query(table: Table) -> None:
    wire = query("api")
    assert answer(table, wire[:2] + b"\x28" + wire[3:]).rcode() == dns.rcode.NOTIMP  # an update
    assert answer(table, wire[:4] + b"\0\0" + wire[6:12]).rcode() == dns.rcode.FORMERR  # no question
    assert answer(table, wire[:-1]).rcode() == dns.rcode.FORMERR
    assert answer(table, wire[:-1] + b"\3").rcode() == dns.rcode.REFUSED  # class CHAOS
    for silent in (b"", wire[:11], wire[:2] + b"\x81" + wire[3:]):  # no header, an answer
        said = decide(table, INSIDE, ASKER, silent)
        assert not isinstance(said, Forward)
        assert said.wire == b""


def test_replicas_share_the_load(table: Table) -> None:
    crowd(table, 5)
    firsts = {answer(table, query("many")).answer[0][0].to_text() for _ in range(200)}
    assert len(firsts) == 5


def test_who_is_on_internal_networks_only_hears_of_no_others_than_their_names(table: Table) -> None:
    table.name_network(WEB, "web", internal=True)
    assert ask(table, "example.com") == ("NXDOMAIN", [])
    assert ask(table, "9.113.0.203.in-addr.arpa", "PTR") == ("NXDOMAIN", [])
    assert ask(table, "front") == ("NOERROR", ["10.192.0.10"])
    assert ask(table, "example.com", source="10.192.0.3") is None, "it is on lab too, which leads out"
    table.name_network(LAB, "lab", internal=True)
    assert ask(table, "example.com", source="10.192.8.3") == ("NXDOMAIN", [])
    table.name_network(WEB, "web")
    assert ask(table, "example.com") is None


def test_where_a_service_has_a_name_it_is_the_service(table: Table) -> None:
    table.put("s1", Named(WEB, int(IPv4Address("10.255.240.9")), "", "", ("api",), int(IPv6Address("fd00::9"))))
    table.set_silent({"h2"})
    for name in ("api", "api.web"):
        assert ask(table, name) == ("NOERROR", ["10.255.240.9"])
    assert ask(table, "api", "AAAA") == ("NOERROR", ["fd00::9"])
    assert ask(table, "9.240.255.10.in-addr.arpa", "PTR") == ("NOERROR", ["api.web."])
    table.discard("s1")
    table.set_silent(())
    assert ask(table, "api") == ("NOERROR", ["10.192.0.10", "10.192.0.11"])


LOOP, HEADER = b"\xc0\x0c", b"\0\7\1\0\0\1\0\0\0\0\0\0"


@pytest.mark.parametrize(
    "wire",
    [
        HEADER + LOOP + b"\0\1\0\1",  # a name that is itself
        HEADER + b"\1a" + LOOP + b"\0\1\0\1",  # and so for ever longer
        HEADER + b"\xc0\xff\0\1\0\1",  # one that is behind the end
        HEADER[:4] + b"\xff\xff" * 4 + b"\1a\0\0\1\0\1",  # counts of what isn't there
        HEADER[:4] + b"\0\2\0\0\0\0\0\0" + b"\1a\0\0\1\0\1" * 2,  # two questions
        HEADER + b"\x3f" + b"a" * 20,
        HEADER + (b"\x3f" + b"a" * 63) * 5 + b"\0\0\1\0\1",  # longer than a name may be
        HEADER + b"\x80a\0\0\1\0\1",
    ],
)
def test_what_hostile_packets_get_is_small(table: Table, wire: bytes) -> None:
    said = decide(table, INSIDE, ASKER, wire)
    assert not isinstance(said, Forward)
    assert said.wire[:2] == wire[:2]
    assert said.wire[3] & 0xF == dns.rcode.FORMERR
    assert len(said.wire) <= len(wire)
