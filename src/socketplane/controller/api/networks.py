"""Networks and leases."""

from __future__ import annotations

from functools import partial
from ipaddress import IPv4Address, IPv6Address
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response

from socketplane import wire
from socketplane.controller.api.answers import answer, body_as, body_of
from socketplane.controller.api.context import Ctx, context_of
from socketplane.controller.api.describe import Items, body_is
from socketplane.controller.plans import leases, networks, reservations
from socketplane.errors import Forbidden, InvalidInput

router = APIRouter(prefix="/v1", tags=["networks"])
Patch = Annotated[wire.NetworkPatch, body_as(wire.NetworkPatch)]


@router.post("/networks/{network}/leases", response_model=wire.Lease, openapi_extra=body_is(wire.LeaseCreate))
async def create_lease(request: Request) -> Response:
    """Hold an address."""
    ctx = context_of(request)
    network = uuid_of(request.path_params["network"])
    body = await body_of(request, wire.LeaseCreate)
    host = ctx.host
    lease = await ctx.active.writer.submit(lambda draft: leases.create(draft, network, body, host))
    return answer(ctx.active.views.lease(lease))


@router.delete("/networks/{network}/leases/{address}", status_code=204)
async def release_lease(network: UUID, address: IPv4Address | IPv6Address, ctx: Ctx) -> None:
    """Let an address rest."""
    host = ctx.host
    await ctx.active.writer.submit(lambda draft: leases.release(draft, network, address, host))


@router.put("/networks/{network}/reservations/{address}", openapi_extra=body_is(wire.ReservationPut))
async def reserve_address(
    network: str,
    address: IPv4Address | IPv6Address,
    body: Annotated[wire.ReservationPut, body_as(wire.ReservationPut)],
    ctx: Ctx,
) -> wire.Network:
    """Keep an address for a container, on whatever host it is made."""
    plan = partial(reservations.reserve, network_ref=network, address=address, container=body.container)
    return ctx.active.views.network(await ctx.active.writer.submit(plan))


@router.delete("/networks/{network}/reservations/{address}", status_code=204)
async def unreserve_address(network: str, address: IPv4Address | IPv6Address, ctx: Ctx) -> None:
    """Keep an address for nobody any more."""
    await ctx.active.writer.submit(partial(reservations.unreserve, network_ref=network, address=address))


@router.get("/leases")
async def list_leases(ctx: Ctx, host: str | None = None) -> Items[wire.Lease]:
    """List the addresses that are held."""
    intent, views = ctx.active.store.committed, ctx.active.views
    keys = intent.leases if host is None else intent.leases_of_host.get(intent.host(host).name, {})
    found = (intent.leases[key] for key in keys)
    return Items(items=[views.lease(lease) for lease in found if lease.released is None])


@router.get("/networks")
async def list_networks(ctx: Ctx, pending: bool = Query(False)) -> Items[wire.Network]:
    """List the networks; with `pending` those without a name too."""
    found = ctx.active.store.committed.networks.values()
    return Items(items=[ctx.active.views.network(network) for network in found if network.name or pending])


@router.get("/networks/{network}")
async def get_network(network: str, ctx: Ctx) -> wire.Network:
    """Show a network, by id or name."""
    return ctx.active.views.network(ctx.active.store.committed.network(network))


@router.post("/networks", openapi_extra=body_is(wire.NetworkCreate))
async def create_network(body: Annotated[wire.NetworkCreate, body_as(wire.NetworkCreate)], ctx: Ctx) -> wire.Network:
    """Make a network on every host."""
    ctx.active.reconciler.require()
    origin = ctx.caller.name if ctx.caller else ""
    network = await ctx.active.writer.submit(lambda draft: networks.create(draft, body, origin))
    await ctx.written()
    return ctx.active.views.network(network)


@router.patch("/networks/{network}", openapi_extra=body_is(wire.NetworkPatch))
async def patch_network(network: UUID, body: Patch, ctx: Ctx) -> wire.Network:
    """Name a pending network, or change what may still be changed."""
    known = ctx.active.store.committed.network(network)
    if ctx.caller is not None and ctx.caller.name != known.origin:
        owner = known.origin or "(none)"
        raise Forbidden(f"only an administrator or host {owner} may change this network", field="network")
    if ctx.caller is not None and known.name and body.routed not in (None, known.routed):
        raise Forbidden("only an administrator may open a network that is in use, or close it", field="routed")
    ctx.active.reconciler.require()
    changed = await ctx.active.writer.submit(lambda draft: networks.patch(draft, network, body))
    await ctx.written()
    return ctx.active.views.network(changed)


@router.delete("/networks/{network}", status_code=204)
async def remove_network(network: str, ctx: Ctx) -> None:
    """Remove a network from every host."""
    await ctx.active.writer.submit(lambda draft: networks.remove(draft, network))
    await ctx.written_if_reachable()


def uuid_of(text: str) -> UUID:
    """Return a network's id from a path."""
    try:
        return UUID(text)
    except ValueError:
        raise InvalidInput(f"{text[:80]!r} is no network id", field="network") from None
