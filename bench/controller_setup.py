"""What the controller's benchmark runs on: two ovsdb-servers, the controller's process, hosts with certificates."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

from socketplane import pki
from socketplane.config import Paths
from socketplane.controller.schema import SCHEMA_FILE
from socketplane.identity import HostIdentity
from socketplane.transport import tls

NORTHBOUND_SCHEMA = Path("/usr/share/ovn/ovn-nb.ovsschema")


@dataclass
class Host:
    """A host's agent, reduced to its connection: an HTTP client that costs next to nothing beside the server."""

    name: str
    system_id: str
    address: str
    port: int
    context: ssl.SSLContext
    _reader: asyncio.StreamReader | None = field(default=None)
    _writer: asyncio.StreamWriter | None = field(default=None)

    async def connect(self) -> None:
        """Open the connection."""
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self.port, ssl=self.context)

    async def call(self, method: str, path: str, body: dict[str, Any] | None) -> Any:
        """Send a request; return its parsed answer."""
        if self._reader is None or self._writer is None:
            raise RuntimeError("connect() first")
        data = b"" if body is None else json.dumps(body).encode()
        self._writer.write(
            f"{method} {path} HTTP/1.1\r\nhost: controller\r\ncontent-length: {len(data)}\r\n\r\n".encode() + data
        )
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = int(head.partition("content-length: ")[2].partition("\r\n")[0] or 0)
        content = await self._reader.readexactly(length)
        if not head.startswith("http/1.1 2"):
            raise RuntimeError(f"{method} {path}: {head.splitlines()[0]} {content.decode()}")
        return json.loads(content) if content else None


@dataclass(frozen=True)
class Stack:
    """The running parts."""

    pid: int
    databases: Sequence[int]
    unix: Path
    hosts: Sequence[Host]

    def processor(self) -> float:
        """Return the processor time that controller and databases used, seconds."""
        ticks = os.sysconf("SC_CLK_TCK")
        fields = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in (self.pid, *self.databases)]
        return sum(int(entry[11]) + int(entry[12]) for entry in fields) / ticks

    def resident(self) -> float:
        """Return the controller's resident memory, MiB."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) / 1024
        raise RuntimeError("the controller has ended")


@contextmanager
def stack(root: Path, hosts: int, profile: Path | None) -> Iterator[Stack]:
    """Start everything below `root`; stop it at the end."""
    paths = Paths(root)
    port = _free_port()
    with ExitStack() as ends:
        databases = [
            _database(ends, SCHEMA_FILE, paths.intent_db, paths.intent_socket),
            _database(ends, NORTHBOUND_SCHEMA, root / "northbound.db", paths.northbound_socket),
        ]
        authority = pki.make_ca("bench", datetime.now(UTC))
        _lay(paths.pki, authority, "server", pki.Subject("bench", pki.ORGANIZATION_SERVER), server=True)
        (paths.pki / pki.CA_KEY).write_text(authority.key)
        identity = HostIdentity(
            name="bench",
            system_id="system-bench",
            role="manager",
            address=IPv4Address("127.0.0.1"),
            controllers=(f"127.0.0.1:{port}",),
            southbound=("ssl:127.0.0.1:6642",),
            gateway=IPv4Address("169.254.192.2"),
        )
        identity.save(paths.host_file)
        made = [_host(root, authority, number, port) for number in range(hosts)]
        profiling = ["-m", "cProfile", "-o", str(profile)] if profile else []
        command = [sys.executable, *profiling, "-m", "socketplane.controller"]
        process = ends.enter_context(_process(command, env={**os.environ, "SOCKETPLANE_ROOT": str(root)}, log=root / "log"))
        _wait(paths.controller_socket, process)
        yield Stack(process.pid, databases, paths.controller_socket, made)


def _host(root: Path, authority: pki.Authority, number: int, port: int) -> Host:
    name = f"host{number}"
    _lay(root / name, authority, "host", pki.Subject(f"system-{name}", pki.ORGANIZATION_HOST))
    return Host(name, f"system-{name}", f"127.0.1.{number + 1}", port, tls.client_context(root / name))


def _lay(directory: Path, authority: pki.Authority, name: str, subject: pki.Subject, *, server: bool = False) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    pair = pki.make_key_and_csr(subject.common_name, subject.organization)
    addresses = [IPv4Address("127.0.0.1")]
    certificate = pki.sign_csr(authority, pair.csr, subject, datetime.now(UTC), addresses=addresses, server=server)
    (directory / pki.CA_CERT).write_text(authority.certificate)
    (directory / f"{name}.crt").write_text(certificate)
    (directory / f"{name}.key").write_text(pair.key)


def _database(ends: ExitStack, schema: Path, file: Path, listen: Path) -> int:
    file.parent.mkdir(parents=True, exist_ok=True)
    listen.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(["ovsdb-tool", "create", file, schema], check=True)
    control = file.with_suffix(".ctl")
    command = ["ovsdb-server", f"--remote=punix:{listen}", f"--unixctl={control}", "--no-chdir", "--verbose=off", str(file)]
    process = ends.enter_context(_process(command, env={**os.environ, "OVS_RUNDIR": str(file.parent)}, log=None))
    _wait(listen, process)
    return process.pid


@contextmanager
def _process(command: Sequence[str], env: dict[str, str], log: Path | None) -> Iterator[subprocess.Popen[bytes]]:
    output = log.open("wb") if log else subprocess.DEVNULL
    process = subprocess.Popen(command, env=env, stdout=output, stderr=output)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(timeout=20)


def _wait(path: Path, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 15
    while time.monotonic() < deadline and process.poll() is None:
        with socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.connect(str(path))
            except OSError:
                time.sleep(0.02)
            else:
                return
    raise OSError(f"nothing listens on {path}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
