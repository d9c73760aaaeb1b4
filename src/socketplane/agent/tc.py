"""Traffic control on a link, only what limits need: a token bucket, and a filter that sends all that arrives elsewhere.

Functions here block: run them through `Netlink.call`. What carries another mark than ours is never touched.
"""

from __future__ import annotations

import errno
import math
from collections.abc import Iterable
from dataclasses import dataclass
from socket import htons
from typing import Any

from pyroute2 import IPRoute
from pyroute2.netlink import NLM_F_ACK, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REQUEST
from pyroute2.netlink.exceptions import NetlinkError
from pyroute2.netlink.rtnl import RTM_NEWTFILTER
from pyroute2.netlink.rtnl.tcmsg import tcmsg
from pyroute2.netlink.rtnl.tcmsg.common import get_rate_parameters

from socketplane.agent.netlink import ignoring
from socketplane.errors import Conflict

MARK = 0x5350
"""Handle of our queueing disciplines, and preference of our filters."""
_ROOT, _INGRESS = 0xFFFFFFFF, 0xFFFF0000
_HANDLE = MARK << 16
_ALL_PROTOCOLS = 3
_REDIRECT = (1, 4)  # TCA_EGRESS_REDIR, TC_ACT_STOLEN
_MIRROR = (2, 2)  # TCA_EGRESS_MIRROR, TC_ACT_SHOT
_ETHERNET = 14
_LEAST_PACKETS = 2
_BURST_SECONDS, _LEAST_BURST = 0.05, 65_536
_QUEUE_SECONDS, _LEAST_QUEUE = 0.05, 65_536
_DEFAULT_KINDS = frozenset({"noqueue", "pfifo_fast", "fq_codel", "fq", "pfifo", "mq"})


