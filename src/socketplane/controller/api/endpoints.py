"""Endpoints: the busy routes."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from socketplane import wire
from socketplane.controller.api.answers import answer, body_of, flag
from socketplane.controller.api.context import Ctx, context_of
from socketplane.controller.api.describe import Items, body_is, query_is
from socketplane.controller.intent import Intent
from socketplane.controller.plans import endpoints
from socketplane.errors import InvalidInput, NotFound
from socketplane.model.types import Endpoint, effective_labels

router = APIRouter(prefix="/v1/endpoints", tags=["endpoints"])

_HEX = frozenset("0123456789abcdef")


@router.put("/{endpoint}", response_model=wire.Endpoint, openapi_extra=body_is(wire.EndpointPut))
async def put_endpoint(request: Request) -> Response:
    """Attach a container: answered when its whole effect is in the northbound."""
    ctx = context_of(request)
    key = id_of(request)
    body = await body_of(request, wire.EndpointPut, keep_nul=True)
    host = ctx.host
    ctx.active.reconciler.require()
    endpoint = await ctx.active.writer.submit(lambda draft: endpoints.put(draft, key, body, host))
    await ctx.written()
    return answer(ctx.active.views.endpoint(endpoint))


@router.delete("/{endpoint}", status_code=204, openapi_extra=query_is("release", "boolean", "release its address too"))
async def remove_endpoint(request: Request) -> Response:
    """Detach a container. It succeeds without the northbound too, which follows as soon as it answers."""
    ctx = context_of(request)
    key = id_of(request)
    release = flag(request, "release")
    host = ctx.host
    await ctx.active.writer.submit(lambda draft: endpoints.remove(draft, key, host, release=release))
    await ctx.written_if_reachable()
    return Response(status_code=204)


@router.post("", response_model=wire.EndpointBulkReply, openapi_extra=body_is(wire.EndpointBulk))
async def bulk(request: Request) -> Response:
    """Attach and detach many: each is refused alone, the rest is done."""
    ctx = context_of(request)
    body = await body_of(request, wire.EndpointBulk, keep_nul=True)
    host = ctx.host
    if body.put:
        ctx.active.reconciler.require()
    errors = await ctx.active.writer.submit(lambda draft: endpoints.bulk(draft, body, host))
    if body.put:
        await ctx.written()
    else:
        await ctx.written_if_reachable()
    return answer(wire.EndpointBulkReply(errors={key: error.as_dict() for key, error in errors.items()}))


@router.get("", response_model=Items[wire.Endpoint])
async def list_endpoints(
    ctx: Ctx,
    network: str | None = None,
    host: str | None = None,
    label: Annotated[list[str] | None, Query()] = None,
    published: bool = False,
) -> Response:
    """List endpoints; every filter must hold. Labels are those that policies see, `socketplane.io/container` among them.

    With `published`, only those that have published ports.
    """
    intent = ctx.active.store.committed
    wanted = dict(_pair(text) for text in label or ())
    found = [
        endpoint
        for endpoint in _narrowed(intent, network, host)
        if (endpoint.published or not published)
        and wanted.items() <= effective_labels(endpoint, intent.network_name(endpoint.network)).items()
    ]
    return answer(Items(items=[ctx.active.views.endpoint(endpoint) for endpoint in found]))


@router.get("/{endpoint}")
async def get_endpoint(endpoint: str, ctx: Ctx) -> wire.Endpoint:
    """Show an endpoint."""
    found = ctx.active.store.committed.endpoints.get(endpoint)
    if found is None:
        raise NotFound(f"no endpoint {endpoint}", field="endpoint", remedy="`socketplane endpoint ls` lists them")
    return ctx.active.views.endpoint(found)


def id_of(request: Request) -> str:
    """Return the endpoint's id from the path."""
    key: str = request.path_params["endpoint"]
    if not 16 <= len(key) <= 64 or not _HEX.issuperset(key):
        raise InvalidInput("an endpoint's id has 16 to 64 hex digits", field="id")
    return key


def _narrowed(intent: Intent, network: str | None, host: str | None) -> list[Endpoint]:
    keys = [
        *([intent.endpoints_of_network.get(intent.network(network).id, {})] if network is not None else []),
        *([intent.endpoints_of_host.get(intent.host(host).name, {})] if host is not None else []),
    ]
    if not keys:
        return list(intent.endpoints.values())
    first, *others = sorted(keys, key=len)
    return [intent.endpoints[key] for key in first if all(key in other for other in others)]


def _pair(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not key or not equals:
        raise InvalidInput(f"{text[:80]!r} is not key=value", field="label")
    return key, value
