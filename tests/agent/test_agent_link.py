"""The way to the controller: the breaker, errors, and deletions that wait."""

import asyncio
from uuid import uuid4

import pytest

from socketplane.agent.link import Breaker, Link
from socketplane.agent.outbox import Outbox
from socketplane.errors import Conflict, Forbidden, Unavailable
from support.agent_parts import GATEWAY, Client, down


def test_the_breaker_lets_one_through_a_second_once_patience_is_over():
    now = [100.0]
    breaker = Breaker(lambda: now[0])
    breaker.refuse(10)
    breaker.failed("nobody")
    now[0] += 5
    breaker.refuse(10)
    assert breaker.left(10) == 5
    now[0] += 6
    breaker.refuse(10)
    for _ in range(3):
        with pytest.raises(Unavailable, match="nobody"):
            breaker.refuse(10)
    now[0] += 1
    breaker.refuse(10)
    breaker.answered()
    breaker.refuse(10)
    assert breaker.left(10) == 10


async def test_an_error_of_the_controller_is_an_answer():
    client = Client()
    link = Link(client, "h1", patience=5)

    def refuse(*_):
        raise Conflict("no")

    client.answer = refuse
    with pytest.raises(Conflict):
        await link.call("GET", "/v1/networks")
    assert not link.down
    assert len(client.calls) == 1


async def test_deletions_wait_for_the_controller_and_are_gathered():
    client = Client()
    client.answer = down
    now = [0.0]
    outbox = Outbox(Link(client, "h1", clock=lambda: now[0]))
    net = uuid4()
    for number in range(5):
        await outbox.delete_endpoint(f"{number:064x}", [(net, GATEWAY + number)])
    await outbox.release(net, GATEWAY + 100)
    await outbox.release(net, GATEWAY + 1)  # Docker's echo of what goes with its endpoint
    assert not outbox.empty
    client.calls.clear()
    client.answer = lambda *_: {"errors": {}}
    with pytest.raises(Unavailable):  # somebody tried a moment ago
        await outbox.flush()
    assert client.calls == []
    now[0] += 1
    await outbox.flush()
    (_, path, body), (method, lease, _) = client.calls
    assert (path, len(body.delete), body.release) == ("/v1/endpoints", 5, True)
    assert (method, lease) == ("DELETE", f"/v1/networks/{net}/leases/10.200.0.101")
    assert outbox.empty


async def test_what_the_controller_refuses_to_delete_is_not_sent_for_ever():
    client = Client()

    def refuse(*_):
        raise Forbidden("not yours")

    client.answer = refuse
    outbox = Outbox(Link(client, "h1"))
    await outbox.delete_endpoint("ab" * 32)
    await outbox.release(uuid4(), GATEWAY)
    assert outbox.empty


async def test_a_controller_that_hangs_does_not_hold_up_a_stop():
    client = Client()

    async def hang(*_, **__):
        await asyncio.Event().wait()

    client.call = hang
    outbox = Outbox(Link(client, "h1"), wait=0.01)
    async with asyncio.timeout(1):
        await outbox.delete_endpoint("ab" * 32)
    assert not outbox.empty
