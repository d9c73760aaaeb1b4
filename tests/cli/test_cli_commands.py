"""Every command against a controller: what is asked, what is printed, the exit code."""

from __future__ import annotations

import json
from uuid import UUID

import pytest
from cli_support import DATABASE, WEB, Cli
from fake_controller import Controller

from socketplane import wire
from socketplane.errors import Forbidden, InUse, NameInUse


def test_lists_have_stable_columns_in_a_pipe(cli: Cli, cluster: Controller) -> None:
    assert cli.columns("network", "ls") == [
        ["NETWORK ID", "NAME", "SUBNET", "GATEWAY", "INTERNAL", "ENDPOINTS"],
        ["11111111-aaaa", "web", "10.192.0.0/22", "10.192.0.1", "no", "2"],
        ["22222222-bbbb", "db", "10.192.4.0/22", "10.192.4.1", "yes", "1"],
    ]
    assert cli.columns("host", "ls")[1:] == [
        ["h1", "192.0.2.1", "yes", "userspace", "1442", "20.10.24", "2", cli.columns("host", "ls")[1][7]],
        ["h2", "192.0.2.2", "no", "-", "-", "-", "0", "-"],
    ]
    assert cli.columns("endpoint", "ls") == [
        ["ENDPOINT ID", "CONTAINER", "NETWORK", "HOST", "ADDRESS", "FLOATING", "PORTS", "STATE"],
        ["aaaaaaaaaaaa", "web-1", "web", "h1", "10.192.0.2", "192.0.2.70", "0.0.0.0:8080->80/tcp", "up"],
        ["bbbbbbbbbbbb", "app-1", "web", "h2", "10.192.0.3", "-", "-", "starting"],
        ["cccccccccccc", "app-1", "db", "h1", "10.192.4.2", "-", "-", "unknown"],
    ]
    assert cli.columns("policy", "ls") == [
        ["KIND", "NETWORK", "NAME", "TIER", "PRIORITY", "MODE", "TYPES", "SUBJECTS"],
        ["NetworkPolicy", "web", "allow-app", "-", "-", "enforce", "Ingress", "2"],
        ["ClusterNetworkPolicy", "-", "guard", "Admin", "5", "enforce", "Egress", "3"],
    ]
    assert [row[0] for row in cli.columns("token", "ls")] == ["TOKEN ID", "t1"]


def test_a_traffic_policy_is_about_what_it_limits_and_marks(cli: Cli, controller: Controller) -> None:
    document = {"metadata": {"name": "fair", "namespace": "web"}, "spec": {"egress": {"rate": "1Mbit"}, "mark": [{}]}}
    controller.policies = [wire.Policy(kind="TrafficPolicy", network="web", name="fair", number=1, document=document)]
    assert cli.columns("policy", "ls")[1:] == [["TrafficPolicy", "web", "fair", "-", "-", "-", "Egress,Mark", "0"]]
    assert cli("policy", "ls", "-q").stdout == "web/fair\n"


def test_columns_line_up_and_carry_no_colour(cli: Cli, cluster: Controller) -> None:
    lines = cli("network", "ls").stdout.splitlines()
    starts = {line.index(word) for line, word in zip(lines, ("SUBNET", "10.192.0.0/22", "10.192.4.0/22"), strict=True)}
    assert len(starts) == 1
    assert all("\x1b" not in line and line == line.rstrip() for line in lines)


@pytest.mark.parametrize("noun", ["host", "network", "endpoint", "policy", "token"])
def test_json_is_what_the_controller_said(cli: Cli, cluster: Controller, noun: str) -> None:
    kind = {"policy": "policies"}.get(noun, noun + "s")
    assert cli.json(noun, "ls", "-o", "json") == [item.model_dump(mode="json") for item in getattr(cluster, kind)]


