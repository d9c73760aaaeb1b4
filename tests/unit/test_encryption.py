"""Encryption between hosts: addresses, keys, rules of firewalls, and what may be asked of a cluster that stands."""

from __future__ import annotations

from base64 import b64decode, b64encode
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest

from socketplane.agent import iptables, ruleset
from socketplane.agent.encryption.key import load_or_make
from socketplane.agent.ruleset import Boundary
from socketplane.cluster.openvswitch import chassis_settings
from socketplane.cluster.trust import Options, fits
from socketplane.encryption import Encryption
from socketplane.errors import Conflict
from socketplane.identity import HostIdentity
from socketplane.model.forwarding import KERNEL
from socketplane.wire import EncryptedPeer, HostReport

IDENTITY = HostIdentity(
    name="h1",
    system_id="0f3c",
    role="manager",
    address=IPv4Address("10.0.0.1"),
    controllers=("10.0.0.1:6675",),
    southbound=("ssl:10.0.0.1:6642",),
    gateway=IPv4Address("169.254.193.7"),
    encryption=Encryption(),
)
PLAIN = replace(IDENTITY, encryption=None)
# RFC 7748, section 6.1: Bob's.
PRIVATE = bytes.fromhex("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb")
PUBLIC = bytes.fromhex("de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f")
BOUNDARY = Boundary(
    IPv4Network("10.192.0.0/10"),
    IPv4Network("169.254.192.0/20"),
    IPv4Address("169.254.192.2"),
    underlay=IPv4Address("192.0.2.1"),
    encryption=Encryption(port=4500),
)


def test_tunnels_end_at_the_address_that_has_the_number_of_the_hosts_own_port() -> None:
    assert IDENTITY.tunnel == IPv4Address("169.254.209.7")
    wide = replace(IDENTITY, encryption=Encryption(IPv4Network("10.9.0.0/16"), 4500))
    assert wide.tunnel == IPv4Address("10.9.1.7")
    assert PLAIN.tunnel == PLAIN.address


def test_a_key_is_made_once_and_only_root_reads_it(tmp_path: Path) -> None:
    file = tmp_path / "state" / "wireguard.key"
    made = load_or_make(file)
    assert load_or_make(file) == made
    assert file.stat().st_mode & 0o777 == 0o600
    assert len(b64decode(made.private)) == len(b64decode(made.public)) == 32
    assert file.read_text().strip() == made.private
    assert made.private not in repr(made)


def test_the_public_half_belongs_to_the_private_one(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text(b64encode(PRIVATE).decode() + "\n")
    assert load_or_make(file).public == b64encode(PUBLIC).decode()


@pytest.mark.parametrize("text", ["", "x", "AAAA", "ö" * 44, b64encode(bytes(33)).decode()])
def test_what_is_no_key_is_replaced(tmp_path: Path, text: str) -> None:
    file = tmp_path / "key"
    file.write_text(text)
    made = load_or_make(file)
    assert load_or_make(file) == made
    assert file.read_text().strip() == made.private


@pytest.mark.parametrize(
    ("identity", "options", "field"),
    [
        (PLAIN, Options(encrypt=True), "encrypt"),
        (PLAIN, Options(encrypt_port=4500), "encrypt"),
        (IDENTITY, Options(encrypt_port=4500), "encrypt-port"),
        (IDENTITY, Options(encrypt=True, encrypt_range=IPv4Network("10.9.0.0/16")), "encrypt-range"),
    ],
)
def test_a_cluster_encrypts_from_the_beginning_or_never(identity: HostIdentity, options: Options, field: str) -> None:
    with pytest.raises(Conflict) as caught:
        fits(identity, options)
    assert caught.value.field == field


@pytest.mark.parametrize("options", [Options(), Options(encrypt=True), Options(encrypt_port=51820)])
def test_up_again_needs_not_say_it(options: Options) -> None:
    assert fits(IDENTITY, options)


def test_tunnels_have_no_way_around_the_device() -> None:
    text = ruleset.nftables(BOUNDARY)
    assert 'oifname != "sp-wg0" udp dport 6081 drop' in text
    assert 'iifname != "sp-wg0" udp dport 6081 drop' in text
    assert "sp-wg0" not in ruleset.nftables(replace(BOUNDARY, encryption=None))


def test_a_closed_input_chain_lets_in_wireguard_and_what_comes_out_of_it() -> None:
    lines = iptables.rules(BOUNDARY)
    assert "-A SOCKETPLANE-IN -d 192.0.2.1 -p udp --dport 4500 -j ACCEPT" in lines
    assert "-A SOCKETPLANE-IN -i sp-wg0 -j ACCEPT" in lines
    assert not any("6081" in line for line in lines)
    plain = iptables.rules(replace(BOUNDARY, encryption=None))
    assert "-A SOCKETPLANE-IN -d 192.0.2.1 -p udp --dport 6081 -j ACCEPT" in plain
    assert not any("sp-wg0" in line for line in plain)


def test_a_first_handshake_is_told_at_once_and_to_the_controller_alone() -> None:
    def report(handshake: float | None) -> HostReport:
        return HostReport(version="1", peers=[EncryptedPeer(host="h2", handshake=handshake)])

    assert report(100.0).met != report(None).met
    assert report(220.0).met == report(100.0).met == {"h2"}
    assert not report(100.0).says_new(report(None))


def test_tunnels_end_at_the_encrypted_address() -> None:
    assert chassis_settings(IDENTITY, KERNEL)["ovn-encap-ip"] == "169.254.209.7"
    plain = replace(IDENTITY, encryption=None)
    assert chassis_settings(plain, KERNEL)["ovn-encap-ip"] == "10.0.0.1"
