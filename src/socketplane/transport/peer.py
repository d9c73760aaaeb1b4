"""Who sent a request. It follows from the socket and the certificate, never from what the request says."""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass
from typing import Literal

ORGANIZATION_HOST = "socketplane host"
ORGANIZATION_ADMIN = "socketplane admin"


@dataclass(frozen=True, slots=True)
class Peer:
    """The other end of a connection. `system_id` is the common name of its certificate, empty without one."""

    kind: Literal["admin", "host", "anonymous"]
    system_id: str = ""


ADMINISTRATOR = Peer("admin")
ANONYMOUS = Peer("anonymous")


def peer_of_certificate(certificate: object) -> Peer:
    """Return who a *verified* certificate, as `SSLSocket.getpeercert()` tells it, belongs to."""
    if not isinstance(certificate, dict):
        return ANONYMOUS
    subject = {key: value for entry in certificate.get("subject", ()) for key, value in entry}
    name = subject.get("commonName", "")
    match subject.get("organizationName"):
        case "socketplane host" if name:
            return Peer("host", name)
        case "socketplane admin":
            return Peer("admin", name)
        case _:
            return ANONYMOUS


def peer_of_transport(transport: asyncio.BaseTransport) -> Peer:
    """Return who is at the other end: of a unix socket (its file's mode is the check) the administrator."""
    tls = transport.get_extra_info("ssl_object")
    if isinstance(tls, ssl.SSLObject):
        return peer_of_certificate(tls.getpeercert())
    plain = transport.get_extra_info("peername")
    return ADMINISTRATOR if not isinstance(plain, tuple) else ANONYMOUS