@pytest.mark.parametrize("noun", ["host", "network", "endpoint", "policy", "token"])
def test_empty_lists(cli: Cli, controller: Controller, noun: str) -> None:
    assert cli.json(noun, "ls", "-o", "json") == []
    assert len(cli(noun, "ls").stdout.splitlines()) == 1
    assert cli(noun, "ls", "-q").stdout == ""


@pytest.mark.parametrize(
    ("noun", "ids"),
    [
        ("host", ["h1", "h2"]),
        ("network", [str(WEB), str(DATABASE)]),
        ("endpoint", ["a" * 64, "b" * 64, "c" * 64]),
        ("policy", ["web/allow-app", "guard"]),
        ("token", ["t1"]),
    ],
)
def test_quiet_prints_whole_ids(cli: Cli, cluster: Controller, noun: str, ids: list[str]) -> None:
    assert cli(noun, "ls", "-q").stdout.split() == ids
    assert cli.json(noun, "ls", "-q", "-o", "json") == ids


def test_network_create_prints_the_id_alone(cli: Cli, controller: Controller) -> None:
    result = cli(
        "network",
        "create",
        "web",
        "--subnet",
        "10.200.0.0/24",
        "--gateway",
        "10.200.0.9",
        "--ip-range",
        "10.200.0.128/25",
        "--internal",
        "--label",
        "a=1",
        "--label",
        "b=x=y",
        "--label",
        "c",
    )
    assert result.stdout == f"{controller.networks[0].id}\n"
    assert result.stderr == ""
    assert controller.requests[-1].body == {
        "name": "web",
        "subnet": "10.200.0.0/24",
        "gateway": "10.200.0.9",
        "ip_range": "10.200.0.128/25",
        "ipv6": False,
        "subnet6": None,
        "gateway6": None,
        "internal": True,
        "routed": False,
        "labels": {"a": "1", "b": "x=y", "c": ""},
        "request": controller.requests[-1].body["request"],
    }


def test_every_create_has_its_own_request_id(cli: Cli, controller: Controller) -> None:
    cli("network", "create", "a")
    cli("network", "create", "b")
    ids = [request.body["request"] for request in controller.requests]
    assert all(ids)
    assert len(set(ids)) == 2


def test_remove_several_goes_on_after_an_error(cli: Cli, cluster: Controller) -> None:
    result = cli("network", "rm", "web", "nowhere", str(DATABASE), code=1)
    assert result.stdout.splitlines() == ["web", str(DATABASE)]
    assert result.stderr == "Error: no network 'nowhere'; see `ls`\n"
    assert cluster.networks == []


def test_remove_by_the_start_of_an_id(cli: Cli, cluster: Controller) -> None:
    assert cli("network", "rm", "1111").stdout == "1111\n"
    assert [network.name for network in cluster.networks] == ["db"]


def test_a_refused_removal_says_why(cli: Cli, cluster: Controller) -> None:
    cluster.refusal = InUse("network web has 2 endpoints", remedy="remove the containers first")
    result = cli("network", "rm", "web", code=1)
    assert result.stdout == ""
    assert result.stderr == "Error: network web has 2 endpoints; remove the containers first\n"


def test_token_and_policy_are_removed_by_name(cli: Cli, cluster: Controller) -> None:
    assert cli("token", "rm", "t1").stdout == "t1\n"
    assert cli("policy", "rm", "web/allow-app", "guard").stdout == "web/allow-app\nguard\n"
    assert (cluster.tokens, cluster.policies) == ([], [])


def test_policies_are_removed_together_and_who_is_not_there_is_an_error(cli: Cli, cluster: Controller) -> None:
    result = cli("policy", "rm", "web/gone", "guard", "web/allow-app", code=1)
    assert (result.stdout, cluster.policies) == ("guard\nweb/allow-app\n", [])
    assert result.stderr == "Error: no policy web/gone; `socketplane policy ls` lists them\n"
    assert [request.path for request in cluster.requests] == ["/v1/policies/remove"]


