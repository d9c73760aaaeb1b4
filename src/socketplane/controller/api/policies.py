"""Policies, and what they mean for a packet."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request, Response
from pydantic import TypeAdapter
from starlette.concurrency import run_in_threadpool

from socketplane import wire
from socketplane.controller.api.answers import body_of
from socketplane.controller.api.context import Ctx, context_of
from socketplane.controller.api.describe import Items, body_is
from socketplane.controller.explain import explain
from socketplane.controller.plans import policies
from socketplane.errors import NotFound

router = APIRouter(prefix="/v1", tags=["policies"])
_APPLIED = TypeAdapter(list[wire.PolicyApplied])


@router.get("/policies")
async def list_policies(ctx: Ctx) -> Items[wire.Policy]:
    """List the policies."""
    found = sorted(ctx.active.store.committed.policies.values(), key=lambda policy: (policy.network, policy.name))
    return Items(items=[ctx.active.views.policy(policy) for policy in found])


@router.get("/policies/{network}/{name}")
async def get_policy(network: str, name: str, ctx: Ctx) -> wire.Policy:
    """Show a policy."""
    policy = ctx.active.store.committed.policies.get((network, name))
    if policy is None:
        raise NotFound(f"no policy {network}/{name}", field="name", remedy="`socketplane policy ls` lists them")
    return ctx.active.views.policy(policy)


@router.post("/policies", response_model=list[wire.PolicyApplied], openapi_extra=body_is(wire.PolicyApply))
async def apply_policies(request: Request) -> Response:
    """Create or replace policies, all or none."""
    ctx = context_of(request)
    body = await body_of(request, wire.PolicyApply)
    parsed = await run_in_threadpool(policies.read, body)
    ctx.active.reconciler.require()
    applied = await ctx.active.writer.submit(lambda draft: policies.apply(draft, parsed))
    await ctx.written()
    return Response(_APPLIED.dump_json(applied), media_type="application/json")


@router.delete("/policies/{network}/{name}", status_code=204)
async def remove_policy(network: str, name: str, ctx: Ctx) -> None:
    """Remove a policy."""
    ctx.active.reconciler.require()
    await ctx.active.writer.submit(lambda draft: policies.remove(draft, network, name))
    await ctx.written()


@router.get("/explain")
async def get_explanation(
    ctx: Ctx,
    src: str,
    dst: str,
    port: Annotated[int | None, Query(ge=1, le=65535)] = None,
    protocol: Literal["tcp", "udp", "sctp", "icmp"] = "tcp",
) -> wire.Explanation:
    """Tell whether a packet passes, and why."""
    return explain(ctx.active.store.committed, src, dst, port, protocol)
