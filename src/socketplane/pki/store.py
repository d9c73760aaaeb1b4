"""Names and reading of the files below `Paths.pki`."""

from __future__ import annotations

from pathlib import Path

from socketplane.errors import NotFound
from socketplane.pki.authority import Authority

CA_CERT = "ca.crt"
CA_KEY = "ca.key"
"""Managers only."""
HOST_CERT = "host.crt"
HOST_KEY = "host.key"
SERVER_CERT = "server.crt"
SERVER_KEY = "server.key"
"""Managers only, as `server.crt`: the REST API and the southbound database serve with them."""


def load_authority(directory: Path) -> Authority:
    """Read the CA of a manager. NotFound: this host holds none."""
    try:
        return Authority((directory / CA_CERT).read_text(), (directory / CA_KEY).read_text())
    except FileNotFoundError as error:
        raise NotFound(f"this host does not hold the cluster's CA: {error.filename} is missing") from error
