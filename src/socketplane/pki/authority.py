"""Keys, requests and certificates. Nothing here reads or writes files, and the clock comes in as an argument."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from ipaddress import IPv4Address

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from socketplane.errors import InvalidInput

ORGANIZATION_HOST = "socketplane host"
ORGANIZATION_ADMIN = "socketplane admin"
ORGANIZATION_SERVER = "socketplane server"

CA_LIFETIME = timedelta(days=3653)
LIFETIME = timedelta(days=731)
BACKDATE = timedelta(hours=1)
"""Certificates start this long ago: hosts' clocks differ a little."""


@dataclass(frozen=True, slots=True)
class Authority:
    """A CA's certificate and private key, both PEM."""

    certificate: str
    key: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class KeyAndCsr:
    """A new private key and the request for its certificate, both PEM."""

    key: str = field(repr=False)
    csr: str


@dataclass(frozen=True, slots=True)
class Subject:
    """Whom a certificate names."""

    common_name: str
    organization: str


def make_ca(cluster: str, now: datetime) -> Authority:
    """Make a new CA for a cluster, valid for ten years."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name(Subject(f"SocketPlane CA {cluster}"[:64], "socketplane"))
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    usage = _key_usage(key_cert_sign=True, crl_sign=True)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATE)
        .not_valid_after(now + CA_LIFETIME)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(identifier, critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False)
        .sign(key, hashes.SHA256())
    )
    return Authority(_pem(certificate), _key_pem(key))


def make_key_and_csr(common_name: str, organization: str = ORGANIZATION_HOST) -> KeyAndCsr:
    """Make a private key, and a request that proves to hold it."""
    key = ec.generate_private_key(ec.SECP256R1())
    csr = x509.CertificateSigningRequestBuilder().subject_name(_name(Subject(common_name, organization)))
    return KeyAndCsr(_key_pem(key), csr.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode())


def sign_csr(
    authority: Authority,
    csr: str,
    subject: Subject,
    now: datetime,
    *,
    names: Iterable[str] = (),
    addresses: Iterable[IPv4Address] = (),
    server: bool = False,
    lifetime: timedelta = LIFETIME,
) -> str:
    """Return a certificate (PEM) for the key of a request.

    Only the key is taken from the request: whom the certificate names and what it may do is the caller's decision.
    InvalidInput (field `csr`): unreadable, not signed by its own key, made for another common name, or a weak key.
    """
    request = _read_csr(csr)
    asked = request.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    if [name.value for name in asked] != [subject.common_name]:
        raise InvalidInput(f"must be made for the common name {subject.common_name}", field="csr")
    key = request.public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise InvalidInput("must hold an EC key on curve P-256", field="csr")
    issuer = x509.load_pem_x509_certificate(authority.certificate.encode())
    issuer_key = serialization.load_pem_private_key(authority.key.encode(), None)
    if not isinstance(issuer_key, ec.EllipticCurvePrivateKey):
        raise InvalidInput("must be an EC key", field="ca.key")
    issuer_id = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    uses = [ExtendedKeyUsageOID.CLIENT_AUTH, *([ExtendedKeyUsageOID.SERVER_AUTH] if server else [])]
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name(subject))
        .issuer_name(issuer.subject)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(max(now - BACKDATE, issuer.not_valid_before_utc))
        .not_valid_after(min(now + lifetime, issuer.not_valid_after_utc))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(digital_signature=True), critical=True)
        .add_extension(x509.ExtendedKeyUsage(uses), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(issuer_id), critical=False)
    )
    alternatives = [*map(_dns_name, names), *map(x509.IPAddress, addresses)]
    if alternatives:
        builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
    return _pem(builder.sign(issuer_key, hashes.SHA256()))


def fingerprint(certificate: str | bytes) -> str:
    """Return the SHA-256 of a certificate (PEM text or DER bytes), as 64 hex digits."""
    return _read_certificate(certificate).fingerprint(hashes.SHA256()).hex()


def subject_of(certificate: str | bytes) -> Subject:
    """Return whom a certificate (PEM text or DER bytes) names; both parts must be there exactly once."""
    subject = _read_certificate(certificate).subject
    parts = []
    for oid in (NameOID.COMMON_NAME, NameOID.ORGANIZATION_NAME):
        values = [str(attribute.value) for attribute in subject.get_attributes_for_oid(oid)]
        if len(values) != 1:
            raise InvalidInput("must name one common name and one organization", field="certificate")
        parts.append(values[0])
    return Subject(*parts)


def _read_certificate(certificate: str | bytes) -> x509.Certificate:
    try:
        if isinstance(certificate, str):
            return x509.load_pem_x509_certificate(certificate.encode())
        return x509.load_der_x509_certificate(certificate)
    except ValueError as error:
        raise InvalidInput("is no X.509 certificate", field="certificate") from error


def _read_csr(csr: str) -> x509.CertificateSigningRequest:
    try:
        request = x509.load_pem_x509_csr(csr.encode())
        valid = request.is_signature_valid
    except (ValueError, InvalidSignature, UnsupportedAlgorithm) as error:
        raise InvalidInput("is no certificate signing request", field="csr") from error
    if not valid:
        raise InvalidInput("is not signed by its own key", field="csr")
    return request


def _dns_name(name: str) -> x509.DNSName:
    try:
        return x509.DNSName(name)
    except ValueError as error:
        raise InvalidInput(f"{name!r} can't stand in a certificate", field="name") from error


def _name(subject: Subject) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, subject.organization),
            x509.NameAttribute(NameOID.COMMON_NAME, subject.common_name),
        ]
    )


def _key_usage(*, digital_signature: bool = False, key_cert_sign: bool = False, crl_sign: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        key_cert_sign=key_cert_sign,
        crl_sign=crl_sign,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _key_pem(key: ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
