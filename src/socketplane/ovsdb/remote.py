"""Where a server is: `unix:PATH`, `tcp:HOST:PORT` or `ssl:HOST:PORT`, and the keys for the last."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Tls:
    """The files (PEM) of a TLS client; they are read anew for every connection, so renewed ones are taken up.

    The server's certificate must be signed by `ca_certificate`; its name is compared with the remote's host only
    with `check_hostname`, as OVSDB servers usually have certificates that name no host.
    """

    ca_certificate: Path
    certificate: Path | None = None
    private_key: Path | None = None
    check_hostname: bool = False

    def context(self) -> ssl.SSLContext:
        """Read the files; blocks for as long as that takes."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.check_hostname = self.check_hostname
        context.load_verify_locations(cafile=self.ca_certificate)
        if self.certificate is not None:
            context.load_cert_chain(self.certificate, self.private_key)
        return context


@dataclass(frozen=True, slots=True)
class Remote:
    """A parsed remote: `path` for unix, `host` and `port` for tcp and ssl."""

    kind: str
    path: str = ""
    host: str = ""
    port: int = 0

    def __str__(self) -> str:
        if self.kind == "unix":
            return f"unix:{self.path}"
        return f"{self.kind}:[{self.host}]:{self.port}" if ":" in self.host else f"{self.kind}:{self.host}:{self.port}"

    @classmethod
    def parse(cls, text: str) -> Remote:
        """Read a remote in the form that the OVS tools use; IPv6 addresses stand in brackets."""
        kind, _, rest = text.partition(":")
        if kind == "unix" and rest:
            return cls(kind, path=rest)
        if kind in ("tcp", "ssl"):
            host, _, port = rest.rpartition(":")
            host = host.removeprefix("[").removesuffix("]")
            if host and port.isascii() and port.isdecimal() and 0 < int(port) < 65536:
                return cls(kind, host=host, port=int(port))
        raise ValueError(f"not a remote: {text!r}; expected unix:PATH, tcp:HOST:PORT or ssl:HOST:PORT")


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long to wait before the next round over the remotes, in seconds: doubled from `first` up to `longest`."""

    first: float = 0.1
    longest: float = 5.0

    def delay(self, failures: int, jitter: float) -> float:
        """Return the wait after so many rounds without success; `jitter` in [0, 1) keeps clients apart."""
        if failures <= 0:
            return 0.0
        return min(self.longest, self.first * 2.0 ** min(failures - 1, 30)) * (0.5 + jitter / 2)
