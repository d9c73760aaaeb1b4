"""Addresses of the outside: pools of them, and whom they are given to."""

from __future__ import annotations

from functools import partial
from ipaddress import IPv4Address, IPv6Address
from typing import Annotated

from fastapi import APIRouter

from socketplane import wire
from socketplane.controller.api.answers import body_as
from socketplane.controller.api.context import Ctx
from socketplane.controller.api.describe import Items, body_is
from socketplane.controller.plans import floating, pools
from socketplane.model.types import order

router = APIRouter(prefix="/v1", tags=["floating addresses"])


@router.get("/pools")
async def list_pools(ctx: Ctx) -> Items[wire.Pool]:
    """List the pools of addresses."""
    found = sorted(ctx.active.store.committed.pools.values(), key=lambda pool: pool.name)
    return Items(items=[ctx.active.views.pool(pool) for pool in found])


@router.get("/pools/{name}")
async def get_pool(name: str, ctx: Ctx) -> wire.Pool:
    """Show a pool of addresses."""
    return ctx.active.views.pool(pools.pool(ctx.active.store.committed, name))


@router.post("/pools", openapi_extra=body_is(wire.PoolCreate))
async def create_pool(body: Annotated[wire.PoolCreate, body_as(wire.PoolCreate)], ctx: Ctx) -> wire.Pool:
    """Say which addresses of the outside may be given to containers."""
    pool = await ctx.active.writer.submit(lambda draft: pools.create(draft, body))
    return ctx.active.views.pool(pool)


@router.delete("/pools/{name}", status_code=204)
async def remove_pool(name: str, ctx: Ctx) -> None:
    """Remove a pool of which no address is given."""
    await ctx.active.writer.submit(lambda draft: pools.remove(draft, name))


@router.get("/floating")
async def list_floating(ctx: Ctx) -> Items[wire.Floating]:
    """List the floating addresses."""
    found = sorted(ctx.active.store.committed.floating.values(), key=lambda each: order(each.address))
    return Items(items=[ctx.active.views.floating(each) for each in found])


@router.post("/floating", openapi_extra=body_is(wire.Expose))
async def expose(body: Annotated[wire.Expose, body_as(wire.Expose)], ctx: Ctx) -> wire.Floating:
    """Give an address of the outside to a container, or to one of those with certain labels."""
    ctx.active.reconciler.require()
    plan = partial(floating.expose, body=body, silent=ctx.active.silent)
    found = await ctx.active.writer.submit(plan)
    await ctx.written()
    return ctx.active.views.floating(found)


@router.delete("/floating/{address}", status_code=204)
async def unexpose(address: IPv4Address | IPv6Address, ctx: Ctx) -> None:
    """Take an address back."""
    await ctx.active.writer.submit(lambda draft: floating.unexpose(draft, address))
    await ctx.written_if_reachable()
