"""The app: routes behind the gate, errors as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp

from socketplane import __version__
from socketplane.controller.api import bgp, cluster, endpoints, floating, hosts, networks, policies, probes, reach, services
from socketplane.controller.api.answers import error_answer, invalid
from socketplane.controller.api.describe import BODIES, ERRORS
from socketplane.controller.api.gate import Gate, Handler
from socketplane.controller.api.metrics import Metrics
from socketplane.controller.service import Service
from socketplane.errors import InvalidInput, SocketPlaneError

BUSY: Mapping[tuple[str, str], Handler] = {
    ("PUT", "/v1/endpoints/{endpoint}"): endpoints.put_endpoint,
    ("DELETE", "/v1/endpoints/{endpoint}"): endpoints.remove_endpoint,
    ("POST", "/v1/endpoints"): endpoints.bulk,
    ("POST", "/v1/networks/{network}/leases"): networks.create_lease,
}


def make_app(service: Service) -> ASGIApp:
    """Return the ASGI app of a controller."""
    metrics = Metrics(service)
    return Gate(make_routes(metrics), service, metrics.count, BUSY)


def make_routes(metrics: Metrics) -> FastAPI:
    """Return the routes without the gate; they rely on what it finds out."""
    app = FastAPI(
        title="SocketPlane", version=__version__, docs_url=None, redoc_url=None, responses=ERRORS, redirect_slashes=False
    )
    nouns = (endpoints, networks, floating, hosts, policies, services, reach, probes, bgp, cluster)
    for router in (*(noun.router for noun in nouns), metrics.router()):
        app.include_router(router)
    app.add_exception_handler(SocketPlaneError, _known)
    app.add_exception_handler(RequestValidationError, _not_valid)
    app.add_exception_handler(HTTPException, _refused)
    app.openapi = lambda: _openapi(app)  # type: ignore[method-assign]
    return app


async def _known(_: Request, error: Exception) -> Response:
    return error_answer(error if isinstance(error, SocketPlaneError) else SocketPlaneError(str(error)))


async def _not_valid(_: Request, error: Exception) -> Response:
    errors = error.errors() if isinstance(error, RequestValidationError) else []
    return error_answer(invalid(errors))


async def _refused(_: Request, error: Exception) -> Response:
    return error_answer(InvalidInput(str(getattr(error, "detail", error))))


def _openapi(app: FastAPI) -> dict[str, Any]:
    """Return the document, with the bodies that busy routes parse themselves; ours are 400s where FastAPI says 422."""
    if app.openapi_schema is None:
        document = FastAPI.openapi(app)
        schemas = document["components"]["schemas"]
        for name, model in BODIES.items():
            described = model.model_json_schema(ref_template="#/components/schemas/{model}")
            schemas.update(described.pop("$defs", {}))
            schemas[name] = described
        app.openapi_schema = document
    return app.openapi_schema
