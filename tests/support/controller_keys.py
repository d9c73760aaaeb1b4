"""Key files as `socketplane up` and `join` lay them."""

from datetime import UTC, datetime
from ipaddress import IPv4Address
from pathlib import Path

from socketplane import pki


def lay(directory: Path, authority: pki.Authority, name: str, subject: pki.Subject, *, server: bool = False) -> None:
    """Write NAME.crt and NAME.key below `directory`, and the CA's certificate."""
    directory.mkdir(parents=True, exist_ok=True)
    pair = pki.make_key_and_csr(subject.common_name, subject.organization)
    certificate = pki.sign_csr(
        authority,
        pair.csr,
        subject,
        datetime.now(UTC),
        names=["localhost"],
        addresses=[IPv4Address("127.0.0.1")],
        server=server,
    )
    (directory / "ca.crt").write_text(authority.certificate)
    (directory / f"{name}.crt").write_text(certificate)
    (directory / f"{name}.key").write_text(pair.key)


def manager(directory: Path, system_id: str = "system-h1") -> pki.Authority:
    """Lay what a manager holds; return its CA."""
    authority = pki.make_ca("test", datetime.now(UTC))
    lay(directory, authority, "server", pki.Subject("h1", pki.ORGANIZATION_SERVER), server=True)
    lay(directory, authority, "host", pki.Subject(system_id, pki.ORGANIZATION_HOST))
    (directory / "ca.key").write_text(authority.key)
    return authority
