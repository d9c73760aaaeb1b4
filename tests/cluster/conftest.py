"""Machines without SocketPlane on which `up`, `down`, `join` and `leave` are tried; each test leaves them as they were."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import AsyncIterator, Iterator

import pytest
from cluster_site import Site

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


@pytest.fixture
async def site(machines: Lab) -> AsyncIterator[Site]:
    """The machines, cleaned by `down --purge` after the test; what that leaves behind fails it."""
    site = Site(machines.hosts)
    before = [await site.look(name) for name in site.names]
    yield site
    for name in reversed(site.names):
        await site.run(name, "socketplane", "down", "--purge")
        await site.end_strangers(name)
    assert [await site.look(name) for name in site.names] == before
