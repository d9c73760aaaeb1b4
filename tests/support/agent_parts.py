"""What tests of the agent's parts share: a controller that answers as it is told, and records of networks."""

from __future__ import annotations

import asyncio
from ipaddress import IPv4Address, IPv4Network
from uuid import UUID

from socketplane.agent.state import NetworkRecord
from socketplane.errors import Unavailable

SUBNET, GATEWAY = IPv4Network("10.200.0.0/24"), IPv4Address("10.200.0.1")


class Client:
    """A controller of few words."""

    def __init__(self):
        self.calls = []
        self.answer = lambda method, path, body: None

    async def call(self, method, path, body=None, params=None, *, timeout=10):
        self.calls.append((method, path, body))
        return self.answer(method, path, body)

    async def watch(self):
        await asyncio.Event().wait()
        yield


def down(*_):
    raise Unavailable("nobody")


def record(number=1, **changes):
    values = {
        "docker": f"d{number}",
        "id": UUID(int=number),
        "subnet": SUBNET,
        "gateway": GATEWAY,
        "internal": False,
        "created": 5.0,
    }
    return NetworkRecord(**values | changes)
