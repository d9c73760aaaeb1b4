"""Pools of addresses of the outside."""

from __future__ import annotations

from socketplane import wire
from socketplane.controller.draft import Draft
from socketplane.controller.intent import Intent
from socketplane.errors import InUse, NameInUse, NotFound, SubnetOverlap
from socketplane.model.floating import AddressPool, parse_range, taken_by
from socketplane.model.types import Address

POOLS = "`socketplane pool ls` lists them"


def create(draft: Draft, body: wire.PoolCreate) -> AddressPool:
    """Make a pool; one of that name with the same addresses is returned as it is."""
    intent = draft.intent
    first, last = parse_range(body.range)
    pool = AddressPool(body.name, first, last, draft.now)
    there = intent.pools.get(body.name)
    if there is not None:
        if (there.first, there.last) == (first, last):
            return there
        raise NameInUse(f"pool {body.name} has {there}", field="name", remedy="choose another name")
    if holder := taken_by(pool, intent.cluster.cluster, intent.networks.values()):
        raise SubnetOverlap(
            f"{pool} has addresses of {holder}", field="range", remedy="name addresses of the outside that nobody uses"
        )
    for other in intent.pools.values():
        if first in other or last in other or other.first in pool:
            raise SubnetOverlap(f"pool {other.name} has {other}", field="range", remedy="leave those addresses out")
    draft.put(pool)
    return pool


def remove(draft: Draft, name: str) -> None:
    """Remove a pool of which no address is given."""
    found = pool(draft.intent, name)
    used = [address for address in draft.intent.floating if address in found]
    if used:
        raise InUse(
            f"{len(used)} address(es) of pool {name} are given, {min(used)} among them",
            field="pool",
            remedy="`socketplane expose rm` takes them back",
        )
    draft.remove(found)


def pool(intent: Intent, name: str) -> AddressPool:
    """Return the pool of that name.

    Raises:
        NotFound: there is none.
    """
    found = intent.pools.get(name)
    if found is None:
        raise NotFound(f"no pool {name}", field="pool", remedy=POOLS)
    return found


def pool_of(intent: Intent, address: Address) -> AddressPool | None:
    """Return the pool that an address is of."""
    return next((pool for pool in intent.pools.values() if address in pool), None)
