"""Docker's remote driver protocol, as values: what dockerd sends, leniently where versions differ, strictly in type."""

from __future__ import annotations

from contextlib import suppress
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    IPv6Interface,
    IPv6Network,
    ip_address,
    ip_network,
)
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, model_validator

from socketplane.errors import InvalidInput

DRIVER = "socketplane"
"""Name of the network driver and of the IPAM driver: Docker finds both at the socket of this name."""
OPTION_NETWORK = "socketplane.network"
"""Driver and IPAM option: the cluster's id of a network."""
OPTION_ROUTED = "socketplane.routed"
"""Driver option: whether the outside meets the network's containers at their own addresses."""

GENERIC = "com.docker.network.generic"
INTERNAL = "com.docker.network.internal"
ENABLE_IPV6 = "com.docker.network.enable_ipv6"
GATEWAY = "com.docker.network.gateway"
REQUEST_TYPE = "RequestAddressType"
CONTAINER_NAME = "com.docker.network.endpoint.name"
"""Option of RequestAddress, from Docker 29 on."""
PORT_MAP = "com.docker.network.portmap"

CREATE_COMMAND = f"docker network create -d {DRIVER} --ipam-driver {DRIVER} NAME"


def _text_or_none(value: Any) -> Any:
    """Return None for an absent ("") address; refuse numbers, which `ipaddress` would take."""
    if not isinstance(value, str):
        raise ValueError("must be text")  # noqa: TRY004 - pydantic reports ValueError as the request's fault
    return value or None


def _network_or_none(value: Any) -> Any:
    """Return None for an absent network; name the remedy for what people write most often."""
    text = _text_or_none(value)
    if text:
        with suppress(ValueError):
            network = ip_network(text, strict=False)
            if network.network_address != ip_address(text.partition("/")[0]):
                raise InvalidInput(f"{text} has bits set beyond its prefix", remedy=f"write {network}")
    return text


Id = Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z]{1,64}$")]
EndpointId = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{16,64}$")]
HostPort = Annotated[int, Field(ge=0, le=65535)]
MaybeAddress = Annotated[IPv4Address | IPv6Address | None, BeforeValidator(_text_or_none)]
MaybeInterface = Annotated[IPv4Interface | None, BeforeValidator(_text_or_none)]
MaybeInterface6 = Annotated[IPv6Interface | None, BeforeValidator(_text_or_none)]
MaybeNetwork = Annotated[IPv4Network | None, BeforeValidator(_network_or_none)]
MaybeNetwork6 = Annotated[IPv6Network | None, BeforeValidator(_network_or_none)]
MaybePool = Annotated[IPv4Network | IPv6Network | None, BeforeValidator(_network_or_none)]


class Request(BaseModel):
    """Base of all requests. Unknown fields are later Docker versions'; null is Go's way to say absent."""

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)

    @model_validator(mode="before")
    @classmethod
    def _drop_nulls(cls, data: Any) -> Any:
        return {key: value for key, value in data.items() if value is not None} if isinstance(data, dict) else data


class IpamData(Request):
    """A pool as libnetwork allocated it."""

    address_space: str = Field(default="", alias="AddressSpace")
    pool: MaybeNetwork = Field(default=None, alias="Pool")
    gateway: MaybeInterface = Field(default=None, alias="Gateway")


class IpamData6(Request):
    """An IPv6 pool, likewise."""

    address_space: str = Field(default="", alias="AddressSpace")
    pool: MaybeNetwork6 = Field(default=None, alias="Pool")


class CreateNetwork(Request):
    """NetworkDriver.CreateNetwork: neither name nor labels are told."""

    network: Id = Field(alias="NetworkID")
    options: dict[str, Any] = Field(default={}, alias="Options")
    ipv4: list[IpamData] = Field(default=[], alias="IPv4Data")
    ipv6: list[IpamData6] = Field(default=[], alias="IPv6Data")

    @property
    def generic(self) -> dict[str, str]:
        """What the user gave with `--opt`."""
        value = self.options.get(GENERIC)
        return {str(key): str(entry) for key, entry in value.items()} if isinstance(value, dict) else {}

    @property
    def internal(self) -> bool:
        """Whether the network has no way out."""
        return self._flag(INTERNAL)

    @property
    def routed(self) -> bool | None:
        """Whether the network is to be routed; None where nothing was said. InvalidInput: neither yes nor no."""
        text = self.generic.get(OPTION_ROUTED)
        if text is not None and text.lower() not in ("true", "false"):
            raise InvalidInput(f"{text!r} is neither true nor false", field=f"--opt {OPTION_ROUTED}")
        return None if text is None else text.lower() == "true"

    @property
    def wants_ipv6(self) -> bool:
        """Whether IPv6 was asked for."""
        return bool(self.ipv6) or self._flag(ENABLE_IPV6)

    def _flag(self, key: str) -> bool:
        return str(self.options.get(key, False)).lower() == "true"


class NetworkRequest(Request):
    """A request that names a network and nothing else."""

    network: Id = Field(alias="NetworkID")


class Interface(Request):
    """What libnetwork decided of an interface already; empty fields are the driver's to fill."""

    address: MaybeInterface = Field(default=None, alias="Address")
    address_ipv6: MaybeInterface6 = Field(default=None, alias="AddressIPv6")
    mac: str = Field(default="", alias="MacAddress")


class EndpointRequest(Request):
    """A request that names an endpoint of a network."""

    network: Id = Field(alias="NetworkID")
    endpoint: EndpointId = Field(alias="EndpointID")
    options: dict[str, Any] = Field(default={}, alias="Options")


class Binding(Request):
    """An entry of PORT_MAP: a port of the container, and where the host is to answer for it."""

    protocol: int = Field(alias="Proto")
    port: HostPort = Field(default=0, alias="Port")
    host_ip: Annotated[str, BeforeValidator(lambda value: value or "")] = Field(default="", alias="HostIP")
    host_port: HostPort = Field(default=0, alias="HostPort")
    """0: any that is free."""
    host_port_end: HostPort = Field(default=0, alias="HostPortEnd")


class CreateEndpoint(EndpointRequest):
    """NetworkDriver.CreateEndpoint."""

    interface: Interface = Field(default=Interface(), alias="Interface")


class RequestPool(Request):
    """IpamDriver.RequestPool."""

    address_space: str = Field(default="", alias="AddressSpace")
    pool: MaybePool = Field(default=None, alias="Pool")
    sub_pool: MaybePool = Field(default=None, alias="SubPool")
    options: dict[str, str] = Field(default={}, alias="Options")
    v6: bool = Field(default=False, alias="V6")


class PoolRequest(Request):
    """IpamDriver.ReleasePool."""

    pool: str = Field(alias="PoolID")


class RequestAddress(Request):
    """IpamDriver.RequestAddress."""

    pool: str = Field(alias="PoolID")
    address: MaybeAddress = Field(default=None, alias="Address")
    options: dict[str, Any] = Field(default={}, alias="Options")


class ReleaseAddress(Request):
    """IpamDriver.ReleaseAddress."""

    pool: str = Field(alias="PoolID")
    address: MaybeAddress = Field(default=None, alias="Address")
