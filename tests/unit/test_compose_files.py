"""Compose files: what is read is what Compose would make of them; what needs more than the file is refused by name."""

from __future__ import annotations

import textwrap
from ipaddress import IPv4Address, IPv4Network

import pytest

from socketplane.errors import InvalidInput, SocketPlaneError, Unsupported
from socketplane.model.compose import Attachment, Need, Project, Publication, load
from socketplane.model.spec import Port, Protocol

TCP, UDP, SCTP = Protocol.TCP, Protocol.UDP, Protocol.SCTP


def read(text: str, *profiles: str, folder: str = "shop", **environment: str) -> Project:
    return load(textwrap.dedent(text), "compose.yaml", folder=folder, environment=environment, profiles=profiles)


def test_the_least_file() -> None:
    project = read("services: {web: {image: nginx}}")
    web = project.services["web"]
    assert (project.name, web.containers, web.attachments) == ("shop", ("shop-web-1",), (Attachment("default"),))
    assert web.labels == {"com.docker.compose.project": "shop", "com.docker.compose.service": "web"}
    network = project.networks["default"]
    assert (network.name, network.external, network.internal) == ("shop_default", False, False)
    assert network.labels == {"com.docker.compose.network": "default", "com.docker.compose.project": "shop"}


@pytest.mark.parametrize(
    ("text", "folder", "environment", "name"),
    [
        ("name: store", "shop", {}, "store"),
        ("name: ${WHICH:-store}-1", "shop", {"WHICH": "mine"}, "mine-1"),
        ("name: store", "shop", {"COMPOSE_PROJECT_NAME": "other"}, "other"),
        ("", "_My-Shop.2 (old)", {}, "my-shop2old"),
    ],
)
def test_the_projects_name(text: str, folder: str, environment: dict[str, str], name: str) -> None:
    content = f"{text}\nservices: {{web: {{labels: {{project: $COMPOSE_PROJECT_NAME}}}}}}"
    project = read(content, folder=folder, **environment)
    assert project.name == name
    assert project.services["web"].labels["project"] == name


