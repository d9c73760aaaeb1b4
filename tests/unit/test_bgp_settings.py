"""BGP without a router: settings as commands, what bgpd says of sessions, and what is refused before it is asked."""

from __future__ import annotations

import json
from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from socketplane import wire
from socketplane.agent.bgp import sessions
from socketplane.agent.bgp.settings import Neighbor, Settings, commands, parse
from socketplane.controller import bgprows
from socketplane.model.bgp import BgpPeer
from socketplane.model.types import Address

ROUTER, PEER, OTHER = map(IPv4Address, ("192.0.2.1", "192.0.2.254", "192.0.2.253"))
PEER6 = IPv6Address("2001:db8::254")
ONE, TWO = map(IPv4Address, ("10.192.0.2", "10.192.0.3"))
ONE6 = IPv6Address("fd53::2")
SPEAKING = Settings(64512, ROUTER, {PEER: Neighbor(64600, "a!b#c?d")}, frozenset({ONE}))

_addresses = st.frozensets(st.sampled_from([ONE, TWO, ONE6]))
_neighbors = st.dictionaries(
    st.sampled_from([PEER, OTHER, PEER6]),
    st.builds(Neighbor, st.sampled_from([64600, 64512]), st.sampled_from(["", "x", "y#!"])),
)
_settings = st.just(Settings()) | st.builds(
    Settings, st.sampled_from([64512, 64513]), st.sampled_from([ROUTER, OTHER]), _neighbors, _addresses
)
PLACES = {"address-family ipv4 unicast", "address-family ipv6 unicast", "exit-address-family"}


def run(lines: list[str], typed: list[str]) -> list[str]:
    """Do with the lines of a configuration what bgpd does."""
    for command in typed:
        if command.startswith("no router bgp"):
            lines = [line for line in lines if line.startswith("route-map")]
        elif command.startswith("no network"):
            lines.remove(command.removeprefix("no "))
        elif command.startswith("no neighbor") and not command.endswith(" activate"):
            prefix = command.removeprefix("no ")
            assert any(line.startswith(f"{prefix} ") for line in lines), "only what is there can be removed"
            lines = [line for line in lines if f"{prefix} " not in line]
        elif command not in lines:
            lines = [*lines, command]
    return lines


@given(_settings, _settings)
def test_commands_lead_from_any_settings_to_any_others(before: Settings, after: Settings) -> None:
    lines = run([], commands(Settings(), before))
    assert parse("\n".join(f" {line}" for line in lines)) == before
    typed = commands(before, after)
    assert parse("\n".join(run(lines, typed))) == after
    assert commands(after, after) == []


@given(_settings, _settings, st.integers(0, 40))
def test_who_ends_half_way_leaves_what_the_next_one_completes(before: Settings, after: Settings, told: int) -> None:
    half = run(run([], commands(Settings(), before)), commands(before, after)[:told])
    done = run(half, commands(parse("\n".join(half)), after))
    if after.asn is not None:
        assert set(done) - PLACES == set(run([], commands(Settings(), after))) - PLACES


def test_an_address_costs_one_command() -> None:
    typed = commands(SPEAKING, replace(SPEAKING, addresses=frozenset({ONE, TWO})))
    assert typed == ["router bgp 64512", "address-family ipv4 unicast", "network 10.192.0.3/32", "exit-address-family"]


def test_each_router_is_told_of_its_own_version_of_ip_and_no_route_of_it_comes_in() -> None:
    both = replace(SPEAKING, neighbors={PEER: Neighbor(64600), PEER6: Neighbor(64600)}, addresses=frozenset({ONE, ONE6}))
    typed = commands(Settings(), both)
    four = typed[typed.index("address-family ipv4 unicast") : typed.index("address-family ipv6 unicast")]
    six = typed[typed.index("address-family ipv6 unicast") :]
    assert "no neighbor 2001:db8::254 activate" in four, "else bgpd speaks of IPv4 there, with a next hop that is none"
    assert [line for line in four if "network" in line] == ["network 10.192.0.2/32"]
    assert six[1:] == [
        "neighbor 2001:db8::254 activate",
        "neighbor 2001:db8::254 route-map socketplane-nothing in",
        "network fd53::2/128",
        "exit-address-family",
    ]
    gone = commands(both, replace(both, addresses=frozenset({ONE})))
    assert gone[1:] == ["address-family ipv6 unicast", "no network fd53::2/128", "exit-address-family"]


def test_no_route_comes_in_from_a_router() -> None:
    typed = commands(Settings(), SPEAKING)
    assert typed.index("route-map socketplane-nothing deny 10") < typed.index("neighbor 192.0.2.254 remote-as 64600")
    assert "neighbor 192.0.2.254 route-map socketplane-nothing in" in typed


@pytest.mark.parametrize("address", [PEER, PEER6])
def test_a_peer_is_kept_as_it_was_said(address: Address) -> None:
    peer = BgpPeer(address, 64600, "h1", "geheim")
    assert bgprows.peer(bgprows.peer_row(peer)) == peer


def test_passwords_are_in_no_text_for_people() -> None:
    assert "a!b#c?d" not in repr(SPEAKING)
    body = wire.BgpPeerCreate(address=PEER, asn=1, password="a!b#c?d")
    assert "a!b#c?d" not in repr(body)


NEVER = {"bgpState": "Active", "messageStats": {"opensRecv": 0}, "lastResetDueTo": "No AFI/SAFI activated for peer"}
WRONG_AS = {
    "bgpState": "Idle",
    "messageStats": {"opensRecv": 2},
    "lastNotificationReason": "OPEN Message Error/Bad Peer AS",
    "lastResetDueTo": "BGP Notification send",
}


@pytest.mark.parametrize(
    ("about", "established", "refused", "reason"),
    [
        ({"bgpState": "Established", "bgpTimerUpEstablishedEpoch": 1795532042}, True, False, ""),
        (NEVER, False, False, "no answer: is a router there that has this host as neighbour, and wants no password?"),
        ({**NEVER, "authenticationEnabled": 1}, False, False, "takes this password"),
        (WRONG_AS, False, True, "to the router: OPEN Message Error/Bad Peer AS"),
        ({**WRONG_AS, "lastResetDueTo": "BGP Notification received"}, False, True, "the router says: OPEN Message Error"),
        (
            {"bgpState": "Idle", "messageStats": {"opensRecv": 1}, "lastResetDueTo": "Hold Timer"},
            False,
            False,
            "Hold Timer",
        ),
    ],
)
def test_why_a_session_is_not_there(about: dict[str, Any], established: bool, refused: bool, reason: str) -> None:
    (found,) = sessions.parse(json.dumps({str(PEER): about}))
    assert (found.peer, found.established, found.refused) == (PEER, established, refused)
    assert reason in found.reason


@pytest.mark.parametrize(
    "change",
    [{"asn": 0}, {"asn": 23456}, {"asn": 1 << 32}, {"address": "r1"}, {"password": "a b"}, {"password": "x" * 81}],
)
def test_what_no_peer_can_have_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        wire.BgpPeerCreate.model_validate({"address": str(PEER), "asn": 64600, **change})
