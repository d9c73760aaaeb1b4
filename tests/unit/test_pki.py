"""The CA, certificates and tokens, judged by OpenSSL and by Python's ssl at its strictest."""

from __future__ import annotations

import ssl
import subprocess
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from hypothesis import given
from hypothesis import strategies as st

from socketplane import pki
from socketplane.errors import InvalidInput, NotFound
from socketplane.files import write_atomic

NOW = datetime.now(UTC)
ADDRESS = IPv4Address("127.0.0.1")
SERVER = pki.Subject("h1", pki.ORGANIZATION_SERVER)
HOST = pki.Subject("chassis-1", pki.ORGANIZATION_HOST)


@pytest.fixture(scope="module")
def ca() -> pki.Authority:
    return pki.make_ca("1f3c", NOW)


def issue(ca: pki.Authority, subject: pki.Subject, *, server: bool = False, now: datetime = NOW) -> tuple[str, str]:
    pair = pki.make_key_and_csr(subject.common_name, subject.organization)
    certificate = pki.sign_csr(ca, pair.csr, subject, now, names=["h1"], addresses=[ADDRESS], server=server)
    return certificate, pair.key


def handshake(
    ca: pki.Authority, server: tuple[str, str], client: tuple[str, str], folder: Path, name: str
) -> ssl.SSLObject:
    """Do a TLS handshake in memory, both sides verifying strictly; return the server's side."""
    trust = folder / "ca.pem"
    trust.write_text(ca.certificate)
    contexts = []
    for protocol, pair in ((ssl.PROTOCOL_TLS_SERVER, server), (ssl.PROTOCOL_TLS_CLIENT, client)):
        (folder / "pair.pem").write_text("".join(pair))
        context = ssl.SSLContext(protocol)
        context.load_verify_locations(trust)
        context.load_cert_chain(folder / "pair.pem")
        context.verify_mode = ssl.CERT_REQUIRED
        context.verify_flags |= ssl.VERIFY_X509_STRICT | ssl.VERIFY_X509_PARTIAL_CHAIN
        contexts.append(context)
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    serving = contexts[0].wrap_bio(to_server, to_client, server_side=True)
    asking = contexts[1].wrap_bio(to_client, to_server, server_hostname=name)
    pending = [asking, serving]
    for _ in range(10):
        for side in tuple(pending):
            try:
                side.do_handshake()
                pending.remove(side)
            except ssl.SSLWantReadError:
                pass
    assert not pending
    return serving


@pytest.mark.parametrize("name", ["h1", "127.0.0.1"])
def test_python_accepts_both_sides_by_name_and_address(ca: pki.Authority, tmp_path: Path, name: str) -> None:
    side = handshake(ca, issue(ca, SERVER, server=True), issue(ca, HOST), tmp_path, name)
    peer = side.getpeercert(binary_form=True)
    assert peer is not None
    assert pki.subject_of(peer) == HOST


def test_a_server_of_another_name_is_refused(ca: pki.Authority, tmp_path: Path) -> None:
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        handshake(ca, issue(ca, SERVER, server=True), issue(ca, HOST), tmp_path, "h2")


def test_a_host_can_not_pose_as_a_server(ca: pki.Authority, tmp_path: Path) -> None:
    with pytest.raises(ssl.SSLCertVerificationError, match=r"(?i)purpose"):
        handshake(ca, issue(ca, HOST), issue(ca, HOST), tmp_path, "h1")


def test_another_clusters_host_is_refused(ca: pki.Authority, tmp_path: Path) -> None:
    stranger = pki.make_ca("1f3c", NOW)
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(ca, issue(ca, SERVER, server=True), issue(stranger, HOST), tmp_path, "h1")


