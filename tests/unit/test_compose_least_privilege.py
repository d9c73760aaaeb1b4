"""What a Compose file declares, as policies: where each rule comes from, and what is said of it."""

from __future__ import annotations

import textwrap

import pytest
import yaml

from socketplane.errors import InvalidInput
from socketplane.model.compose import load
from socketplane.model.documents import parse_documents
from socketplane.model.least_privilege import apart, as_yaml, propose
from socketplane.model.spec import Block


def written(text: str, *, egress: bool = False) -> dict[str, str]:
    """The YAML of each policy, by NETWORK/NAME."""
    project = load(textwrap.dedent(text), "compose.yaml", folder="shop")
    whole = as_yaml(propose(project, egress=egress), "title")
    assert whole.startswith("# title\n")
    parts = whole.split("---\n")[1:]
    assert not parts or len(parse_documents(whole, "p.yaml")) == len(parts)
    return {"{namespace}/{name}".format_map(yaml.safe_load(part)["metadata"]): part for part in parts}


def test_one_policy_whole() -> None:
    found = written(
        """
        services:
          web: {depends_on: [app], links: ["app:backend"]}
          app: {expose: [8080, "9000-9002/udp"]}
        """
    )
    assert list(found) == ["shop_default/shop.web", "shop_default/shop.app"]
    assert found["shop_default/shop.app"] == textwrap.dedent(
        """\
        apiVersion: networking.k8s.io/v1
        kind: NetworkPolicy
        metadata:
          name: shop.app
          namespace: shop_default
        spec:
          podSelector:
            matchLabels:
              com.docker.compose.project: shop
              com.docker.compose.service: app
          policyTypes:
          - Ingress
          ingress:
            # web depends_on app; ports by its expose
            # web links app; ports by its expose
            - from:
              - podSelector:
                  matchLabels: {com.docker.compose.project: shop, com.docker.compose.service: web}
              ports:
              - {protocol: TCP, port: 8080}
              - {protocol: UDP, port: 9000, endPort: 9002}
        """
    )


def test_who_is_needed_by_nobody_lets_nobody_in() -> None:
    (web,) = written("services: {web: {scale: 3, expose: [80]}}").values()
    assert web.startswith(
        "# nothing on shop_default declares to need web: nobody comes in\n# its replicas do not reach one another\n"
    )
    assert web.endswith("  ingress: []\n")


def test_without_declared_ports_any_is_allowed_and_said_so() -> None:
    app = written("services: {web: {depends_on: [app]}, app: }")["shop_default/shop.app"]
    assert "# web depends_on app; app declares no ports, so any\n" in app
    assert "ports:" not in app


def test_published_ports_let_the_world_in() -> None:
    text = """
        services: {web: {ports: ["8080:80", "127.0.0.1:9000:9000", "53:53/udp"], networks: [front, inner]}}
        networks: {front: {external: true, name: everybody}, inner: {internal: true}}
        """
    found = written(text)
    world = found["everybody/shop.web"]
    assert "# web publishes tcp/9000 to its own host, which always comes in\n" in world
    assert "    # web publishes it (ports)\n    - from:\n      - ipBlock: {cidr: 0.0.0.0/0}\n" in world
    (policy,) = parse_documents(world, "p.yaml")
    (rule,) = policy.spec.ingress or ()
    assert rule.ports is not None and {str(port) for port in rule.ports} == {"tcp/80", "udp/53"}
    assert rule.peers is not None and [str(peer.cidr) for peer in rule.peers if isinstance(peer, Block)] == ["0.0.0.0/0"]
    inner = found["shop_inner/shop.web"]
    assert "# web publishes ports, but nothing leads into shop_inner: it is internal\n" in inner
    assert inner.endswith("  ingress: []\n")


def test_what_is_published_to_the_own_host_only_needs_no_rule() -> None:
    (web,) = written('services: {web: {ports: ["127.0.0.1:9000:9000"]}}').values()
    assert web.endswith("  ingress: []\n")


def test_who_shares_a_network_speaks_from_there() -> None:
    found = written(
        """
        services:
          web: {}
          side: {network_mode: "service:web", depends_on: [db, web]}
          db: {}
          proxy: {network_mode: "service:db", expose: ["6432"], ports: ["1:6433"]}
          other: {depends_on: [proxy]}
        """
    )
    assert set(found) == {"shop_default/shop.web", "shop_default/shop.db", "shop_default/shop.other"}
    db = found["shop_default/shop.db"]
    assert "# side (in the network of web) depends_on db; db declares no ports, so any\n" in db
    assert "# other depends_on proxy (in the network of db); ports by its expose and ports\n" in db
    assert "# proxy publishes it (ports)\n" in db
    assert found["shop_default/shop.web"].endswith("  ingress: []\n")


def test_needs_hold_on_the_networks_that_both_are_on() -> None:
    text = """
        services:
          web: {depends_on: [app, db], networks: [a, b]}
          app: {networks: [b, c]}
          db: {networks: [c]}
        networks: {a: , b: , c: }
        """
    found = written(text)
    allowing = [name for name, part in found.items() if "from:" in part]
    assert allowing == ["shop_b/shop.app"]
    project = load(textwrap.dedent(text), "compose.yaml", folder="shop")
    assert apart(project) == ["web depends_on db, but they share no network: nothing allows it"]


def test_egress_goes_to_what_is_needed_and_nowhere_else() -> None:
    text = "services: {web: {depends_on: [app]}, app: {expose: [80]}}"
    closed = written(text, egress=True)
    assert closed["shop_default/shop.app"].endswith("  egress: []\n")
    web = closed["shop_default/shop.web"]
    assert "  policyTypes:\n  - Ingress\n  - Egress\n" in web
    assert "  egress:\n    # web depends_on app; ports by its expose\n    - to:\n" in web
    assert all("gress: []" not in part or "  - Egress" not in part for part in written(text).values())


def test_services_without_a_network_have_no_policy() -> None:
    assert written("services: {a: {network_mode: host}, b: {network_mode: none}}") == {}


def test_a_network_that_no_policy_can_name_is_refused() -> None:
    with pytest.raises(InvalidInput, match=r"networks.n: compose.yaml: .* can't be the name of a policy's network"):
        written(f"services: {{a: {{networks: [n]}}}}\nnetworks: {{n: {{name: {'x' * 64}}}}}")


def test_a_title_can_not_leave_its_comment() -> None:
    assert as_yaml([], "a\nb: c") == '# "a\\nb: c"\n'
