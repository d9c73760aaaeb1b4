"""The host's route to the pool, in a table of its own that a rule leads to.

Not in the main table: dockerd compares a subnet that nobody asked for with the main table's routes, and would go on
asking for another one for ever, since all of ours lie in the pool. Functions here block: run them through `Netlink.call`.
"""

from __future__ import annotations

import errno
from functools import partial
from ipaddress import IPv4Address, IPv4Network
from socket import AF_INET

from pyroute2 import IPRoute

from socketplane.agent.netlink import Link, ignoring
from socketplane.errors import Conflict

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


def ensure(ipr: IPRoute, pool: IPv4Network, *, index: int, router: IPv4Address, source: IPv4Address) -> bool:
    """Route the pool through link `index` by `router`; return whether that was needed.

    Conflict: somebody else routed the pool before us.
    """
    changed = False
    if pool not in _rules(ipr):
        _refuse_foreign(ipr, pool)
        _drop_rules(ipr)  # of another pool
        ipr.rule("add", family=AF_INET, dst=str(pool), table=TABLE, priority=PRIORITY, protocol=PROTOCOL)
        changed = True
    right = {"oif": index, "gateway": str(router), "prefsrc": str(source)}
    found = _winner(ipr, pool)
    if found is not None and found.get("table") == TABLE and found.get("oif") != index:
        found = _look_up(ipr, pool[0], oif=index)  # that was a part's
    if found is None or found.get("table") != TABLE or any(found.get(key) != value for key, value in right.items()):
        ipr.route("replace", dst=str(pool), **right, table=TABLE, proto=PROTOCOL)
        changed = True
    return changed


def ensure_part(ipr: IPRoute, subnet: IPv4Network, *, index: int) -> bool:
    """Route a part of the pool through another link, straight to who is there; return whether that was needed."""
    found = _look_up(ipr, subnet[0])
    if found is not None and (found.get("table"), found.get("oif"), found["dst_len"]) == (TABLE, index, subnet.prefixlen):
        return False
    ipr.route("replace", dst=str(subnet), oif=index, scope=_LINK, table=TABLE, proto=PROTOCOL)
    return True


def remove(ipr: IPRoute) -> None:
    """Take the rule away; the route goes with its link."""
    _drop_rules(ipr)


def _rules(ipr: IPRoute) -> set[IPv4Network]:
    ours = (rule for rule in ipr.get_rules(family=AF_INET) if rule.get("table") == TABLE)
    return {IPv4Network(f"{rule.get('dst')}/{rule['dst_len']}") for rule in ours if rule.get("dst")}


def _drop_rules(ipr: IPRoute) -> None:
    for pool in _rules(ipr):
        ours = {"family": AF_INET, "dst": str(pool), "table": TABLE, "priority": PRIORITY}
        ignoring(errno.ENOENT, function=partial(ipr.rule, "del", **ours))


def _refuse_foreign(ipr: IPRoute, pool: IPv4Network) -> None:
    found = _winner(ipr, pool)
    if found is not None and found["dst_len"] >= pool.prefixlen:
        foreign = f"{found.get('dst')}/{found['dst_len']}"
        remedy = f"remove that route, or choose another pool: ip route show {foreign}"
        raise Conflict(f"a route to {foreign} on this host takes addresses of the pool", field="pool", remedy=remedy)


def _winner(ipr: IPRoute, pool: IPv4Network) -> Link | None:
    """Return the entry that serves the pool's first address (no dump of the tables: there may be a million)."""
    return _look_up(ipr, pool[0])


def _look_up(ipr: IPRoute, address: IPv4Address, **through: int) -> Link | None:
    found = ignoring(*_NO_ROUTE, function=lambda: tuple(ipr.route("get", dst=str(address), flags=_FIB_MATCH, **through)))
    return found[0] if found else None
