"""Host ports that are ours: each is held by a socket, so that nobody else takes it, and the kernel frees it if we die.

No packet comes to these sockets: the firewall leads them to the container before. Nothing here blocks.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Collection, Iterable, Mapping
from contextlib import ExitStack

from socketplane.agent.portmap import FIELD, Wish
from socketplane.errors import Conflict, InvalidInput, SocketPlaneError
from socketplane.model.published import Published
from socketplane.model.spec import Protocol
from socketplane.model.types import Address

_KINDS = {
    Protocol.TCP: (socket.SOCK_STREAM, socket.IPPROTO_TCP),
    Protocol.UDP: (socket.SOCK_DGRAM, socket.IPPROTO_UDP),
    Protocol.SCTP: (socket.SOCK_STREAM, socket.IPPROTO_SCTP),
}
_EPHEMERAL_TRIES = 16
"""The kernel chooses for the first address; the other may have that one in use."""


_ABSENT = (errno.EPROTONOSUPPORT, errno.ESOCKTNOSUPPORT)
_EPHEMERAL = range(32768, 61000)


class Claim:
    """A port of a protocol that this kernel has no sockets of: nobody but us can have one, so that noting it holds it.

    The firewall and Open vSwitch need none to lead packets of it.
    """

    def __init__(self, address: Address, port: int) -> None:
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
                for address, handle in _first_free(wish, self._ours(taken)).items():
                    stack.callback(handle.close)
                    taken[wish.at(address, handle.getsockname()[1])] = handle
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
    return Wish(published.protocol, published.port, (published.address,), published.host_port, published.host_port)


def _first_free(wish: Wish, ours: Collection[Published]) -> Mapping[Address, Handle]:
    """Return the same port at each of a wish's addresses."""
    for port in range(wish.first, wish.last + 1) if wish.first else [0] * _EPHEMERAL_TRIES:
        with ExitStack() as stack:
            found: dict[Address, Handle] = {}
            for address in wish.addresses:
                number = next(iter(found.values())).getsockname()[1] if found else port
                try:
                    found[address] = stack.enter_context(_bound(wish.protocol, address, number))
                except OSError as error:
                    if error.errno in _ABSENT:
                        return _claimed(wish, ours)
                    if error.errno != errno.EADDRINUSE:
                        raise _explained(error, wish.protocol, address, number) from None
                    break
            else:
                stack.pop_all()
                return found
    raise _in_use(wish)


def _in_use(wish: Wish) -> Conflict:
    ports = str(wish.first) if wish.first == wish.last else f"{wish.first} to {wish.last}"
    return Conflict(
        f"port {ports}/{wish.protocol} of {' or '.join(map(str, wish.addresses))} is in use on this host",
        field=FIELD,
        remedy=f"choose another, or stop what has it: `ss -lnp sport = {wish.first}` and `socketplane endpoint ls` tell",
    )


def _claimed(wish: Wish, ours: Collection[Published]) -> Mapping[Address, Handle]:
    """Return the first port that none of ours has, at each of a wish's addresses."""
    for address in wish.addresses:
        try:
            with socket.socket(_family(address), socket.SOCK_DGRAM) as probe:
                probe.bind((str(address), 0))
        except OSError as error:
            raise _explained(error, wish.protocol, address, wish.first) from None
    taken = {each.host_port for each in ours if each.protocol is wish.protocol and _meet(each, wish.addresses)}
    free = (port for port in (range(wish.first, wish.last + 1) if wish.first else _EPHEMERAL) if port not in taken)
    if (port := next(free, None)) is None:
        raise _in_use(wish)
    return {address: Claim(address, port) for address in wish.addresses}


def _meet(published: Published, addresses: Collection[Address]) -> bool:
    """Return whether one of these addresses is that of a published port, or means it, or the other way round."""
    return any(
        published.address == address
        or (published.address.version == address.version and (published.everywhere or address.is_unspecified))
        for address in addresses
    )


def _family(address: Address) -> socket.AddressFamily:
    return socket.AF_INET if address.version == 4 else socket.AF_INET6


def _bound(protocol: Protocol, address: Address, port: int) -> socket.socket:
    kind, number = _KINDS[protocol]
    family = _family(address)
    with ExitStack() as stack:
        handle = stack.enter_context(socket.socket(family, kind | socket.SOCK_NONBLOCK, number))
        if family == socket.AF_INET6:
            handle.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if kind == socket.SOCK_STREAM:
            handle.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections that ended lately don't matter
        handle.bind((str(address), port))
        if kind == socket.SOCK_STREAM:
            handle.listen(0)  # until it listens, others that set that option could bind it too
        stack.pop_all()
        return handle


def _explained(error: OSError, protocol: Protocol, address: Address, port: int) -> SocketPlaneError:
    if error.errno == errno.EADDRNOTAVAIL:
        return InvalidInput(f"{address} is no address of this host", field=FIELD)
    return Conflict(f"port {port}/{protocol} of {address}: {error.strerror}", field=FIELD)
