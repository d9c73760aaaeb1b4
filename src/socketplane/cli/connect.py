"""How a command reaches the controller: a given address, the local socket on a manager, else this host's certificate."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import typer

from socketplane.config import REST_PORT, Paths
from socketplane.errors import Forbidden, InvalidInput, NotFound, SocketPlaneError, Unavailable

if TYPE_CHECKING:
    import asyncio
    import ssl

    from pydantic import BaseModel

    from socketplane.transport.client import ControllerClient, Target

Params = Mapping[str, str | int | Sequence[str] | None]
AS_ROOT = "run it as root: sudo socketplane ..."


@dataclass(frozen=True, slots=True)
class Connection:
    """What the common flags say about the controller; all None: find it from this host's own files."""

    paths: Paths = field(default_factory=Paths)
    controller: str | None = None
    cert: Path | None = None
    key: Path | None = None
    ca: Path | None = None


def of(ctx: typer.Context) -> Connection:
    """Return what the root command has put into the context; while a shell completes, it hasn't run."""
    found = ctx.find_object(Connection)
    return found or Connection(ctx.find_object(Paths) or Paths(), os.environ.get("SOCKETPLANE_CONTROLLER"))


class Session:
    """The controller's API as plain calls: one event loop and one connection for a whole command."""

    def __init__(self, runner: asyncio.Runner, client: ControllerClient, controllers: Sequence[str]) -> None:
        self._runner = runner
        self._client = client
        self._controllers = controllers

    def call(self, method: str, path: str, body: BaseModel | None = None, params: Params | None = None) -> Any:
        """Return the parsed answer.

        Raises:
            Forbidden: as the controller says; the remedy names the host where it would be allowed.
            SocketPlaneError: any other that the controller answered.
            Unavailable: no controller answers.
        """
        given = {name: value for name, value in (params or {}).items() if value is not None}
        try:
            return self._runner.run(self._client.call(method, path, body, given))
        except Forbidden as error:
            raise self._for_managers(error) from None
        except Unavailable as error:
            if "Permission denied" in error.message:
                raise Forbidden(error.message, remedy=AS_ROOT) from None
            raise
        except ValueError:
            raise SocketPlaneError("what answered is no SocketPlane controller: no JSON") from None

    def get(self, path: str, params: Params | None = None) -> Any:
        """Return one object."""
        return self.call("GET", path, params=params)

    def items(self, path: str, params: Params | None = None) -> list[dict[str, Any]]:
        """Return a list's items."""
        items: list[dict[str, Any]] = self.get(path, params)["items"]
        return items

    def _for_managers(self, error: Forbidden) -> Forbidden:
        addresses = [controller.rpartition(":")[0] for controller in self._controllers]
        if not addresses:
            return error
        names = addresses
        with contextlib.suppress(SocketPlaneError):
            hosts = self._runner.run(self._client.call("GET", "/v1/hosts"))["items"]
            names = [host["name"] for host in hosts if host["address"] in addresses] or addresses
        where = " or ".join(names)
        return Forbidden(error.message, field=error.field, remedy=f"run it as root on the manager host {where}")


def path(*parts: str) -> str:
    """Return a path below /v1 with each part escaped. Raises NotFound for a part that would mean another path."""
    for part in parts:
        if part in ("", ".", ".."):
            raise NotFound(f"nothing is named {part!r}")
    return "/v1/" + "/".join(quote(part, safe="") for part in parts)


@contextlib.contextmanager
def session(connection: Connection) -> Iterator[Session]:
    """Open the way to the controller. Raises what `target_of` raises."""
    target = target_of(connection)
    import asyncio

    from socketplane.transport.client import ControllerClient  # heavy: aiohttp and the wire types

    with asyncio.Runner() as runner:
        client = ControllerClient(target)
        runner.run(client.__aenter__())
        try:
            yield Session(runner, client, () if isinstance(target, Path) else target[0])
        finally:
            runner.run(client.__aexit__(None, None, None))


def target_of(connection: Connection) -> Target:
    """Return where the controller is, and as whom to speak to it.

    Raises:
        NotFound: no address given, and this machine is in no cluster.
        Forbidden: this user may not read what is needed.
        InvalidInput: an address or a combination of flags that can't be.
        Unavailable: a key file can't be read.
    """
    try:
        return _given(connection, connection.controller) if connection.controller else _found(connection)
    except PermissionError as error:
        raise Forbidden(f"{error.filename} can't be read", remedy=AS_ROOT) from None


def _found(connection: Connection) -> Target:
    if connection.paths.controller_socket.exists():
        return connection.paths.controller_socket
    from socketplane.identity import HostIdentity  # not needed on a manager

    identity = HostIdentity.load(connection.paths.host_file)
    if identity.manager:
        return connection.paths.controller_socket
    return list(identity.controllers), _context(connection)


def _given(connection: Connection, text: str) -> Target:
    if text.startswith("/"):
        return Path(text)
    if text.startswith("unix:"):
        return Path(text.removeprefix("unix:").removeprefix("//"))
    addresses = [item.strip() for item in text.split(",")]
    for address in addresses:
        host, colon, port = address.rpartition(":")
        if not address or "/" in address or (colon and not (host and port.isdigit())):
            raise InvalidInput(
                f"{address!r} is no controller", field="--controller", remedy="write HOST[:PORT] or unix:///PATH"
            )
    return [item if ":" in item else f"{item}:{REST_PORT}" for item in addresses], _context(connection)


def _context(connection: Connection) -> ssl.SSLContext:
    """Return a TLS context with the flags' files; what isn't given is this host's own."""
    import ssl  # only members and remote users need it

    if (connection.cert is None) != (connection.key is None):
        raise InvalidInput("--cert and --key belong together", remedy="give both or none")
    own = connection.paths.pki
    ca, cert, key = connection.ca or own / "ca.crt", connection.cert or own / "host.crt", connection.key or own / "host.key"
    for file in (ca, cert, key):
        if not file.exists():
            raise InvalidInput(f"there is no {file}", remedy="name the files with --ca, --cert and --key")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    try:
        context.load_verify_locations(cafile=ca)
        context.load_cert_chain(cert, key)
    except ssl.SSLError as error:
        raise InvalidInput(f"{ca}, {cert} and {key} can't be used: {error.reason or error}") from None
    return context
