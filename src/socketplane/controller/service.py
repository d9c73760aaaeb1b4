"""The controller as the API sees it: who it is, its keys, and its turn while it has one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from uuid import uuid4

from socketplane.controller.active import Active
from socketplane.errors import Unavailable
from socketplane.identity import HostIdentity
from socketplane.model.types import Cluster
from socketplane.pki import Authority


class Standby(Unavailable):
    """This controller isn't the active one, or not yet."""


@dataclass(slots=True)
class Service:
    """What lives as long as the process. `active` is None while another controller, or none, is the active one."""

    identity: HostIdentity
    authority: Authority
    clock: Callable[[], float]
    active: Active | None = field(default=None)
    waiting_for: str = "the databases"

    def require(self) -> Active:
        """Return the active part.

        Raises:
            Standby: there is none.
        """
        if self.active is None:
            raise Standby(f"this controller is not active: it waits for {self.waiting_for}", remedy="ask another, or again")
        return self.active

    def new_cluster(self) -> Cluster:
        """Return the cluster that a first start makes: under a new id, as this host's identity says."""
        identity = self.identity
        return Cluster(uuid4(), identity.pool, identity.prefix, identity.hosts, encryption=identity.encryption)
