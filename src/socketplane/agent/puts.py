"""What the controller is told of an endpoint: always all of it, for what is left out it forgets."""

from __future__ import annotations

from socketplane import wire
from socketplane.agent.identity import Identity
from socketplane.agent.portmap import told
from socketplane.agent.state import EndpointRecord


def put_of(record: EndpointRecord, identity: Identity) -> wire.EndpointPut:
    """Return it for one endpoint alone."""
    return wire.EndpointPut(
        network=record.network,
        address=record.address,
        address6=record.address6,
        mac=record.mac,
        container=identity.container,
        name=identity.name,
        labels=record.asked.over(identity.labels),
        known=identity.known,
        rate=record.rate,
        published=told(record.published),
        aliases=list(record.aliases or ()),
    )


def bulk_put_of(record: EndpointRecord, identity: Identity) -> wire.EndpointBulkPut:
    """Return it for one of many."""
    return wire.EndpointBulkPut(id=record.id, **dict(put_of(record, identity)))
