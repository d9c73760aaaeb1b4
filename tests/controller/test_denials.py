"""What policy refused, as hosts tell it."""

import pytest

from socketplane.errors import Forbidden, InvalidInput
from socketplane.model.denials import Denied, Seen, Tally

PATH = "/v1/hosts/{}/denials"
ITEM = {
    "rule": "d3.ingress",
    "source": "10.192.0.2",
    "destination": "10.192.0.3",
    "protocol": "tcp",
    "port": 80,
    "count": 2,
    "first": 10.0,
    "last": 11.0,
}


async def test_what_hosts_tell_is_added_up_and_a_repetition_is_not(world):
    batch = {"request": "1", "items": [ITEM, {**ITEM, "rule": "isolation", "protocol": "icmp", "port": None, "last": 30}]}
    for _ in range(2):
        await world.h1.call("POST", PATH.format("h1"), batch)
    await world.h1.call("POST", PATH.format("h1"), {"request": "2", "items": [{**ITEM, "first": 5, "last": 20}]})
    await world.h2.call("POST", PATH.format("h2"), {"items": [ITEM]})
    told = [(denial.host, denial.rule, denial.port, denial.count, denial.first, denial.last) for denial in denials(world)]
    assert told == [
        ("h1", "isolation", None, 2, 10, 30),
        ("h1", "d3.ingress", 80, 4, 5, 20),
        ("h2", "d3.ingress", 80, 2, 10, 11),
    ]
    assert 'socketplane_denied_packets_total{rule="d3.ingress"} 6.0' in await world.admin.call("GET", "/metrics")
    await world.admin.call("DELETE", "/v1/hosts/h1")
    assert {denial.host for denial in denials(world)} == {"h2"}


async def test_a_host_tells_of_itself_only(world):
    for client in (world.h2, world.admin):
        with pytest.raises(Forbidden):
            await client.call("POST", PATH.format("h1"), {"items": [ITEM]})
    for change in ({"rule": "D3"}, {"source": "a.b"}, {"port": 65536}, {"count": 0}, {"first": None}, {"host": "h2"}):
        with pytest.raises(InvalidInput, match=next(iter(change))):
            await world.h1.call("POST", PATH.format("h1"), {"items": [{**ITEM, **change}]})
    with pytest.raises(InvalidInput, match="500"):
        await world.h1.call("POST", PATH.format("h1"), {"items": [ITEM] * 501})
    assert denials(world) == []


def test_of_many_kinds_the_oldest_are_forgotten():
    tally = Tally(3)
    kinds = [Denied("isolation", ITEM["source"], ITEM["destination"], "udp", port) for port in range(4)]
    tally.add((kind, Seen(1, at, at)) for at, kind in enumerate(kinds[:3]))
    tally.add([(kinds[0], Seen(1, 9, 9)), (kinds[3], Seen(1, 9, 9))])
    assert dict(tally) == {kinds[0]: Seen(2, 0, 9), kinds[2]: Seen(1, 2, 2), kinds[3]: Seen(1, 9, 9)}


def denials(world):
    return world.active.denials.list()
