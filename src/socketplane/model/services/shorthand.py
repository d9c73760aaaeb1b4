"""`docker run --label socketplane.io/service=NAME:PORT`: a service without a document."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from socketplane.errors import InvalidInput
from socketplane.model.services.types import ServicePort, ServiceSpec
from socketplane.model.spec import Protocol, Selector

LABEL = "socketplane.io/service"
_FORM = re.compile(r"([a-z](?:[-a-z0-9]{0,61}[a-z0-9])?):([0-9]{1,5})(?:/(tcp|udp|sctp))?")


def read(value: str) -> tuple[str, ServicePort]:
    """Return the service that a container wants to be a backend of, and the port.

    Raises:
        InvalidInput: it can't be understood.
    """
    found = _FORM.fullmatch(value)
    if found is None or not 1 <= int(found[2]) <= 65535:
        message = f"{value[:80]!r} is no NAME:PORT"
        raise InvalidInput(message, field=LABEL, remedy="write for instance web:80, or dns:53/udp")
    return found[1], ServicePort(Protocol(found[3] or "tcp"), int(found[2]), int(found[2]))


def name_of(labels: Mapping[str, str]) -> str | None:
    """Return the name of the service that labels want; None where they want none that can be understood."""
    try:
        return read(labels[LABEL])[0]
    except (KeyError, InvalidInput):
        return None


def spec_of(value: str, *, headless: bool) -> ServiceSpec:
    """Return the service that a label's value means: for all containers that have exactly the same."""
    _, port = read(value)
    return ServiceSpec(Selector.of({LABEL: value}), (port,), headless)


def document_of(network: str, value: str, *, headless: bool) -> str:
    """Return the document that would say the same, in canonical JSON."""
    name, port = read(value)
    spec: dict[str, object] = {
        "selector": {LABEL: value},
        "ports": [{"port": port.port, "protocol": port.protocol.upper()}],
    }
    if headless:
        spec["clusterIP"] = "None"
    metadata = {"name": name, "namespace": network}
    document = {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}
    return json.dumps(document, sort_keys=True, separators=(",", ":"))
