"""`socketplane service` and `endpoint drain` against a controller."""

from __future__ import annotations

import json

import pytest
from cli_support import Cli
from fake_controller import Controller

from socketplane import wire

SHOP = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "shop", "namespace": "web"},
    "spec": {"selector": {"app": "shop"}, "ports": [{"port": 80, "targetPort": 8080}]},
}
TEXT = json.dumps(SHOP)


@pytest.fixture
def services(cluster: Controller) -> Controller:
    """Return a controller with a service of two containers, and a headless one of none."""
    port = wire.ServicePort(protocol="tcp", port=80, target=8080)
    backend = wire.Backend(endpoint="a" * 64, name="web-1", host="h1", address="10.192.0.2", ready=True)
    other = wire.Backend(endpoint="b" * 64, name="app-1", host="h2", address="10.192.0.3", ready=False, reason="no")
    common = {"selector": "app=shop", "document": SHOP}
    cluster.services = [
        wire.Service(
            network="web", name="shop", address="10.255.240.9", ports=[port], ready=1, backends=[backend, other], **common
        ),
        wire.Service(network="db", name="dbs", headless=True, ports=[], ready=0, backends=[], problem="nobody", **common),
    ]
    return cluster


def test_services_are_listed_shown_and_removed(cli: Cli, services: Controller) -> None:
    assert cli.columns("service", "ls") == [
        ["NETWORK", "NAME", "ADDRESS", "PORTS", "SELECTOR", "READY", "PROBLEM"],
        ["web", "shop", "10.255.240.9", "80->8080/tcp", "app=shop", "1/2", "-"],
        ["db", "dbs", "headless", "-", "app=shop", "0/0", "nobody"],
    ]
    assert cli("service", "ls", "-q", "--network", "db").stdout == "db/dbs\n"
    (shown,) = json.loads(cli("service", "inspect", "--network", "web", "shop").stdout)
    assert [each["reason"] for each in shown["backends"]] == ["", "no"]
    assert cli("service", "rm", "web/shop").stdout == "web/shop\n"
    assert [service.name for service in services.services] == ["dbs"]
    cli("service", "rm", "web/none", code=1)
    cli("service", "rm", "none", code=2)


def test_documents_are_applied_together_with_warnings_beside(cli: Cli, services: Controller) -> None:
    services.warnings = ["web/shop selects no container"]
    done = cli("service", "apply", "-f", "-", stdin=TEXT)
    assert done.stdout == "service web/shop created\n"
    assert done.stderr == "Warning: web/shop selects no container\n"
    assert services.requests[-1].body["documents"] == [SHOP]
    assert json.loads(cli("service", "apply", "-o", "json", "-f", "-", stdin=TEXT).stdout)["items"][0]["name"] == "shop"


@pytest.mark.parametrize(
    ("command", "text", "words"),
    [
        ("service", TEXT.replace('"selector": {"app": "shop"}, ', ""), "spec.selector: standard input, line 1: is missing"),
        ("service", TEXT.replace("Service", "NetworkPolicy"), "apply it with `socketplane policy apply`"),
        ("policy", TEXT, "apply it with `socketplane service apply`"),
        ("service", TEXT + "\n---\n" + TEXT, "service web/shop is already in"),
    ],
)
def test_what_is_wrong_is_said_before_anybody_is_asked(
    cli: Cli, services: Controller, command: str, text: str, words: str
) -> None:
    done = cli(command, "apply", "-f", "-", stdin=text, code=1)
    assert services.requests == []
    assert words in done.stderr


def test_a_container_is_drained_and_hosts_are_waited_for(cli: Cli, services: Controller) -> None:
    services.drained = [7, 7, 7, 8]
    assert cli("endpoint", "drain", "web-1").stdout == "web-1\n"
    assert services.requests[-1].body == {"draining": True}
    cli("endpoint", "drain", "--off", "web-1")
    assert services.requests[-1].body == {"draining": False}
    heard = services.hosts[0].report
    assert heard is not None
    services.hosts[0] = services.hosts[0].model_copy(update={"report": heard.model_copy(update={"installed": 7})})
    services.hosts[1] = services.hosts[1].model_copy(update={"silent": True})
    assert cli("endpoint", "drain", "--wait", "web-1").stdout == "web-1\n"
    late = cli("endpoint", "drain", "--wait", "--timeout", "1s", "web-1", code=1)
    assert "not told by h1 within 1 s; it is drained" in late.stderr
    cli("endpoint", "drain", "nobody", code=1)


def test_the_schema_needs_no_controller(cli: Cli) -> None:
    assert json.loads(cli("service", "schema").stdout)["title"] == "Service"
