"""The cluster's trust: one CA, a certificate for each host, and the tokens that let a host ask for one.

Certificates name their holder in common name and organization:

| holder | common name | organization | may be | names |
|---|---|---|---|---|
| manager's servers | host name | `socketplane server` | server and client | its names and addresses |
| host (agent, ovn-controller) | system id | `socketplane host` | client only | its name and address |
| remote administrator | a name of choice | `socketplane admin` | client only | |

A host's certificate can't serve: Open vSwitch checks the chain but no name, so that one which could would let a captured
host pose as the southbound database.
"""

from socketplane.pki.authority import (
    ORGANIZATION_ADMIN,
    ORGANIZATION_HOST,
    ORGANIZATION_SERVER,
    Authority,
    KeyAndCsr,
    Subject,
    fingerprint,
    make_ca,
    make_key_and_csr,
    sign_csr,
    subject_of,
)
from socketplane.pki.store import CA_CERT, CA_KEY, HOST_CERT, HOST_KEY, SERVER_CERT, SERVER_KEY, load_authority
from socketplane.pki.tokens import JoinToken, hash_secret, new_token

__all__ = [
    "CA_CERT",
    "CA_KEY",
    "HOST_CERT",
    "HOST_KEY",
    "ORGANIZATION_ADMIN",
    "ORGANIZATION_HOST",
    "ORGANIZATION_SERVER",
    "SERVER_CERT",
    "SERVER_KEY",
    "Authority",
    "JoinToken",
    "KeyAndCsr",
    "Subject",
    "fingerprint",
    "hash_secret",
    "load_authority",
    "make_ca",
    "make_key_and_csr",
    "new_token",
    "sign_csr",
    "subject_of",
]
