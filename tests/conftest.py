"""What holds for every test."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from blockbuster import blockbuster_ctx
from hypothesis import HealthCheck, settings

# How long an example takes says nothing on a busy machine.
settings.register_profile("socketplane", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("socketplane")


@pytest.fixture
def tmp_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for one test, with a short name: a Unix socket's path has 107 bytes at most."""
    return tmp_path_factory.mktemp("t")


NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")


@pytest.fixture(scope="session")
def as_nobody() -> tuple[str, ...]:
    """What to put before a command so that it has no rights; skips where nobody may read this checkout."""
    if os.geteuid() != 0:
        pytest.skip("drops root's rights")
    if subprocess.run([*NOBODY, sys.executable, "-c", "import socketplane.cli.main"], capture_output=True).returncode:
        pytest.skip("this checkout is where nobody but root can read, as in root's home")
    return NOBODY


@pytest.fixture(autouse=True)
def never_block_the_loop(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail an async test in which code of ours makes a blocking call inside the event loop."""
    function = getattr(request, "function", None)
    if not inspect.iscoroutinefunction(inspect.unwrap(function) if function else None):
        yield
        return
    with blockbuster_ctx(scanned_modules=["socketplane"]):
        yield
