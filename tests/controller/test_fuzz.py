"""Whatever OpenAPI allows, and bodies beyond it, sent to the real API: it never fails, and never loses its step."""

from __future__ import annotations

import asyncio
import json
import threading

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from socketplane.controller.api.app import make_routes
from socketplane.controller.api.metrics import Metrics
from socketplane.controller.api.rights import RULES, Right
from socketplane.transport.client import ControllerClient
from support import controller as support

HOST_CALLS = {(rule.method, rule.path) for rule in RULES if rule.right is Right.HOST}
STREAMS = {"/v1/watch"}
DOCUMENT = make_routes(Metrics(None)).openapi()
CASES = [
    call.ok().as_strategy()
    for call in schemathesis.openapi.from_dict(DOCUMENT).get_all_operations()
    if call.ok().path not in STREAMS
]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner, max_size=3),
    max_leaves=8,
)


class Background:
    """A controller in a thread with a loop of its own: hypothesis is synchronous."""

    def __init__(self, directory, keys):
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self._ends = asyncio.Event()
        started = self.call(self._start(directory, keys))
        self.controller, self.network, self._task = started

    def call(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(30)

    def close(self):
        self.call(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _start(self, directory, keys):
        ready = self._loop.create_future()
        task = asyncio.create_task(self._run(directory, keys, ready))
        return (*await ready, task)

    async def _run(self, directory, keys, ready):
        async with support.databases(directory) as databases, support.controller(databases, keys) as controller:
            await controller.admin.call("PUT", "/v1/hosts/h1", {"system_id": "system-h1", "address": "127.0.0.1"})
            network = await controller.admin.call("POST", "/v1/networks", {"name": "web"})
            async with controller.client("h1") as controller.h1:
                ready.set_result((controller, network))
                await self._ends.wait()

    async def _stop(self):
        self._ends.set()
        await self._task


@pytest.fixture
def background(tmp_path, keys):
    made = Background(tmp_path, keys)
    yield made
    made.close()


async def send(client: ControllerClient, method, path, params, body):
    """Return status and content; the client itself would turn errors into exceptions."""
    session, base = client._open(), client._bases[0]
    headers = {"content-type": "application/json"}
    async with session.request(method, base + path, params=params, data=body, headers=headers) as response:
        return response.status, await response.read()


def body_of(case, junk):
    if junk is not None:
        return json.dumps(junk)
    return None if isinstance(case.body, schemathesis.core.NotSet) else json.dumps(case.body)


def test_nothing_that_is_sent_breaks_it(background):
    controller = background.controller

    @settings(max_examples=250, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(st.one_of(CASES), st.none() | st.none() | JSON)
    def run(case, junk):
        client = controller.h1 if (case.method.upper(), case.path) in HOST_CALLS else controller.admin
        path = case.formatted_path.replace("{network}", background.network["id"])
        params = {key: value for key, value in (case.query or {}).items() if isinstance(value, str | int | float)}
        body = body_of(case, junk)
        status, content = background.call(send(client, case.method.upper(), path, params, body))
        assert status < 500, (case.method, path, params, body, content)
        if status >= 400:
            assert set(json.loads(content)["error"]) == {"code", "message", "field", "remedy"}

    run()
    active = controller.active
    background.call(active.reconciler.written(10))
    assert active.reconciler.gap() == []
    assert active.store.committed.networks == active.store.working.networks
