"""Work inside containers' network namespaces, by no program of theirs."""

from __future__ import annotations

import asyncio
import ctypes
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from pyroute2 import netns

Result = TypeVar("Result")
_LIBC = ctypes.CDLL(None, use_errno=True)


async def in_own_thread(function: Callable[[], Result], name: str) -> Result:
    """Run a function that may `enter` namespaces; its thread ends with it, and serves nobody else."""
    executor = ThreadPoolExecutor(1, name)
    try:
        return await asyncio.get_running_loop().run_in_executor(executor, function)
    finally:
        executor.shutdown(wait=False)


def enter(pid: int) -> None:
    """Bring this thread into the network namespace of a process, for good. OSError: the process is gone."""
    namespace = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        netns.setns(namespace, libc=_LIBC)  # without libc it would start a program to look for it
    finally:
        os.close(namespace)
