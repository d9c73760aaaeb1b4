"""What a user asks for with `-p`, as Docker tells it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, ip_address
from typing import Any

from pydantic import TypeAdapter, ValidationError

from socketplane import wire
from socketplane.agent.protocol import PORT_MAP, Binding
from socketplane.errors import InvalidInput, Unsupported
from socketplane.model.published import ANY, Published
from socketplane.model.spec import Protocol

FIELD = "--publish"
_PROTOCOLS = {6: Protocol.TCP, 17: Protocol.UDP, 132: Protocol.SCTP}
_BINDINGS = TypeAdapter(list[Binding])


@dataclass(frozen=True, slots=True)
class Wish:
    """A port of the container that is to be published at one of the host's, the first that is free."""

    protocol: Protocol
    port: int
    address: IPv4Address
    first: int
    """0: any that is free."""
    last: int

    def at(self, host_port: int) -> Published:
        """Return it fulfilled."""
        return Published(self.protocol, self.address, host_port, self.port)


def wishes(options: Mapping[str, Any]) -> tuple[Wish, ...]:
    """Return what is asked for.

    InvalidInput: Docker said what can't be understood. Unsupported: what this version does not do.
    """
    try:
        bindings = _BINDINGS.validate_python(options.get(PORT_MAP) or [])
    except ValidationError as error:
        raise InvalidInput(f"not understood: {error.errors()[0]['msg']}", field=FIELD) from None
    return tuple(dict.fromkeys(map(_wish, bindings)))


def _wish(binding: Binding) -> Wish:
    protocol = _PROTOCOLS.get(binding.protocol)
    if protocol is None:
        raise Unsupported(f"IP protocol {binding.protocol} can't be published", field=FIELD)
    if not binding.port:
        raise InvalidInput("no port of the container is named", field=FIELD)
    last = max(binding.host_port, binding.host_port_end)
    return Wish(protocol, binding.port, _address(binding.host_ip), binding.host_port, last)


def _address(text: str) -> IPv4Address:
    try:
        address = ip_address(text) if text else ANY
    except ValueError:
        raise InvalidInput(f"{text!r} is no address", field=FIELD) from None
    if not isinstance(address, IPv4Address):
        raise Unsupported("IPv6 is not supported yet", field=FIELD, remedy="name an IPv4 address of this host, or none")
    return address


def told(published: Iterable[Published]) -> list[wire.PublishedPort]:
    """Return published ports as the controller is told them."""
    return [
        wire.PublishedPort(protocol=each.protocol.value, address=each.address, host_port=each.host_port, port=each.port)
        for each in published
    ]
