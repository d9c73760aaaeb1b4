"""Service documents: what they mean, and what is refused by name."""

from __future__ import annotations

import json
from copy import deepcopy
from ipaddress import IPv4Address
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from socketplane.errors import InvalidInput, SocketPlaneError, Unsupported
from socketplane.model.documents import parse_documents, parse_services
from socketplane.model.policy import parse, parse_service
from socketplane.model.schemas import schema
from socketplane.model.services.shorthand import document_of, name_of, read, spec_of
from socketplane.model.services.types import Probe, ServicePort
from socketplane.model.spec import Protocol, Selector

SCHEMA = jsonschema_rs.Draft202012Validator(schema("Service"))
BASE: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "web", "namespace": "shop"},
    "spec": {"selector": {"app": "web"}, "ports": [{"port": 80}]},
}


def document(**spec: Any) -> dict[str, Any]:
    return {**BASE, "spec": {**BASE["spec"], **spec}}


def probed(**probe: Any) -> dict[str, Any]:
    return document(readinessProbe=probe)


def test_the_least_and_the_most() -> None:
    least = parse_service(BASE)
    assert (least.title, least.spec.selector) == ("shop/web", Selector.of({"app": "web"}))
    assert least.spec.ports == (ServicePort(Protocol.TCP, 80, 80),)
    assert (least.spec.headless, least.spec.affinity, least.spec.probe, least.spec.address) == (False, None, None, None)
    most = document(
        clusterIP="10.255.240.9",
        type="ClusterIP",
        internalTrafficPolicy="Cluster",
        sessionAffinity="ClientIP",
        sessionAffinityConfig={"clientIP": {"timeoutSeconds": 60}},
        ports=[
            {"name": "http", "port": 80, "targetPort": 8080, "protocol": "TCP"},
            {"name": "dns", "port": 53, "protocol": "UDP"},
        ],
        readinessProbe={
            "httpGet": {"path": "/ready?x=1", "port": 8080, "httpHeaders": [{"name": "Host", "value": "web.example"}]},
            "initialDelaySeconds": 1,
            "periodSeconds": 2,
            "timeoutSeconds": 3,
            "successThreshold": 4,
            "failureThreshold": 5,
        },
    )
    spec = parse_service(most).spec
    assert spec.ports == (ServicePort(Protocol.TCP, 80, 8080, "http"), ServicePort(Protocol.UDP, 53, 53, "dns"))
    assert (spec.address, spec.affinity) == (IPv4Address("10.255.240.9"), 60)
    assert spec.probe == Probe("http", 8080, "/ready?x=1", (("Host", "web.example"),), 1, 2, 3, 4, 5)
    assert parse_service(document(sessionAffinity="ClientIP")).spec.affinity == 10800
    assert parse_service(document(clusterIP="None", ports=[])).spec.headless
    for good in (BASE, most, document(clusterIP="None", ports=[])):
        assert SCHEMA.is_valid(good)


