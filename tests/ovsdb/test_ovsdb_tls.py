"""TLS to a real server, with certificates made here."""

from __future__ import annotations

import datetime
import ipaddress
import logging
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from socketplane.ovsdb import Client, NotConnected, Tls, comment, insert
from support.ovsdb_schema import QUICK, SCHEMA
from support.ovsdb_server import OvsdbServer


@dataclass
class Authority:
    """A certificate authority in a directory."""

    directory: Path
    name: str = "ca"

    def __post_init__(self) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"{self.name} of the test")])
        self.certificate = self.directory / f"{self.name}.pem"
        self._write(self.certificate, self._sign(self.subject, self.key, authority=True))

    def issue(self, name: str, address: str | None = None) -> tuple[Path, Path]:
        """Return the files of a new key and its certificate."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        key_file, certificate_file = self.directory / f"{name}.key", self.directory / f"{name}.crt"
        pem = serialization.Encoding.PEM
        key_file.write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
        self._write(certificate_file, self._sign(subject, key, address=address))
        return key_file, certificate_file

    def _sign(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, *, authority: bool = False, address: str | None = None
    ) -> x509.Certificate:
        now = datetime.datetime.now(datetime.UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + datetime.timedelta(hours=1))
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        )
        if address is not None:
            names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))])
            builder = builder.add_extension(names, critical=False)
        return builder.sign(self.key, hashes.SHA256())

    def _write(self, file: Path, certificate: x509.Certificate) -> None:
        file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))


@pytest.mark.parametrize("address", [None, "127.0.0.1"])
async def test_mutual_tls(tmp_path: Path, address: str | None) -> None:
    authority = Authority(tmp_path)
    server_files, (key, certificate) = authority.issue("server", address), authority.issue("client")
    tls = Tls(authority.certificate, certificate, key, check_hostname=address is not None)
    async with (
        OvsdbServer(SCHEMA, tmp_path / "server", tls=(*server_files, authority.certificate)) as server,
        Client([server.ssl_remote], "Test", tls=tls, backoff=QUICK) as client,
    ):
        replica = await client.monitor({"Thing": ["name"]})
        await client.transact(*(insert("Thing", {"name": f"{n}" + "x" * 100_000}) for n in range(50)))
        assert len(replica["Thing"]) == 50
        await server.stop()
        await server.start()
        await client.transact(insert("Thing", {"name": "again"}))
        assert len(replica["Thing"]) == 51


@pytest.mark.parametrize("fault", ["strange server", "strange client", "no certificate", "wrong name", "no file", "no tls"])
async def test_what_is_not_trusted_is_not_used(tmp_path: Path, fault: str, caplog: pytest.LogCaptureFixture) -> None:
    authority, stranger = Authority(tmp_path), Authority(tmp_path, "stranger")
    key, certificate = (stranger if fault == "strange client" else authority).issue("client")
    server_files = (stranger if fault == "strange server" else authority).issue("server")
    tls = Tls(
        tmp_path / "missing" if fault == "no file" else authority.certificate,
        None if fault == "no certificate" else certificate,
        None if fault == "no certificate" else key,
        check_hostname=fault == "wrong name",
    )
    with caplog.at_level(logging.WARNING, "socketplane.ovsdb"):
        async with (
            OvsdbServer(SCHEMA, tmp_path / "server", tls=(*server_files, authority.certificate)) as server,
            Client([server.ssl_remote], "Test", tls=None if fault == "no tls" else tls, backoff=QUICK) as client,
        ):
            with pytest.raises(NotConnected):
                await client.transact(comment("x"), timeout=0.2)
    assert "can't use ssl:127.0.0.1" in caplog.text


async def test_renewed_files_are_taken_up_at_the_next_connection(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    server_files = authority.issue("server")
    stranger = Authority(tmp_path, "stranger")
    key, certificate = stranger.issue("client")
    tls = Tls(authority.certificate, certificate, key)
    async with (
        OvsdbServer(SCHEMA, tmp_path / "server", tls=(*server_files, authority.certificate)) as server,
        Client([server.ssl_remote], "Test", tls=tls, backoff=QUICK) as client,
    ):
        with pytest.raises(NotConnected):
            await client.transact(comment("x"), timeout=0.2)
        authority.issue("client")
        await client.transact(comment("x"))