def test_policy_name_with_the_network_beside_it(cli: Cli, cluster: Controller) -> None:
    assert cli.json("policy", "inspect", "--network", "web", "allow-app")[0]["name"] == "allow-app"
    assert "write NETWORK/NAME" in cli("policy", "inspect", "web/", code=2).stderr


def test_policy_name_alone_is_the_clusters(cli: Cli, cluster: Controller) -> None:
    assert cli.json("policy", "inspect", "guard")[0]["tier"] == "Admin"
    assert cli.json("policy", "inspect", "allow-app", code=1) == []
    assert [request.path for request in cluster.requests] == ["/v1/policies/-/guard", "/v1/policies/-/allow-app"]
    assert cli("policy", "ls", "-q", "--network", "web").stdout == "web/allow-app\n"
    assert "not on the network" in cli("policy", "inspect", "--network", "db", "web/allow-app", code=2).stderr


def test_inspect_prints_an_array_and_goes_on_after_an_error(cli: Cli, cluster: Controller) -> None:
    result = cli("network", "inspect", "web", "nowhere", "db", code=1)
    assert [network["name"] for network in json.loads(result.stdout)] == ["web", "db"]
    assert result.stderr.startswith("Error: ")
    assert cli.json("host", "inspect", "h2")[0]["system_id"] == "s2"


def test_inspect_of_nothing_found_is_an_empty_array(cli: Cli, cluster: Controller) -> None:
    assert cli.json("host", "inspect", "h9", code=1) == []


def test_inspect_as_a_table(cli: Cli, cluster: Controller) -> None:
    rows = cli.columns("network", "inspect", "web", "-o", "table")
    assert rows[0] == ["FIELD", "VALUE"]
    assert ["subnet", "10.192.0.0/22"] in rows


@pytest.mark.parametrize(
    ("reference", "letters"),
    [("a" * 64, "a"), ("aaaa", "a"), ("web-1", "a"), ("app-1", "bc"), ("db/app-1", "c"), ("web/app-1", "b")],
)
def test_endpoints_go_by_id_or_container(cli: Cli, cluster: Controller, reference: str, letters: str) -> None:
    assert "".join(found["id"][0] for found in cli.json("endpoint", "inspect", reference)) == letters


def test_an_ambiguous_start_of_an_id_is_an_error(cli: Cli, cluster: Controller) -> None:
    cluster.networks.append(
        cluster.networks[0].model_copy(update={"id": UUID("1111ffff-aaaa-4000-8000-000000000001"), "name": "x"})
    )
    assert "give more of the id" in cli("network", "inspect", "1111", code=1).stderr


@pytest.mark.parametrize("name", ["", ".", "..", "a/../b", "%2e", "a?b#c", "ü/%/x"])
def test_odd_names_are_only_names(cli: Cli, cluster: Controller, name: str) -> None:
    result = cli("network", "rm", name, code=1)
    assert result.stdout == ""
    assert result.stderr.startswith("Error: ")
    assert len(cluster.networks) == 2
    assert all(request.path.count("/") <= 3 for request in cluster.requests)


def test_endpoint_filters_go_to_the_controller(cli: Cli, cluster: Controller) -> None:
    cli("endpoint", "ls", "--network", "web", "--host", "h1", "-l", "app=shop", "-l", "tier=a=b")
    assert cluster.requests[-1].query == {"network": ["web"], "host": ["h1"], "label": ["app=shop", "tier=a=b"]}


def test_token_create_prints_the_token_alone_on_stdout(cli: Cli, controller: Controller) -> None:
    result = cli("token", "create", "--ttl", "36h", "--uses", "3")
    assert result.stdout == "sp1.abc\n"
    assert "socketplane join" in result.stderr
    assert "3 machines" in result.stderr
    assert controller.requests[-1].body == {"ttl": 36 * 3600.0, "uses": 3}
    assert cli.json("token", "create", "-o", "json")["token"] == "sp1.abc"


