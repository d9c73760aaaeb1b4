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
from socketplane.model.published import ANY, ANY6, Published
from socketplane.model.spec import Protocol
from socketplane.model.types import LINK_LOCAL6, Address

FIELD = "--publish"
_PROTOCOLS = {6: Protocol.TCP, 17: Protocol.UDP, 132: Protocol.SCTP}
_BINDINGS = TypeAdapter(list[Binding])


@dataclass(frozen=True, slots=True)
class Wish:
    """A port of the container that is to be published at one of the host's, the first that is free."""

    protocol: Protocol
    port: int
    addresses: tuple[Address, ...]
    """At each of them it is the same one."""
    first: int
    """0: any that is free."""
    last: int

    def at(self, address: Address, host_port: int) -> Published:
        """Return it fulfilled at one of the addresses."""
        return Published(self.protocol, address, host_port, self.port)


def wishes(options: Mapping[str, Any], *, ipv6: bool) -> tuple[Wish, ...]:
    """Return what is asked for; `ipv6`: the container has it on the network. Where no address is said, it is all.

    InvalidInput: Docker said what can't be understood. Unsupported: what this version does not do.
    """
    try:
        bindings = _BINDINGS.validate_python(options.get(PORT_MAP) or [])
    except ValidationError as error:
        raise InvalidInput(f"not understood: {error.errors()[0]['msg']}", field=FIELD) from None
    return tuple(dict.fromkeys(_wish(binding, ipv6=ipv6) for binding in bindings))


def _wish(binding: Binding, *, ipv6: bool) -> Wish:
    protocol = _PROTOCOLS.get(binding.protocol)
    if protocol is None:
        raise Unsupported(f"IP protocol {binding.protocol} can't be published", field=FIELD)
    if not binding.port:
        raise InvalidInput("no port of the container is named", field=FIELD)
    last = max(binding.host_port, binding.host_port_end)
    return Wish(protocol, binding.port, _addresses(binding.host_ip, ipv6=ipv6), binding.host_port, last)


def _addresses(text: str, *, ipv6: bool) -> tuple[Address, ...]:
    if not text:
        return (ANY, ANY6) if ipv6 else (ANY,)
    try:
        address = ip_address(text)
    except ValueError:
        raise InvalidInput(f"{text!r} is no address", field=FIELD) from None
    if address in LINK_LOCAL6:
        raise Unsupported(f"{text} is a link's own address", field=FIELD, remedy="name another address of this host")
    if address.is_loopback and address.version == 6:
        remedy = "publish at 127.0.0.1: clients that try both get there at once"
        raise Unsupported(f"the kernel leads nothing away from {text}", field=FIELD, remedy=remedy)
    if not isinstance(address, IPv4Address) and not ipv6:
        remedy = "name an IPv4 address, or none; networks have IPv6 if they are made with --ipv6"
        raise InvalidInput(f"at {text} the container can't answer: its network has no IPv6", field=FIELD, remedy=remedy)
    return (address,)


def told(published: Iterable[Published]) -> list[wire.PublishedPort]:
    """Return published ports as the controller is told them."""
    return [
        wire.PublishedPort(protocol=each.protocol.value, address=each.address, host_port=each.host_port, port=each.port)
        for each in published
    ]
