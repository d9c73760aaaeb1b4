"""Who may do what, in one place. Whose object it is, the plans check."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

from socketplane.controller.intent import Intent
from socketplane.controller.plans.hosts import of_system
from socketplane.errors import Forbidden, InvalidInput, NotFound, SocketPlaneError, Unauthenticated
from socketplane.model.types import Host
from socketplane.transport.peer import Peer


class Right(Enum):
    """What a caller has to be."""

    ANYONE = "anyone"
    MEMBER = "an administrator or a host"
    ADMIN = "an administrator"
    HOST = "a host"


_TABLE = """
PUT    /v1/endpoints/{endpoint}                HOST
POST   /v1/networks/{network}/leases           HOST
DELETE /v1/endpoints/{endpoint}                HOST
POST   /v1/endpoints                           HOST
DELETE /v1/networks/{network}/leases/{address} HOST
PUT    /v1/hosts/{name}/report                 HOST
POST   /v1/hosts/{name}/denials                HOST
POST   /v1/hosts/{name}/streams                HOST
POST   /v1/hosts/{name}/probes                 HOST
GET    /v1/endpoints                           MEMBER
GET    /v1/endpoints/{endpoint}                MEMBER
GET    /v1/networks                            MEMBER
GET    /v1/networks/{network}                  MEMBER
POST   /v1/networks                            MEMBER
PATCH  /v1/networks/{network}                  MEMBER
DELETE /v1/networks/{network}                  MEMBER
PUT    /v1/networks/{network}/reservations/{address} ADMIN
DELETE /v1/networks/{network}/reservations/{address} ADMIN
GET    /v1/leases                              MEMBER
GET    /v1/hosts                               MEMBER
GET    /v1/hosts/{name}                        MEMBER
PUT    /v1/hosts/{name}                        ADMIN
PATCH  /v1/hosts/{name}                        ADMIN
DELETE /v1/hosts/{name}                        MEMBER
GET    /v1/pools                               MEMBER
POST   /v1/pools                               ADMIN
GET    /v1/pools/{name}                        MEMBER
DELETE /v1/pools/{name}                        ADMIN
GET    /v1/floating                            MEMBER
POST   /v1/floating                            ADMIN
DELETE /v1/floating/{address}                  ADMIN
GET    /v1/policies                            MEMBER
GET    /v1/policies/history                    MEMBER
GET    /v1/policies/violations                 MEMBER
GET    /v1/policies/{network}/{name}           MEMBER
POST   /v1/policies                            ADMIN
POST   /v1/policies/plan                       ADMIN
POST   /v1/policies/confirm                    ADMIN
POST   /v1/policies/remove                     ADMIN
POST   /v1/policies/rollback                   ADMIN
DELETE /v1/policies/{network}/{name}           ADMIN
GET    /v1/schemas                             MEMBER
GET    /v1/schemas/{kind}                      MEMBER
GET    /v1/services                            MEMBER
GET    /v1/services/{network}/{name}           MEMBER
POST   /v1/services                            ADMIN
DELETE /v1/services/{network}/{name}           ADMIN
PUT    /v1/endpoints/{endpoint}/drain          ADMIN
POST   /v1/hosts/{name}/conditions             HOST
GET    /v1/explain                             MEMBER
GET    /v1/reach                               MEMBER
GET    /v1/reach/samples                       MEMBER
POST   /v1/probes                              ADMIN
GET    /v1/status                              MEMBER
GET    /v1/watch                               MEMBER
GET    /v1/bgp                                 MEMBER
PUT    /v1/bgp                                 ADMIN
GET    /v1/bgp/peers                           MEMBER
POST   /v1/bgp/peers                           ADMIN
DELETE /v1/bgp/peers/{address}                 ADMIN
GET    /v1/tokens                              ADMIN
POST   /v1/tokens                              ADMIN
DELETE /v1/tokens/{token}                      ADMIN
GET    /metrics                                MEMBER
GET    /openapi.json                           MEMBER
GET    /v1/version                             ANYONE
GET    /v1/ca                                  ANYONE
POST   /v1/join                                ANYONE
"""


@dataclass(frozen=True, slots=True)
class Rule:
    """One call: what it needs, and how its path looks."""

    method: str
    path: str
    right: Right
    pattern: re.Pattern[str]

    @staticmethod
    def parse(line: str) -> Rule:
        """Read a line of the table."""
        method, path, right = line.split()
        pattern = re.sub(r"{(\w+)}", r"(?P<\1>[^/]+)", path.replace(".", r"\."))
        return Rule(method, path, Right[right], re.compile(pattern))


RULES = [Rule.parse(line) for line in _TABLE.strip().splitlines()]
"""The busy ones first."""


def find(method: str, path: str) -> tuple[Rule, dict[str, str]] | None:
    """Return the rule for a call and the variable parts of its path; None for what isn't there."""
    for rule in RULES:
        if rule.method == method and (match := rule.pattern.fullmatch(path)):
            return rule, match.groupdict()
    return None


def absent(method: str, path: str) -> SocketPlaneError:
    """Return what is said of a call that isn't in the table."""
    message, remedy = f"there is no call {method} {path}", "GET /openapi.json lists the calls"
    if any(rule.pattern.fullmatch(path) for rule in RULES):
        return InvalidInput(message, remedy=remedy)
    return NotFound(message, remedy=remedy)


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
