"""Machines without SocketPlane on which `up`, `down`, `join` and `leave` are tried; each test leaves them as they were."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import AsyncIterator, Iterator

import pytest
from cluster_site import Look, Site

from socketplane.errors import SocketPlaneError
from socketplane.lab import build, leftovers, names, remove
from socketplane.lab.labs import Lab
from socketplane.lab.processes import process

PREFIX = "test-cluster-"


@pytest.fixture(scope="session")
def machines() -> Iterator[Lab]:
    """Three bare machines on one underlay; what killed runs left is removed."""
    try:
        build.check()
    except SocketPlaneError as error:
        pytest.skip(f"no lab here: {error}")
    for name in names():
        owner = re.fullmatch(rf"{PREFIX}(\d+)", name)
        if owner and process(int(owner[1])) is None:
            remove(name)
    name = f"{PREFIX}{os.getpid()}"
    yield asyncio.run(build.up(name, 3, bare=True))
    remove(name)
    assert leftovers(name) == []


@pytest.fixture(scope="session")
def untouched(machines: Lab) -> dict[str, Look]:
    """The machines as they were at first."""
    return {name: asyncio.run(Site(machines.hosts).look(name)) for name in Site(machines.hosts).names}


@pytest.fixture
async def site(machines: Lab, untouched: dict[str, Look]) -> AsyncIterator[Site]:
    """The machines, cleaned by `down --purge` after the test; what that leaves behind fails it."""
    site = Site(machines.hosts)
    yield site
    used = sorted(site.used, reverse=True)  # a manager after its members
    for name in used:
        await site.run(name, "socketplane", "down", "--purge")
        await site.end_strangers(name)
    looks = await asyncio.gather(*map(site.look, used))
    assert {name: look for name, look in zip(used, looks, strict=True) if look != untouched[name]} == {}
