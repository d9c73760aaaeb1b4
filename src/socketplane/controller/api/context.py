"""What routes get from a request: the active controller and the caller."""

from __future__ import annotations

from typing import Annotated, cast

from fastapi import Depends
from starlette.requests import Request

from socketplane.controller.active import WRITTEN_SECONDS, Active
from socketplane.controller.service import Service
from socketplane.errors import Forbidden
from socketplane.model.types import Host
from socketplane.transport.peer import Peer


class Context:
    """One request's surroundings. `caller` is the host that asks, None for an administrator."""

    __slots__ = ("_active", "caller", "peer", "service")

    def __init__(self, service: Service, active: Active | None, peer: Peer, caller: Host | None) -> None:
        self.service = service
        self._active = active
        self.peer = peer
        self.caller = caller

    @property
    def active(self) -> Active:
        """The active controller, the same for all of the request.

        Raises:
            Standby: this controller isn't active.
        """
        return self._active or self.service.require()

    @property
    def host(self) -> Host:
        """The host that asks.

        Raises:
            Forbidden: an administrator asks.
        """
        if self.caller is None:
            raise Forbidden("only a host may do this")
        return self.caller

    @property
    def author(self) -> str:
        """Who asks, for the history."""
        return f"CN={self.peer.system_id}" if self.peer.system_id else "local"

    async def written(self) -> None:
        """Wait until the northbound holds what was committed."""
        await self.active.reconciler.written(WRITTEN_SECONDS)

    async def written_if_reachable(self) -> None:
        """Wait likewise while the northbound answers: removing succeeds without it, and it follows when it is back."""
        if self.active.reconciler.northbound.connected:
            await self.written()


def context_of(request: Request) -> Context:
    """Return the surroundings that the gate found."""
    return cast("Context", request.scope["socketplane"])


Ctx = Annotated[Context, Depends(context_of)]
