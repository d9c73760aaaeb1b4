"""Host ports that are ours: each is held by a socket, so that nobody else takes it, and the kernel frees it if we die.

No packet comes to these sockets: the firewall leads them to the container before. Nothing here blocks.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Collection, Iterable, Mapping
from contextlib import ExitStack
from ipaddress import IPv4Address

from socketplane.agent.portmap import FIELD, Wish
from socketplane.errors import Conflict, InvalidInput, SocketPlaneError
from socketplane.model.published import ANY, Published
from socketplane.model.spec import Protocol

_KINDS = {
    Protocol.TCP: (socket.SOCK_STREAM, socket.IPPROTO_TCP),
    Protocol.UDP: (socket.SOCK_DGRAM, socket.IPPROTO_UDP),
    Protocol.SCTP: (socket.SOCK_STREAM, socket.IPPROTO_SCTP),
}


_ABSENT = (errno.EPROTONOSUPPORT, errno.ESOCKTNOSUPPORT)
_EPHEMERAL = range(32768, 61000)


class Claim:
    """A port of a protocol that this kernel has no sockets of: nobody but us can have one, so that noting it holds it.

    The firewall and Open vSwitch need none to lead packets of it.
    """

    def __init__(self, address: IPv4Address, port: int) -> None:
        self.address = address
        self.port = port

    def getsockname(self) -> tuple[str, int]:
        """Return the address and the port, as a socket does."""
        return str(self.address), self.port

    def close(self) -> None:
        """Do nothing: who forgets it gives it back."""


Handle = socket.socket | Claim


class Reservations:
    """Which endpoint has which of this host's ports."""

    def __init__(self) -> None:
        self._held: dict[str, dict[Published, Handle]] = {}

    def held(self, endpoint: str) -> Mapping[Published, object]:
        """Return the ports of an endpoint."""
        return self._held.get(endpoint, {})

    def endpoints(self) -> list[str]:
        """Return who has any."""
        return list(self._held)

    def rivals(self, wishes: Iterable[Wish]) -> set[str]:
        """Return whose ports are in the way of wishes for certain ports."""
        return {
            endpoint
            for endpoint, ports in self._held.items()
            for each in ports
            for wish in wishes
            if each.protocol is wish.protocol and wish.first <= each.host_port <= wish.last
        }

    def take(self, endpoint: str, wishes: Iterable[Wish]) -> tuple[Published, ...]:
        """Take a port for each wish, all or none; they stand beside what the endpoint has.

        Conflict: one is in use. InvalidInput: the host has no such address.
        """
        taken: dict[Published, Handle] = {}
        with ExitStack() as stack:
            for wish in wishes:
                handle = _first_free(wish, self._ours(taken))
                stack.callback(handle.close)
                taken[wish.at(handle.getsockname()[1])] = handle
            stack.pop_all()
        self._held.setdefault(endpoint, {}).update(taken)
        return tuple(sorted(taken))

    def _ours(self, more: Iterable[Published]) -> list[Published]:
        return [*more, *(each for ports in self._held.values() for each in ports)]

    def release(self, endpoint: str) -> None:
        """Give back all of an endpoint's ports."""
        for handle in self._held.pop(endpoint, {}).values():
            handle.close()


def again(published: Published) -> Wish:
    """Return the wish for exactly this."""
    return Wish(published.protocol, published.port, published.address, published.host_port, published.host_port)


def _first_free(wish: Wish, ours: Collection[Published]) -> Handle:
    for port in range(wish.first, wish.last + 1):
        try:
            return _bound(wish, port)
        except OSError as error:
            if error.errno in _ABSENT:
                if (claim := _claimed(wish, ours)) is not None:
                    return claim
                break
            if error.errno != errno.EADDRINUSE:
                raise _explained(error, wish, port) from None
    ports = str(wish.first) if wish.first == wish.last else f"{wish.first} to {wish.last}"
    raise Conflict(
        f"port {ports}/{wish.protocol} of {wish.address} is in use on this host",
        field=FIELD,
        remedy=f"choose another, or stop what has it: `ss -lnp sport = {wish.first}` and `socketplane endpoint ls` tell",
    )


def _claimed(wish: Wish, ours: Collection[Published]) -> Claim | None:
    """Return the first port that none of ours has; None where there is none."""
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind((str(wish.address), 0))
    except OSError as error:
        raise _explained(error, wish, wish.first) from None
    taken = {
        each.host_port
        for each in ours
        if each.protocol is wish.protocol and (each.address == wish.address or ANY in (each.address, wish.address))
    }
    free = (port for port in (range(wish.first, wish.last + 1) if wish.first else _EPHEMERAL) if port not in taken)
    port = next(free, None)
    return None if port is None else Claim(wish.address, port)


def _bound(wish: Wish, port: int) -> socket.socket:
    kind, number = _KINDS[wish.protocol]
    with ExitStack() as stack:
        handle = stack.enter_context(socket.socket(socket.AF_INET, kind | socket.SOCK_NONBLOCK, number))
        if kind == socket.SOCK_STREAM:
            handle.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections that ended lately don't matter
        handle.bind((str(wish.address), port))
        if kind == socket.SOCK_STREAM:
            handle.listen(0)  # until it listens, others that set that option could bind it too
        stack.pop_all()
        return handle


def _explained(error: OSError, wish: Wish, port: int) -> SocketPlaneError:
    if error.errno == errno.EADDRNOTAVAIL:
        return InvalidInput(f"{wish.address} is no address of this host", field=FIELD)
    return Conflict(f"port {port}/{wish.protocol} of {wish.address}: {error.strerror}", field=FIELD)
