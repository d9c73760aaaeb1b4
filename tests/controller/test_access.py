"""Who may call what; bad requests; the shape of every error."""

import asyncio
import json
import re
from ipaddress import IPv4Address
from uuid import uuid4

import pytest

from socketplane.controller.api.app import make_routes
from socketplane.controller.api.gate import BODY_LIMIT
from socketplane.controller.api.metrics import Metrics
from socketplane.controller.api.rights import RULES, Right
from socketplane.errors import AddressInUse, Conflict, Forbidden, InvalidInput, NotFound, SocketPlaneError, Unauthenticated
from socketplane.model.types import mac_of
from socketplane.transport import tls
from socketplane.transport.client import ControllerClient
from support.steps import attach, endpoint_id, lease

READS = [
    "/v1/status",
    "/v1/hosts",
    "/v1/networks",
    "/v1/leases",
    "/v1/endpoints",
    "/v1/policies",
    "/metrics",
    "/openapi.json",
]


async def raw(path, method, target, body=b"", headers=()):
    """Send bytes as they are; return status and body."""
    reader, writer = await asyncio.open_unix_connection(str(path))
    lines = [f"{method} {target} HTTP/1.1", "host: x", f"content-length: {len(body)}", *headers]
    writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    length = int(head.partition("content-length: ")[2].partition("\r\n")[0])
    content = await reader.readexactly(length)
    writer.close()
    return int(head.split()[1]), content


def test_every_call_has_its_right():
    paths = make_routes(Metrics(None)).openapi()["paths"]
    calls = {(method.upper(), path) for path, methods in paths.items() for method in methods}
    assert {*calls, ("GET", "/openapi.json")} == {(rule.method, rule.path) for rule in RULES}


async def test_strangers_get_nothing(world):
    stranger = ControllerClient(([f"127.0.0.1:{world.port}"], tls.unverified_context()))
    async with stranger:
        assert (await stranger.call("GET", "/v1/version"))["api"] == "v1"
        assert (await stranger.call("GET", "/v1/ca")).startswith("-----BEGIN CERTIFICATE")
        for rule in RULES:
            if rule.right is not Right.ANYONE:
                with pytest.raises(Unauthenticated, match="a certificate of the cluster is needed"):
                    await stranger.call(rule.method, rule.path)


async def test_hosts_may_read_and_not_rule(world):
    for path in READS:
        assert await world.h1.call("GET", path)
    for rule in RULES:
        if rule.right is Right.ADMIN:
            with pytest.raises(Forbidden, match="only an administrator may do this"):
                await world.h1.call(rule.method, rule.path, {})


async def test_no_path_leads_around_the_rights(world):
    """Starlette's patterns end in `$`, which lets a final line feed pass: `POST /v1/tokens%0A` was a way to a token."""
    for rule in RULES:
        plain = re.sub(r"{\w+}", "x", rule.path)
        for path in (f"{plain}%0A", f"{plain}/", f"/{plain}", f"{plain}%20"):
            with pytest.raises(SocketPlaneError) as refused:
                await world.h1.call(rule.method, path, {})
            # Where the path ends in a variable part, all of it is taken for that.
            assert "there is no call" in str(refused.value) or (
                rule.path.endswith("}") and rule.right is not Right.ANYONE
            ), path
            if rule.right is Right.ADMIN:
                assert isinstance(refused.value, Forbidden | NotFound), path
    assert (await world.admin.call("GET", "/v1/tokens"))["items"] == []