@pytest.mark.parametrize(("verdict", "code"), [("allow", 0), ("deny", 3)])
def test_explain(cli: Cli, controller: Controller, verdict: str, code: int) -> None:
    controller.explanation = wire.Explanation(
        verdict=verdict,
        source="web/web-1",
        destination="web/app-1",
        protocol="tcp",
        port=8080,
        direction="ingress",
        policy="web/allow-app",
        rule="1.0",
        reason="the policy's rule 0 fits",
        steps=["egress: nothing selects web-1"],
    )
    result = cli("explain", "web-1", "app-1:8080", code=code)
    assert result.stdout.splitlines()[0].split() == ["VERDICT", verdict]
    assert "web/allow-app" in result.stdout
    assert "nothing selects web-1" in result.stdout
    assert controller.requests[-1].query == {"src": ["web-1"], "dst": ["app-1"], "port": ["8080"], "protocol": ["tcp"]}
    assert cli.json("explain", "web-1", "app-1:53/UDP", "-o", "json", code=code)["verdict"] == verdict
    assert controller.requests[-1].query["protocol"] == ["udp"]
    cli("explain", "web-1", "app-1", code=code)
    assert controller.requests[-1].query == {"src": ["web-1"], "dst": ["app-1"], "protocol": ["icmp"]}


def test_status_shows_hosts_counts_and_alarms(cli: Cli, cluster: Controller) -> None:
    cluster.alarms = ["ovn-controller on h1: error parsing match"]
    cluster.warnings = ["hosts' underlays differ in MTU"]
    report = cluster.hosts[0].report
    assert report is not None
    conflict = "web: a bridge network of this name is on this host"
    cluster.hosts[0] = cluster.hosts[0].model_copy(update={"report": report.model_copy(update={"conflicts": [conflict]})})
    cluster.policies.pop()
    text = cli("status").stdout
    assert "2 hosts (1 ready), 2 networks, 3 endpoints, 1 policy" in text
    assert "; MTU 1442; " in text
    assert "WARNING: hosts' underlays differ in MTU" in text
    assert text.count("ALARM: ") == 2
    assert "ALARM: ovn-controller on h1: error parsing match" in text
    assert "ALARM: host h1: web: a bridge network of this name is on this host" in text
    assert wire.Status.model_validate(cli.json("status", "-o", "json")).networks == 2


def test_status_lists_published_ports_while_they_are_few(cli: Cli, cluster: Controller) -> None:
    port = wire.PublishedPort(protocol="tcp", address="0.0.0.0", host_port=8080, port=80)
    cluster.endpoints[0] = cluster.endpoints[0].model_copy(update={"published": [port]})
    cluster.endpoints = cluster.endpoints[:1]
    cluster.published = 1
    text = cli("status").stdout
    assert "1 published port;" in text
    first = cluster.endpoints[0]
    assert f"{first.host} publishes {first.network_name}/{first.name}: 0.0.0.0:8080->80/tcp" in text
    assert cluster.requests[-1].query == {"published": ["true"]}
    cluster.published = 100
    assert "publishes" not in cli("status").stdout
    cli("endpoint", "ls", "--published")
    assert cluster.requests[-1].query == {"published": ["true"]}


def test_errors_of_the_controller(cli: Cli, controller: Controller) -> None:
    controller.refusal = NameInUse("a network 'web' exists", field="name", remedy="take another name")
    result = cli("network", "create", "web", code=1)
    assert (result.stdout, result.stderr) == ("", "Error: name: a network 'web' exists; take another name\n")


def test_refusal_on_the_socket_keeps_its_own_remedy(cli: Cli, controller: Controller) -> None:
    controller.refusal = Forbidden("hosts may not", remedy="ask an administrator")
    assert cli("token", "create", code=1).stderr == "Error: hosts may not; ask an administrator\n"


def test_version_needs_no_controller(cli: Cli) -> None:
    from socketplane import __version__

    assert cli("version").stdout == f"socketplane {__version__}\n"
    assert wire.Version.model_validate(cli.json("version", "-o", "json")).version == __version__
