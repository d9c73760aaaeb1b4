"""The command line with a real controller on real databases: as its administrator, as a member host, from elsewhere."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest
from cli_support import Cli

from socketplane import pki
from socketplane.config import Paths
from socketplane.identity import HostIdentity
from support import controller as support
from support import controller_keys

POLICY = """
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: app-from-web, namespace: shop}
spec:
  podSelector: {matchLabels: {app: app}}
  ingress:
    - from: [{podSelector: {matchLabels: {app: web}}}]
      ports: [{port: 8080}]
"""


@dataclass(frozen=True)
class World:
    """A controller with hosts h1 (the manager) and h2; this machine is both, by its files."""

    manager: Cli
    member: Cli
    address: str
    run: Any
    """Runs a coroutine function of the controller where it lives."""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    root = tmp_path_factory.mktemp("world")
    authority = controller_keys.manager(root / "pki")
    with Background(root) as controller:
        member = Paths(root / "member")
        controller_keys.lay(member.pki, authority, "host", pki.Subject("system-h2", pki.ORGANIZATION_HOST))
        controller_keys.lay(member.pki, authority, "admin", pki.Subject("somebody", pki.ORGANIZATION_ADMIN))
        HostIdentity(
            name="h2",
            system_id="system-h2",
            role="member",
            address=IPv4Address("127.0.0.2"),
            controllers=(f"127.0.0.1:{controller.made.port}",),
            southbound=(),
            gateway=IPv4Address("169.254.192.3"),
        ).save(member.host_file)
        socket = {"SOCKETPLANE_CONTROLLER": f"unix://{controller.made.unix}"}
        none = {"SOCKETPLANE_CONTROLLER": None}
        yield World(Cli(Paths(root), socket), Cli(member, none), f"127.0.0.1:{controller.made.port}", controller.run)


class Background:
    """A controller in an event loop of its own, so that commands may have theirs."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.ready = threading.Event()
        self.thread = threading.Thread(target=asyncio.run, args=(self.serve(),))

    async def serve(self) -> None:
        self.loop, self.stop = asyncio.get_running_loop(), asyncio.Event()
        try:
            async with (
                support.databases(self.root) as databases,
                support.controller(databases, self.root / "pki") as self.made,
            ):
                for number in (1, 2):
                    body = {"system_id": f"system-h{number}", "address": f"127.0.0.{number}"}
                    await self.made.admin.call("PUT", f"/v1/hosts/h{number}", body)
                self.ready.set()
                await self.stop.wait()
        finally:
            self.ready.set()

    def run(self, function: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(function(self.made), self.loop).result(20)

    def __enter__(self) -> Background:
        self.thread.start()
        assert self.ready.wait(30)
        return self

    def __exit__(self, *_: object) -> None:
        self.loop.call_soon_threadsafe(self.stop.set)
        self.thread.join(30)


@pytest.fixture
def shop(world: World) -> Iterator[World]:
    """The network `shop` with a container web-1 on h1 and app-1 on h2."""
    network = world.manager("network", "create", "shop").stdout.strip()

    async def attach(made: support.Controller) -> None:
        for host, name, app in (("h1", "web-1", "web"), ("h2", "app-1", "app")):
            async with made.client(host) as client:
                lease = await client.call("POST", f"/v1/networks/{network}/leases", {"request": name})
                body = {"network": network, "address": lease["address"], "mac": "02:53:0a:c0:00:02", "name": name}
                body |= {
                    "container": name.encode().hex().ljust(64, "0"),
                    "labels": {"app": app},
                    "mac": f"02:00:00:00:00:0{host[1]}",
                }
                await client.call("PUT", f"/v1/endpoints/{app.encode().hex().rjust(64, '0')}", body)

    async def detach(made: support.Controller) -> None:
        for host, app in (("h1", "web"), ("h2", "app")):
            async with made.client(host) as client:
                await client.call("DELETE", f"/v1/endpoints/{app.encode().hex().rjust(64, '0')}?release=true")

    world.run(attach)
    yield world
    world.run(detach)
    world.manager("network", "rm", "shop")
    for name in world.manager("policy", "ls", "-q").stdout.split():
        world.manager("policy", "rm", name)


def test_networks(world: World) -> None:
    cli = world.manager
    uuid = cli("network", "create", "web", "--label", "a=b", "--internal").stdout.strip()
    assert cli("network", "ls", "-q").stdout.split() == [uuid]
    shown = cli.json("network", "inspect", "web", uuid[:6])
    assert shown[0] == shown[1]
    assert (shown[0]["labels"], shown[0]["internal"], shown[0]["subnet"]) == ({"a": "b"}, True, "10.192.0.0/22")
    assert cli("network", "create", "web", code=1).stderr.startswith("Error: name: ")
    assert "overlaps" in cli("network", "create", "other", "--subnet", "10.192.0.0/24", code=1).stderr
    assert "not in the cluster's pool" in cli("network", "create", "other", "--subnet", "192.168.0.0/24", code=1).stderr
    assert "gateway" in cli("network", "create", "o", "--subnet", "10.193.0.0/24", "--gateway", "10.1.1.1", code=1).stderr
    assert cli("network", "rm", "web").stdout == "web\n"
    assert cli("network", "rm", "web", code=1).stderr.startswith("Error: ")


def test_a_network_in_use_stays(shop: World) -> None:
    error = shop.manager("network", "rm", "shop", code=1).stderr
    assert "2 endpoint" in error
    assert "socketplane endpoint ls --network shop" in error


def test_endpoints(shop: World) -> None:
    cli = shop.manager
    assert [row[1:4] for row in cli.columns("endpoint", "ls")[1:]] == [["web-1", "shop", "h1"], ["app-1", "shop", "h2"]]
    assert [row[1] for row in cli.columns("endpoint", "ls", "-l", "app=web")[1:]] == ["web-1"]
    assert [row[1] for row in cli.columns("endpoint", "ls", "--host", "h2", "--network", "shop")[1:]] == ["app-1"]
    assert "nowhere" in cli("endpoint", "ls", "--network", "nowhere", code=1).stderr
    assert cli.json("endpoint", "inspect", "shop/app-1")[0]["labels"] == {"app": "app"}


def test_policy_and_explain(shop: World) -> None:
    cli = shop.manager
    assert cli("explain", "web-1", "app-1:80").stdout.split()[:2] == ["VERDICT", "allow"]
    assert cli("policy", "apply", "-f", "-", stdin=POLICY).stdout == "networkpolicy shop/app-from-web created\n"
    assert cli("policy", "apply", "-f", "-", stdin=POLICY).stdout == "networkpolicy shop/app-from-web unchanged\n"
    changed = POLICY.replace("8080", "9090")
    assert cli("policy", "apply", "-f", "-", stdin=changed).stdout == "networkpolicy shop/app-from-web configured\n"
    shown = ["NetworkPolicy", "shop", "app-from-web", "-", "-", "enforce", "Ingress", "1"]
    assert cli.columns("policy", "ls")[1] == shown
    allowed = cli.json("explain", "web-1", "app-1:9090", "-o", "json")
    assert (allowed["verdict"], allowed["policy"]) == ("allow", "shop/app-from-web")
    denied = cli.json("explain", "shop/web-1", "shop/app-1:8080/tcp", "-o", "json", code=3)
    assert (denied["verdict"], denied["policy"]) == ("deny", "shop/app-from-web")
    assert cli("explain", "web-1", "app-1", code=3).stdout.split()[1] == "deny"
    assert cli("explain", "web-1", "nobody:80", code=1).stderr.startswith("Error: dst: ")
    document = json.dumps(cli.json("policy", "inspect", "shop/app-from-web")[0]["document"])
    assert cli("policy", "apply", "-f", "-", stdin=document).stdout.endswith("unchanged\n")
    assert cli("policy", "rm", "shop/app-from-web").stdout == "shop/app-from-web\n"
    assert cli("explain", "web-1", "app-1:8080").exit_code == 0


def test_assertions_are_judged_by_the_controller(shop: World, tmp_path: Path) -> None:
    cli, report = shop.manager, tmp_path / "report.xml"
    cli("policy", "apply", "-f", "-", stdin=POLICY)
    holding = [
        "web-1 -> shop/app-1:8080 allow",
        "app=web -> app-1:22 deny",
        "app-1 -> web-1 allow",
        "web-1 -> app-1:udp deny",
    ]
    failing = ["web-1 -> app-1 deny", "web-1 -> 192.0.2.7:53/udp deny", "web-2 -> app-1 deny"]
    text = json.dumps({"assertions": holding + failing})
    results = cli.json("policy", "test", "-f", "-", "--junit", str(report), "-o", "json", code=1, stdin=text)
    assert [item["result"] for item in results] == ["pass"] * 4 + ["fail"] * 2 + ["error"]
    (against,) = results[4]["against"]
    assert (against["service"], against["policy"]) == ("8080/tcp", "shop/app-from-web")
    assert against["rule"] == cli.json("explain", "web-1", "app-1:8080", "-o", "json")["rule"]
    assert results[6]["problem"] == "no container or service is called web-2; did you mean web-1?"
    assert b'tests="7" failures="2" errors="1"' in report.read_bytes()


def test_tokens(world: World) -> None:
    cli = world.manager
    token = cli("token", "create", "--ttl", "30m", "--uses", "2").stdout.strip()
    assert token.startswith("sp1.")
    (shown,) = cli.json("token", "ls", "-o", "json")
    assert shown["uses"] == 2
    assert token not in json.dumps(shown)
    assert cli("token", "rm", shown["id"]).stdout == shown["id"] + "\n"
    assert cli("token", "rm", shown["id"], code=1).stderr.startswith("Error: ")


def test_addresses_are_reserved_and_given_up(shop: World) -> None:
    cli = shop.manager
    (network,) = cli.json("network", "inspect", "shop")
    address = network["subnet"].replace(".0/22", ".77")
    assert cli("network", "reserve", "shop", address, "db").stdout == ""
    assert cli.json("network", "inspect", "shop")[0]["reserved"] == {address: "db"}
    assert "reserved for db" in cli("network", "reserve", "shop", address, "app", code=1).stderr
    cli("network", "reserve", "shop", "10.192.0.x", "db", code=2)
    cli("network", "reserve", "shop", address, "-", code=2)
    cli("network", "unreserve", network["id"][:8], address)
    assert cli.json("network", "inspect", "shop")[0]["reserved"] == {}


def test_status(world: World) -> None:
    rows = world.manager.columns("status")
    assert [row[:3] for row in rows[1:3]] == [["h1", "127.0.0.1", "no"], ["h2", "127.0.0.2", "no"]]
    assert [host["name"] for host in world.manager.json("host", "inspect", "h1", "h2")] == ["h1", "h2"]


def test_a_host_that_is_gone(shop: World) -> None:
    async def appear(made: support.Controller) -> None:
        await made.admin.call("PUT", "/v1/hosts/h9", {"system_id": "system-h9", "address": "127.0.0.9"})

    shop.run(appear)
    assert shop.manager("host", "rm", "h9", "nobody", code=1).stdout == "h9\n"
    assert "endpoint" in shop.manager("host", "rm", "h2", code=1).stderr
    assert shop.manager("host", "ls", "-q").stdout.split() == ["h1", "h2"]


def test_a_member_reads_and_is_sent_to_the_manager_for_the_rest(shop: World) -> None:
    cli = shop.member
    assert [row[1] for row in cli.columns("network", "ls")[1:]] == ["shop"]
    assert len(cli.json("status", "-o", "json")["hosts"]) == 2
    assert cli("explain", "web-1", "app-1:80").exit_code == 0
    for command in (["token", "create"], ["token", "ls"], ["policy", "rm", "shop/x"]):
        assert "run it as root on the manager host h1" in cli(*command, code=1).stderr


def test_an_administrator_elsewhere(shop: World) -> None:
    pki_files = shop.member.paths.pki
    flags = ["--controller", shop.address, "--ca", str(pki_files / "ca.crt")]
    flags += ["--cert", str(pki_files / "admin.crt"), "--key", str(pki_files / "admin.key")]
    nobody = Cli(Paths(shop.member.paths.root / "nowhere"), shop.member.environment)
    assert nobody(*flags, "token", "ls").exit_code == 0
    assert [row[1] for row in nobody.columns(*flags, "network", "ls")[1:]] == ["shop"]


def test_a_stranger_is_refused(world: World, tmp_path: Path) -> None:
    other = controller_keys.manager(tmp_path / "pki")
    controller_keys.lay(tmp_path / "pki", other, "host", pki.Subject("system-h1", pki.ORGANIZATION_HOST))
    flags = ["--controller", world.address, "--ca", str(tmp_path / "pki/ca.crt")]
    flags += ["--cert", str(tmp_path / "pki/host.crt"), "--key", str(tmp_path / "pki/host.key")]
    assert "is not trusted" in world.member(*flags, "network", "ls", code=1).stderr


def test_an_administrator_labels_hosts(world: World) -> None:
    def labels() -> dict[str, str]:
        return dict(world.manager.json("host", "inspect", "h2")[0]["labels"])

    world.manager("host", "update", "h2", "--label-add", "rack=a", "--label-add", "disk")
    assert labels() == {"rack": "a", "disk": ""}
    world.manager("host", "update", "h2", "--label-rm", "disk")
    assert labels() == {"rack": "a"}
    refused = world.manager("host", "update", "h2", "--label-add", "socketplane.io/host=h1", code=1)
    assert "socketplane.io/host is the host's name" in refused.stderr
    world.manager("host", "update", "h2", code=2)
    assert labels() == {"rack": "a"}


def test_bgp_and_its_passwords(world: World, tmp_path: Path) -> None:
    cli, secret = world.manager, tmp_path / "secret"
    secret.write_text("a!b#c?d\n")
    add = ("bgp", "peer", "add", "192.0.2.254", "--asn", "64600")
    assert "`socketplane bgp set --asn N` first" in cli(*add, code=1).stderr
    assert "Nobody is told yet" in cli("bgp", "set", "--asn", "64512").stderr
    secret.chmod(0o640)
    assert f"chmod 600 {secret}" in cli(*add, "--password-file", str(secret), code=2).stderr
    assert "No such file" in cli(*add, "--password-file", str(tmp_path / "none"), code=2).stderr
    for usage in (("bgp", "set", "--asn", "23456"), ("bgp", "peer", "add", "r1", "--asn", "1"), (*add[:-1], "0")):
        cli(*usage, code=2)
    secret.write_text("two words")
    secret.chmod(0o600)
    refused = cli(*add, "--password-file", str(secret), code=2).stderr
    assert "no spaces" in refused
    assert "words" not in refused
    secret.write_text("a!b#c?d\n")
    cli(*add, "--password-file", str(secret))
    assert cli.columns("bgp", "peer", "ls") == [
        ["ADDRESS", "ASN", "HOST", "PASSWORD"],
        ["192.0.2.254", "64600", "all", "yes"],
    ]
    assert "all hosts have this peer already" in cli(*add, "--host", "h2", code=1).stderr
    rows = cli.columns("bgp", "status")
    assert rows[0] == ["HOST", "PEER", "ESTABLISHED", "AGE", "ANNOUNCED", "REASON"]
    assert [row[:3] for row in rows[1:]] == [[host, "192.0.2.254", "no"] for host in ("h1", "h2")]
    assert "a!b#c?d" not in cli("bgp", "status", "-o", "json").stdout
    six = ("2001:db8::fe", "--host", "h2")

    async def speak(made: support.Controller) -> None:
        status = {"running": True, "announced": 3, "announced6": 1}
        async with made.client("h2") as client:
            await client.call("PUT", "/v1/hosts/h2/report", {"version": "1", "bgp": status})

    world.run(speak)
    cli("bgp", "peer", "add", *six, "--asn", "64600")
    told = [(row[1], row[4]) for row in cli.columns("bgp", "status") if row[0] == "h2"]
    assert told == [("192.0.2.254", "2"), ("2001:db8::fe", "1")], "to each what is of its version of IP"
    assert cli("bgp", "peer", "rm", *six).stdout == "2001:db8::fe\n"
    assert cli("bgp", "peer", "rm", "192.0.2.254").stdout == "192.0.2.254\n"
    assert "no peer 192.0.2.254" in cli("bgp", "peer", "rm", "192.0.2.254", code=1).stderr
