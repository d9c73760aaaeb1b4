"""Notices from the kernel that something changed: no content, only the occasion to look."""

from __future__ import annotations

import asyncio
import errno
import socket
from contextlib import ExitStack
from types import TracebackType
from typing import Self

_NETLINK_ROUTE, _NETLINK_NETFILTER = 0, 12
# RTNLGRP_LINK, and of IPv4 and IPv6 each _IFADDR, _ROUTE, _RULE, _NETCONF
_ROUTE_GROUPS = (1, 5, 7, 8, 24, 9, 11, 19, 25)
_NFTABLES = 7  # NFNLGRP_NFTABLES


class KernelEvents:
    """Sets `links` when links, their addresses, routes, rules or settings change, `firewall` when nftables' rules do."""

    def __init__(self) -> None:
        self.links = asyncio.Event()
        self.firewall = asyncio.Event()
        self._stack = ExitStack()

    async def __aenter__(self) -> Self:
        with ExitStack() as stack:
            groups = sum(1 << (group - 1) for group in _ROUTE_GROUPS)
            self._listen(stack, _NETLINK_ROUTE, groups, self.links)
            self._listen(stack, _NETLINK_NETFILTER, 1 << (_NFTABLES - 1), self.firewall)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    @staticmethod
    def _listen(stack: ExitStack, protocol: int, groups: int, event: asyncio.Event) -> None:
        handle = stack.enter_context(socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK, protocol))
        handle.bind((0, groups))
        loop = asyncio.get_running_loop()
        loop.add_reader(handle, _drain, handle, event)
        stack.callback(loop.remove_reader, handle)


def _drain(handle: socket.socket, event: asyncio.Event) -> None:
    event.set()
    while True:
        try:
            handle.recv(65536)
        except BlockingIOError:
            return
        except OSError as error:
            if error.errno != errno.ENOBUFS:  # notices were lost, which is one more reason to look
                raise
