from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from cli_support import DATABASE, WEB, Cli, endpoint
from fake_controller import Controller, Server

from socketplane import wire
from socketplane.config import Paths

PORTS = [wire.PublishedPort(protocol="tcp", address="0.0.0.0", host_port=8080, port=80)]


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return Paths(tmp_path)


@pytest.fixture
def cli(paths: Paths) -> Cli:
    unset = ("SOCKETPLANE_CONTROLLER", "SOCKETPLANE_CERT", "SOCKETPLANE_KEY", "SOCKETPLANE_CA", "NO_COLOR")
    return Cli(paths, dict.fromkeys(unset))


@pytest.fixture
def controller(paths: Paths) -> Iterator[Controller]:
    """An empty controller behind this host's socket."""
    with Server(paths.controller_socket, Controller()) as server:
        yield server.controller


@pytest.fixture
def cluster(controller: Controller) -> Controller:
    """Two hosts, two networks, three endpoints, two policies and a token."""
    report = wire.HostReport(
        version="0.1.0", datapath="userspace", docker="20.10.24", ovs="3.1.0", ovn_controller=True, mtu=1442
    )
    controller.hosts = [
        wire.Host(
            name="h1",
            system_id="s1",
            address="192.0.2.1",
            gateway="169.254.192.2",
            endpoints=2,
            ready=True,
            seen=1.0,
            report=report,
        ),
        wire.Host(name="h2", system_id="s2", address="192.0.2.2", gateway="169.254.192.3"),
    ]
    controller.networks = [
        wire.Network(id=WEB, name="web", subnet="10.192.0.0/22", gateway="10.192.0.1", endpoints=2),
        wire.Network(id=DATABASE, name="db", subnet="10.192.4.0/22", gateway="10.192.4.1", internal=True, endpoints=1),
    ]
    controller.endpoints = [
        endpoint(
            "a",
            WEB,
            "web",
            "h1",
            "10.192.0.2",
            "web-1",
            up=True,
            labels={"app": "shop"},
            published=PORTS,
            floating=["192.0.2.70"],
        ),
        endpoint("b", WEB, "web", "h2", "10.192.0.3", "app-1"),
        endpoint("c", DATABASE, "db", "h1", "10.192.4.2", "app-1", known=False),
    ]
    document = {"metadata": {"name": "allow-app", "namespace": "web"}, "spec": {"podSelector": {}, "egress": []}}
    guard = {"metadata": {"name": "guard"}, "spec": {"egress": [{"action": "Deny"}]}}
    controller.policies = [
        wire.Policy(network="web", name="allow-app", number=1, subjects=2, document=document),
        wire.Policy(
            kind="ClusterNetworkPolicy",
            network="",
            name="guard",
            number=2,
            tier="Admin",
            priority=5,
            subjects=3,
            document=guard,
        ),
    ]
    given = ["192.0.2.70", "192.0.2.71"]
    controller.pools = [wire.Pool(name="lan", first="192.0.2.65", last="192.0.2.94", size=30, used=given)]
    held = {"pool": "lan", "labels": {}, "created": 1.0, "endpoint": "a" * 64, "container": "web-1", "host": "h1"}
    controller.floating = [
        wire.Floating(address=given[0], network="web", subject="web-1", state="claimed", link="eth0", **held),
        wire.Floating(address=given[1], network="db", subject="app=x", state="refused", problem="taken", **held),
    ]
    controller.tokens = [wire.Token(id="t1", created=1.0, expires=4e9, uses=2)]
    return controller
