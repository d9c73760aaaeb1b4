"""What all types share."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

NAME_PATTERN = r"^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,62}$"
Name = Annotated[str, StringConstraints(pattern=NAME_PATTERN)]
EndpointId = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{16,64}$")]
Mac = Annotated[str, StringConstraints(pattern=r"^([0-9a-f]{2}:){5}[0-9a-f]{2}$")]
PublicKey = Annotated[str, StringConstraints(pattern=r"^([A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=)?$")]
"""32 bytes in base64, or nothing."""
SystemId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]
Labels = dict[str, str]
Port = Annotated[int, Field(ge=1, le=65535)]
PolicyKind = Literal["NetworkPolicy", "ClusterNetworkPolicy", "TrafficPolicy"]
NO_NETWORK = "-"
"""Stands for the network, in paths, of a policy that belongs to none."""


class Wire(BaseModel):
    """Base of all wire types: frozen, and strict about unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")


Alias = Annotated[str, StringConstraints(min_length=1, max_length=253)]
UdpPort = Annotated[int, Field(ge=0, le=65535)]
