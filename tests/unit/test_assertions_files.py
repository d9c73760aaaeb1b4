"""Test files of policies: both forms of an assertion, and errors that name the place."""

from __future__ import annotations

import json

import jsonschema_rs
import pytest
import yaml

from socketplane.errors import InvalidInput
from socketplane.model.assertions import Assertion, parse_assertions
from socketplane.model.schemas import policy_test

SCHEMA = jsonschema_rs.Draft202012Validator(policy_test.schema())


def one(text: str) -> Assertion:
    (found,) = parse_assertions(f"assertions: [{text}]", "t.yaml")
    SCHEMA.validate(yaml.safe_load(f"assertions: [{text}]"))
    return found


@pytest.mark.parametrize(
    ("text", "source", "target", "service", "allow"),
    [
        ("web -> db:5432 deny", "web", "db", "5432/tcp", False),
        ("web → db:5432 deny", "web", "db", "5432/tcp", False),
        ("  web->db:53/udp   allow ", "web", "db", "53/udp", True),
        ("shop_default/web -> shop_default/db:9/SCTP allow", "shop_default/web", "shop_default/db", "9/sctp", True),
        ("app=web,tier=a -> back/app=db:icmp deny", "app=web,tier=a", "back/app=db", "icmp", False),
        ("web -> db deny", "web", "db", "", False),
        ("web -> db:udp allow", "web", "db", "udp", True),
        ("image=a:b -> image=c:latest deny", "image=a:b", "image=c:latest", "", False),
        ("192.0.2.7 -> web:80 allow", "192.0.2.7", "web", "80/tcp", True),
    ],
)
def test_the_short_form(text: str, source: str, target: str, service: str, allow: bool) -> None:
    found = one(f'"{text}"')
    assert (found.source, found.target, found.service, found.allow) == (source, target, service, allow)
    assert one(f'"{found.text}"') == found


@pytest.mark.parametrize(
    ("text", "short"),
    [
        ("{from: web, to: db, port: 5432, expect: deny}", "web -> db:5432/tcp deny"),
        ('{from: web, to: db, port: "53", protocol: udp, expect: allow, name: Names}', "web -> db:53/udp allow"),
        ("{from: web, to: app=db, protocol: icmp, expect: deny}", "web -> app=db:icmp deny"),
        ("{from: web, to: db, expect: deny}", "web -> db deny"),
    ],
)
def test_the_mapping(text: str, short: str) -> None:
    found = one(text)
    assert found.text == short
    assert found.title == ("Names" if "Names" in text else short)


def test_where_an_assertion_stands() -> None:
    text = "assertions:\n  - web -> db deny\n\n  - from: web\n    to: db\n    expect: allow\n"
    assert [(item.filename, item.line) for item in parse_assertions(text, "t.yaml")] == [("t.yaml", 2), ("t.yaml", 4)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "t.yaml: has to be one document, not 0; start it with assertions: and a list"),
        ("a: 1\n---\nb: 1", "not 2"),
        ("[web -> db deny]", "t.yaml, line 1: a test file has to be a mapping, not a list; start it"),
        ("assertions: []", "assertions: t.yaml, line 1: there are none"),
        ("assertons: [a]", "assertons: t.yaml, line 1: unknown field; did you mean assertions?"),
        ("assertions:\n- web db deny", "assertions[0]: t.yaml, line 2: 'web db deny' is no assertion; write FROM -> TO"),
        ("assertions:\n- web -> db:5432", "is no assertion"),
        ("assertions:\n- web -> db denied", "'denied' is no expectation; did you mean deny?"),
        ("assertions:\n- web -> db:0 deny", "'0' is no port; write a number from 1 to 65535"),
        ("assertions:\n- web -> db:99999 deny", "'99999' is no port"),
        ("assertions:\n- web -> db:53/utp deny", "unknown protocol 'utp'; did you mean udp?"),
        ("assertions:\n- web -> db:53/icmp deny", "icmp has no ports"),
        ("assertions:\n- 3", "assertions[0]: t.yaml, line 2: has to be a mapping, not the number 3"),
        ("assertions:\n- {from: a, to: b}", "assertions[0].expect: t.yaml, line 2: is missing; write allow or deny"),
        ("assertions:\n- {to: b, expect: deny}", "assertions[0].from: t.yaml, line 2: is missing"),
        ("assertions:\n- {from: a b, to: b, expect: deny}", "'a b' names nobody; write it without blanks"),
        (
            "assertions:\n- from: a\n  to: b\n  port: x\n  expect: deny",
            "assertions[0].port: t.yaml, line 4: 'x' is no port",
        ),
        ("assertions:\n- {from: a, to: b, expect: true}", "has to be text, not the boolean true"),
        ("assertions:\n- {from: a, to: b, expect: deny, prot: tcp}", "unknown field"),
        ("assertions:\n- {from: a, to: b, expect: deny, protocol: icmp, port: 1}", "icmp has no ports"),
        ("assertions: [" + "a, " * 10001 + "]", "there are more than 10000; split the file"),
    ],
)
def test_what_is_refused(text: str, message: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_assertions(text, "t.yaml")
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "item", ["web db deny", "web -> db:5432", "web -> db denied", "{from: a, to: b}", "{to: b, expect: deny}", "3", "''"]
)
def test_the_schema_refuses_it_too(item: str) -> None:
    text = f"assertions: [{item}]"
    with pytest.raises(InvalidInput):
        parse_assertions(text, "t.yaml")
    assert not SCHEMA.is_valid(yaml.safe_load(text))


@pytest.mark.parametrize(
    "change",
    [
        *({"port": port} for port in ("x", 0, 65536, 1.5)),
        *({"protocol": "ip"}, {"expect": True}, {"prot": "tcp"}, {"from": "a b"}, {"from": ""}, {"name": 3}),
    ],
)
def test_the_schema_refuses_the_field_too(change: dict[str, object]) -> None:
    item = {"from": "a", "to": "b", "expect": "deny"}
    SCHEMA.validate({"assertions": [item]})
    document = {"assertions": [item | change]}
    with pytest.raises(InvalidInput):
        parse_assertions(json.dumps(document), "t.yaml")
    assert not SCHEMA.is_valid(document)
