"""What is under `spec` of a Service (v1): Kubernetes' form where it fits, and a `readinessProbe` as its containers have."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from ipaddress import IPv4Address
from typing import Any

from socketplane.errors import InvalidInput, Unsupported
from socketplane.model.fields import Fields, choice, number, text, texts
from socketplane.model.parts import port
from socketplane.model.services.types import Probe, ServicePort, ServiceSpec
from socketplane.model.spec import Protocol, Selector

MAX_PORTS = 64
MAX_AFFINITY = 65535
"""Seconds: OVN has no room for more."""
AFFINITY = 10800
"""Seconds, where the document doesn't say it: Kubernetes' default."""
MAX_SECONDS = 3600
HEADLESS = "None"
_PROTOCOLS = {protocol.upper(): protocol for protocol in Protocol}
_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,13}[a-z0-9])?")
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")
_ONE_KIND = "remove it: a service here has an address inside the cluster, which all its hosts reach, too"
_FAMILIES = "remove it: a service has IPv6 where its network has it"
_OUTSIDE = "remove it; `docker run -p` publishes a container's port to the outside"
_REFUSED = {
    "externalName": "remove it: names outside are those of the hosts' name servers",
    **dict.fromkeys(("externalIPs", "loadBalancerIP", "loadBalancerClass", "externalTrafficPolicy"), _OUTSIDE),
    **dict.fromkeys(("loadBalancerSourceRanges", "allocateLoadBalancerNodePorts", "healthCheckNodePort"), _OUTSIDE),
    **dict.fromkeys(("clusterIPs", "ipFamilies", "ipFamilyPolicy"), _FAMILIES),
    "publishNotReadyAddresses": "remove it: only what is ready is a backend",
    "trafficDistribution": "remove it: backends of all hosts are alike",
}


def read(value: Any, annotations: Mapping[str, str]) -> ServiceSpec:
    """Return the meaning of a Service's spec."""
    for key in annotations:
        if key.startswith("socketplane.io/"):
            path = f"metadata.annotations[{key}]"
            raise Unsupported("is not for a Service", field=path, remedy="remove it")
    fields = Fields(value, "spec")
    selector = _selector(fields)
    ports = tuple(_ports(fields))
    address, headless = _address(fields)
    affinity = _affinity(fields)
    given = fields.take("readinessProbe")
    probe = None if given is None else _probe(given, "spec.readinessProbe")
    _type(fields)
    fields.refuse(**_REFUSED)
    fields.finish(matchLabels="selector", probe="readinessProbe", livenessProbe="readinessProbe", clusterIp="clusterIP")
    if headless and affinity is not None:
        remedy = "remove it, or give the service an address"
        raise InvalidInput("a headless service chooses no backend", field="spec.sessionAffinity", remedy=remedy)
    if not ports and not headless:
        raise InvalidInput("is missing", field="spec.ports", remedy="write at least one: ports: [{port: 80}]")
    return ServiceSpec(selector, ports, headless, affinity, probe, address)


def _selector(fields: Fields) -> Selector:
    labels = texts(fields.take("selector"), fields.at("selector"))
    if not labels:
        remedy = "name labels of the containers that are to answer: selector: {app: web}"
        raise InvalidInput("is missing", field=fields.at("selector"), remedy=remedy)
    if "" in labels:
        raise InvalidInput("a label's key can't be empty", field=fields.at("selector"))
    return Selector.of(labels)


def _ports(fields: Fields) -> Iterator[ServicePort]:
    seen: dict[object, str] = {}
    given = list(fields.items("ports") or ())
    if len(given) > MAX_PORTS:
        raise InvalidInput(f"has more than {MAX_PORTS} ports", field=fields.at("ports"), remedy="make several services")
    for value, path in given:
        found = _port(value, path)
        if not found.name and len(given) > 1:
            raise InvalidInput("is missing", field=f"{path}.name", remedy="of several ports, each needs a name")
        for key in [(found.protocol, found.port), *([found.name] if found.name else [])]:
            if key in seen:
                raise InvalidInput(f"is there already, in {seen[key]}", field=path, remedy="leave one out")
            seen[key] = path
        yield found


def _port(value: object, path: str) -> ServicePort:
    fields = Fields(value, path)
    found = port(fields.required("port", "write the number that clients connect to"), fields.at("port"))
    target = fields.take("targetPort")
    given = fields.take("protocol")
    name = fields.take("name")
    fields.refuse(nodePort="remove it: hosts answer at published ports (`docker run -p`) and not for services")
    fields.refuse(appProtocol="remove it: what is spoken matters to nobody here")
    fields.finish(containerPort="targetPort", target="targetPort")
    protocol = Protocol.TCP if given is None else _PROTOCOLS[choice(given, fields.at("protocol"), "protocol", _PROTOCOLS)]
    called = "" if name is None else text(name, fields.at("name"))
    if name is not None and not _NAME.fullmatch(called):
        remedy = "use up to 15 small letters, digits and dashes"
        raise InvalidInput(f"{called[:40]!r} can't be a port's name", field=fields.at("name"), remedy=remedy)
    return ServicePort(protocol, found, found if target is None else port(target, fields.at("targetPort")), called)


