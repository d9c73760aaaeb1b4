"""Policies, their history, and what they mean for a packet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from fastapi import APIRouter, Query
from starlette.concurrency import run_in_threadpool

from socketplane import wire
from socketplane.controller.active import Active
from socketplane.controller.api.answers import body_as
from socketplane.controller.api.context import Ctx
from socketplane.controller.api.describe import Items, body_is
from socketplane.controller.explain import explain
from socketplane.controller.plans import policies
from socketplane.controller.policyrows import Document
from socketplane.controller.subjects import Subjects
from socketplane.controller.violations import Names
from socketplane.model.schemas import any_schema, schema

router = APIRouter(prefix="/v1", tags=["policies"])


@router.get("/policies")
async def list_policies(ctx: Ctx) -> Items[wire.Policy]:
    """List the policies."""
    found = policies.documents(ctx.active.store.committed)
    return Items(items=await _shown(ctx.active, [found[key] for key in sorted(found)]))


@router.get("/policies/history")
async def list_history(ctx: Ctx) -> Items[wire.PolicyRevision]:
    """List the changes of policies that are kept, the oldest first."""
    revisions = ctx.active.store.committed.revisions
    return Items(items=[ctx.active.views.revision(revisions[number]) for number in sorted(revisions)])


@router.get("/policies/violations")
async def list_violations(
    ctx: Ctx, policy: str | None = None, since: Annotated[float | None, Query(gt=0)] = None
) -> Items[wire.PolicyViolation]:
    """List what policies refused, or in audit mode would have refused, the latest first; `since` is seconds ago."""
    intent = ctx.active.store.committed
    number = None if policy is None else policies.named(intent, policy).number
    after = 0.0 if since is None else ctx.active.clock() - since
    seen = [denial for denial in ctx.active.denials.list() if denial.last >= after]
    return Items(items=await run_in_threadpool(lambda names: list(names.violations(seen, number)), Names(intent)))


@router.get("/policies/{network}/{name}")
async def get_policy(network: str, name: str, ctx: Ctx) -> wire.Policy:
    """Show a policy; `-` stands for the network of one that belongs to none."""
    policy = policies.find(ctx.active.store.committed, _network(network), name)
    return (await _shown(ctx.active, [policy]))[0]


@router.post("/policies", openapi_extra=body_is(wire.PolicyApply))
async def apply_policies(body: Annotated[wire.PolicyApply, body_as(wire.PolicyApply)], ctx: Ctx) -> wire.PolicyOutcome:
    """Create or replace policies, all or none."""
    parsed = await run_in_threadpool(policies.read, body)
    ctx.active.reconciler.require()
    outcome = await ctx.active.policies.apply(ctx.author, parsed, body.confirm_within)
    await ctx.written()
    return await ctx.active.policies.with_warnings(outcome)


@router.post("/policies/plan", openapi_extra=body_is(wire.PolicyTrial))
async def plan_policies(body: Annotated[wire.PolicyTrial, body_as(wire.PolicyTrial)], ctx: Ctx) -> wire.PolicyPlan:
    """Tell what applying would change; change nothing."""
    parsed = await run_in_threadpool(policies.read, body)
    return await ctx.active.policies.plan(parsed, body.by)


@router.post("/policies/confirm", openapi_extra=body_is(wire.PolicyConfirm))
async def confirm(body: Annotated[wire.PolicyConfirm, body_as(wire.PolicyConfirm)], ctx: Ctx) -> wire.PolicyRevision:
    """Keep the change that is taken back otherwise."""
    return ctx.active.views.revision(await ctx.active.policies.confirm(body.revision))


@router.post("/policies/rollback", openapi_extra=body_is(wire.PolicyRollback))
async def rollback(body: Annotated[wire.PolicyRollback, body_as(wire.PolicyRollback)], ctx: Ctx) -> wire.PolicyOutcome:
    """Bring back the state of all policies right after a revision."""
    ctx.active.reconciler.require()
    outcome = await ctx.active.policies.rollback(ctx.author, body.revision)
    await ctx.written()
    return outcome


@router.post("/policies/remove", openapi_extra=body_is(wire.PolicyRemove))
async def remove_policies(body: Annotated[wire.PolicyRemove, body_as(wire.PolicyRemove)], ctx: Ctx) -> wire.PolicyOutcome:
    """Remove policies as one change; who is not there is no item of the answer."""
    ctx.active.reconciler.require()
    outcome = await ctx.active.policies.remove(ctx.author, body.policies)
    await ctx.written()
    return outcome


@router.delete("/policies/{network}/{name}", status_code=204)
async def remove_policy(network: str, name: str, ctx: Ctx) -> None:
    """Remove a policy."""
    ctx.active.reconciler.require()
    policy = policies.find(ctx.active.store.committed, _network(network), name)
    await ctx.active.policies.remove(ctx.author, [policy.title])
    await ctx.written()


@router.get("/schemas")
async def get_schemas() -> dict[str, object]:
    """Show the JSON schema of policy documents of any kind."""
    return any_schema()


@router.get("/schemas/{kind}")
async def get_schema(kind: str) -> dict[str, object]:
    """Show the JSON schema of one kind of document."""
    return schema(kind)


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


async def _shown(active: Active, found: Sequence[Document]) -> list[wire.Policy]:
    """Show policies. Counting their subjects takes a thread: there may be ten thousand endpoints."""
    intent = active.store.committed
    networks, endpoints = list(intent.networks.values()), list(intent.endpoints.values())
    subjects = await run_in_threadpool(lambda: Subjects(networks, endpoints))
    return await run_in_threadpool(active.views.policies, found, subjects)


def _network(part: str) -> str:
    """Return the network that a path names."""
    return "" if part == wire.NO_NETWORK else part