REFUSED = {
    "spec.selector: is missing": document(selector={}),
    "spec.ports: is missing": document(ports=[]),
    "spec.ports[0].port: is missing": document(ports=[{}]),
    "spec.ports[0].targetPort: Docker's images do not name ports": document(ports=[{"port": 80, "targetPort": "http"}]),
    "spec.ports[0].nodePort: is not supported": document(ports=[{"port": 80, "nodePort": 30080}]),
    "spec.ports[1].name: is missing": document(ports=[{"port": 80, "name": "a"}, {"port": 81}]),
    "spec.ports[1]: is there already, in spec.ports[0]": document(
        ports=[{"port": 80, "name": "a"}, {"port": 80, "name": "b"}]
    ),
    "spec.type: NodePort is not supported": document(type="NodePort"),
    "spec.type: LoadBalancer is not supported": document(type="LoadBalancer"),
    "spec.type: ExternalName is not supported": document(type="ExternalName"),
    "spec.externalIPs: is not supported": document(externalIPs=["192.0.2.1"]),
    "spec.externalTrafficPolicy: is not supported": document(externalTrafficPolicy="Local"),
    "spec.internalTrafficPolicy: Local is not supported": document(internalTrafficPolicy="Local"),
    "spec.publishNotReadyAddresses: is not supported": document(publishNotReadyAddresses=True),
    "spec.clusterIP: 'fd00::1' is no IPv4 address": document(clusterIP="fd00::1"),
    "spec.sessionAffinity: unknown affinity 'Cookie'": document(sessionAffinity="Cookie"),
    "spec.sessionAffinity: a headless service": document(clusterIP="None", sessionAffinity="ClientIP"),
    "spec.sessionAffinityConfig.clientIP.timeoutSeconds: has to be a number from 1 to 65535": document(
        sessionAffinity="ClientIP", sessionAffinityConfig={"clientIP": {"timeoutSeconds": 0}}
    ),
    "spec.readinessProbe: has to be one of httpGet and tcpSocket": probed(periodSeconds=1),
    "spec.readinessProbe.exec: is not supported": probed(exec={"command": ["true"]}),
    "spec.readinessProbe.tcpSocket.host: is not supported": probed(tcpSocket={"port": 80, "host": "192.0.2.1"}),
    "spec.readinessProbe.httpGet.scheme: HTTPS is not supported": probed(httpGet={"port": 80, "scheme": "HTTPS"}),
    "spec.readinessProbe.httpGet.path: has to be a path": probed(httpGet={"port": 80, "path": "/a b"}),
    "spec.readinessProbe.httpGet.httpHeaders[0].value: can't be a header's value": probed(
        httpGet={"port": 80, "httpHeaders": [{"name": "X", "value": "a\r\nb"}]}
    ),
    "spec.probe: unknown field": document(probe={}),
    "metadata.name: 'Web' can't be a service's name": {**BASE, "metadata": {"name": "Web", "namespace": "shop"}},
    "metadata.namespace: is missing": {**BASE, "metadata": {"name": "web"}},
    "kind: a NetworkPolicy is not taken here": {**BASE, "kind": "NetworkPolicy"},
}


@pytest.mark.parametrize("words", REFUSED)
def test_what_is_refused_and_how(words: str) -> None:
    with pytest.raises((InvalidInput, Unsupported)) as error:
        parse_service(REFUSED[words])
    assert str(error.value).startswith(words)


def test_each_command_takes_its_own_documents() -> None:
    with pytest.raises(Unsupported, match=r"kind: a Service is not taken here; apply it with `socketplane service apply`"):
        parse(BASE)
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": [{**BASE, "status": {"loadBalancer": {}}}]})
    (found,) = parse_services(text, "f")
    assert (found.title, found.left_out) == ("shop/web", ("status",))
    with pytest.raises(InvalidInput, match="service shop/web is already in f, document 1"):
        parse_services(f"{json.dumps(BASE)}\n---\n{json.dumps(BASE)}", "f")
    with pytest.raises(Unsupported, match=r"f, items\[0\]|apply it with"):
        parse_documents(text, "f")


WORDS = "selector ports port name protocol clusterIP None TCP readinessProbe httpGet path tcpSocket"
_words = st.sampled_from(WORDS.split())
_values = st.recursive(
    st.none() | st.booleans() | st.integers(-1, 70000) | _words | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_words, inner, max_size=4),
    max_leaves=12,
)


@given(_words, _values)
def test_any_value_is_read_or_refused_and_what_is_read_fits_the_schema(field: str, value: Any) -> None:
    changed = deepcopy(BASE)
    changed["spec"][field] = value
    try:
        parse_service(changed)
    except SocketPlaneError as error:
        assert error.field
    else:
        assert SCHEMA.is_valid(changed)


@pytest.mark.parametrize(
    "text", ["", "web", "web:", ":80", "web:0", "web:70000", "Web:80", "web:80/icmp", "web:80 ", "web:http"]
)
def test_a_label_that_can_t_be_understood(text: str) -> None:
    with pytest.raises(InvalidInput, match="is no NAME:PORT"):
        read(text)
    assert name_of({"socketplane.io/service": text}) is None


def test_a_label_means_what_its_document_says() -> None:
    for value, headless in (("web:80", False), ("dns:53/udp", True)):
        assert parse_service(json.loads(document_of("shop", value, headless=headless))).spec == spec_of(
            value, headless=headless
        )
