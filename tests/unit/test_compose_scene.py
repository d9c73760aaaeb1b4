"""What there would be if Compose projects ran: endpoints with addresses, the same every time."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network

import pytest

from socketplane.errors import SocketPlaneError
from socketplane.model.compose import Project, load, stage

SHOP = """
name: shop
services:
  web: {labels: {app: web}, networks: [front, shared], deploy: {replicas: 2}}
  db: {networks: {front: {ipv4_address: 10.192.0.2}}}
networks:
  front: {driver: socketplane}
  shared: {external: true, name: everybody}
"""
OTHER = """
name: other
services: {app: {networks: [n]}}
networks: {n: {name: everybody, internal: true, labels: {zone: a}, ipam: {config: [{subnet: 10.200.0.0/24}]}}}
"""


def projects(*texts: str) -> list[Project]:
    return [load(text, f"{number}.yaml") for number, text in enumerate(texts)]


def test_every_replica_has_a_place_on_each_network() -> None:
    scene = stage(projects(SHOP, OTHER), [])
    networks = {network.id: network for network in scene.view.networks.values()}
    found = {(networks[e.network].name, e.name): str(e.address) for e in scene.view.endpoints}
    assert found == {
        ("shop_front", "shop-web-1"): "10.192.0.3",
        ("shop_front", "shop-web-2"): "10.192.0.4",
        ("shop_front", "shop-db-1"): "10.192.0.2",
        ("everybody", "shop-web-1"): "10.200.0.2",
        ("everybody", "shop-web-2"): "10.200.0.3",
        ("everybody", "other-app-1"): "10.200.0.4",
    }
    assert scene.asked == {IPv4Address("10.192.0.2")}
    assert len({e.id for e in scene.view.endpoints}) == 6
    (second, _) = (e.labels for e in scene.view.endpoints if e.name == "shop-web-2")
    assert second == {
        "app": "web",
        "com.docker.compose.project": "shop",
        "com.docker.compose.service": "web",
        "com.docker.compose.container-number": "2",
        "com.docker.compose.oneoff": "False",
    }


def test_who_makes_a_network_says_what_it_is() -> None:
    for order in ([SHOP, OTHER], [OTHER, SHOP]):
        (network,) = (n for n in stage(projects(*order), []).view.networks.values() if n.name == "everybody")
        assert (network.internal, network.labels["zone"], network.subnet) == (True, "a", IPv4Network("10.200.0.0/24"))


def test_the_same_files_make_the_same_scene() -> None:
    assert stage(projects(SHOP, OTHER), []) == stage(projects(SHOP, OTHER), [])


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ([SHOP, SHOP], "1.yaml: the project shop is in 0.yaml already; merge the files with `docker compose"),
        ([OTHER, OTHER.replace("other", "third")], "networks.n: 1.yaml: the network everybody is made by 0.yaml already"),
        (
            [OTHER.replace("10.200", "172.28")],
            "0.yaml: 172.28.0.0/24 is not in the cluster's pool 10.192.0.0/10; give --pool",
        ),
        ([OTHER.replace("/24", "/31")], "has no room for a gateway and a container"),
        (
            [SHOP.replace("10.192.0.2", "10.192.0.1")],
            "services.db.networks.front: 0.yaml: 10.192.0.1 is the network's gateway",
        ),
        ([SHOP.replace("[front, shared]", "{front: {ipv4_address: 10.192.0.9}}")], "10.192.0.9 is in use"),
        (
            [
                "name: a\nservices: {x: {scale: 99, networks: [n]}}\n"
                "networks: {n: {ipam: {config: [{subnet: 10.192.0.0/28}]}}}"
            ],
            "services.x.networks.n: 0.yaml: all 14 addresses of 10.192.0.0/28",
        ),
        (
            ["name: a\nservices: {" + ", ".join(f"x{n}: {{scale: 1000}}" for n in range(11)) + "}"],
            "more than 10000 containers",
        ),
    ],
)
def test_what_can_not_be_together(texts: list[str], message: str) -> None:
    with pytest.raises(SocketPlaneError) as caught:
        stage(projects(*texts), [])
    assert message in str(caught.value)


def test_a_network_whose_subnet_no_file_tells_has_the_addresses_that_are_asked_for() -> None:
    ask = "{{networks: {{n: {{ipv4_address: {}}}}}}}".format
    text = "name: p\nservices: {a: %s, b: %s, c: {}}\nnetworks: {n: {external: true}}"
    near = stage(projects(text % (ask("10.192.12.7"), ask("10.192.12.8"))), []).view
    assert {str(n.subnet) for n in near.networks.values()} == {"10.192.12.0/22", "10.192.0.0/22"}
    far = stage(projects(text % (ask("10.192.12.7"), ask("10.192.31.8"))), []).view
    assert "10.192.0.0/19" in {str(n.subnet) for n in far.networks.values()}
    with pytest.raises(SocketPlaneError, match=r"networks.n: 0.yaml: 192.0.0.0/22 is not in the cluster"):
        stage(projects(text % (ask("192.0.2.7"), "{}")), [])


def test_the_pool_is_the_clusters() -> None:
    view = stage(projects(OTHER.replace("10.200", "172.28")), [], IPv4Network("172.16.0.0/12")).view
    assert view.cluster.pool == IPv4Network("172.16.0.0/12")
    assert [str(e.address) for e in view.endpoints] == ["172.28.0.2"]
