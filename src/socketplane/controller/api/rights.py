"""Who may do what, in one place. Whose object it is, the plans check."""

from __future__ import annotations

import re
from enum import Enum

from socketplane.controller.intent import Intent
from socketplane.controller.plans.hosts import of_system
from socketplane.errors import Forbidden, Unauthenticated
from socketplane.model.types import Host
from socketplane.transport.peer import Peer


class Right(Enum):
    """What a caller has to be."""

    ANYONE = "anyone"
    MEMBER = "an administrator or a host"
    ADMIN = "an administrator"
    HOST = "a host"


_TABLE = """
PUT    /v1/endpoints/*             HOST
DELETE /v1/endpoints/*             HOST
POST   /v1/endpoints               HOST
POST   /v1/networks/*/leases       HOST
DELETE /v1/networks/*/leases/*     HOST
PUT    /v1/hosts/*/report          HOST
GET    /v1/endpoints               MEMBER
GET    /v1/endpoints/*             MEMBER
GET    /v1/networks                MEMBER
GET    /v1/networks/*              MEMBER
POST   /v1/networks                MEMBER
PATCH  /v1/networks/*              MEMBER
DELETE /v1/networks/*              MEMBER
GET    /v1/leases                  MEMBER
GET    /v1/hosts                   MEMBER
GET    /v1/hosts/*                 MEMBER
PUT    /v1/hosts/*                 ADMIN
PATCH  /v1/hosts/*                 ADMIN
DELETE /v1/hosts/*                 MEMBER
GET    /v1/policies                MEMBER
GET    /v1/policies/*/*            MEMBER
POST   /v1/policies                ADMIN
DELETE /v1/policies/*/*            ADMIN
GET    /v1/explain                 MEMBER
GET    /v1/status                  MEMBER
GET    /v1/watch                   MEMBER
GET    /v1/tokens                  ADMIN
POST   /v1/tokens                  ADMIN
DELETE /v1/tokens/*                ADMIN
GET    /metrics                    MEMBER
GET    /openapi.json               MEMBER
GET    /v1/version                 ANYONE
GET    /v1/ca                      ANYONE
POST   /v1/join                    ANYONE
"""


def _rule(line: str) -> tuple[str, re.Pattern[str], Right]:
    method, path, right = line.split()
    return method, re.compile(re.escape(path).replace(r"\*", "[^/]+")), Right[right]


RULES = [_rule(line) for line in _TABLE.strip().splitlines()]


def needed(method: str, path: str) -> Right:
    """Return what a call needs. What isn't listed needs a member, who is then told that it does not exist."""
    for listed, pattern, right in RULES:
        if listed == method and pattern.fullmatch(path):
            return right
    return Right.MEMBER


def check(right: Right, peer: Peer) -> None:
    """Let a caller pass, by its kind.

    Raises:
        Unauthenticated: it has no certificate of the cluster.
        Forbidden: it has one, of another kind.
    """
    if right is Right.ANYONE:
        return
    if peer.kind == "anonymous":
        raise Unauthenticated(
            "a certificate of the cluster is needed", remedy="join the cluster, or use the manager's socket"
        )
    if (right is Right.ADMIN and peer.kind != "admin") or (right is Right.HOST and peer.kind != "host"):
        raise Forbidden(f"only {right.value} may do this")


def host_of(intent: Intent, peer: Peer) -> Host | None:
    """Return the host that calls; None for an administrator.

    Raises:
        Unauthenticated: its certificate is good, but it left the cluster.
    """
    return of_system(intent, peer.system_id) if peer.kind == "host" else None
