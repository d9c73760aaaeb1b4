"""What there would be if Compose projects ran: networks and endpoints to judge policies by.

Addresses that no file asks for are given out in the files' order, so that the same files make the same scene. Labels of
images and of external networks stand in no Compose file: nobody has them here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from uuid import UUID, uuid5

from socketplane.errors import InvalidInput, SocketPlaneError
from socketplane.model import subnets
from socketplane.model.compose.project import NUMBER, ONE_OFF, Attachment, Project, ProjectNetwork, Service
from socketplane.model.ipam import Allocator
from socketplane.model.selection import View
from socketplane.model.spec import Policy
from socketplane.model.types import Cluster, Endpoint, Host, Network, mac_of

_ID = UUID("6f3c0b0e-5d0a-4b53-9a5e-0c1d2b7f4a10")
"""Whence networks' ids are computed."""
MAX_ENDPOINTS = 10_000


@dataclass(frozen=True, slots=True)
class Scene:
    """A view of the projects together, and the addresses in it that a file asked for: only these will be so."""

    view: View
    asked: frozenset[IPv4Address]


@dataclass(frozen=True, slots=True)
class _Place:
    project: Project
    service: Service
    number: int
    name: str
    attachment: Attachment

    @property
    def network(self) -> ProjectNetwork:
        return self.project.networks[self.attachment.network]


def stage(projects: Collection[Project], policies: Collection[Policy], pool: IPv4Network | None = None) -> Scene:
    """Return the scene. Raises SocketPlaneError where the projects can't be together in one cluster."""
    cluster = Cluster(_ID) if pool is None else Cluster(_ID, pool)
    _check_names(projects)
    networks = _networks(cluster, projects)
    places = [place for project in projects for place in _places(project)]
    if len(places) > MAX_ENDPOINTS:
        raise InvalidInput(f"there are more than {MAX_ENDPOINTS} containers on networks", remedy="judge the projects apart")
    allocators = {name: Allocator(network) for name, network in networks.items()}
    for place in places:
        if place.attachment.address is not None:
            with _located(place):
                allocators[place.network.name].hold(place.attachment.address)
    endpoints = []
    for place in places:
        with _located(place):
            address = place.attachment.address or IPv4Address(int(allocators[place.network.name].allocate(0.0)))
        endpoints.append(_endpoint(place, networks[place.network.name].id, address))
    by_id = {network.id: network for network in networks.values()}
    asked = frozenset(place.attachment.address for place in places if place.attachment.address is not None)
    return Scene(View(cluster, by_id, policies, endpoints, [_host(cluster)]), asked)


def _host(cluster: Cluster) -> Host:
    """Return a host that none of the endpoints is on: what policies say of hosts is about such."""
    return Host("host", "host", "", cluster.hosts.network_address + 2)


def _check_names(projects: Iterable[Project]) -> None:
    seen: dict[str, str] = {}
    for project in projects:
        if project.name in seen:
            problem = f"{project.filename}: the project {project.name} is in {seen[project.name]} already"
            remedy = "merge the files with `docker compose -f ... -f ... config`, or give each its own name:"
            raise InvalidInput(problem, remedy=remedy)
        seen[project.name] = project.filename


def _networks(cluster: Cluster, projects: Iterable[Project]) -> dict[str, Network]:
    """Return all projects' networks by Docker's name, with the addresses that SocketPlane would give them."""
    declared: dict[str, tuple[Project, ProjectNetwork]] = {}
    for project in projects:
        for network in project.networks.values():
            other = declared.get(network.name)
            if other is None or other[1].external:
                declared[network.name] = (project, network)
            elif not network.external and other[0] is not project:
                problem = f"{project.filename}: the network {network.name} is made by {other[0].filename} already"
                raise InvalidInput(problem, field=f"networks.{network.key}", remedy="make it external in one of them")
    asked = _asked(projects)
    known = {name: network.subnet or _around(asked.get(name), cluster.prefix) for name, (_, network) in declared.items()}
    made: dict[str, Network] = {}
    for name, (project, network) in sorted(declared.items(), key=lambda item: (known[item[0]] is None, item[0])):
        subnet = known[name]
        try:
            plan = subnets.plan(cluster, made.values(), subnet=subnet, gateway=network.gateway)
        except SocketPlaneError as error:
            place = f"networks.{network.key}.ipam.config" if network.subnet else f"networks.{network.key}"
            remedy = error.remedy
            if subnet is not None and not subnet.subnet_of(cluster.pool):
                remedy = "give --pool as the cluster has it"
            raise InvalidInput(f"{project.filename}: {error.message}", field=place, remedy=remedy) from None
        identity = uuid5(_ID, name)
        made[name] = Network(
            identity, name, plan.subnet, plan.gateway, None, network.internal, network.labels, routed=network.routed
        )
    return made


def _asked(projects: Iterable[Project]) -> dict[str, list[IPv4Address]]:
    """Return the addresses that services ask for, by network."""
    found: dict[str, list[IPv4Address]] = {}
    for project in projects:
        for service in project.services.values():
            for attachment in service.attachments:
                if attachment.address is not None:
                    found.setdefault(project.networks[attachment.network].name, []).append(attachment.address)
    return found


def _around(addresses: list[IPv4Address] | None, prefix: int) -> IPv4Network | None:
    """Return a subnet that has these addresses, for a network of which no file tells the subnet."""
    if not addresses:
        return None
    subnet = IPv4Network((int(addresses[0]), prefix), strict=False)
    while not all(address in subnet for address in addresses):
        subnet = subnet.supernet()
    return subnet


def _places(project: Project) -> Iterator[_Place]:
    for service in project.services.values():
        for attachment in service.attachments:
            for number, name in enumerate(service.containers, start=1):
                yield _Place(project, service, number, name, attachment)


def _endpoint(place: _Place, network: UUID, address: IPv4Address) -> Endpoint:
    labels = {**place.service.labels, NUMBER: str(place.number), ONE_OFF: "False"}
    container = f"{place.project.name}/{place.name}"
    return Endpoint(
        f"{place.network.name}/{container}", network, "", address, mac_of(address), container, place.name, labels
    )


@contextmanager
def _located(place: _Place) -> Iterator[None]:
    """Name the file and the field in an error about a container's address."""
    try:
        yield
    except SocketPlaneError as error:
        field = f"services.{place.service.name}.networks.{place.attachment.network}"
        raise type(error)(f"{place.project.filename}: {error.message}", field=field, remedy=error.remedy) from None
