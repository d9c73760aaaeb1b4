"""The first word with a controller: the CA is known by the token's fingerprint, and clocks are compared before TLS does."""

from __future__ import annotations

import http.server
import re
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import formatdate
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from socketplane import pki
from socketplane.cluster.join import fetch_ca
from socketplane.errors import SocketPlaneError, Unauthenticated, Unavailable

NOW = time.time()
SERVER = pki.Subject("h1", pki.ORGANIZATION_SERVER)


@pytest.fixture(scope="module")
def ca() -> pki.Authority:
    return pki.make_ca("x", datetime.fromtimestamp(NOW, UTC))


@contextmanager
def controller(ca: pki.Authority, folder: Path, status: int = 200, clock: float = NOW) -> Iterator[str]:
    """Serve a CA as a controller does; yields host:port."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(ca.certificate.encode() if self.path == "/v1/ca" else b"")

        def date_time_string(self, timestamp: float | None = None) -> str:
            return formatdate(clock, usegmt=True)

        def log_message(self, *args: object) -> None:
            pass

    pair = pki.make_key_and_csr(SERVER.common_name, SERVER.organization)
    now = datetime.fromtimestamp(NOW, UTC)
    certificate = pki.sign_csr(ca, pair.csr, SERVER, now, addresses=[IPv4Address("127.0.0.1")], server=True)
    (folder / "pair.pem").write_text(certificate + pair.key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "pair.pem")
    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def token(ca: pki.Authority, *controllers: str) -> pki.JoinToken:
    return pki.new_token(controllers, pki.fingerprint(ca.certificate))


def test_the_tokens_ca_is_taken(ca: pki.Authority, tmp_path: Path) -> None:
    with controller(ca, tmp_path) as where:
        assert fetch_ca(token(ca, where), NOW) == ca.certificate


def test_one_controller_that_answers_is_enough(ca: pki.Authority, tmp_path: Path) -> None:
    with controller(ca, tmp_path) as where:
        assert fetch_ca(token(ca, "127.0.0.1:1", where), NOW) == ca.certificate


def test_another_ca_is_refused(ca: pki.Authority, tmp_path: Path) -> None:
    other = pki.make_ca("x", datetime.fromtimestamp(NOW, UTC))
    with controller(other, tmp_path) as where, pytest.raises(Unauthenticated) as caught:
        fetch_ca(token(ca, where), NOW)
    assert caught.value.field == "token"
    assert "someone may be between" in str(caught.value)


def test_none_that_answers_names_each(ca: pki.Authority, tmp_path: Path) -> None:
    with controller(ca, tmp_path, status=503) as where, pytest.raises(Unavailable) as caught:
        fetch_ca(token(ca, "127.0.0.1:1", where), NOW)
    assert "127.0.0.1:1: Connection refused" in str(caught.value)
    assert f"{where}: answered 503" in str(caught.value)


@pytest.mark.parametrize("apart", [3600.0, -86400.0])
def test_a_clock_far_off_is_said_to_be_that(ca: pki.Authority, tmp_path: Path, apart: float) -> None:
    with controller(ca, tmp_path, clock=NOW + apart) as where, pytest.raises(SocketPlaneError) as caught:
        fetch_ca(token(ca, where), NOW)
    said = re.search(r"are (\d+) s apart", str(caught.value))
    assert said is not None
    assert abs(int(said[1]) - abs(apart)) <= 5  # the answer's date has whole seconds, and asking takes its time


def test_a_clock_a_little_off_is_fine(ca: pki.Authority, tmp_path: Path) -> None:
    with controller(ca, tmp_path, clock=NOW + 200) as where:
        assert fetch_ca(token(ca, where), NOW) == ca.certificate
