"""Services through the API: documents, labels, readiness, names of what is wrong; and what outlives a controller."""

import asyncio

import pytest

from socketplane.errors import Conflict, Forbidden, InvalidInput, NotFound, Unsupported
from socketplane.ovsdb import Client, insert
from support import controller as support
from support.steps import attach, endpoint_id

LABEL = "socketplane.io/service"


def document(name="shop", namespace="web", **spec):
    metadata = {"name": name, "namespace": namespace}
    body = {"selector": {"app": "shop"}, "ports": [{"port": 80, "targetPort": 8080}], **spec}
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": body}


async def apply(world, *documents):
    return await world.admin.call("POST", "/v1/services", {"documents": list(documents)})


async def shown(world, name="shop", network="web"):
    return await world.admin.call("GET", f"/v1/services/{network}/{name}")


async def tell(client, host, number, **conditions):
    await client.call("POST", f"/v1/hosts/{host}/conditions", {"items": {endpoint_id(number): conditions}})


def balancers(world):
    rows = world.active.reconciler.northbound.replica["Load_Balancer"].values()
    return {row["name"]: row["vips"] for row in rows if row["name"].startswith("sp-service-")}


async def alarms(world):
    return (await world.admin.call("GET", "/v1/status"))["alarms"]


async def test_a_service_from_its_document_to_its_backends_and_its_end(world):
    told = await apply(world, document())
    (item,) = told["items"]
    assert (item["change"], item["address"][:7]) == ("created", "10.255.")
    assert told["warnings"] == ["web/shop selects no container: app=shop"]
    first = await attach(world.h1, world.web, 1, labels={"app": "shop"}, name="shop-1")
    second = await attach(world.h2, world.web, 2, labels={"app": "shop"}, name="shop-2")
    service = await shown(world)
    assert [(each["name"], each["ready"]) for each in service["backends"]] == [("shop-1", False), ("shop-2", False)]
    assert service["problem"] == "none of 2 containers is ready"
    await tell(world.h1, "h1", 1, container="running")
    await tell(world.h2, "h2", 2, container="running", health="starting")
    service = await shown(world)
    assert [each["reason"] for each in service["backends"]] == ["", "Docker's HEALTHCHECK says starting"]
    for ready in ("yes", "no"):
        line = f'socketplane_service_backends{{network="web",ready="{ready}",service="shop"}} 1.0'
        assert line in await world.admin.call("GET", "/metrics")
    vip = f"{item['address']}:80"
    await world.until(lambda: balancers(world) == {"sp-service-web-shop-tcp": {vip: f"{first['address']}:8080"}})
    await tell(world.h2, "h2", 2, container="running", health="healthy")
    await world.until(lambda: balancers(world)["sp-service-web-shop-tcp"][vip].count(second["address"]))
    assert (await apply(world, document()))["items"][0]["change"] == "unchanged"
    told = await apply(world, document(ports=[{"port": 81, "targetPort": 8080}]))
    assert (told["items"][0]["change"], told["items"][0]["address"]) == ("configured", item["address"])
    await world.admin.call("DELETE", "/v1/services/web/shop")
    assert balancers(world) == {}
    with pytest.raises(NotFound):
        await shown(world)


async def test_drained_means_out_and_can_be_ended(world):
    await apply(world, document())
    await attach(world.h1, world.web, 1, labels={"app": "shop"})
    await tell(world.h1, "h1", 1, container="running")
    assert (await shown(world))["ready"] == 1
    async with Client([world.databases.northbound.remote], "OVN_Northbound") as client:
        await client.transact(insert("NB_Global", {"nb_cfg": 7}))
    await world.until(lambda: world.active.reconciler.northbound.count == 7)
    told = await world.admin.call("PUT", f"/v1/endpoints/{endpoint_id(1)}/drain", {"draining": True})
    assert told["sequence"] == 8
    assert "drained" in (await shown(world))["backends"][0]["reason"]
    await tell(world.h1, "h1", 1, container="running", health="healthy")
    assert (await shown(world))["ready"] == 0, "its agent does not end it"
    await world.admin.call("PUT", f"/v1/endpoints/{endpoint_id(1)}/drain", {"draining": False})
    assert (await shown(world))["ready"] == 1
    with pytest.raises(NotFound):
        await world.admin.call("PUT", f"/v1/endpoints/{endpoint_id(9)}/drain", {"draining": True})


