"""The MTU of interfaces that exist: the container's end, wherever it is, a detour's, and last the host's.

So an endpoint whose host end has the MTU has it everywhere, and what a crash left is seen and finished.
"""

from __future__ import annotations

from functools import partial

from pyroute2 import IPRoute

from socketplane.agent import veth
from socketplane.agent.inside import enter, in_own_thread
from socketplane.agent.netlink import Link, Netlink, find_link, kind_of
from socketplane.agent.shaping_links import limiter_end, switch_end
from socketplane.agent.veth import host_end
from socketplane.errors import NotFound


def unfit(ipr: IPRoute, mtu: int) -> frozenset[str]:
    """Return the ids of endpoints whose host end has another MTU."""
    return veth.present(ipr, lambda link: link.get("mtu") != mtu)


async def fit(netlink: Netlink, endpoint_id: str, pid: int | None, mtu: int) -> None:
    """Give both ends that MTU. NotFound: the container's end is neither here nor where the process is."""
    host = await netlink.call(partial(find_link, ifname=host_end(endpoint_id)))
    if host is None:
        return
    if not await netlink.call(partial(_fit_here, host=host, mtu=mtu)):
        inside = pid is not None and await in_own_thread(partial(_fit_inside, pid, host, mtu), "mtu")
        if not inside:
            raise NotFound("its interface is not in its network namespace")
    await netlink.call(partial(_fit_host, endpoint_id=endpoint_id, mtu=mtu))


def _fit_here(ipr: IPRoute, host: Link, mtu: int) -> bool:
    """Set the container's end while Docker has not taken it; return whether it was here."""
    there = veth.peer_here(ipr, host)
    if there is not None:
        ipr.link("set", index=there["index"], mtu=mtu)
    return there is not None


def _fit_inside(pid: int, host: Link, mtu: int) -> bool:
    """Set the other end of a link in a process's namespace; return whether it is there."""
    try:
        enter(pid)
    except OSError:
        return False
    with IPRoute() as ipr:
        there = find_link(ipr, index=host.get("link"))
        # A process's number may be another's by now: both ends have to know one another.
        if there is None or kind_of(there) != "veth" or there.get("link") != host["index"]:
            return False
        ipr.link("set", index=there["index"], mtu=mtu)
        return True


def _fit_host(ipr: IPRoute, endpoint_id: str, mtu: int) -> None:
    for name in (switch_end(endpoint_id), limiter_end(endpoint_id), host_end(endpoint_id)):
        if (link := find_link(ipr, ifname=name)) is not None:
            ipr.link("set", index=link["index"], mtu=mtu)
