"""Subnets of networks."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network
from uuid import UUID

import pytest

from socketplane.errors import Exhausted, InvalidInput, SocketPlaneError, SubnetOverlap
from socketplane.model.subnets import next_subnet, plan
from socketplane.model.types import Cluster, Network

CLUSTER = Cluster(UUID(int=1))


def taken(*subnets: str) -> list[Network]:
    return [
        Network(UUID(int=n), f"n{n}", IPv4Network(text), IPv4Network(text).network_address + 1)
        for n, text in enumerate(subnets)
    ]


@pytest.mark.parametrize(
    ("subnets", "expected"),
    [
        ([], "10.192.0.0/22"),
        (["10.192.0.0/22"], "10.192.4.0/22"),
        (["10.192.4.0/22", "10.192.0.0/22"], "10.192.8.0/22"),
        (["10.192.4.0/22"], "10.192.0.0/22"),
        (["10.192.1.0/28"], "10.192.4.0/22"),
        (["10.192.0.0/16"], "10.193.0.0/22"),
        (["10.192.0.0/22", "10.192.4.0/30", "10.192.7.0/24"], "10.192.8.0/22"),
        (["10.193.0.0/16"], "10.192.0.0/22"),
    ],
)
def test_the_next_free_subnet_is_the_first_that_overlaps_none(subnets: list[str], expected: str) -> None:
    assert next_subnet(CLUSTER, taken(*subnets)) == IPv4Network(expected)


def test_the_hosts_own_range_is_left_out_where_it_lies_in_the_pool() -> None:
    cluster = replace(CLUSTER, hosts=IPv4Network("10.192.0.0/20"))
    assert next_subnet(cluster, []) == IPv4Network("10.192.16.0/22")
    with pytest.raises(SubnetOverlap, match="hosts' own ports"):
        plan(cluster, [], subnet=IPv4Network("10.192.4.0/22"))


def test_a_full_pool_says_so() -> None:
    cluster = replace(CLUSTER, pool=IPv4Network("10.192.0.0/21"))
    with pytest.raises(Exhausted, match=r"no /22 is left in the pool 10\.192\.0\.0/21.*remove networks") as caught:
        next_subnet(cluster, taken("10.192.0.0/22", "10.192.6.0/24"))
    assert caught.value.field == "subnet"


def test_a_pool_smaller_than_a_network_is_full() -> None:
    with pytest.raises(Exhausted):
        next_subnet(replace(CLUSTER, pool=IPv4Network("10.192.0.0/24")), [])


def test_the_gateway_is_the_first_address_unless_it_is_given() -> None:
    subnet = IPv4Network("10.200.0.0/24")
    assert plan(CLUSTER, [], subnet=subnet).gateway == IPv4Address("10.200.0.1")
    assert plan(CLUSTER, [], subnet=subnet, gateway=IPv4Address("10.200.0.254")).gateway == IPv4Address("10.200.0.254")
    assert plan(CLUSTER, []).gateway == IPv4Address("10.192.0.1")


def test_a_range_inside_the_subnet_is_kept() -> None:
    found = plan(CLUSTER, [], subnet=IPv4Network("10.200.0.0/24"), ip_range=IPv4Network("10.200.0.64/26"))
    assert found.ip_range == IPv4Network("10.200.0.64/26")


@pytest.mark.parametrize(
    ("arguments", "kind", "field", "message"),
    [
        ({"subnet": "192.168.0.0/24"}, InvalidInput, "subnet", "not in the cluster's pool 10.192.0.0/10"),
        ({"subnet": "10.0.0.0/8"}, InvalidInput, "subnet", "not in the cluster's pool"),
        ({"subnet": "10.192.0.0/31"}, InvalidInput, "subnet", "no room"),
        ({"subnet": "10.195.0.0/16"}, SubnetOverlap, "subnet", "overlaps 10.195.4.0/22 of network n0"),
        ({"subnet": "10.200.0.0/24", "gateway": "10.201.0.1"}, InvalidInput, "gateway", "not in the subnet"),
        ({"subnet": "10.200.0.0/24", "gateway": "10.200.0.0"}, InvalidInput, "gateway", "network or broadcast"),
        ({"subnet": "10.200.0.0/24", "gateway": "10.200.0.255"}, InvalidInput, "gateway", "network or broadcast"),
        ({"subnet": "10.200.0.0/24", "ip_range": "10.200.0.0/23"}, InvalidInput, "ip_range", "not in the subnet"),
        ({"gateway": "10.192.0.1"}, InvalidInput, "gateway", "needs a subnet"),
        ({"ip_range": "10.192.0.0/24"}, InvalidInput, "ip_range", "needs a subnet"),
    ],
)
def test_what_is_wrong_is_named(arguments: dict[str, str], kind: type[SocketPlaneError], field: str, message: str) -> None:
    values = {key: IPv4Address(text) if key == "gateway" else IPv4Network(text) for key, text in arguments.items()}
    with pytest.raises(kind) as caught:
        plan(CLUSTER, taken("10.195.4.0/22"), **values)  # type: ignore[arg-type]
    assert caught.value.field == field
    assert message in caught.value.message
    assert caught.value.remedy
