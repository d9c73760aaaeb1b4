"""Prometheus metrics, read from the controller when somebody asks."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterable

from fastapi import APIRouter, Response
from prometheus_client import CollectorRegistry, Counter, GCCollector, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from socketplane.controller.active import Active
from socketplane.controller.service import Service


class _ControllerCollector(Collector):
    """Shows what `look` saw: it looks in the event loop, what is written down is written in a thread."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._seen: list[Metric] = []

    def look(self) -> None:
        """Read the controller's figures."""
        active = self._service.active
        is_active = GaugeMetricFamily(
            "socketplane_active", "1 while this is the active controller.", value=active is not None
        )
        self._seen = [is_active, *(_gauges(active) if active else ()), *(_counters(active) if active else ())]

    def collect(self) -> Iterable[Metric]:
        return self._seen

    def describe(self) -> Iterable[Metric]:
        return ()


def _gauges(active: Active) -> Iterable[Metric]:
    intent = active.store.committed
    ready = sum(active.reports.is_ready(host, active.clock()) for host in intent.hosts)
    held = sum(lease.released is None for lease in intent.leases.values())
    for name, text, value in (
        ("hosts", "Hosts of the cluster.", len(intent.hosts)),
        ("hosts_ready", "Hosts whose agent reports that containers can be attached.", ready),
        ("networks", "Networks, pending ones included.", len(intent.networks)),
        ("endpoints", "Endpoints.", len(intent.endpoints)),
        ("policies", "Policies.", len(intent.policies)),
        ("floating_addresses", "Floating addresses.", len(intent.floating)),
        ("floating_addresses_claimed", "Floating addresses that a host answers for.", _claimed(active)),
        ("leases_held", "Addresses that are held.", held),
        ("services", "Services.", len(intent.services)),
        ("watchers", "Streams of changes that are open.", len(active.hub)),
        ("northbound_connected", "1 while OVN's northbound answers.", active.reconciler.northbound.connected),
        ("epoch", "Number of this controller's turn.", active.store.epoch),
    ):
        yield GaugeMetricFamily(f"socketplane_{name}", text, value=value)
    ready_for = GaugeMetricFamily(
        "socketplane_service_backends", "Containers that a service selects.", labels=("network", "service", "ready")
    )
    for (network, name), service in intent.services.items():
        selected, backends = len(active.services.selected(service)), len(active.services.ready(service))
        for is_ready, count in (("yes", backends), ("no", selected - backends)):
            ready_for.add_metric((network, name, is_ready), count)
    yield ready_for
    handshakes = GaugeMetricFamily(
        "socketplane_encryption_handshake_age_seconds",
        "Since a host and a peer agreed on keys; +Inf: never.",
        labels=("host", "peer"),
    )
    for host in intent.hosts:
        report, _ = active.reports.get(host)
        for peer in report.peers if report else ():
            handshakes.add_metric((host, peer.host), active.clock() - peer.handshake if peer.handshake else math.inf)
    yield handshakes


def _claimed(active: Active) -> int:
    return sum(active.views.floating(each).state == "claimed" for each in active.store.committed.floating.values())


def _counters(active: Active) -> Iterable[Metric]:
    intent = active.store.committed
    for name, text, value in (
        ("intent_requests", "Changes asked for.", active.writer.requests),
        ("intent_transactions", "Transactions of the intent database.", active.writer.transactions),
        ("northbound_transactions", "Transactions of the northbound.", active.reconciler.northbound.transactions),
        ("northbound_repairs", "Passes that found rows of ours changed by others.", active.reconciler.repairs),
    ):
        yield CounterMetricFamily(f"socketplane_{name}", text, value=value)
    denied = CounterMetricFamily("socketplane_denied_packets", "Packets that were logged as refused.", labels=("rule",))
    for rule, count in active.denials.by_rule.items():
        denied.add_metric((rule,), count)
    yield denied
    queries = CounterMetricFamily(
        "socketplane_resolver_queries", "Queries for names, by host and what became of them.", labels=("host", "result")
    )
    for host in intent.hosts:
        report, _ = active.reports.get(host)
        for result, count in (report.resolver.queries if report and report.resolver else {}).items():
            queries.add_metric((host, result), count)
    yield queries


class Metrics:
    """One controller's metrics."""

    def __init__(self, service: Service) -> None:
        self._registry = CollectorRegistry()
        self._collector = _ControllerCollector(service)
        self._registry.register(self._collector)
        ProcessCollector(registry=self._registry)
        GCCollector(registry=self._registry)
        self._requests = Counter(
            "socketplane_requests", "REST requests, by method and status.", ("method", "status"), registry=self._registry
        )

    def count(self, method: str, status: int) -> None:
        """Count an answer."""
        self._requests.labels(method if method in _METHODS else "other", status).inc()

    def router(self) -> APIRouter:
        """Return the route that shows them."""
        router = APIRouter()

        @router.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
        async def get_metrics() -> Response:
            """Show the metrics in Prometheus' text format."""
            self._collector.look()
            text = await asyncio.to_thread(generate_latest, self._registry)
            return Response(text, media_type="text/plain; version=0.0.4; charset=utf-8")

        return router


_METHODS = frozenset({"GET", "PUT", "POST", "PATCH", "DELETE", "HEAD", "OPTIONS"})
