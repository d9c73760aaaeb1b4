"""What changes, as it is told to agents."""

from __future__ import annotations

from typing import Literal
from uuid import UUID

from socketplane.wire.base import EndpointId, Wire
from socketplane.wire.bgp import BgpSettings
from socketplane.wire.cluster import Host
from socketplane.wire.endpoints import Limits
from socketplane.wire.floating import AnyAddress
from socketplane.wire.names import NetworkNames
from socketplane.wire.networks import Network
from socketplane.wire.probes import ProbeOrder
from socketplane.wire.services import Check
from socketplane.wire.streams import Interruption


class Rules(Wire):
    """What decides about connections, as it is in OVN's northbound."""

    revision: str
    """Another one with every change that may forbid an open connection."""
    sequence: int
    """OVN's number (`nb_cfg`) by which a host can tell that it has installed them."""


class Change(Wire):
    """One line of GET /v1/watch: first a `snapshot`, then changes; `ping` every 5 s.

    `interrupt`, `probe`, limits, names, floating, checks and BGP are for single hosts.
    """

    type: Literal["snapshot", "put", "delete", "ping", "interrupt", "probe"]
    kind: Literal["network", "host", "rules", "limits", "names", "floating", "checks", "bgp", ""] = ""
    networks: list[Network] | None = None
    """Snapshot only. Pending networks are left out, here and below."""
    hosts: list[Host] | None = None
    network: Network | None = None
    host: Host | None = None
    rules: Rules | None = None
    """Also in a snapshot."""
    interruptions: list[Interruption] | None = None
    probe: ProbeOrder | None = None
    limits: dict[EndpointId, Limits] | None = None
    """To a host, of its own endpoints: in a snapshot of all that have any, else of those whose limits changed."""
    names: dict[UUID, NetworkNames] | None = None
    """To a host, of the networks that it has endpoints on: in a snapshot of all of them, else of those that changed."""
    floating: dict[AnyAddress, EndpointId] | None = None
    """To a host: all floating addresses that its endpoints hold."""
    checks: dict[EndpointId, list[Check]] | None = None
    """To a host, of its own endpoints, for services that probe: likewise; an empty list where there are none any more."""
    bgp: BgpSettings | None = None
    """To a host, whole; also in a snapshot."""
    id: str = ""
    """Delete: the network's id or the host's name."""
