"""TLS contexts from the key files of a host (`Paths.pki`). TLS 1.3 only: both ends are ours."""

from __future__ import annotations

import ssl
from pathlib import Path

from socketplane.errors import Unavailable


def client_context(pki: Path, *, name: str = "host") -> ssl.SSLContext:
    """Return a context that trusts the cluster's CA alone and shows NAME.crt.

    Raises:
        Unavailable: a key file is missing or can't be read.
    """
    context = _context(ssl.PROTOCOL_TLS_CLIENT, pki / "ca.crt")
    _load_key(context, pki / f"{name}.crt", pki / f"{name}.key")
    return context


def server_context(pki: Path, *, name: str = "server") -> ssl.SSLContext:
    """Return a context that shows NAME.crt and verifies a client certificate where one is given.

    Raises:
        Unavailable: a key file is missing or can't be read.
    """
    context = _context(ssl.PROTOCOL_TLS_SERVER, pki / "ca.crt")
    context.verify_mode = ssl.CERT_OPTIONAL  # a host that joins has none yet
    _load_key(context, pki / f"{name}.crt", pki / f"{name}.key")
    return context


def anonymous_context(ca_pem: str) -> ssl.SSLContext:
    """Return a context without a certificate of our own that trusts this CA alone: for joining."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_verify_locations(cadata=ca_pem)
    return context


def unverified_context() -> ssl.SSLContext:
    """Return a context that trusts anyone: only to fetch the CA, whose fingerprint the caller must compare."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _context(protocol: int, ca: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    try:
        context.load_verify_locations(cafile=ca)
    except (OSError, ssl.SSLError) as error:
        raise Unavailable(
            f"the cluster's CA can't be read: {error}", field=str(ca), remedy="run `socketplane up`"
        ) from None
    return context


def _load_key(context: ssl.SSLContext, certificate: Path, key: Path) -> None:
    try:
        context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        raise Unavailable(
            f"certificate or key can't be read: {error}", field=str(certificate), remedy="run `socketplane up`"
        ) from None