async def test_what_is_wrong_is_refused_and_changes_nothing(world):
    await world.admin.call("POST", "/v1/networks", {"name": "closed", "internal": True})
    await apply(world, document("first", clusterIP="10.255.240.9"))
    for wrong, error, words in (
        (document("other", clusterIP="10.255.240.9"), Conflict, r"10\.255\.240\.9 is another service's"),
        (document("other", clusterIP="10.192.0.9"), InvalidInput, "not in the range for services"),
        (document(namespace="closed"), Conflict, "internal"),
        (document("other", ports=[]), InvalidInput, r"documents\[1\]\.spec\.ports"),
        (document("other", type="NodePort"), Unsupported, "NodePort"),
        (document("good"), InvalidInput, "twice"),
    ):
        with pytest.raises(error, match=words):
            await apply(world, document("good"), wrong)
    assert [each["name"] for each in (await world.admin.call("GET", "/v1/services"))["items"]] == ["first"]
    told = await apply(world, document(namespace="closed", clusterIP="None", ports=[]), document("early", "later"))
    assert [item["network_exists"] for item in told["items"]] == [True, False]
    assert (await shown(world, "early", "later"))["problem"] == "there is no network later"
    for client in (world.h1, world.h2):
        with pytest.raises(Forbidden):
            await client.call("POST", "/v1/services", {"documents": [document()]})
    with pytest.raises(Forbidden):
        await world.h1.call("POST", "/v1/hosts/h2/conditions", {"items": {}})


async def test_a_host_tells_of_its_own_containers_only(world):
    await apply(world, document())
    await attach(world.h1, world.web, 1, labels={"app": "shop"})
    await tell(world.h2, "h2", 1, container="running")
    await tell(world.h1, "h1", 7, container="running")
    assert (await shown(world))["ready"] == 0


async def test_labels_make_a_service_that_goes_with_the_last_container(world):
    await attach(world.h1, world.web, 1, labels={LABEL: "api:80"}, name="one")
    await attach(world.h2, world.web, 2, labels={LABEL: "api:80"}, name="two")
    service = await shown(world, "api")
    assert (service["source"], service["ports"][0]["port"], len(service["backends"])) == ("label", 80, 2)
    assert await alarms(world) == []
    with pytest.raises(Conflict, match="goes with the last"):
        await world.admin.call("DELETE", "/v1/services/web/api")
    await attach(world.h2, world.web, 3, labels={LABEL: "api:81"}, name="three")
    await attach(world.h2, world.web, 4, labels={LABEL: "api"}, name="four")
    assert await alarms(world) == [
        f"container four: label {LABEL}: {LABEL}: 'api' is no NAME:PORT; write for instance web:80, or dns:53/udp",
        f"container three: label {LABEL}: api:81 is not what the oldest container of the service says (api:80), "
        "so this one is no backend",
    ]
    await world.h1.call("DELETE", f"/v1/endpoints/{endpoint_id(1)}")
    await world.h2.call("DELETE", f"/v1/endpoints/{endpoint_id(2)}")
    assert (await shown(world, "api"))["ports"][0]["port"] == 81, "the oldest that is left"
    await world.h2.call("DELETE", f"/v1/endpoints/{endpoint_id(3)}")
    with pytest.raises(NotFound):
        await shown(world, "api")
    await attach(world.h1, world.web, 5, labels={LABEL: "api:80"})
    assert (await shown(world, "api"))["address"] == service["address"], "it comes back with its address"


async def test_a_document_comes_before_labels_and_leaves_to_them(world):
    await attach(world.h1, world.web, 1, labels={LABEL: "shop:80"}, name="one")
    address = (await shown(world))["address"]
    await apply(world, document())
    service = await shown(world)
    assert (service["source"], service["address"], service["backends"]) == ("document", address, [])
    assert await alarms(world) == [
        f"container one: label {LABEL}: a document describes service web/shop, and does not select this container"
    ]
    await world.admin.call("DELETE", "/v1/services/web/shop")
    assert (await shown(world))["source"] == "label"


