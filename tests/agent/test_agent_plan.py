"""What is to be done about networks, of the cluster and of Docker; and routes in the way of them."""

from ipaddress import IPv4Network
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from socketplane import wire
from socketplane.agent import routes
from socketplane.agent.adoption import DockerNetwork
from socketplane.agent.fanout import Clash, Create, Replace, Settle, plan
from support.agent_parts import GATEWAY, SUBNET, record


def network(number, name):
    return wire.Network(id=UUID(int=number), name=name, subnet=SUBNET, gateway=GATEWAY)


def docker_network(number, name, driver="socketplane"):
    return DockerNetwork(f"d{number}", name, driver)


WEB, MINE = network(1, "web"), docker_network(1, "web")


@pytest.mark.parametrize(
    ("desired", "docker", "records", "expected"),
    [
        ([], [], [], []),
        ([WEB], [], [], [Create(WEB)]),
        ([WEB], [MINE], [record(1)], []),
        ([], [MINE], [record(1)], [Settle(MINE, record(1))]),
        ([], [MINE], [], [Replace(MINE, "the cluster has no network for it")]),
        ([], [docker_network(1, "web", "bridge")], [], []),
        ([WEB], [docker_network(2, "web")], [record(2)], [Settle(docker_network(2, "web"), record(2))]),
        ([WEB], [docker_network(2, "other", "bridge")], [], [Create(WEB)]),
    ],
)
def test_the_plan(desired, docker, records, expected):
    wanted = {each.id: each for each in desired}
    assert plan(wanted, docker, {each.docker: each for each in records}, set(), set()) == expected


def test_the_plan_names_clashes():
    (rival,) = plan({WEB.id: WEB}, [docker_network(1, "web", "bridge")], {}, set(), set())
    (other,) = plan({WEB.id: WEB}, [docker_network(1, "mine")], {"d1": record(1)}, set(), set())
    assert isinstance(rival, Clash)
    assert "docker network rm web" in rival.text
    assert isinstance(other, Clash)
    assert "docker network rm mine" in other.text


def test_the_plan_leaves_alone_what_is_being_removed():
    assert plan({WEB.id: WEB}, [], {}, {WEB.id}, set()) == [], "its removal is yet to be told"
    assert plan({WEB.id: WEB}, [MINE], {}, set(), {"d1"}) == [], "Docker has not finished"


NAMES = st.sampled_from(["web", "db", "x"])


@given(
    desired=st.dictionaries(st.integers(1, 4), NAMES, max_size=4),
    docker=st.lists(
        st.tuples(st.integers(1, 4), NAMES, st.sampled_from(["socketplane", "bridge"])), unique_by=lambda x: x[0]
    ),
    records=st.sets(st.integers(1, 4)),
    tombstones=st.sets(st.integers(1, 4)),
    deleting=st.sets(st.integers(1, 4)),
)
def test_the_plan_never_touches_others_networks_nor_makes_a_name_twice(desired, docker, records, tombstones, deleting):
    engine = [docker_network(*entry) for entry in docker]
    actions = plan(
        {UUID(int=n): network(n, name) for n, name in desired.items()},
        engine,
        {f"d{n}": record(n) for n in records},
        {UUID(int=n) for n in tombstones},
        {f"d{n}" for n in deleting},
    )
    names = {entry.name for entry in engine}
    for action in actions:
        match action:
            case Create(wanted):
                assert wanted.name not in names
                assert wanted.id not in {UUID(int=n) for n in tombstones}
            case Settle(touched, _) | Replace(touched, _):
                assert touched.driver == "socketplane"
                assert touched.id not in {f"d{n}" for n in deleting}


def test_this_hosts_own_routes_can_be_read():
    table = routes.TABLE.read_text()
    assert routes.overlapping(IPv4Network("198.51.100.0/24"), table) is None


def test_the_default_route_overlaps_nothing_and_broken_lines_are_skipped():
    table = "Iface\tDestination\nshort line\neth0\t00000000\t0102A8C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"
    assert routes.overlapping(SUBNET, table) is None
