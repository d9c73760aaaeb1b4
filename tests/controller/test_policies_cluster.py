"""ClusterNetworkPolicies through the API: one name in the cluster, no network."""

import pytest

from socketplane.errors import InvalidInput, NotFound, Unsupported
from socketplane.ovsdb import Client, by_uuid, update
from support import controller as support
from support.steps import attach


def cluster_policy(name, priority=10, namespaces=None, action="Deny", tier="Admin"):
    spec = {
        "tier": tier,
        "priority": priority,
        "subject": {"pods": {"namespaceSelector": namespaces or {}, "podSelector": {"matchLabels": {"app": "db"}}}},
        "ingress": [{"action": action, "from": [{"namespaces": {}}]}],
    }
    version = "policy.networking.k8s.io/v1alpha2"
    return {"apiVersion": version, "kind": "ClusterNetworkPolicy", "metadata": {"name": name}, "spec": spec}


async def apply(controller, *documents):
    applied = await controller.admin.call("POST", "/v1/policies", {"documents": list(documents)})
    return [(one["kind"], one["network"], one["name"], one["change"], one["network_exists"]) for one in applied["items"]]


async def test_it_is_made_changed_shown_and_removed(world):
    data = await world.admin.call("POST", "/v1/networks", {"name": "data", "labels": {"zone": "inner"}})
    await attach(world.h1, world.web, 1, labels={"app": "db"})
    await attach(world.h1, data, 2, labels={"app": "db"})
    await attach(world.h1, data, 3, labels={"app": "other"})
    await attach(world.h1, data, 4, labels={"app": "db"}, known=False)
    for change in ("created", "unchanged"):
        assert await apply(world, cluster_policy("guard")) == [("ClusterNetworkPolicy", "", "guard", change, True)]
    shown = await world.h1.call("GET", "/v1/policies/-/guard")
    facts = ("kind", "tier", "priority", "mode", "subjects", "network", "number")
    assert [shown[fact] for fact in facts] == ["ClusterNetworkPolicy", "Admin", 10, "enforce", 2, "", 1]
    assert shown["document"] == cluster_policy("guard")
    inner = {"matchLabels": {"zone": "inner"}}
    assert (await apply(world, cluster_policy("guard", 20, inner)))[0][3] == "configured"
    (shown,) = (await world.h1.call("GET", "/v1/policies"))["items"]
    assert [shown[fact] for fact in facts] == ["ClusterNetworkPolicy", "Admin", 20, "enforce", 1, "", 1]
    await world.admin.call("DELETE", "/v1/policies/-/guard")
    for method in ("GET", "DELETE"):
        with pytest.raises(NotFound, match="no ClusterNetworkPolicy guard"):
            await world.admin.call(method, "/v1/policies/-/guard")


async def test_one_name_on_a_network_and_in_the_cluster_are_two_policies(world):
    own = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "guard", "namespace": "web", "annotations": {"socketplane.io/mode": "audit"}},
        "spec": {"podSelector": {}},
    }
    assert len(await apply(world, cluster_policy("guard"), own)) == 2
    assert (await world.admin.call("GET", "/v1/policies/-/guard"))["mode"] == "enforce"
    assert (await world.admin.call("GET", "/v1/policies/web/guard"))["mode"] == "audit"
    with pytest.raises(InvalidInput, match=r"documents\[1\]: policy guard is there twice"):
        await apply(world, cluster_policy("guard"), cluster_policy("guard", 5))


@pytest.mark.parametrize("schema", [support.northbound_schema(tiers=False)], indirect=True, ids=["no tiers"])
async def test_what_this_ovn_can_not_express_changes_nothing(world, databases):
    """The northbound's schema decides: that of OVN 23.03 has no tiers of ACLs."""
    await apply(world, cluster_policy("guard"))
    with pytest.raises(Unsupported, match=r"spec.ingress\[0\].action: Pass, in policy second, needs tiers.*23\.06"):
        await apply(world, cluster_policy("first"), cluster_policy("second", action="Pass"))
    assert list(world.active.store.committed.policies) == [("", "guard")]
    assert list(world.active.store.committed.revisions) == [1]
    audit = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "p", "namespace": "web", "annotations": {"socketplane.io/mode": "audit"}},
        "spec": {"podSelector": {}},
    }
    await apply(world, audit)
    with pytest.raises(Unsupported, match="web/p is in audit mode and base is of tier Baseline"):
        await apply(world, cluster_policy("base", tier="Baseline"))
    await world.admin.call("DELETE", "/v1/policies/web/p")
    await apply(world, cluster_policy("base", tier="Baseline"))
    await world.admin.call("POST", "/v1/policies/rollback", {"revision": 2})
    assert sorted(world.active.store.committed.policies) == [("", "guard"), ("web", "p")]
    await world.settled()
    assert world.active.reconciler.gap() == []


@pytest.mark.parametrize("schema", [support.northbound_schema(tiers=True)], indirect=True, ids=["tiers"])
async def test_tiers_of_acls_make_pass_possible(controller):
    assert (await apply(controller, cluster_policy("guard", action="Pass")))[0][3] == "created"


async def test_one_that_can_not_be_understood_closes_everything(world, databases):
    await attach(world.h1, world.web, 1, name="a", labels={"app": "web"})
    await attach(world.h1, world.web, 2, name="b", labels={"app": "web"})
    await apply(world, cluster_policy("guard"))
    explain = {"src": "a", "dst": "b", "port": 80}
    assert (await world.h1.call("GET", "/v1/explain", params=explain))["verdict"] == "allow"

    async with Client([databases.intent.remote], "SocketPlane") as client:
        rows = await client.monitor({"Policy": None})
        (uuid,) = rows["Policy"]
        await client.transact(update("Policy", by_uuid(uuid), {"document": "{}"}))
        await world.until(lambda: world.active.store.not_understood)
    denied = await world.h1.call("GET", "/v1/explain", params=explain)
    assert (denied["verdict"], denied["policy"]) == ("deny", "guard")
