"""The labs that tests run in: made once, removed at the end, their logs kept when a test failed."""

from __future__ import annotations

import asyncio
import os
import re
import time
from collections.abc import AsyncIterator, Iterator

import pytest

from socketplane.errors import SocketPlaneError
from socketplane.lab import Lab, build, labs, leftovers, names, remove
from socketplane.lab.processes import process
from support.world import World

HOSTS = 3
PREFIX = "test-"
FAILED = pytest.StashKey[bool]()
TOOK = pytest.StashKey[float]()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The big lab is made once: its tests come together, after those that make labs of their own."""
    items.sort(key=lambda item: "lab" in getattr(item, "fixturenames", ()))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    report = yield
    if report.failed and "lab" in getattr(item, "fixturenames", ()):
        item.session.stash[FAILED] = True
    return report


@pytest.fixture(scope="session")
def lab_name() -> str:
    """A name of this run's own; labs of runs that were killed are removed."""
    try:
        build.check()
    except SocketPlaneError as error:
        pytest.skip(f"no lab here: {error}")
    for name in names():
        owner = re.fullmatch(rf"{PREFIX}(\d+)(-.*)?", name)
        if owner and process(int(owner[1])) is None:
            remove(name)
    return f"{PREFIX}{os.getpid()}"


@pytest.fixture(scope="session")
def lab(lab_name: str, request: pytest.FixtureRequest) -> Iterator[Lab]:
    """Three hosts with SocketPlane on each, as `socketplane lab up` makes them."""
    begin = time.monotonic()
    made = asyncio.run(build.up(lab_name, HOSTS, datapath=os.environ.get("SOCKETPLANE_LAB_DATAPATH", "auto"), say=print))
    request.session.stash[TOOK] = time.monotonic() - begin
    yield made
    if request.session.stash.get(FAILED, False):
        print(f"\nlogs of the lab's hosts: {labs.keep_logs(made)}")
    remove(lab_name)
    assert leftovers(lab_name) == []


@pytest.fixture
def took(lab: Lab, request: pytest.FixtureRequest) -> float:
    """Seconds that the lab took to come up."""
    return request.session.stash[TOOK]


@pytest.fixture
async def world(lab: Lab) -> AsyncIterator[World]:
    """The lab's hosts without containers, networks and policies, before and after the test."""
    world = World(lab)
    yield world
    await world.clean()


@pytest.fixture(scope="module")
def bare(lab_name: str) -> Iterator[Lab]:
    """Two machines and their network, without SocketPlane."""
    name = f"{lab_name}-bare"
    yield asyncio.run(build.up(name, 2, bare=True))
    remove(name)
    assert leftovers(name) == []