def _address(fields: Fields) -> tuple[IPv4Address | None, bool]:
    value = fields.take("clusterIP")
    if value is None or value == "":
        return None, False
    path = fields.at("clusterIP")
    given = text(value, path)
    if given == HEADLESS:
        return None, True
    try:
        return IPv4Address(given), False
    except ValueError:
        remedy = "write an IPv4 address of the cluster's range for services, None, or leave it out"
        raise InvalidInput(f"{given[:60]!r} is no IPv4 address", field=path, remedy=remedy) from None


def _affinity(fields: Fields) -> int | None:
    kind, config = fields.take("sessionAffinity"), fields.take("sessionAffinityConfig")
    chosen = HEADLESS if kind is None else choice(kind, fields.at("sessionAffinity"), "affinity", ("ClientIP", HEADLESS))
    if chosen == HEADLESS:
        if config is not None:
            remedy = "remove it, or write sessionAffinity: ClientIP"
            raise InvalidInput("is of no use without affinity", field=fields.at("sessionAffinityConfig"), remedy=remedy)
        return None
    inner = Fields({} if config is None else config, fields.at("sessionAffinityConfig"))
    client = inner.take("clientIP")
    inner.finish()
    limits = Fields({} if client is None else client, inner.at("clientIP"))
    seconds = limits.take("timeoutSeconds")
    limits.finish(timeout="timeoutSeconds")
    return AFFINITY if seconds is None else number(seconds, limits.at("timeoutSeconds"), 1, MAX_AFFINITY)


def _type(fields: Fields) -> None:
    kind, traffic = fields.take("type"), fields.take("internalTrafficPolicy")
    if kind is not None:
        found = choice(kind, fields.at("type"), "type", ("ClusterIP", "NodePort", "LoadBalancer", "ExternalName"))
        if found != "ClusterIP":
            raise Unsupported(f"{found} is not supported", field=fields.at("type"), remedy=_ONE_KIND)
    if traffic is not None:
        found = choice(traffic, fields.at("internalTrafficPolicy"), "policy", ("Cluster", "Local"))
        if found != "Cluster":
            path, remedy = fields.at("internalTrafficPolicy"), "remove it: backends of all hosts are alike"
            raise Unsupported(f"{found} is not supported", field=path, remedy=remedy)


def _probe(value: object, path: str) -> Probe:
    fields = Fields(value, path)
    http, tcp = fields.take("httpGet"), fields.take("tcpSocket")
    bounds = {
        "delay": ("initialDelaySeconds", 0, 0, MAX_SECONDS),
        "period": ("periodSeconds", 10, 1, MAX_SECONDS),
        "timeout": ("timeoutSeconds", 1, 1, 60),
        "successes": ("successThreshold", 1, 1, 100),
        "failures": ("failureThreshold", 3, 1, 100),
    }
    found: dict[str, Any] = {}
    for key, (name, default, low, high) in bounds.items():
        given = fields.take(name)
        found[key] = default if given is None else number(given, fields.at(name), low, high)
    fields.refuse(exec="write Docker's HEALTHCHECK instead: it runs a command in the container")
    fields.refuse(grpc="use tcpSocket, or Docker's HEALTHCHECK")
    fields.refuse(terminationGracePeriodSeconds="remove it: a container is not stopped for not being ready")
    fields.finish(http="httpGet", tcp="tcpSocket")
    if (http is None) == (tcp is None):
        raise InvalidInput("has to be one of httpGet and tcpSocket", field=path, remedy="write one of them")
    if tcp is not None:
        inner = Fields(tcp, fields.at("tcpSocket"))
        where = port(inner.required("port", "write the container's port"), inner.at("port"))
        inner.refuse(host="remove it: the container itself is asked")
        inner.finish()
        return Probe("tcp", where, **found)
    return _http(Fields(http, fields.at("httpGet")), found)


def _http(fields: Fields, found: dict[str, Any]) -> Probe:
    where = port(fields.required("port", "write the container's port"), fields.at("port"))
    given, scheme = fields.take("path"), fields.take("scheme")
    path = "/" if given is None else text(given, fields.at("path"))
    headers = tuple(_header(item, at) for item, at in fields.items("httpHeaders") or ())
    fields.refuse(host="remove it: the container itself is asked; httpHeaders may set Host")
    fields.finish(headers="httpHeaders")
    if scheme is not None and choice(scheme, fields.at("scheme"), "scheme", ("HTTP", "HTTPS")) == "HTTPS":
        raise Unsupported("HTTPS is not supported", field=fields.at("scheme"), remedy="use tcpSocket, or HTTP")
    if not path.startswith("/") or len(path) > 2000 or not path.isascii() or not path.isprintable() or " " in path:
        raise InvalidInput("has to be a path of a URL", field=fields.at("path"), remedy="begin it with /, without blanks")
    return Probe("http", where, path, headers, **found)


def _header(value: object, path: str) -> tuple[str, str]:
    fields = Fields(value, path)
    name = text(fields.required("name", "name the header"), fields.at("name"))
    content = text(fields.required("value", "write its value"), fields.at("value"))
    fields.finish()
    if not _HEADER.fullmatch(name):
        raise InvalidInput(f"{name[:40]!r} can't be a header's name", field=fields.at("name"))
    if len(content) > 1000 or not content.isascii() or not content.isprintable():
        raise InvalidInput("can't be a header's value", field=fields.at("value"), remedy="use up to 1000 printable letters")
    return name, content