async def test_a_host_changes_only_what_is_its_own(world):
    made = await attach(world.h1, world.web, 1)
    body = {key: made[key] for key in ("network", "address", "mac")}
    path = f"/v1/endpoints/{made['id']}"
    with pytest.raises(Forbidden, match="is on host h1"):
        await world.h2.call("PUT", path, body)
    with pytest.raises(Forbidden, match="is on host h1"):
        await world.h2.call("DELETE", path)
    with pytest.raises(Conflict, match=r"host h2 holds no lease of 10\.192\.0\.2 on network web"):
        await world.h2.call("PUT", f"/v1/endpoints/{endpoint_id(2)}", body)
    with pytest.raises(Forbidden, match="only a host may do this"):
        await world.admin.call("PUT", path, body)
    bulk = await world.h2.call("POST", "/v1/endpoints", {"delete": [made["id"]], "put": [{**body, "id": endpoint_id(3)}]})
    assert {error["code"] for error in bulk["errors"].values()} == {"forbidden", "conflict"}
    assert (await world.h1.call("GET", path))["host"] == "h1"


async def test_an_endpoint_that_can_not_be(world):
    made = await attach(world.h1, world.web, 1, name="web1")
    held = await lease(world.h1, world.web, "r2")
    good = {"network": world.web["id"], "address": held["address"], "mac": "02:00:00:00:00:02"}
    for change, kind, message in (
        ({"mac": "01:00:5e:00:00:01"}, InvalidInput, "mac: .* is a group address"),
        ({"mac": "02:00:00:00:00"}, InvalidInput, "mac: "),
        ({"mac": "00:00:00:00:00:00"}, InvalidInput, "mac: no interface can have it"),
        ({"mac": mac_of(IPv4Address(world.web["gateway"]))}, InvalidInput, "mac: .* belongs to another address"),
        ({"mac": made["mac"]}, AddressInUse, "mac: .* belongs to web1"),
        ({"address": made["address"]}, AddressInUse, f"address: endpoint {made['id']} has"),
        ({"address": "10.192.0.9"}, Conflict, "address: host h1 holds no lease"),
        ({"network": str(uuid4())}, NotFound, "network: no network"),
        ({"network": "web"}, InvalidInput, "network: "),
        ({"lables": {}}, InvalidInput, "lables: there is no such field"),
    ):
        with pytest.raises(kind, match=message):
            await world.h1.call("PUT", f"/v1/endpoints/{endpoint_id(2)}", {**good, **change})
    for bad in ("short", "g" * 64, "0" * 65):
        with pytest.raises(InvalidInput, match="id: an endpoint's id has 16 to 64 hex digits"):
            await world.h1.call("PUT", f"/v1/endpoints/{bad}", good)
    with pytest.raises(NotFound, match="no endpoint"):
        await world.h1.call("GET", f"/v1/endpoints/{endpoint_id(7)}")


async def test_odd_labels_are_kept(world):
    labels = {"": "empty key", "a b": "spaces\nand lines", "ünï/çode": "😀", "x" * 300: "long", "nul": "a\0b"}
    made = await attach(world.h1, world.web, 1, labels=labels)
    assert made["labels"] == {**labels, "nul": "a\ufffdb"}
    assert world.active.store.committed.endpoints[made["id"]].labels == made["labels"]


async def test_bulk_does_what_can_be_done(world):
    held = [await lease(world.h1, world.web, f"r{n}") for n in range(3)]
    put = [
        {"id": endpoint_id(n), "network": world.web["id"], "address": one["address"], "mac": f"02:00:00:00:00:0{n}"}
        for n, one in enumerate(held)
    ]
    put.append({**put[0], "id": endpoint_id(8), "mac": "02:00:00:00:00:08"})
    reply = await world.h1.call("POST", "/v1/endpoints", {"put": put})
    assert list(reply["errors"]) == [endpoint_id(8)]
    assert reply["errors"][endpoint_id(8)]["code"] == "address_in_use"
    assert len(world.active.store.committed.endpoints) == 3
    gone = {"delete": [endpoint_id(0), endpoint_id(1), endpoint_id(5)], "release": True}
    assert (await world.h1.call("POST", "/v1/endpoints", gone))["errors"] == {}
    assert list(world.active.store.committed.endpoints) == [endpoint_id(2)]
    assert len((await world.h1.call("GET", "/v1/leases", params={"host": "h1"}))["items"]) == 1