@pytest.mark.parametrize(("server", "purpose"), [(True, "sslserver"), (True, "sslclient"), (False, "sslclient")])
def test_openssl_accepts_strictly(ca: pki.Authority, tmp_path: Path, server: bool, purpose: str) -> None:
    (tmp_path / "ca.pem").write_text(ca.certificate)
    (tmp_path / "leaf.pem").write_text(issue(ca, SERVER if server else HOST, server=server)[0])
    command = ["openssl", "verify", "-x509_strict", "-purpose", purpose, "-CAfile", "ca.pem", "leaf.pem"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert result.stdout.strip() == "leaf.pem: OK", result.stderr


def test_lifetimes(ca: pki.Authority) -> None:
    top = x509.load_pem_x509_certificate(ca.certificate.encode())
    leaf = x509.load_pem_x509_certificate(issue(ca, HOST)[0].encode())
    assert timedelta(days=3650) < top.not_valid_after_utc - NOW < timedelta(days=3660)
    assert timedelta(days=729) < leaf.not_valid_after_utc - NOW < timedelta(days=732)
    assert leaf.not_valid_before_utc < NOW - timedelta(minutes=30)


def test_no_certificate_outlives_its_ca(ca: pki.Authority) -> None:
    late = NOW + timedelta(days=3650 - 30)
    leaf = x509.load_pem_x509_certificate(issue(ca, HOST, now=late)[0].encode())
    assert leaf.not_valid_after_utc == x509.load_pem_x509_certificate(ca.certificate.encode()).not_valid_after_utc


def test_the_request_decides_nothing_but_the_key(ca: pki.Authority) -> None:
    pair = pki.make_key_and_csr("chassis-1", "socketplane admin")
    certificate = pki.sign_csr(ca, pair.csr, HOST, NOW)
    assert pki.subject_of(certificate) == HOST


def test_a_request_for_another_host_is_refused(ca: pki.Authority) -> None:
    pair = pki.make_key_and_csr("chassis-2")
    with pytest.raises(InvalidInput, match="common name chassis-1") as caught:
        pki.sign_csr(ca, pair.csr, HOST, NOW)
    assert caught.value.field == "csr"


def _swap_key(csr: str) -> str:
    """Put another key's request body under this request's signature."""
    good, other = (x509.load_pem_x509_csr(text.encode()) for text in (csr, pki.make_key_and_csr("chassis-1").csr))
    der = good.public_bytes(serialization.Encoding.DER)
    mine, theirs = good.tbs_certrequest_bytes, other.tbs_certrequest_bytes
    assert len(mine) == len(theirs)
    return ssl.DER_cert_to_PEM_cert(der.replace(mine, theirs)).replace("CERTIFICATE", "CERTIFICATE REQUEST")


def test_a_request_without_proof_of_the_key_is_refused(ca: pki.Authority) -> None:
    with pytest.raises(InvalidInput, match="not signed by its own key"):
        pki.sign_csr(ca, _swap_key(pki.make_key_and_csr("chassis-1").csr), HOST, NOW)


@pytest.mark.parametrize(
    "text", ["", "x", "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n"]
)
def test_rubbish_requests_are_refused(ca: pki.Authority, text: str) -> None:
    with pytest.raises(InvalidInput):
        pki.sign_csr(ca, text, HOST, NOW)


def test_fingerprint_is_openssls(ca: pki.Authority) -> None:
    command = ["openssl", "x509", "-noout", "-fingerprint", "-sha256"]
    shown = subprocess.run(command, input=ca.certificate, capture_output=True, text=True, check=True).stdout
    assert pki.fingerprint(ca.certificate) == shown.strip().split("=")[1].replace(":", "").lower()
    assert pki.fingerprint(ssl.PEM_cert_to_DER_cert(ca.certificate)) == pki.fingerprint(ca.certificate)


def test_authority_from_files(ca: pki.Authority, tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        pki.load_authority(tmp_path)
    write_atomic(tmp_path / pki.CA_CERT, ca.certificate, 0o644)
    write_atomic(tmp_path / pki.CA_KEY, ca.key)
    assert pki.load_authority(tmp_path) == ca
    assert (tmp_path / pki.CA_KEY).stat().st_mode & 0o777 == 0o600
    assert sorted(path.name for path in tmp_path.iterdir()) == [pki.CA_CERT, pki.CA_KEY]


def test_secrets_do_not_show(ca: pki.Authority) -> None:
    token = pki.new_token(["10.0.0.1:6675"], pki.fingerprint(ca.certificate))
    assert token.secret not in repr(token)
    assert "PRIVATE" not in repr(ca) + repr(pki.make_key_and_csr("x"))


TOKEN = pki.new_token(["10.0.0.1:6675", "manager-2.example:6675"], "ab" * 32)


def test_token_text_round_trips() -> None:
    assert pki.JoinToken.decode(TOKEN.encode()) == TOKEN
    wrapped = "\n ".join(TOKEN.encode()[start : start + 40] for start in range(0, 999, 40)) + "\n"
    assert pki.JoinToken.decode(wrapped) == TOKEN


def test_tokens_differ() -> None:
    tokens = [pki.new_token(["10.0.0.1:6675"], "ab" * 32) for _ in range(50)]
    assert len({token.secret for token in tokens}) == len({token.id for token in tokens}) == 50
    assert len({pki.hash_secret(token.secret) for token in tokens}) == 50


def test_any_cut_is_noticed() -> None:
    text = TOKEN.encode()
    for length in range(len(text)):
        with pytest.raises(InvalidInput) as caught:
            pki.JoinToken.decode(text[:length])
        assert caught.value.field == "token"


@given(
    st.one_of(
        st.text(max_size=200), st.text(alphabet="abcdefghijABCDEFGHIJ0123456789_-=", max_size=300).map("sp1.".__add__)
    )
)
def test_no_text_does_worse_than_a_clear_error(text: str) -> None:
    with pytest.raises(InvalidInput):
        pki.JoinToken.decode(text)
