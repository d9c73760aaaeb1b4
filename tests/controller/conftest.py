"""A controller with two hosts and a network, on real databases."""

from __future__ import annotations

import asyncio
import contextlib

import pytest
import structlog

from support import controller as support
from support import controller_keys


@pytest.fixture(autouse=True)
def plain_logs():
    """Log plainly: structlog's pretty tracebacks read source files, in the event loop."""
    before = structlog.get_config()
    processors = [structlog.processors.format_exc_info, structlog.processors.KeyValueRenderer()]
    structlog.configure(processors=processors, cache_logger_on_first_use=False)
    yield
    structlog.configure(**before)


@pytest.fixture
def keys(tmp_path):
    directory = tmp_path / "pki"
    controller_keys.manager(directory)
    return directory


@pytest.fixture
def schema(request):
    """The northbound's: OVN's own, or what a test asks for."""
    return getattr(request, "param", support.NB_SCHEMA)


@pytest.fixture
async def databases(tmp_path, schema):
    async with support.databases(tmp_path, schema) as made:
        yield made


@pytest.fixture
async def controller(databases, keys):
    async with support.controller(databases, keys) as made:
        yield made


@pytest.fixture
async def world(controller):
    """The controller with hosts h1 and h2, a network `web`, and a client for each host."""
    for number, name in enumerate(("h1", "h2"), start=1):
        await controller.admin.call(
            "PUT", f"/v1/hosts/{name}", {"system_id": f"system-{name}", "address": f"127.0.0.{number}"}
        )
    controller.web = await controller.admin.call("POST", "/v1/networks", {"name": "web"})
    async with controller.client("h1") as controller.h1, controller.client("h2") as controller.h2:
        yield controller


@pytest.fixture
async def lines(world):
    """Parsed lines of a watch on h1."""
    queue = asyncio.Queue()

    async def read():
        async for change in world.h1.watch():
            queue.put_nowait(change)

    task = asyncio.create_task(read())
    yield lambda: asyncio.wait_for(queue.get(), 8)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
