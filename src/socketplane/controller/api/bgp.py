"""BGP: the AS number, the peers, and how hosts' sessions are."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from socketplane import wire
from socketplane.controller.api.answers import body_as
from socketplane.controller.api.context import Context, Ctx
from socketplane.controller.api.describe import Items, body_is
from socketplane.controller.bgp import overview, shown
from socketplane.controller.plans import bgp
from socketplane.wire.floating import AnyAddress

router = APIRouter(prefix="/v1/bgp", tags=["bgp"])


@router.get("")
async def get_bgp(ctx: Ctx) -> wire.Bgp:
    """Show BGP: what is wanted, each host's sessions, and what it has to announce."""
    return _overview(ctx)


@router.put("", openapi_extra=body_is(wire.BgpPut))
async def put_bgp(body: Annotated[wire.BgpPut, body_as(wire.BgpPut)], ctx: Ctx) -> wire.Bgp:
    """Say which AS the hosts are."""
    await ctx.active.writer.submit(lambda draft: bgp.put(draft, body))
    return _overview(ctx)


@router.get("/peers")
async def list_peers(ctx: Ctx) -> Items[wire.BgpPeer]:
    """List the peers, without their passwords."""
    return Items(items=_overview(ctx).peers)


@router.post("/peers", openapi_extra=body_is(wire.BgpPeerCreate))
async def add_peer(body: Annotated[wire.BgpPeerCreate, body_as(wire.BgpPeerCreate)], ctx: Ctx) -> wire.BgpPeer:
    """Add a peer, of one host or of all."""
    return shown(await ctx.active.writer.submit(lambda draft: bgp.add_peer(draft, body)))


@router.delete("/peers/{address}", status_code=204)
async def remove_peer(address: AnyAddress, ctx: Ctx, host: str = Query("")) -> None:
    """Remove a peer of one host, or of all."""
    await ctx.active.writer.submit(lambda draft: bgp.remove_peer(draft, address, host))


def _overview(ctx: Context) -> wire.Bgp:
    return overview(ctx.active.store.committed, ctx.active.reports, ctx.service.clock())
