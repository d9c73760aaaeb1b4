"""The cluster at a glance, and its changes as a stream."""

from __future__ import annotations

from collections.abc import AsyncIterator

from fastapi import APIRouter
from fastapi.responses import StreamingResponse

from socketplane import __version__, wire
from socketplane.controller.active import Active, line_of
from socketplane.controller.api.context import Ctx
from socketplane.controller.plans import services
from socketplane.controller.plans.history import moment, waiting
from socketplane.model.mtu import common

router = APIRouter(prefix="/v1", tags=["cluster"])
PING_SECONDS = 5.0
_PING = line_of(wire.Change(type="ping"))


@router.get("/version")
async def get_version() -> wire.Version:
    """Show the program's version."""
    return wire.Version(version=__version__)


@router.get("/status")
async def get_status(ctx: Ctx) -> wire.Status:
    """Show the cluster at a glance."""
    active = ctx.active
    intent = active.store.committed
    hosts = [active.views.host(host) for host in sorted(intent.hosts.values(), key=lambda host: host.name)]
    cluster = intent.cluster.cluster
    return wire.Status(
        version=__version__,
        cluster=cluster.id,
        pool=cluster.pool,
        hosts=hosts,
        networks=sum(1 for network in intent.networks.values() if network.name),
        endpoints=len(intent.endpoints),
        policies=len(intent.policies) + len(intent.traffic),
        services=len(intent.services),
        published=sum(len(endpoint.published) for endpoint in intent.endpoints.values()),
        floating=sum(not claim.problem for host in hosts if host.report for claim in host.report.floating),
        mtu=common(host.underlay_mtu for host in hosts) or 0,
        encrypted=cluster.encryption is not None,
        warnings=_warnings(hosts),
        alarms=_alarms(active, hosts),
    )


def _warnings(hosts: list[wire.Host]) -> list[str]:
    known = sorted((host.underlay_mtu, host.name) for host in hosts if host.underlay_mtu)
    if not known or known[0][0] == known[-1][0]:
        return []
    told = ", ".join(f"{name} {mtu}" for mtu, name in known)
    return [f"hosts' underlays differ in MTU ({told}): containers on all hosts have {common(mtu for mtu, _ in known)}"]


def _alarms(active: Active, hosts: list[wire.Host]) -> list[str]:
    reconciler = active.reconciler
    alarms = [*([reconciler.alarm] if reconciler.alarm else []), *active.store.not_understood.values()]
    if (held := waiting(active.store.committed)) is not None:
        alarms.append(
            f"revision {held.number} of the policies is taken back at {moment(held.deadline)} unless it is confirmed: "
            "`socketplane policy confirm`"
        )
    if not reconciler.northbound.connected:
        alarms.append("OVN's northbound database does not answer")
    alarms += services.alarms(active.store.committed)
    now = active.clock()
    for host in hosts:
        if fault := active.reports.fault(host.name, now):
            alarms.append(f"host {host.name} is not ready: {fault}; `socketplane up` there starts what is not running")
        alarms.extend(f"host {host.name}: {alarm}" for alarm in (host.report.alarms if host.report else ()))
    return alarms


@router.get("/watch", response_class=StreamingResponse, responses={200: {"content": {"application/x-ndjson": {}}}})
async def watch(ctx: Ctx) -> StreamingResponse:
    """Stream changes, one JSON object a line: a snapshot first."""
    host = ctx.caller.name if ctx.caller else ""
    return StreamingResponse(_stream(ctx.active, host), media_type="application/x-ndjson")


async def _stream(active: Active, host: str) -> AsyncIterator[bytes]:
    subscription = active.hub.subscribe(host)
    try:
        yield line_of(active.snapshot(host))
        while True:
            lines = await subscription.take(PING_SECONDS)
            if not lines and subscription.closed:
                return
            yield lines or _PING
    finally:
        active.hub.leave(subscription)