async def test_endpoints_are_found_by_network_host_and_label(world):
    other = await world.admin.call("POST", "/v1/networks", {"name": "db"})
    await attach(world.h1, world.web, 1, labels={"app": "a", "tier": "x"})
    await attach(world.h2, world.web, 2, labels={"app": "a"})
    await attach(world.h2, other, 3, labels={"app": "b"})

    async def found(**params):
        answer = await world.admin.call("GET", "/v1/endpoints", params=params)
        return [int(endpoint["id"], 16) for endpoint in answer["items"]]

    assert await found() == [1, 2, 3]
    assert await found(network="web") == [1, 2]
    assert await found(network="web", host="h2") == [2]
    assert await found(label="app=a") == [1, 2]
    assert await found(label=["app=a", "tier=x"]) == [1]
    for params, message in (
        ({"label": "app"}, "not key=value"),
        ({"host": "h9"}, "no host h9"),
        ({"network": "x"}, "no network x"),
    ):
        with pytest.raises(SocketPlaneError, match=message):
            await found(**params)


BAD = [
    ("POST", "/v1/networks", b"", 400, "no body"),
    ("POST", "/v1/networks", b"{", 400, "invalid JSON"),
    ("POST", "/v1/networks", b"[]", 400, "object"),
    ("POST", "/v1/networks", b'"\xff"', 400, ""),
    ("POST", "/v1/policies", b"", 400, "no body"),
    ("POST", "/v1/policies", b"{", 400, "invalid JSON"),
    ("POST", "/v1/policies", b'{"documents": []}', 400, "at least 1 item"),
    ("POST", "/v1/policies", b"[" * 100_000, 400, ""),
    ("POST", "/v1/networks", b"[" * 100_000, 400, ""),
    ("GET", "/v1/nope", b"", 404, "there is no call GET /v1/nope"),
    ("POST", "/v1/status", b"", 400, "there is no call POST /v1/status"),
    ("GET", "/v1/explain?src=a", b"", 400, "field required"),
    ("GET", "/v1/explain?src=a&dst=b&port=70000", b"", 400, "less than or equal to 65535"),
    ("GET", "/v1/explain?src=a&dst=b", b"", 404, "no container 'a' is attached"),
    ("DELETE", "/v1/hosts/h1?force=perhaps", b"", 400, "boolean"),
]


async def test_bad_requests_have_their_answer(world):
    for method, target, body, status, message in BAD:
        got, content = await raw(world.unix, method, target, body, ["content-type: application/json"])
        error = json.loads(content)["error"]
        assert (got, set(error)) == (status, {"code", "message", "field", "remedy"}), target
        assert message in error["message"] + str(error["field"])


async def test_a_body_that_is_too_large_is_not_read(world):
    status, content = await raw(world.unix, "POST", "/v1/policies", b" " * (BODY_LIMIT + 1))
    assert (status, json.loads(content)["error"]["message"]) == (413, "the body is larger than 4 MiB")
    reader, writer = await asyncio.open_unix_connection(str(world.unix))
    writer.write(b"POST /v1/policies HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n")
    for _ in range(5):
        writer.write(b"100000\r\n" + b" " * 0x100000 + b"\r\n")
    assert b" 413 " in await reader.readline()
    writer.close()


async def test_metrics_and_openapi(world):
    await attach(world.h1, world.web, 1)
    text = await world.h1.call("GET", "/metrics")
    assert "socketplane_endpoints 1.0" in text
    assert 'socketplane_requests_total{method="PUT",status="200"}' in text
    document = await world.h1.call("GET", "/openapi.json")
    assert set(document["paths"]) == {rule.path for rule in RULES} - {"/openapi.json"}
    body = document["paths"]["/v1/endpoints/{endpoint}"]["put"]["requestBody"]["content"]["application/json"]["schema"]
    assert body["$ref"].rpartition("/")[2] in document["components"]["schemas"]