async def test_hosts_are_told_the_probes_of_their_own_containers(world, lines):
    async def news():
        while (change := await lines()).kind != "checks":
            pass
        return {
            int(key, 16): [(check.service, check.kind, check.port) for check in found]
            for key, found in change.checks.items()
        }

    assert (await lines()).checks == {}
    await attach(world.h1, world.web, 1, labels={"app": "shop"})
    await attach(world.h2, world.web, 2, labels={"app": "shop"})
    await apply(world, document(readinessProbe={"tcpSocket": {"port": 8080}}))
    assert await news() == {1: [("web/shop", "tcp", 8080)]}
    await apply(world, document(readinessProbe={"tcpSocket": {"port": 8081}}))
    assert await news() == {1: [("web/shop", "tcp", 8081)]}
    await world.admin.call("DELETE", "/v1/services/web/shop")
    assert await news() == {1: []}


async def test_a_host_that_is_not_heard_loses_its_backends_and_gets_them_back(world):
    clock = world.clock
    for client, host, number in ((world.h1, "h1", 1), (world.h2, "h2", 2)):
        await client.call("PUT", f"/v1/hosts/{host}/report", {"version": "1"})
        await attach(client, world.web, number, labels={"app": "shop"})
        await tell(client, host, number, container="running")
    await apply(world, document())
    assert (await shown(world))["ready"] == 2
    clock.ahead += 30
    await world.h1.call("PUT", "/v1/hosts/h1/report", {"version": "1"})

    async def until(condition):
        async with asyncio.timeout(10):
            while not condition([each["reason"] for each in (await shown(world))["backends"]]):  # noqa: ASYNC110
                await asyncio.sleep(0.05)  # the controller looks every second

    await until(lambda found: found == ["", "its host's agent is not heard any more"])
    clock.ahead += 30

    await until(lambda found: found == ["", ""])  # nobody is heard: that takes none out
    await world.h2.call("PUT", "/v1/hosts/h2/report", {"version": "1"})

    await until(lambda found: found == ["its host's agent is not heard any more", ""])


async def test_another_controller_finds_all_as_it_was(databases, keys):
    async with support.controller(databases, keys) as first:
        await first.admin.call("PUT", "/v1/hosts/h1", {"system_id": "system-h1", "address": "127.0.0.1"})
        web = await first.admin.call("POST", "/v1/networks", {"name": "web"})
        async with first.client("h1") as h1:
            await attach(h1, web, 1, labels={"app": "shop", LABEL: "api:81"})
            await tell(h1, "h1", 1, container="running")
        await apply(first, document())
        before = (await first.admin.call("GET", "/v1/services"))["items"]
        assert [each["ready"] for each in before] == [1, 1]
    async with support.controller(databases, keys) as second:
        assert (await second.admin.call("GET", "/v1/services"))["items"] == before
        subnet = before[0]["address"].rpartition(".")[0] + ".0/24"
        with pytest.raises(Conflict, match="the services' addresses"):
            await second.admin.call("POST", "/v1/networks", {"name": "taken", "subnet": subnet})


async def test_explain_knows_services_by_name_and_address(world):
    other = await world.admin.call("POST", "/v1/networks", {"name": "other"})
    await attach(world.h1, world.web, 1, labels={"app": "shop"}, name="shop-1")
    await attach(world.h2, world.web, 2, name="asker")
    await attach(world.h2, other, 3, name="stranger")
    address = (await apply(world, document()))["items"][0]["address"]

    async def explain(src, dst, port=80):
        return await world.admin.call("GET", "/v1/explain", params={"src": src, "dst": dst, "port": port})

    assert "no backend" in (await explain("asker", "shop"))["reason"]
    await tell(world.h1, "h1", 1, container="running")
    for name in ("shop", "web/shop", address):
        found = await explain("asker", name)
        assert (found["verdict"], found["destination"]) == ("allow", "service web/shop")
    assert (await explain("stranger", "web/shop"))["direction"] == "isolation"
    assert (await explain("asker", "shop", 81))["verdict"] == "deny"
    await apply(world, document("shop", "other"), document("shops", clusterIP="None"))
    assert (await explain("asker", "shop"))["destination"] == "service web/shop", "that of the asker's network"
    assert (await explain("asker", "shops", 8080))["verdict"] == "allow"


async def test_how_long_a_client_keeps_its_backend_is_not_ours_to_say(world):
    await attach(world.h1, world.web, 1, labels={"app": "shop"}, name="shop-1")
    kept = {"sessionAffinity": "ClientIP"}
    assert (await apply(world, document(**kept)))["warnings"] == []
    (warning,) = (await apply(world, document(**kept, sessionAffinityConfig={"clientIP": {"timeoutSeconds": 60}})))[
        "warnings"
    ]
    assert "timeoutSeconds has no effect" in warning
