"""Services: applying them, and what their backends are."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter
from starlette.concurrency import run_in_threadpool

from socketplane import wire
from socketplane.controller.api.answers import body_as
from socketplane.controller.api.context import Ctx
from socketplane.controller.api.describe import Items, body_is
from socketplane.controller.draft import Draft
from socketplane.controller.plans import services
from socketplane.controller.plans.services import Outcome
from socketplane.errors import Forbidden

router = APIRouter(prefix="/v1", tags=["services"])


@router.get("/services")
async def list_services(ctx: Ctx) -> Items[wire.Service]:
    """List the services."""
    found = ctx.active.store.committed.services
    return Items(items=[ctx.active.services.service(found[key]) for key in sorted(found)])


@router.get("/services/{network}/{name}")
async def get_service(network: str, name: str, ctx: Ctx) -> wire.Service:
    """Show a service, its backends, and why one is not ready."""
    return ctx.active.services.service(services.find(ctx.active.store.committed, network, name))


@router.post("/services", openapi_extra=body_is(wire.ServiceApply))
async def apply_services(body: Annotated[wire.ServiceApply, body_as(wire.ServiceApply)], ctx: Ctx) -> wire.ServiceOutcome:
    """Create or replace services, all or none."""
    parsed = await run_in_threadpool(services.read, body)
    active = ctx.active
    active.reconciler.require()
    outcomes = await active.writer.submit(lambda draft: services.apply(draft, parsed))
    await ctx.written()
    warnings = [warning for outcome in outcomes for warning in active.services.warnings(outcome.service)]
    names = active.store.committed.network_of_name
    items = [_applied(outcome, outcome.service.network in names) for outcome in outcomes]
    return wire.ServiceOutcome(items=items, warnings=warnings)


@router.delete("/services/{network}/{name}", status_code=204)
async def remove_service(network: str, name: str, ctx: Ctx) -> None:
    """Remove a service."""
    ctx.active.reconciler.require()
    await ctx.active.writer.submit(lambda draft: services.remove(draft, network, name))
    await ctx.written()


@router.put("/endpoints/{endpoint}/drain", openapi_extra=body_is(wire.EndpointDrain))
async def drain_endpoint(
    endpoint: str, body: Annotated[wire.EndpointDrain, body_as(wire.EndpointDrain)], ctx: Ctx
) -> wire.Drained:
    """Have an endpoint be no service's backend any more, or again; tell by which number hosts have it."""
    active = ctx.active
    active.reconciler.require()

    def plan(draft: Draft) -> None:
        services.drain(draft, endpoint, body.draining)

    await active.writer.submit(plan)
    await ctx.written()
    return wire.Drained(sequence=await active.reconciler.numbered())


@router.post("/hosts/{name}/conditions", status_code=204, openapi_extra=body_is(wire.Conditions))
async def put_conditions(name: str, body: Annotated[wire.Conditions, body_as(wire.Conditions)], ctx: Ctx) -> None:
    """Take in how containers of a host are."""
    host = ctx.host
    if host.name != name:
        raise Forbidden("a host may report only of itself", field="host")
    await ctx.active.writer.submit(lambda draft: services.put_conditions(draft, body, host))


def _applied(outcome: Outcome, network_exists: bool) -> wire.ServiceApplied:
    service = outcome.service
    return wire.ServiceApplied(
        network=service.network,
        name=service.name,
        change=outcome.change,
        address=service.address,
        network_exists=network_exists,
    )
