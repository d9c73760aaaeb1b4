"""What this host says of itself to the controller: every few seconds, and at once when it changes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from ipaddress import IPv4Address
from pathlib import Path
from typing import Literal, cast

import structlog

from socketplane import __version__, wire
from socketplane.agent.link import Link
from socketplane.agent.unixctl import ask, control_socket
from socketplane.errors import SocketPlaneError, Unavailable

INTERVAL = 10.0
_LOOK_EVERY = 1.0
_log = structlog.get_logger()

Datapath = Literal["kernel", "userspace", "unknown"]


class Reporter:
    """Gathers the report and sends it. `run` holds the run directories of OVN and Open vSwitch."""

    def __init__(
        self,
        link: Link,
        run: Path,
        *,
        datapath: Callable[[], tuple[str, int, int]],
        docker: Callable[[], str],
        conflicts: Callable[[], Sequence[str]],
        alarms: Callable[[], Sequence[str]],
        resolver: Callable[[], tuple[wire.Resolver | None, Sequence[IPv4Address]]] = lambda: (None, ()),
        floating: Callable[[], Sequence[wire.Claim]] = lambda: (),
        installed: Callable[[], int] = lambda: 0,
        bgp: Callable[[], wire.BgpStatus | None] = lambda: None,
        encryption: Callable[[], tuple[str, Sequence[wire.EncryptedPeer]]] = lambda: ("", ()),
        interval: float = INTERVAL,
        look_every: float = _LOOK_EVERY,
    ) -> None:
        self._link = link
        self._ovn_run = run / "ovn"
        self._ovs_run = run / "openvswitch"
        self._ovs: tuple[Path | None, str] = (None, "")
        self._datapath = datapath
        self._docker = docker
        self._conflicts = conflicts
        self._alarms = alarms
        self._resolver = resolver
        self._floating = floating
        self._installed = installed
        self._bgp = bgp
        self._encryption = encryption
        self._interval = interval
        self._look_every = look_every

    async def gather(self) -> wire.HostReport:
        """Return the report as of now."""
        kind, mtu, underlay = self._datapath()
        resolver, led = self._resolver()
        public_key, peers = self._encryption()
        return wire.HostReport(
            version=__version__,
            datapath=cast(Datapath, kind),
            docker=self._docker(),
            ovs=await self._ovs_version(),
            ovn_controller=await self._ovn_connected(),
            mtu=mtu,
            underlay_mtu=underlay,
            conflicts=sorted(self._conflicts()),
            alarms=list(self._alarms()),
            resolver=resolver,
            resolvers=list(led),
            floating=list(self._floating()),
            installed=self._installed(),
            bgp=self._bgp(),
            public_key=public_key,
            peers=list(peers),
        )

    async def run(self) -> None:
        """Report for ever."""
        sent: wire.HostReport | None = None
        due = 0.0
        loop = asyncio.get_running_loop()
        while True:
            report = await self.gather()
            if sent is None or _differs(report, sent) or report.says_new(sent) or loop.time() >= due:
                try:
                    await self._link.call("PUT", f"/v1/hosts/{self._link.host}/report", report, patience=0)
                    sent, due = report, loop.time() + self._interval
                except Unavailable:
                    sent = None  # the controller that answers next may be another one
                except SocketPlaneError as error:
                    _log.warning("report.refused", reason=str(error))
                    sent, due = report, loop.time() + self._interval
            await asyncio.sleep(self._look_every)

    async def _ovs_version(self) -> str:
        """Return ovs-vswitchd's version; one process is asked once (its socket is named after its id)."""
        socket = await asyncio.to_thread(control_socket, self._ovs_run, "ovs-vswitchd")
        if socket is None:
            return ""
        if socket != self._ovs[0]:
            try:
                told = (await ask(socket, "version")).splitlines()[0]
            except (Unavailable, IndexError):
                return ""
            self._ovs = (socket, told.rpartition(" ")[2])
        return self._ovs[1]

    async def _ovn_connected(self) -> bool:
        socket = await asyncio.to_thread(control_socket, self._ovn_run, "ovn-controller")
        if socket is None:
            return False
        try:
            return await ask(socket, "connection-status") == "connected"
        except Unavailable:
            return False


def _differs(report: wire.HostReport, sent: wire.HostReport) -> bool:
    """Return whether a report has what the controller is to know at once, though other hosts are not told."""
    return (report.bgp, report.met) != (sent.bgp, sent.met)