@pytest.mark.parametrize(
    ("text", "folder", "message"),
    [("", "...", "the project has no name; write name:"), ("name: Store", "shop", "'Store' can't")],
)
def test_a_project_needs_a_name_that_compose_takes(text: str, folder: str, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        read(f"{text}\nservices: {{web: }}", folder=folder)


def test_containers_are_named_as_compose_names_them() -> None:
    project = read(
        """
        services:
          one: {container_name: first}
          three: {deploy: {replicas: 3}}
          two: {scale: "2"}
          none: {deploy: {replicas: 0}}
        """
    )
    names = {key: service.containers for key, service in project.services.items()}
    assert names == {
        "one": ("first",),
        "three": ("shop-three-1", "shop-three-2", "shop-three-3"),
        "two": ("shop-two-1", "shop-two-2"),
        "none": (),
    }


def test_networks_and_places_on_them() -> None:
    project = read(
        """
        services:
          web:
            networks: [front, back]
          db:
            networks:
              back: {ipv4_address: 10.192.8.9, ipv6_address: 'fd00::9', aliases: [database], priority: 3}
          job:
            networks:
              front:
        networks:
          front: {name: "${TENANT}-front", driver: socketplane, labels: {zone: dmz, tier: 1}, driver_opts: {a: b}}
          back: {external: true, name: shared}
          old: {external: {name: legacy}}
          unused: {internal: true}
        """,
        TENANT="acme",
    )
    assert project.services["web"].attachments == (Attachment("front"), Attachment("back"))
    assert project.services["db"].attachments == (Attachment("back", IPv4Address("10.192.8.9"), ("database",)),)
    assert project.services["job"].attachments == (Attachment("front"),)
    front, back = project.networks["front"], project.networks["back"]
    assert set(project.networks) == {"front", "back"}
    assert (front.name, front.labels["zone"], front.labels["tier"]) == ("acme-front", "dmz", "1")
    assert (back.name, back.external, back.labels) == ("shared", True, {})
    assert project.warnings == ()


def test_an_external_network_is_known_by_its_key_or_by_its_old_form() -> None:
    text = "services: {a: {networks: [one, two]}}\nnetworks: {one: {external: true}, two: {external: {name: legacy}}}"
    assert [network.name for network in read(text).networks.values()] == ["one", "legacy"]


def test_subnets_and_internal_networks() -> None:
    project = read(
        """
        services: {a: {networks: [n]}}
        networks:
          n:
            internal: true
            ipam: {driver: socketplane, config: [{subnet: "fd00::/64"}, {subnet: 10.192.8.0/24, gateway: 10.192.8.254}]}
        """
    )
    network = project.networks["n"]
    assert (network.internal, network.subnet, network.gateway) == (
        True,
        IPv4Network("10.192.8.0/24"),
        IPv4Address("10.192.8.254"),
    )


def test_labels_in_both_forms_become_text() -> None:
    project = read(
        """
        services:
          a: {labels: {app: web, number: 3, yes: true, "on": yes, date: 2020-01-01, version: 1.10, empty: , time: 22:22}}
          b: {labels: [app=web, bare, "with=equals=sign"]}
        """
    )
    labels = {key: value for key, value in project.services["a"].labels.items() if "compose" not in key}
    assert labels == {
        "app": "web",
        "number": "3",
        "yes": "true",
        "on": "yes",
        "date": "2020-01-01",
        "version": "1.1",
        "empty": "",
        "time": "22:22",
    }
    assert project.services["b"].labels["bare"] == ""
    assert project.services["b"].labels["with"] == "equals=sign"


def test_what_compose_labels_itself_wins() -> None:
    labels = read("services: {a: {labels: {com.docker.compose.service: other}}}").services["a"].labels
    assert labels["com.docker.compose.service"] == "a"


@pytest.mark.parametrize(
    ("text", "port", "host"),
    [
        ("80", Port(TCP, 80), ""),
        ('"8080:80"', Port(TCP, 80), ""),
        ("8080:80", Port(TCP, 80), ""),
        ("22:22", Port(TCP, 22), ""),
        ('"127.0.0.1:8080:80"', Port(TCP, 80), "127.0.0.1"),
        ('"127.0.0.1::80/udp"', Port(UDP, 80), "127.0.0.1"),
        ('"[::1]:6001:6001/SCTP"', Port(SCTP, 6001), "::1"),
        ('"3000-3005"', Port(TCP, 3000, 3005), ""),
        ('"9090-9091:8080-8081/tcp"', Port(TCP, 8080, 8081), ""),
        ('"${PORT:-9000}:${INNER-90}"', Port(TCP, 90), ""),
        ("{target: 80, published: '8080', host_ip: 10.0.0.1, protocol: udp, mode: host}", Port(UDP, 80), "10.0.0.1"),
        ("{target: '80-82'}", Port(TCP, 80, 82), ""),
    ],
)
def test_published_ports(text: str, port: Port, host: str) -> None:
    service = read(f"services: {{a: {{ports: [{text}]}}}}").services["a"]
    assert service.published == (Publication(port, host),)
    assert service.published[0].local == (host in ("127.0.0.1", "::1"))
    assert service.ports == (port,)


def test_exposed_ports_and_published_ones_are_what_a_service_declares() -> None:
    service = read('services: {a: {expose: ["90", 80, 8000-8010/udp], ports: ["1:80", "443"]}}').services["a"]
    assert service.ports == (Port(TCP, 80), Port(TCP, 90), Port(TCP, 443), Port(UDP, 8000, 8010))


def test_needs_of_every_form() -> None:
    project = read(
        """
        services:
          web: {depends_on: [app], links: ["db:database", app]}
          app: {depends_on: {db: {condition: service_healthy}}}
          db: {}
        """
    )
    assert project.services["web"].needs == (Need("app", "depends_on"), Need("db", "links"), Need("app", "links"))
    assert project.services["app"].needs == (Need("db", "depends_on"),)


def test_services_without_endpoints() -> None:
    project = read(
        """
        services:
          a: {network_mode: host}
          b: {network_mode: none}
          c: {network_mode: "service:d"}
          d: {}
          e: {network_mode: "container:x"}
          f: {provider: {type: model}}
        """
    )
    assert {key: len(service.attachments) for key, service in project.services.items()} == dict.fromkeys("abcef", 0) | {
        "d": 1
    }
    assert project.home(project.services["c"]).name == "d"
    for words in ("a has no endpoint", "b has no endpoint", "c has no endpoint of its own: it is in the network of d"):
        assert any(words in warning for warning in project.warnings)
    assert project.services["f"].containers == ()


def test_profiles() -> None:
    text = "services: {web: {depends_on: [tool]}, tool: {profiles: [debug]}, other: {profiles: [x, y]}}"
    project = read(text)
    assert set(project.services) == {"web"}
    assert project.inactive == {"tool": ("debug",), "other": ("x", "y")}
    assert any("web needs tool, which only a profile starts: debug" in warning for warning in project.warnings)
    assert set(read(text, "y").services) == {"web", "other"}
    assert set(read(text, "*").services) == {"web", "tool", "other"}


def test_extends_merge_keys_and_extension_fields() -> None:
    project = read(
        """
        x-common: &common
          labels: {tier: back, app: base}
        services:
          base: {<<: *common, expose: ["80"], networks: {n: {aliases: [one]}}, profiles: [never]}
          mid: {extends: base, labels: [app=mid], expose: ["81", "80"], networks: {n: {aliases: [two]}, m: }}
          top: {extends: {service: mid}, labels: {app: top}, x-note: anything, deploy: {replicas: 2}}
        networks: {n: {external: true}, m: {external: true}}
        """,
        "never",
    )
    top = project.services["top"]
    assert (top.labels["app"], top.labels["tier"], len(top.containers)) == ("top", "back", 2)
    assert top.exposed == (Port(TCP, 80), Port(TCP, 81))
    assert top.attachments == (Attachment("n", None, ("one", "two")), Attachment("m"))


def test_unset_variables_are_empty_and_said_so() -> None:
    project = read("services: {a: {labels: {one: $ONE, two: '${TWO}'}, environment: {X: '${IGNORED:?}'}}}")
    assert project.services["a"].labels["one"] == ""
    assert any("variables without a value are empty: ONE, TWO" in warning for warning in project.warnings)


def test_a_network_of_docker_itself_is_warned_of() -> None:
    assert any("policies do not hold on shop_default" in warning for warning in read("services: {a: }").warnings)


@pytest.mark.parametrize(
    ("text", "kind", "message"),
    [
        ("", InvalidInput, "compose.yaml: there is nothing in it"),
        ("a: 1\n---\nb: 2", Unsupported, "several documents in it; give the output of `docker compose config`"),
        ("name: x", InvalidInput, "line 1: is missing"),
        ("services: []", InvalidInput, "has to be a mapping of services, not a list"),
        ("include: [other.yaml]\nservices: {a: }", Unsupported, "line 1: other files are not included; give the output"),
        ("services:\n  a:\n    extends: {file: b.yaml, service: c}", Unsupported, "line 3: a service of another file"),
        ("services: {a: {label_file: x}}", Unsupported, "docker compose config"),
        (
            "services: {a: {ports: !override [80]}}",
            Unsupported,
            "the tag !override on line 1 is not followed; give the output",
        ),
        ("services: {a: {extends: b}, b: {extends: a}}", InvalidInput, "extend one another: a -> b -> a"),
        ("services: {web: {extends: wbe}, app: }", InvalidInput, "there is no service 'wbe'; did you mean web?"),
        ("services: {web: {depends_on: [ap]}, app: }", InvalidInput, "there is no service 'ap'; did you mean app?"),
        (
            "services:\n  web:\n    depend_on: [app]\n  app:",
            InvalidInput,
            "line 3: unknown field; did you mean depends_on?",
        ),
        ("services: {web: {networks: [bakc]}}\nnetworks: {back: }", InvalidInput, "there is no network 'bakc'; did you"),
        ("services: {web: {networks: [a], network_mode: host}}", InvalidInput, "excludes networks"),
        ("services: {web: {network_mode: other}}", Unsupported, "'other' is not followed"),
        ("services: {web: {network_mode: 'service:x'}}", InvalidInput, "no service 'x' runs"),
        ("services: {a: {network_mode: 'service:b'}, b: {network_mode: 'service:a'}}", InvalidInput, "join one another"),
        ("services: {web: {scale: 2, deploy: {replicas: 3}}}", InvalidInput, "contradicts deploy.replicas"),
        ("services: {web: {scale: 2, container_name: x}}", InvalidInput, "several replicas can't have one name"),
        ("services: {web: {scale: 100000}}", InvalidInput, "has to be a number from 0 to 1000"),
        ("services: {web: {ports: ['80:http']}}", InvalidInput, "'80:http' is no port; write CONTAINER"),
        ("services: {web: {ports: [70000]}}", InvalidInput, "ports are from 1 to 65535"),
        ("services: {web: {ports: ['90-80']}}", InvalidInput, "a range goes upwards"),
        ("services: {web: {ports: ['80/icmp']}}", InvalidInput, "unknown protocol 'icmp'"),
        ("services: {web: {ports: ['a.b:80:80']}}", InvalidInput, "'a.b' is no address"),
        (
            "services: {web: {ports: [{published: 80}]}}",
            InvalidInput,
            "services.web.ports[0].target: compose.yaml, line 1: is missing",
        ),
        ("services: {web: {expose: ['80:80']}}", InvalidInput, "to publish it, write it under ports"),
        ("services: {web: {labels: {a: [b]}}}", InvalidInput, "services.web.labels.a"),
        ("services: {web: {networks: {n: {ipv4_address: x}}}}\nnetworks: {n: }", InvalidInput, "has to be an IPv4 address"),
        ("services: {web: {networks: [n]}}\nnetworks: {n: {external: maybe}}", InvalidInput, "has to be true or false"),
        ("services: {web: {networks: [n]}}\nnetworks: {n: {ipam: {config: [{subnet: x}]}}}", InvalidInput, "subnet"),
        ("services: {web: {labels: {a: '${B:?set it}'}}}", InvalidInput, "the variable B has to be set: set it; set it in"),
        ("services: {'a b': }", InvalidInput, "'a b' can't be a service's name"),
        ("services: {web: , web: }", InvalidInput, "'web' is there twice"),
    ],
)
def test_what_is_refused(text: str, kind: type[SocketPlaneError], message: str) -> None:
    with pytest.raises(SocketPlaneError) as caught:
        read(text)
    assert type(caught.value) is kind, caught.value
    assert message in str(caught.value)
    assert "compose.yaml, line" in str(caught.value) or str(caught.value).startswith("compose.yaml: ")
