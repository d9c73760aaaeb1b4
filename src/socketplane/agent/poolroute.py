"""The host's route to the pool, in a table of its own that a rule leads to.

Not in the main table: dockerd compares a subnet that nobody asked for with the main table's routes, and would go on
asking for another one for ever, since all of ours lie in the pool. Functions here block: run them through `Netlink.call`.
"""

from __future__ import annotations

import errno
from functools import partial
from ipaddress import ip_network
from socket import AF_INET, AF_INET6

from pyroute2 import IPRoute

from socketplane.agent.netlink import Link, ignoring
from socketplane.errors import Conflict
from socketplane.model.types import Address, Subnet

TABLE = 83
"""`ip route show table 83`. Below 256: a larger number would not fit the message's own field."""
PRIORITY = 5383
"""Of the rule: before the main table's 32766."""
PROTOCOL = 83
"""Marks route and rule as ours; nobody has this number in rt_protos."""
_FIB_MATCH = 0x2000 | 0x1000  # RTM_F_FIB_MATCH, and RTM_F_LOOKUP_TABLE: else the kernel says "main" for any table
_LINK = 253
"""Scope of what is reached without a router."""
_NO_ROUTE = (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EACCES, errno.EINVAL)


def ensure(ipr: IPRoute, pool: Subnet, *, index: int, router: Address, source: Address) -> bool:
    """Route the pool through link `index` by `router`; return whether that was needed.

    Conflict: somebody else routed the pool before us.
    """
    changed, family = False, AF_INET if pool.version == 4 else AF_INET6
    if pool not in _rules(ipr, family):
        _refuse_foreign(ipr, pool)
        remove(ipr, family)  # of another pool
        ipr.rule("add", family=family, dst=str(pool), table=TABLE, priority=PRIORITY, protocol=PROTOCOL)
        changed = True
    right = {"oif": index, "gateway": str(router), "prefsrc": str(source)}
    found = _winner(ipr, pool)
    if found is not None and found.get("table") == TABLE and found.get("oif") != index:
        found = _look_up(ipr, pool[0], oif=index)  # that was a part's
    if found is None or found.get("table") != TABLE or any(found.get(key) != value for key, value in right.items()):
        ipr.route("replace", family=family, dst=str(pool), **right, table=TABLE, proto=PROTOCOL)
        changed = True
    return changed


def ensure_part(ipr: IPRoute, subnet: Subnet, *, index: int) -> bool:
    """Route a part of the pool through another link, straight to who is there; return whether that was needed."""
    found = _look_up(ipr, subnet[0])
    if found is not None and (found.get("table"), found.get("oif"), found["dst_len"]) == (TABLE, index, subnet.prefixlen):
        return False
    ipr.route("replace", dst=str(subnet), oif=index, scope=_LINK, table=TABLE, proto=PROTOCOL)
    return True


def remove(ipr: IPRoute, family: int) -> None:
    """Take the rule of a version of IP away; the route goes with its link."""
    for pool in _rules(ipr, family):
        ours = {"family": family, "dst": str(pool), "table": TABLE, "priority": PRIORITY}
        ignoring(errno.ENOENT, function=partial(ipr.rule, "del", **ours))


def _rules(ipr: IPRoute, family: int) -> set[Subnet]:
    ours = (rule for rule in ipr.get_rules(family=family) if rule.get("table") == TABLE)
    return {ip_network(f"{rule.get('dst')}/{rule['dst_len']}") for rule in ours if rule.get("dst")}


def _refuse_foreign(ipr: IPRoute, pool: Subnet) -> None:
    found = _winner(ipr, pool)
    if found is not None and found["dst_len"] >= pool.prefixlen:
        foreign = f"{found.get('dst')}/{found['dst_len']}"
        remedy = f"remove that route, or choose another pool: ip route show {foreign}"
        raise Conflict(f"a route to {foreign} on this host takes addresses of the pool", field="pool", remedy=remedy)


def _winner(ipr: IPRoute, pool: Subnet) -> Link | None:
    """Return the entry that serves the pool's first address (no dump of the tables: there may be a million)."""
    return _look_up(ipr, pool[0])


def _look_up(ipr: IPRoute, address: Address, **through: int) -> Link | None:
    found = ignoring(*_NO_ROUTE, function=lambda: tuple(ipr.route("get", dst=str(address), flags=_FIB_MATCH, **through)))
    return found[0] if found else None
