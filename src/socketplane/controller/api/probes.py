"""Connections that are really tried, beside what policy says of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Response
from starlette.concurrency import run_in_threadpool

from socketplane import wire
from socketplane.controller.api.answers import Json, body_as
from socketplane.controller.api.context import Ctx
from socketplane.controller.api.describe import body_is
from socketplane.controller.probes import sampled
from socketplane.controller.reach import snapshot
from socketplane.errors import Forbidden

router = APIRouter(prefix="/v1", tags=["policies"])


@router.get("/reach/samples", response_model=wire.ReachSamples)
async def get_samples(
    ctx: Ctx,
    network: str | None = None,
    by: Annotated[Sequence[str], Query(max_length=10)] = (),
    limit: Annotated[int, Query(ge=1, le=5000)] = 200,
    version: Annotated[int, Query(ge=4, le=6)] = 4,
) -> Response:
    """Choose connections between containers that show whether what `reach` tells is so. Version: of IP."""
    intent = ctx.active.store.committed
    view, place = snapshot(intent), intent.network(network).id if network is not None else None
    kind: Literal[4, 6] = 6 if version == 6 else 4
    return Json(await run_in_threadpool(lambda: sampled(view, by, place, limit, kind).model_dump_json().encode()))


@router.post("/probes", openapi_extra=body_is(wire.ProbeRequest))
async def probe(body: Annotated[wire.ProbeRequest, body_as(wire.ProbeRequest)], ctx: Ctx) -> wire.ProbeResults:
    """Have connections between containers tried by the agents of their hosts; those of one request at a time."""
    return await ctx.active.probes.run(ctx.active.store.committed, body)


@router.post("/hosts/{name}/probes", status_code=204, openapi_extra=body_is(wire.ProbeAnswer))
async def put_answer(name: str, body: Annotated[wire.ProbeAnswer, body_as(wire.ProbeAnswer)], ctx: Ctx) -> None:
    """Take in how connections ended that a host was told to try."""
    if ctx.host.name != name:
        raise Forbidden("a host may tell only what it tried itself", field="host")
    ctx.active.probes.answer(name, body)
