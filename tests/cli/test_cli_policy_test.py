"""`policy test`: assertions held against files or against the cluster; what it prints, writes and ends with."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest
from cli_support import Cli
from fake_controller import Controller

from socketplane import wire

COMPOSE = """
name: shop
services:
  web: {networks: [front], deploy: {replicas: "${WEBS:-2}"}}
  db: {networks: [front], labels: {app: db}}
  tool: {networks: [front], profiles: [debug]}
networks: {front: {driver: socketplane, ipam: {driver: socketplane}}}
"""
POLICY = """
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: db}
spec:
  podSelector: {matchLabels: {app: db}}
  ingress: [{from: [{podSelector: {matchLabels: {com.docker.compose.container-number: "1"}}}], ports: [{port: 5432}]}]
"""
Write = Callable[[str, str], str]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(name: str, text: str) -> str:
        path = tmp_path / "shop" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        return str(path)

    return write


@pytest.fixture
def files(write: Write) -> list[str]:
    """Arguments of an offline test, without the assertions."""
    compose, policy = write("compose.yaml", COMPOSE), write("policy.yaml", POLICY)
    return ["policy", "test", "--compose", compose, "--policy", policy, "--network", "shop_front"]


def holding(*items: str) -> str:
    return "assertions:\n" + "".join(f"- {item}\n" for item in items)


def test_all_hold(cli: Cli, files: list[str], write: Write) -> None:
    result = cli(*files, "-f", write("t.yaml", holding("shop-web-1 -> db:5432 allow", "web -> db:22 deny")))
    assert result.stdout.splitlines() == [
        "RESULT  ASSERTION",
        "pass    shop-web-1 -> db:5432/tcp allow",
        "pass    web -> db:22/tcp deny",
    ]
    assert result.stderr == "2 of 2 assertions hold\n"


def test_a_failure_says_what_was_expected_and_who_decided(cli: Cli, files: list[str], write: Write) -> None:
    name = write(
        "t.yaml", holding("web -> db:5432 allow", "{name: Closed, from: web, to: db, expect: deny}", "wbe -> db deny")
    )
    result = cli(*files, "-f", name, code=1)
    assert result.stdout.splitlines() == [
        "RESULT  ASSERTION",
        "fail    web -> db:5432/tcp allow",
        "fail    Closed",
        "error   wbe -> db deny",
        "",
        f"{name}, line 2: web -> db:5432/tcp allow",
        "  expected allow, is deny: shop_front/shop-web-2 -> shop_front/shop-db-1 5432/tcp",
        "  decided by policy shop_front/db, rule d1.ingress: no ingress rule allows it",
        "",
        f"{name}, line 3: web -> db deny",
        "  expected deny, is allow: shop_front/shop-web-1 -> shop_front/shop-db-1 5432/tcp",
        "  decided by policy shop_front/db, rule r1.0: ingress rule r1.0 of policy shop_front/db allows it",
        "",
        f"{name}, line 4: wbe -> db deny",
        "  it can't be judged: no container or service is called wbe; did you mean web?",
    ]
    assert result.stderr == "0 of 3 assertions hold\n"


def test_json(cli: Cli, files: list[str], write: Write) -> None:
    name = write("t.yaml", holding("web -> db:22 deny", "shop-web-2 -> db:5432 allow"))
    passed, failed = cli.json(*files, "-f", name, "-o", "json", code=1)
    assert (passed["result"], passed["against"], passed["line"]) == ("pass", [], 2)
    assert failed | {"against": []} == {
        "name": "",
        "file": name,
        "line": 3,
        "from": "shop-web-2",
        "to": "db",
        "port": 5432,
        "protocol": "tcp",
        "expect": "allow",
        "result": "fail",
        "problem": "",
        "against": [],
    }
    assert failed["against"] == [
        {
            "source": "shop_front/shop-web-2",
            "destination": "shop_front/shop-db-1",
            "service": "5432/tcp",
            "verdict": "deny",
            "policy": "shop_front/db",
            "rule": "d1.ingress",
            "reason": "no ingress rule allows it",
        }
    ]


def test_junit_is_what_ci_systems_read(cli: Cli, files: list[str], write: Write, tmp_path: Path) -> None:
    first = write("t.yaml", holding("web -> db:22 deny", "web -> db:5432 allow"))
    second = write("u.yaml", holding('{name: "<odd> & \\x01 name", from: nobody, to: db, expect: deny}'))
    report = tmp_path / "out.xml"
    cli(*files, "-f", first, "-f", second, "--junit", str(report), code=1)
    root = ElementTree.parse(report).getroot()
    counts = ("tests", "failures", "errors")
    assert (root.tag, [root.get(name) for name in counts]) == ("testsuites", ["3", "1", "1"])
    suites = root.findall("testsuite")
    assert [[suite.get("name"), *(suite.get(name) for name in counts)] for suite in suites] == [
        [first, "2", "1", "0"],
        [second, "1", "0", "1"],
    ]
    good, bad = suites[0].findall("testcase")
    assert (good.get("name"), good.get("file"), good.get("line"), list(good)) == ("web -> db:22/tcp deny", first, "2", [])
    failure = bad.find("failure")
    assert failure is not None and failure.text is not None
    assert failure.get("message", "").startswith("expected allow, is deny: shop_front/shop-web-2")
    assert "decided by policy shop_front/db, rule d1.ingress" in failure.text
    (error,) = suites[1].iter("error")
    assert error.get("message") == "it can't be judged: no container or service is called nobody"
    assert suites[1].find("testcase").get("name") == r"<odd> & \x01 name"


def test_standard_input_and_several_files(cli: Cli, files: list[str], write: Write) -> None:
    result = cli(*files, "-f", "-", "-f", write("t.yaml", holding("web -> db:22 deny")), stdin=holding("web -> db:23 deny"))
    assert [line.split("  ")[-1].strip() for line in result.stdout.splitlines()[1:]] == [
        "web -> db:23/tcp deny",
        "web -> db:22/tcp deny",
    ]


def test_the_compose_file_may_come_from_docker_compose_config(cli: Cli, files: list[str], write: Write) -> None:
    name = write("t.yaml", holding("web -> db:22 deny"))
    arguments = ["-" if argument.endswith("compose.yaml") else argument for argument in files]
    cli(*arguments, "-f", name, stdin=COMPOSE)
    nameless = COMPOSE.replace("name: shop", "")
    assert "the project has no name" in cli(*arguments, "-f", name, stdin=nameless, code=2).stderr


def test_variables_come_from_the_environment_and_from_the_file_beside(cli: Cli, files: list[str], write: Write) -> None:
    name = write("t.yaml", holding("shop-web-3 -> db:22 deny"))
    assert "no container or service is called shop-web-3" in cli(*files, "-f", name, code=1).stdout
    write(".env", "WEBS=3\nCOMPOSE_PROFILES=\n")
    cli(*files, "-f", name)
    cli.environment["WEBS"] = "1"
    cli(*files, "-f", name, code=1)


def test_profiles(cli: Cli, files: list[str], write: Write) -> None:
    name = write("t.yaml", holding("tool -> db:22 deny"))
    assert "tool is on no network: only a profile starts it: debug" in cli(*files, "-f", name, code=1).stdout
    cli(*files, "-f", name, "--profile", "debug")
    cli.environment["COMPOSE_PROFILES"] = "x,debug"
    cli(*files, "-f", name)


def test_what_a_person_should_know_is_said(cli: Cli, files: list[str], write: Write) -> None:
    write("compose.override.yaml", "services: {}")
    name = write("t.yaml", holding("web -> db:22 deny"))
    stderr = cli(*files[:-1], "elsewhere", "-f", name, code=1).stderr
    assert "Warning: compose.override.yaml is not read; give the output of `docker compose config`" in stderr
    assert "Warning: elsewhere/db: there is no network elsewhere: the policy holds from when there is one\n" in stderr
    write("policy.yaml", POLICY.replace("{app: db}", "{app: dbs}"))
    stderr = cli(*files, "-f", name, code=1).stderr
    assert "Warning: shop_front/db: selects no endpoint now: none is app=dbs; did you mean app=db?\n" in stderr
    assert "Labels of images and of external networks stand in no file" in stderr
    write("policy.yaml", POLICY)
    write("compose.yaml", COMPOSE.replace("driver: socketplane, ipam", "ipam"))
    assert "policies do not hold on shop_front, a network of Docker's own" in cli(*files, "-f", name).stderr


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("t.yaml", "assertions: [web db]", "assertions[0]: "),
        ("compose.yaml", "services: {web: {depends_on: [x]}}", "services.web.depends_on: "),
        ("policy.yaml", POLICY + "  engress: []", "did you mean egress?"),
        (".env", "A B", ".env, line 1: "),
    ],
)
def test_a_bad_file_is_exit_code_2(cli: Cli, files: list[str], write: Write, name: str, text: str, message: str) -> None:
    good = write("t.yaml", holding("web -> db:22 deny"))
    cli(*files, "-f", good)
    write(name, text)
    result = cli(*files, "-f", good, code=2)
    assert result.stderr.splitlines()[-1].startswith("Error: ")
    assert message in result.stderr
    assert result.stdout == ""


def test_wrong_usage(cli: Cli, files: list[str], write: Write) -> None:
    name = write("t.yaml", holding("web -> db:22 deny"))
    assert "they go with --compose" in cli("policy", "test", "-f", name, "--policy", name, code=2).stderr
    assert "No such file" in cli("policy", "test", "-f", "/nowhere/t.yaml", code=2).stderr
    assert "standard input" in cli(*files, "-f", "-", "--policy", "-", code=2, stdin=POLICY).stderr
    assert "--pool" in cli(*files, "-f", name, "--pool", "10.0.0.1/8", code=2).stderr
    assert "can't be written" in cli(*files, "-f", name, "--junit", "/nowhere/x.xml", code=2).stderr


def test_without_compose_the_controller_judges(cli: Cli, cluster: Controller, write: Write) -> None:
    cluster.explanation = wire.Explanation(
        verdict="allow",
        source="web/web-1",
        destination="web/app-1",
        protocol="tcp",
        port=80,
        direction="ingress",
        policy="web/allow-app",
        rule="r1.0",
        reason="because",
    )
    name = write(
        "t.yaml", holding("web-1 -> app-1:80 deny", "app=shop -> web/app-1:80 allow", "web/app-1 -> 192.0.2.7:icmp allow")
    )
    result = cli("policy", "test", "-f", name, code=1)
    assert [line.split()[0] for line in result.stdout.splitlines()[1:4]] == ["fail", "pass", "pass"]
    assert "decided by policy web/allow-app, rule r1.0: because" in result.stdout
    asked = [request.query for request in cluster.requests if request.path == "/v1/explain"]
    packets = [tuple(query[key][0] for key in ("src", "dst", "protocol")) for query in asked]
    assert packets == [
        ("web/10.192.0.2", "web/10.192.0.3", "tcp"),
        ("web/10.192.0.2", "db/10.192.4.2", "tcp"),
        ("web/10.192.0.2", "web/10.192.0.3", "tcp"),
        ("web/10.192.0.3", "192.0.2.7", "icmp"),
    ]


def test_a_controller_that_is_away_is_no_result(cli: Cli, write: Write) -> None:
    result = cli("policy", "test", "-f", write("t.yaml", holding("web -> db deny")), code=1)
    assert result.stdout == ""
    assert result.stderr.startswith("Error: ")
