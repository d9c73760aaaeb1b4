"""Who reaches whom."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Query, Response
from starlette.concurrency import run_in_threadpool

from socketplane import wire
from socketplane.controller.api.answers import Json
from socketplane.controller.api.context import Ctx
from socketplane.controller.reach import reach, snapshot

router = APIRouter(prefix="/v1", tags=["policies"])


@router.get("/reach", response_model=wire.Reach)
async def get_reach(
    ctx: Ctx,
    network: str | None = None,
    by: Annotated[Sequence[str], Query(max_length=10)] = (),
    version: Annotated[int, Query(ge=4, le=6)] = 4,
) -> Response:
    """Tell who reaches whom on which ports, in groups by labels; of a network, what has one end there. Version: of IP."""
    intent = ctx.active.store.committed
    view, place = snapshot(intent), intent.network(network).id if network is not None else None
    return Json(
        await run_in_threadpool(lambda: reach(view, by, place, 6 if version == 6 else 4).model_dump_json().encode())
    )
