"""Hosts, tokens and joining."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import PlainTextResponse
from starlette.concurrency import run_in_threadpool

from socketplane import wire
from socketplane.controller import streams
from socketplane.controller.api.answers import body_as
from socketplane.controller.api.context import Ctx
from socketplane.controller.api.describe import Items, body_is
from socketplane.controller.draft import Draft
from socketplane.controller.plans import hosts
from socketplane.errors import Forbidden
from socketplane.model.types import Token
from socketplane.pki import ORGANIZATION_HOST, Subject, fingerprint, hash_secret, new_token, sign_csr

router = APIRouter(prefix="/v1", tags=["hosts"])


@router.get("/ca", response_class=PlainTextResponse)
async def get_ca(ctx: Ctx) -> str:
    """Show the cluster's CA certificate; a joining host compares its fingerprint with the token's."""
    return ctx.service.authority.certificate


@router.post("/join", openapi_extra=body_is(wire.JoinRequest))
async def join(body: Annotated[wire.JoinRequest, body_as(wire.JoinRequest)], ctx: Ctx) -> wire.JoinReply:
    """Make a machine a host: certificate for its key against a token."""
    service, active = ctx.service, ctx.active
    # A first look, so that nobody without a token makes us sign; the plan looks again when it uses the token up.
    hosts.check_token(active.store.committed, body, service.clock())
    hosts.check_encryption(active.store.committed, body)
    certificate = await asyncio.to_thread(
        sign_csr,
        service.authority,
        body.csr,
        Subject(body.system_id, ORGANIZATION_HOST),
        datetime.fromtimestamp(service.clock(), UTC),
        names=[body.name],
        addresses=[body.address],
    )
    host = await active.writer.submit(lambda draft: hosts.join(draft, body))
    await ctx.written()
    cluster = active.store.committed.cluster.cluster
    encryption = cluster.encryption
    return wire.JoinReply(
        certificate=certificate,
        ca=service.authority.certificate,
        host=active.views.host(host),
        controllers=list(service.identity.controllers),
        southbound=list(service.identity.southbound),
        pool=cluster.pool,
        hosts=cluster.hosts,
        encryption=wire.Encryption(network=encryption.network, port=encryption.port) if encryption else None,
    )


@router.get("/hosts")
async def list_hosts(ctx: Ctx) -> Items[wire.Host]:
    """List the hosts."""
    found = sorted(ctx.active.store.committed.hosts.values(), key=lambda host: host.name)
    return Items(items=[ctx.active.views.host(host) for host in found])


@router.get("/hosts/{name}")
async def get_host(name: str, ctx: Ctx) -> wire.Host:
    """Show a host."""
    return ctx.active.views.host(ctx.active.store.committed.host(name))


@router.put("/hosts/{name}", openapi_extra=body_is(wire.HostPut))
async def put_host(name: wire.Name, body: Annotated[wire.HostPut, body_as(wire.HostPut)], ctx: Ctx) -> wire.Host:
    """Make a machine a host without a token: the manager itself."""
    newcomer = hosts.Newcomer(name, body.system_id, str(body.address))
    host = await ctx.active.writer.submit(lambda draft: hosts.put(draft, newcomer))
    await ctx.written()
    return ctx.active.views.host(host)


@router.patch("/hosts/{name}", openapi_extra=body_is(wire.HostPatch))
async def patch_host(name: str, body: Annotated[wire.HostPatch, body_as(wire.HostPatch)], ctx: Ctx) -> wire.Host:
    """Change a host's labels, by which policies select it."""
    host = await ctx.active.writer.submit(lambda draft: hosts.patch(draft, name, body))
    await ctx.written()
    return ctx.active.views.host(host)


@router.delete("/hosts/{name}", status_code=204)
async def remove_host(name: str, ctx: Ctx, force: bool = Query(False)) -> None:
    """Let a host leave."""
    if ctx.caller is not None and ctx.caller.name != name:
        raise Forbidden("a host may remove only itself", field="host")
    await ctx.active.writer.submit(lambda draft: hosts.remove(draft, name, force=force))
    await ctx.written_if_reachable()


@router.put("/hosts/{name}/report", status_code=204, openapi_extra=body_is(wire.HostReport))
async def put_report(name: str, body: Annotated[wire.HostReport, body_as(wire.HostReport)], ctx: Ctx) -> None:
    """Take in what an agent says of its host."""
    if ctx.host.name != name:
        raise Forbidden("a host may report only of itself", field="host")
    if ctx.active.reports.put(name, body, ctx.service.clock()):
        ctx.active.publish_host(name)
    intent = ctx.active.store.committed
    if hosts.reported(intent, name, body) != intent.host(name):
        await ctx.active.writer.submit(lambda draft: hosts.put_reported(draft, name, body))


@router.post("/hosts/{name}/denials", status_code=204, openapi_extra=body_is(wire.DenialBatch))
async def put_denials(name: str, body: Annotated[wire.DenialBatch, body_as(wire.DenialBatch)], ctx: Ctx) -> None:
    """Take in what policy refused on a host."""
    if ctx.host.name != name:
        raise Forbidden("a host may report only of itself", field="host")
    ctx.active.denials.put(name, body)


@router.post("/hosts/{name}/streams", openapi_extra=body_is(wire.StreamCheck))
async def check_streams(
    name: str, body: Annotated[wire.StreamCheck, body_as(wire.StreamCheck)], ctx: Ctx
) -> wire.StreamsForbidden:
    """Judge open UDP streams of a host's containers, and have those interrupted that must not go on."""
    if ctx.host.name != name:
        raise Forbidden("a host may ask only about its own containers", field="host")
    active = ctx.active
    streams.check_revision(active.reconciler.ruleset, body.revision)
    found = await run_in_threadpool(streams.prepare(active.store.committed, name, body.streams))
    unheard = [
        place
        for host, (places, interruptions) in found.by_host.items()
        if not active.interrupt(host, interruptions)
        for place in places
    ]
    return wire.StreamsForbidden(forbidden=found.forbidden, unheard=unheard)


@router.get("/tokens")
async def list_tokens(ctx: Ctx) -> Items[wire.Token]:
    """List the tokens, without their secrets."""
    found = sorted(ctx.active.store.committed.tokens.values(), key=lambda token: token.created)
    return Items(items=[ctx.active.views.token(token) for token in found])


@router.post("/tokens", openapi_extra=body_is(wire.TokenCreate))
async def create_token(body: Annotated[wire.TokenCreate, body_as(wire.TokenCreate)], ctx: Ctx) -> wire.TokenCreated:
    """Make a token; its text is shown this once."""
    text = new_token(ctx.service.identity.controllers, fingerprint(ctx.service.authority.certificate))

    def plan(draft: Draft) -> Token:
        token = Token(text.id, hash_secret(text.secret), draft.now, round(draft.now + body.ttl, 3), body.uses)
        draft.put(token)
        return token

    token = await ctx.active.writer.submit(plan)
    return wire.TokenCreated(
        id=token.id, created=token.created, expires=token.expires, uses=token.uses, token=text.encode()
    )


@router.delete("/tokens/{token}", status_code=204)
async def remove_token(token: str, ctx: Ctx) -> None:
    """Remove a token: nobody can join with it any more."""
    await ctx.active.writer.submit(lambda draft: hosts.token_remove(draft, token))
