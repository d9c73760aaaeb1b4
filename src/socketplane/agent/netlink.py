"""Netlink off the event loop.

The kernel does a request's work inside `sendmsg`: deleting a link takes 16 ms there (an RCU grace period), and any
request waits for whoever holds the RTNL lock. An asyncio netlink socket would stop the whole loop for that long, so
requests run in a few threads, each with a socket of its own; several requests that belong together are one call.
"""

from __future__ import annotations

import asyncio
import errno
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from types import TracebackType
from typing import Any, Self, TypeVar

from pyroute2 import GenericNetlinkSocket, IPRoute
from pyroute2.netlink.exceptions import NetlinkError

Result = TypeVar("Result")
Link = Any
"""A link message of pyroute2: `message["index"]`, `message.get("ifname")`, ..."""

_Job = tuple[Callable[[IPRoute], Any], Future[Any]]

_THREADS = 4  # the kernel serialises most of it anyway; a slow deletion must not hold up the rest


class Netlink:
    """Threads with netlink sockets, in the network namespace of the thread that enters the context."""

    def __init__(self) -> None:
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._threads = [threading.Thread(target=self._work, name=f"netlink-{n}", daemon=True) for n in range(_THREADS)]

    async def __aenter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for _ in self._threads:
            self._jobs.put(None)
        for thread in self._threads:
            await asyncio.to_thread(thread.join)

    async def call(self, function: Callable[[IPRoute], Result]) -> Result:
        """Run `function` with a netlink socket in a thread.

        It always runs to its end: a cancelled caller waits for it, so that what it did can be undone.
        """
        outcome: Future[Result] = Future()
        outcome.set_running_or_notify_cancel()
        self._jobs.put((function, outcome))
        future = asyncio.wrap_future(outcome)
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            await asyncio.wait([future])
            future.exception()  # nobody else will ask
            raise

    def _work(self) -> None:
        with IPRoute() as socket:  # pyroute2 ties a socket to the thread that opened it
            while job := self._jobs.get():
                function, outcome = job
                try:
                    outcome.set_result(function(socket))
                except BaseException as error:  # the caller's, whatever it is
                    outcome.set_exception(error)
                del job, function, outcome


def ignoring(*numbers: int, function: Callable[[], Result]) -> Result | None:
    """Return what the function returns, or None when netlink answers one of these errors."""
    try:
        return function()
    except NetlinkError as error:
        if error.code in numbers:
            return None
        raise


def find_link(ipr: IPRoute, **which: object) -> Link | None:
    """Return the link with that `ifname` or `index` in this namespace, or None."""
    found = ignoring(errno.ENODEV, function=lambda: ipr.link("get", **which))
    return found[0] if found else None


def kind_of(link: Link) -> str | None:
    """Return a virtual link's kind: `veth`, `bridge`, ...; None for hardware."""
    kind = link.get(("linkinfo", "kind"))
    return str(kind) if kind else None


def link_with_address(ipr: IPRoute, address: str) -> Link | None:
    """Return the link that holds an address of this host, or None."""
    for found in ipr.get_addr(address=address):
        return find_link(ipr, index=found["index"])
    return None


def has_generic_family(name: str) -> bool:
    """Return whether the kernel knows a generic netlink family (a module's sign of life)."""
    with GenericNetlinkSocket() as socket:
        try:
            socket.bind(name, None)
        except (NetlinkError, KeyError, OSError):
            return False
        return True