@dataclass(frozen=True, slots=True)
class Bucket:
    """A rate that is held (bytes a second), and what may pass above it after a pause (bytes)."""

    rate: int
    burst: int

    @staticmethod
    def of(bits: int, burst: int | None, mtu: int) -> Bucket:
        """Return the bucket of a rate in bits a second.

        Without a burst, one that bridges the pauses of a busy machine: what it can't send in time would be lost to the
        rate. It always holds a packet or two, as what doesn't fit into it never passes.
        """
        wanted = max(_LEAST_BURST, math.ceil(bits / 8 * _BURST_SECONDS)) if burst is None else burst
        return Bucket(bits // 8, max(wanted, _LEAST_PACKETS * (mtu + _ETHERNET)))

    @property
    def queue(self) -> int:
        """Bytes that wait at most; what comes on top is dropped."""
        return max(_LEAST_QUEUE, math.ceil(self.rate * _QUEUE_SECONDS))


def put_bucket(ipr: IPRoute, index: int, bucket: Bucket) -> bool:
    """Have a link send no more than the bucket gives; return whether there was something to do.

    Conflict: somebody else made a queueing discipline for it.
    """
    there = _root(ipr, index)
    if there is not None and _is_ours(there) and _parameters(there) == _wanted(bucket):
        return False
    if there is not None and not _is_ours(there) and not _is_default(there):
        kind = there.get("TCA_KIND")
        raise Conflict(f"link {index} has a queueing discipline ({kind}) that SocketPlane did not make", remedy="remove it")
    rates = {"rate": bucket.rate, "burst": bucket.burst, "limit": bucket.queue}
    ipr.tc("replace", "tbf", index=index, handle=_HANDLE, parent=_ROOT, **rates)
    return True


def drop_bucket(ipr: IPRoute, index: int) -> bool:
    """Take our token bucket away; return whether there was one."""
    there = _root(ipr, index)
    if there is None or not _is_ours(there):
        return False
    ignoring(errno.ENOENT, errno.EINVAL, function=lambda: ipr.tc("del", index=index, handle=_HANDLE, parent=_ROOT))
    return True


def send_on(ipr: IPRoute, index: int, target: int, *, copies: bool) -> bool:
    """Have all that arrives at a link leave by another, and go no further here; return whether there was something to do.

    A packet that waits counts on its sender's socket, which then sends less. Of `copies` the sender knows nothing.
    """
    how = _MIRROR if copies else _REDIRECT
    if [_action(found) for found in _filters(ipr, index)] == [(*how, target)]:
        return False
    stop_sending_on(ipr, index)
    ignoring(errno.EEXIST, function=lambda: ipr.tc("add", "ingress", index=index))
    ipr.nlm_request_batch([_filter(index, target, how)])
    return True


def stop_sending_on(ipr: IPRoute, index: int) -> None:
    """Take our filter away, and with the last filter what held it."""
    if _filters(ipr, index):
        arguments = {"index": index, "parent": _INGRESS, "info": _info()}
        ignoring(errno.ENOENT, errno.EINVAL, function=lambda: ipr.tc("del-filter", **arguments))
    if _ingress(ipr, index) and not _dump_filters(ipr, index):
        ignoring(errno.ENOENT, errno.EINVAL, function=lambda: ipr.tc("del", "ingress", index=index))


def _root(ipr: IPRoute, index: int) -> Any | None:
    return next((found for found in ipr.get_qdiscs(index=index) if found["parent"] == _ROOT), None)


def _ingress(ipr: IPRoute, index: int) -> bool:
    return any(found.get("TCA_KIND") == "ingress" for found in ipr.get_qdiscs(index=index))


def _is_ours(qdisc: Any) -> bool:
    return bool(qdisc["handle"] == _HANDLE and qdisc.get("TCA_KIND") == "tbf")


def _is_default(qdisc: Any) -> bool:
    return bool(qdisc["handle"] == 0 or qdisc.get("TCA_KIND") in _DEFAULT_KINDS)


def _parameters(qdisc: Any) -> tuple[int, ...]:
    found = qdisc.get(("TCA_OPTIONS", "TCA_TBF_PARMS")) or {}
    return tuple(int(found.get(name) or 0) for name in ("rate", "buffer", "limit"))


def _wanted(bucket: Bucket) -> tuple[int, ...]:
    found = get_rate_parameters({"rate": bucket.rate, "burst": bucket.burst, "limit": bucket.queue})
    return tuple(int(found[name]) for name in ("rate", "buffer", "limit"))


def _dump_filters(ipr: IPRoute, index: int) -> list[Any]:
    try:
        return list(ipr.get_filters(index=index, parent=_INGRESS))
    except NetlinkError as error:
        if error.code in (errno.EINVAL, errno.ENOENT, errno.EOPNOTSUPP):  # there is nothing that could hold any
            return []
        raise


def _filters(ipr: IPRoute, index: int) -> list[Any]:
    """Return our filters, the hash tables around them left out."""
    ours = (found for found in _dump_filters(ipr, index) if found["info"] >> 16 == MARK)
    return [found for found in ours if found.get(("TCA_OPTIONS", "TCA_U32_SEL")) is not None]


def _action(found: Any) -> tuple[int, int, int] | None:
    """Return how a filter sends on, and to which link; None where it does something else."""
    actions: Iterable[Any] = (found.get(("TCA_OPTIONS", "TCA_U32_ACT")) or {}).get("attrs", ())
    parameters = [action.get(("TCA_ACT_OPTIONS", "TCA_MIRRED_PARMS")) for _, action in actions]
    if len(parameters) != 1 or parameters[0] is None:
        return None
    return parameters[0]["eaction"], parameters[0]["action"], parameters[0]["ifindex"]


def _info() -> int:
    return MARK << 16 | htons(_ALL_PROTOCOLS)


def _filter(index: int, target: int, how: tuple[int, int]) -> Any:
    """Return the request for the filter. `IPRoute.tc` can't say a mirror that ends with a drop."""
    parameters = {"eaction": how[0], "action": how[1], "ifindex": target}
    options = {"attrs": [["TCA_MIRRED_PARMS", parameters]]}
    action = {"attrs": [["TCA_ACT_KIND", "mirred"], ["TCA_ACT_OPTIONS", options]]}
    everything = ["TCA_U32_SEL", {"keys": ["0x0/0x0+0"]}]
    request = tcmsg()
    request["index"], request["parent"], request["info"] = index, _INGRESS, _info()
    request["attrs"] = [
        ["TCA_KIND", "u32"],
        ["TCA_OPTIONS", {"attrs": [["TCA_U32_ACT", {"attrs": [["TCA_ACT_PRIO_1", action]]}], everything]}],
    ]
    request["header"]["type"] = RTM_NEWTFILTER
    request["header"]["flags"] = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL
    return request
