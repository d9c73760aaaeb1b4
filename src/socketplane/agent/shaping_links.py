"""The detour of an endpoint with limits: a second veth pair between the container's and Open vSwitch.

    container: eth0 ══ sp... ⇄ sl... ══ sw... :br-int

`sp...` and `sl...` send on to one another what arrives at them. So all that the container sends leaves by `sl...`, and all
that it gets by `sp...`, and each has a token bucket. They are nobody's port and out of the container's reach; on a port of
Open vSwitch a bucket would not last, as ovs-vswitchd takes it away, nor, in its userspace datapath, would it see what comes
from the container.

Functions here block: run them through `Netlink.call`. Crash anywhere: `ensure` repairs.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from socketplane.agent import tc
from socketplane.agent.netlink import Link, Result, find_link, ignoring, kind_of
from socketplane.agent.veth import GROUP, host_end
from socketplane.errors import Conflict, NotFound, Unsupported
from socketplane.model.traffic import Limits

_OWNER = "socketplane limits "
_SWITCH_END = re.compile(r"^sw([0-9a-f]{12})$")
_UP, _NOARP = 0x1, 0x80
_MODULES = "sch_tbf sch_ingress cls_u32 act_mirred"


def switch_end(endpoint_id: str) -> str:
    """Return the name of the end that is Open vSwitch's port."""
    return f"sw{endpoint_id[:12]}"


def limiter_end(endpoint_id: str) -> str:
    """Return the name of the end that the container's packets leave by."""
    return f"sl{endpoint_id[:12]}"


def ensure_pair(ipr: IPRoute, endpoint_id: str) -> None:
    """Make the pair alone. Raises as `ensure` does."""
    _attempt(ipr, endpoint_id, lambda host: _pair(ipr, endpoint_id, int(host.get("mtu"))))


def ensure(ipr: IPRoute, endpoint_id: str, limits: Limits) -> bool:
    """Make the detour, or set right what is wrong with it; return whether there was something to do.

    NotFound: the endpoint has no veth here. Conflict: a link, or its queueing discipline, is not ours. Unsupported: the
    kernel can't do it.
    """
    return _attempt(ipr, endpoint_id, lambda host: _ensure(ipr, endpoint_id, host, limits))


def _attempt(ipr: IPRoute, endpoint_id: str, function: Callable[[Link], Result]) -> Result:
    host = find_link(ipr, ifname=host_end(endpoint_id))
    try:
        if host is not None:
            return function(host)
    except NetlinkError as error:
        if error.code in (errno.ENOENT, errno.EOPNOTSUPP):
            raise Unsupported("this kernel lacks what limits are made of", remedy=f"`modprobe -a {_MODULES}`") from None
        if error.code != errno.ENODEV:
            raise
    raise NotFound(f"endpoint {endpoint_id[:12]} has no interface on this host")


def _ensure(ipr: IPRoute, endpoint_id: str, host: Link, limits: Limits) -> bool:
    mtu = int(host.get("mtu"))
    limiter, made = _pair(ipr, endpoint_id, mtu)
    changed = [made]
    for index, limit in ((limiter["index"], limits.egress), (host["index"], limits.ingress)):
        if limit is None:
            changed.append(tc.drop_bucket(ipr, index))
        else:
            changed.append(tc.put_bucket(ipr, index, tc.Bucket.of(limit.rate, limit.burst, mtu)))
    # Copies towards the container: what Open vSwitch's userspace datapath sends comes from one socket for all ports, and
    # what waited for this container would use up its buffer. Then nobody would get anything.
    changed.append(tc.send_on(ipr, limiter["index"], host["index"], copies=True))
    changed.append(tc.send_on(ipr, host["index"], limiter["index"], copies=False))
    return any(changed)


def remove(ipr: IPRoute, endpoint_id: str) -> None:
    """Take the detour away; the container's own pair is as if there had been none."""
    host = find_link(ipr, ifname=host_end(endpoint_id))
    if host is not None:
        ignoring(errno.ENODEV, function=lambda: tc.stop_sending_on(ipr, host["index"]))
        ignoring(errno.ENODEV, function=lambda: tc.drop_bucket(ipr, host["index"]))
    there = find_link(ipr, ifname=switch_end(endpoint_id))
    if there is not None and _is_ours(there, endpoint_id):
        ignoring(errno.ENODEV, function=lambda: ipr.link("del", index=there["index"]))


def present(ipr: IPRoute) -> frozenset[str]:
    """Return the ids of all endpoints with a detour: the first twelve digits where a crash left no more."""
    return frozenset(found for link in ipr.link("dump") if (found := _endpoint_of(link)))


def _pair(ipr: IPRoute, endpoint_id: str, mtu: int) -> tuple[Link, bool]:
    """Return the limiter's end, and whether the pair had to be made or completed."""
    switch, limiter = switch_end(endpoint_id), limiter_end(endpoint_id)
    there = find_link(ipr, ifname=switch)
    if there is not None and not _is_ours(there, endpoint_id):
        raise Conflict(f"a link {switch} exists that SocketPlane did not make", remedy=f"remove it: ip link del {switch}")
    made = there is None
    if made:
        peer = {"ifname": limiter, "mtu": mtu, "group": GROUP}
        ipr.link("add", ifname=switch, kind="veth", mtu=mtu, group=GROUP, peer=peer)
    ends = [find_link(ipr, ifname=name) for name in (switch, limiter)]
    if any(end is None or not _is_complete(end, endpoint_id, mtu) for end in ends):
        made = True
        for name in (switch, limiter):
            _complete(ipr, name, endpoint_id, mtu)
    return find_link(ipr, ifname=limiter), made


def _complete(ipr: IPRoute, name: str, endpoint_id: str, mtu: int) -> None:
    # Like the host's end: its own stack must answer nothing that is not sent on.
    with suppress(FileNotFoundError):
        Path(f"/proc/sys/net/ipv6/conf/{name}/disable_ipv6").write_text("1")
    flags = _UP | _NOARP
    ipr.link("set", ifname=name, mtu=mtu, group=GROUP, ifalias=_OWNER + endpoint_id, flags=flags, change=flags)


def _is_complete(link: Link, endpoint_id: str, mtu: int) -> bool:
    return bool(
        link.get("ifalias") == _OWNER + endpoint_id
        and link.get("mtu") == mtu
        and link.get("group") == GROUP
        and link["flags"] & (_UP | _NOARP) == _UP | _NOARP
    )


def _is_ours(link: Link, endpoint_id: str) -> bool:
    if kind_of(link) != "veth":
        return False
    alias = link.get("ifalias")
    return str(alias).startswith(_OWNER + endpoint_id) if alias else bool(link.get("group") == GROUP)


def _endpoint_of(link: Link) -> str | None:
    name = _SWITCH_END.match(link.get("ifname") or "")
    if not name or not _is_ours(link, name[1]):
        return None
    return (link.get("ifalias") or "").removeprefix(_OWNER) or name[1]
