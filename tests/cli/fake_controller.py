"""A controller that speaks the protocol of wire over a unix socket and remembers what it was asked."""

from __future__ import annotations

import socketserver
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import orjson
from pydantic import BaseModel, ValidationError

from socketplane import wire
from socketplane.errors import InvalidInput, NotFound, SocketPlaneError

CLUSTER = "6f1c1c2e-93f5-4b8f-8d3b-0d6b0f6f7a11"


@dataclass
class Request:
    method: str
    path: str
    query: dict[str, list[str]]
    body: Any


@dataclass
class Controller:
    hosts: list[wire.Host] = field(default_factory=list)
    published: int = 0
    networks: list[wire.Network] = field(default_factory=list)
    endpoints: list[wire.Endpoint] = field(default_factory=list)
    policies: list[wire.Policy] = field(default_factory=list)
    revisions: list[wire.PolicyRevision] = field(default_factory=list)
    violations: list[wire.PolicyViolation] = field(default_factory=list)
    plan: wire.PolicyPlan | None = None
    outcome: wire.PolicyOutcome | None = None
    """What changes of policies are answered with; None: all that was asked for is created."""
    pools: list[wire.Pool] = field(default_factory=list)
    floating: list[wire.Floating] = field(default_factory=list)
    services: list[wire.Service] = field(default_factory=list)
    drained: list[int] = field(default_factory=list)
    """Numbers that draining is answered with, in turn."""
    tokens: list[wire.Token] = field(default_factory=list)
    alarms: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    explanation: wire.Explanation | None = None
    reach: wire.Reach = field(default_factory=lambda: wire.Reach(groups=[], lines=[]))
    samples: wire.ReachSamples = field(default_factory=lambda: wire.ReachSamples(items=[], complete=True))
    probed: dict[tuple[str, int | None], list[tuple[str, str, bool | None]]] = field(default_factory=dict)
    """What becomes of a service's tries, one after the other; the last one for ever."""
    refusal: SocketPlaneError | None = None
    """What every change is answered with."""
    raw: bytes | None = None
    """What every call is answered with, as it stands."""
    requests: list[Request] = field(default_factory=list)

    def answer(self, request: Request) -> object:
        self.requests.append(request)
        if self.refusal and request.method != "GET":
            raise self.refusal
        match request.method, *request.path.strip("/").split("/")[1:]:
            case ["GET", "status"]:
                return wire.Status(
                    version="0.1.0",
                    cluster=CLUSTER,
                    pool="10.192.0.0/10",
                    hosts=self.hosts,
                    networks=len(self.networks),
                    endpoints=len(self.endpoints),
                    policies=len(self.policies),
                    mtu=1442,
                    warnings=self.warnings,
                    published=self.published,
                    alarms=self.alarms,
                )
            case [
                "GET",
                ("hosts" | "networks" | "endpoints" | "policies" | "tokens" | "pools" | "floating" | "services") as kind,
            ]:
                return {"items": [item.model_dump(mode="json") for item in getattr(self, kind)]}
            case ["GET", "policies", "history"]:
                return {"items": [item.model_dump(mode="json") for item in self.revisions]}
            case ["GET", "policies", "violations"]:
                return {"items": [item.model_dump(mode="json") for item in self.violations]}
            case ["POST", "policies", "plan"]:
                assert self.plan is not None
                wire.PolicyTrial.model_validate(request.body)
                return self.plan
            case ["POST", "policies", "remove"]:
                return self.remove(wire.PolicyRemove.model_validate(request.body))
            case ["POST", "policies", "rollback"]:
                wire.PolicyRollback.model_validate(request.body)
                return self.outcome or wire.PolicyOutcome(items=[])
            case ["POST", "policies", "confirm"]:
                wire.PolicyConfirm.model_validate(request.body)
                return self.revisions[-1].model_copy(update={"state": "confirmed", "confirmed": 1.0})
            case ["GET", "explain"]:
                assert self.explanation is not None
                return self.explanation
            case ["GET", "reach"]:
                return self.reach
            case ["GET", "reach", "samples"]:
                return self.samples
            case ["POST", "probes"]:
                return {"items": [self.try_one(item) for item in wire.ProbeRequest.model_validate(request.body).items]}
            case ["GET" | "DELETE", kind, *names]:
                item = self.find(kind, names)
                if request.method == "GET":
                    return item
                getattr(self, kind).remove(item)
                return None
            case ["POST", "networks"]:
                return self.create_network(wire.NetworkCreate.model_validate(request.body))
            case ["POST", "pools"]:
                created = wire.PoolCreate.model_validate(request.body)
                return wire.Pool(name=created.name, first="192.0.2.65", last="192.0.2.94", size=30)
            case ["POST", "floating"]:
                return self.floating[wire.Expose.model_validate(request.body).network == "db"]
            case ["POST", "tokens"]:
                wanted = wire.TokenCreate.model_validate(request.body)
                return wire.TokenCreated(id="t1", created=1.0, expires=1.0 + wanted.ttl, uses=wanted.uses, token="sp1.abc")
            case ["POST", "services"]:
                documents = wire.ServiceApply.model_validate(request.body).documents
                heads: list[Any] = [document["metadata"] for document in documents]
                items = [wire.ServiceApplied(network=it["namespace"], name=it["name"], change="created") for it in heads]
                return wire.ServiceOutcome(items=items, warnings=self.warnings)
            case ["PUT", "endpoints", _, "drain"]:
                wire.EndpointDrain.model_validate(request.body)
                return wire.Drained(sequence=self.drained.pop(0))
            case ["POST", "policies"]:
                return self.apply(wire.PolicyApply.model_validate(request.body))
        raise NotFound(f"no {request.path}")

    def remove(self, wanted: wire.PolicyRemove) -> wire.PolicyOutcome:
        named = {f"{policy.network}/{policy.name}" if policy.network else policy.name: policy for policy in self.policies}
        gone = [named[title] for title in wanted.policies if title in named]
        self.policies = [policy for policy in self.policies if policy not in gone]
        return wire.PolicyOutcome(
            items=[wire.PolicyApplied(kind=one.kind, network=one.network, name=one.name, change="removed") for one in gone]
        )

    def try_one(self, wanted: wire.Probe) -> Any:
        outcomes = self.probed[wanted.protocol, wanted.port]
        outcome, detail, agrees = outcomes.pop(0) if len(outcomes) > 1 else outcomes[0]
        expected = next(each.expected for each in self.samples.items if each.port == wanted.port)
        seen = {"outcome": outcome, "detail": detail, "agrees": agrees, "expected": expected}
        return wire.ProbeResult.model_validate({**wanted.model_dump(), **seen}).model_dump(mode="json")

    def find(self, kind: str, names: list[str]) -> BaseModel:
        keys: dict[str, Callable[[Any], list[list[str]]]] = {
            "hosts": lambda host: [[host.name]],
            "networks": lambda network: [[str(network.id)], [network.name]],
            "endpoints": lambda endpoint: [[endpoint.id]],
            "policies": lambda policy: [[policy.network or wire.NO_NETWORK, policy.name]],
            "services": lambda service: [[service.network, service.name]],
            "tokens": lambda token: [[token.id]],
            "pools": lambda pool: [[pool.name]],
            "floating": lambda floating: [[str(floating.address)]],
        }
        wanted = [unquote(name) for name in names]
        for item in getattr(self, kind):
            if wanted in keys[kind](item):
                return item
        raise NotFound(f"no {kind.rstrip('s')} {'/'.join(wanted)!r}", remedy="see `ls`")

    def create_network(self, wanted: wire.NetworkCreate) -> wire.Network:
        subnet = wanted.subnet or "10.192.0.0/22"
        network = wire.Network.model_validate(
            wanted.model_dump(exclude={"request", "ipv6"})
            | {
                "id": f"{len(self.networks):08x}-0000-4000-8000-000000000000",
                "subnet": subnet,
                "gateway": wanted.gateway or "10.192.0.1",
            }
        )
        self.networks.append(network)
        return network

    def apply(self, wanted: wire.PolicyApply) -> wire.PolicyOutcome:
        items = [
            wire.PolicyApplied.model_validate(
                {
                    "kind": item["kind"],
                    "network": item["metadata"].get("namespace", wanted.network or ""),
                    "name": item["metadata"]["name"],
                    "change": "created",
                }
            )
            for item in wanted.documents
        ]
        return self.outcome or wire.PolicyOutcome(items=items, revision=1)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def handle_any(self) -> None:
        length = int(self.headers.get("content-length", 0))
        content = self.rfile.read(length)
        url = urlsplit(self.path)
        request = Request(self.command, url.path, parse_qs(url.query), orjson.loads(content) if content else None)
        status, data = 200, b""
        try:
            answer = self.server.controller.answer(request)
            if isinstance(answer, BaseModel):
                answer = answer.model_dump(mode="json")
            data = b"" if answer is None else orjson.dumps(answer)
        except ValidationError as error:
            status, data = 400, _error(InvalidInput(str(error)))
        except SocketPlaneError as error:
            status, data = error.status, _error(error)
        except Exception as error:  # the test must see it, not this thread's stderr
            status, data = 500, _error(SocketPlaneError(f"fake controller: {error!r}"))
        if self.server.controller.raw is not None:
            data = self.server.controller.raw
        self.send_response(status if data else 204)
        if data:
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = do_PUT = do_DELETE = handle_any  # noqa: N815 - the base class's names

    def log_message(self, *args: object) -> None: ...


class Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True

    def __init__(self, path: Path, controller: Controller) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        super().__init__(str(path), _Handler)
        self.controller = controller

    def handle_error(self, request: object, client_address: object) -> None:
        """Say what went wrong, but not that a command ended before its connection was closed here."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)

    def __enter__(self) -> Server:
        self.thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02})
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.thread.join()
        self.server_close()


def _error(error: SocketPlaneError) -> bytes:
    return orjson.dumps({"error": error.as_dict()})
