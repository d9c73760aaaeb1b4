"""Whatever is handed in as a Compose file, as .env or as assertions is read, or refused with an error of ours."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from socketplane.errors import InvalidInput, SocketPlaneError, Unsupported
from socketplane.model.assertions import parse_assertions
from socketplane.model.compose import load, parse_env

FIELDS = """
    services networks name include extends service file labels label_file ports target published host_ip protocol expose
    depends_on condition links network_mode container_name deploy replicas scale profiles provider aliases ipv4_address
    external internal driver ipam config subnet gateway
"""
TEXTS = [
    "web",
    "app",
    "$A",
    "${A:-web}",
    "${A?}",
    "80",
    "80:80",
    "1-2/udp",
    "10.0.0.0/8",
    "10.0.0.1",
    "service:web",
    "host",
]
words = st.sampled_from(FIELDS.split())
texts = st.sampled_from(TEXTS) | words | st.text(max_size=5)
scalars = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), texts)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(words | texts, inner, max_size=5),
    max_leaves=20,
)
pieces = st.sampled_from(
    [
        "\n",
        " ",
        "  ",
        ":",
        "-",
        "- ",
        "{",
        "}",
        "[",
        "]",
        ",",
        "&a ",
        "*a",
        "<<: *a",
        "---\n",
        "!reset ",
        "|",
        '"',
        "#",
        "?",
    ]
)
variables = st.dictionaries(st.sampled_from("AB"), st.text(max_size=4))


def read(text: str | bytes, environment: dict[str, str] | None = None) -> None:
    with suppress(InvalidInput, Unsupported):
        project = load(text, "f", folder="f", environment=environment, profiles=["web"])
        for service in project.services.values():
            home = project.home(service)
            assert all(attachment.network in project.networks for attachment in home.attachments)
            assert all(need.service in project.services for need in service.needs)


@given(st.dictionaries(words, values), variables)
def test_any_mapping_as_file(document: dict[str, Any], environment: dict[str, str]) -> None:
    read(json.dumps(document), environment)


@given(st.dictionaries(st.sampled_from(["web", "app"]), st.dictionaries(words, values), min_size=1), values, variables)
def test_any_values_of_services_and_networks(services: Any, networks: Any, environment: dict[str, str]) -> None:
    read(json.dumps({"services": services, "networks": networks}), environment)


@given(st.lists(words | texts | pieces).map("".join))
def test_any_text(text: str) -> None:
    read(text)


@given(st.binary(max_size=200))
def test_any_bytes(data: bytes) -> None:
    read(data)


@given(
    st.lists(st.sampled_from(["A", "B", "=", ":", "'", '"', "\\", "\n", " ", "#", "$A", "${A}", "export "])).map("".join)
)
def test_any_variables(text: str) -> None:
    with suppress(SocketPlaneError):
        assert all(parse_env(text, "f", {"A": "1"}))


ends = st.sampled_from(["web", "a/b", "x=y", "->", "→", ":80", ":80/udp", ":icmp", "allow", "deny", " "]) | st.text(
    max_size=3
)
fields = st.sampled_from(["from", "to", "port", "protocol", "expect", "name"])


@given(st.lists(st.lists(ends).map("".join) | st.dictionaries(fields, ends | scalars) | scalars, max_size=3))
def test_any_assertions(items: list[Any]) -> None:
    with suppress(InvalidInput):
        for assertion in parse_assertions(json.dumps({"assertions": items}), "f"):
            if not assertion.name and len(assertion.text.split()) == 4:
                (again,) = parse_assertions(json.dumps({"assertions": [assertion.text]}), "f")
                assert again.text == assertion.text
