"""What policy refused."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address
from typing import Annotated, Literal

from pydantic import Field, FiniteFloat, StringConstraints

from socketplane.wire.base import Wire


class DenialReport(Wire):
    """Packets of one kind that a rule refused on a host, or would have refused (a policy in audit mode)."""

    rule: Annotated[str, StringConstraints(pattern=r"^[a-z0-9.]{1,40}$")]
    """Id of the rule, as drop logs carry it and `explain` names it."""
    source: IPv4Address | IPv6Address
    destination: IPv4Address | IPv6Address
    protocol: Annotated[str, StringConstraints(pattern=r"^[a-z0-9]{1,10}$")]
    port: Annotated[int | None, Field(ge=0, le=65535)] = None
    """Of the destination; None where the protocol has none."""
    count: Annotated[int, Field(ge=1, le=10**12)] = 1
    """Packets that were logged: of a busy rule some are not (the logs' rate is bounded)."""
    first: FiniteFloat
    """Seconds since the epoch, by the host's clock; `last` likewise."""
    last: FiniteFloat


class DenialBatch(Wire):
    """What a host saw since its last batch."""

    request: Annotated[str, StringConstraints(max_length=64)] = ""
    """Id made by the agent: the same twice means once."""
    items: Annotated[list[DenialReport], Field(max_length=500)]


class Denial(DenialReport):
    """What a host saw, as the controller remembers it."""

    host: str


class PolicyViolation(Denial):
    """Packets that a policy refused, or would have refused if it were enforced, with the names of what is concerned."""

    mode: Literal["audit", "enforce"]
    """audit: they passed, because the policy is in audit mode."""
    policy: str = ""
    """NETWORK/NAME, or NAME of a ClusterNetworkPolicy; empty where no policy refused them, or it is there no more."""
    source_name: str = ""
    """NETWORK/NAME of the container, or `host NAME`; empty where the address is nobody's, or was another's then."""
    destination_name: str = ""
