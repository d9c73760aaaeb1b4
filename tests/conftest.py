"""What holds for every test."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

import pytest
from blockbuster import blockbuster_ctx
from hypothesis import HealthCheck, settings

# How long an example takes says nothing on a busy machine.
settings.register_profile("socketplane", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("socketplane")


@pytest.fixture(autouse=True)
def never_block_the_loop(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail an async test in which code of ours makes a blocking call inside the event loop."""
    function = getattr(request, "function", None)
    if not inspect.iscoroutinefunction(inspect.unwrap(function) if function else None):
        yield
        return
    with blockbuster_ctx(scanned_modules=["socketplane"]):
        yield
