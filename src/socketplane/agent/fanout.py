"""What brings the engine's networks and the cluster's together, as values. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from socketplane import wire
from socketplane.agent import protocol
from socketplane.agent.adoption import DockerNetwork
from socketplane.agent.state import NetworkRecord
from socketplane.errors import SocketPlaneError


@dataclass(frozen=True, slots=True)
class Create:
    """Make the cluster's network on this engine."""

    network: wire.Network


@dataclass(frozen=True, slots=True)
class Settle:
    """Find out about a Docker network of ours that the controller does not list: new, or deleted."""

    docker: DockerNetwork
    record: NetworkRecord


@dataclass(frozen=True, slots=True)
class Replace:
    """Remove a Docker network of ours that no network of the cluster stands behind."""

    docker: DockerNetwork
    reason: str


@dataclass(frozen=True, slots=True)
class Clash:
    """Say why the cluster's network can't be here."""

    text: str


Action = Create | Settle | Replace | Clash


def plan(
    desired: Mapping[UUID, wire.Network],
    docker: Sequence[DockerNetwork],
    records: Mapping[str, NetworkRecord],
    tombstones: Collection[UUID],
    deleting: Collection[str],
) -> list[Action]:
    """Return what brings the engine's networks and the controller's together. Docker's ids differ from host to host."""
    actions: list[Action] = []
    recorded = {record.id for record in records.values()}
    here: dict[UUID, DockerNetwork] = {}
    by_name = {network.name: network for network in docker}
    for network in docker:
        record = records.get(network.id)
        if not network.ours or network.id in deleting:
            continue
        if record is None:
            actions.append(Replace(network, "the cluster has no network for it"))
        elif record.id in desired or record.id in tombstones:
            here[record.id] = network
        else:
            actions.append(Settle(network, record))
    for uuid, wanted in desired.items():
        if uuid in tombstones:
            continue
        if uuid in here:
            if here[uuid].name != wanted.name:
                actions.append(Clash(_misnamed(wanted, here[uuid])))
            continue
        rival = by_name.get(wanted.name)
        if rival is None and uuid not in recorded:  # else dockerd is about to list it, or about to forget it
            actions.append(Create(wanted))
        elif rival is not None and not rival.ours:
            actions.append(Clash(_rival(wanted, rival)))
    return actions


def creation(network: wire.Network) -> dict[str, Any]:
    """Return the body of `POST /networks/create` that makes the cluster's network on an engine.

    It has no options: Compose 1 takes a network for another one if it has any that its file has not.
    """
    config = {"Subnet": str(network.subnet), "Gateway": str(network.gateway)}
    if network.ip_range:
        config["IPRange"] = str(network.ip_range)
    configs = [config]
    if network.subnet6:
        configs.append({"Subnet": str(network.subnet6), "Gateway": str(network.gateway6)})
    return {
        "Name": network.name,
        "CheckDuplicate": True,
        "Driver": protocol.DRIVER,
        "Internal": network.internal,
        "EnableIPv6": network.subnet6 is not None,
        "Labels": dict(network.labels),
        "IPAM": {"Driver": protocol.DRIVER, "Config": configs},
    }


def failed(action: Action, error: SocketPlaneError) -> str:
    """Return why an action could not be done, as a conflict of this host."""
    match action:
        case Create(network):
            return f"{network.name}: it can't be made on this host: {error}"
        case Settle(docker, _) | Replace(docker, _):
            return f"{docker.name}: this host's network can't be the cluster's: {error}"
        case Clash(text):
            return text


def _rival(network: wire.Network, rival: DockerNetwork) -> str:
    return (
        f"{network.name}: a {rival.driver} network of this name is on this host, so the cluster's is not; "
        f"remove it with `docker network rm {rival.name}`"
    )


def _misnamed(network: wire.Network, here: DockerNetwork) -> str:
    return (
        f"{network.name}: it is called {here.name} on this host; "
        f"remove it with `docker network rm {here.name}` and it comes back under its name"
    )
