"""The history of policies: what a revision says, going back, and what confirms or takes back a change."""

import asyncio
from dataclasses import replace

import orjson
import pytest

from socketplane import pki
from socketplane.controller.addresses import Addresses
from socketplane.controller.draft import Draft
from socketplane.controller.intent import Intent
from socketplane.controller.plans import history
from socketplane.controller.policyrows import Revision
from socketplane.errors import Conflict, Forbidden, NotFound
from socketplane.model.policy import parse
from socketplane.transport import tls
from socketplane.transport.client import ControllerClient
from support import controller as support
from support import controller_keys


def document(name, app, network="web"):
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name, "namespace": network},
        "spec": {"podSelector": {"matchLabels": {"app": app}}},
    }


def guard(priority):
    spec = {"tier": "Admin", "priority": priority, "subject": {"namespaces": {}}}
    spec["egress"] = [{"action": "Deny", "to": [{"networks": ["192.0.2.0/24"]}]}]
    version = "policy.networking.k8s.io/v1alpha2"
    return {"apiVersion": version, "kind": "ClusterNetworkPolicy", "metadata": {"name": "guard"}, "spec": spec}


async def apply(controller, *documents, **more):
    return await controller.admin.call("POST", "/v1/policies", {"documents": list(documents), **more})


async def rollback(controller, revision):
    return await controller.admin.call("POST", "/v1/policies/rollback", {"revision": revision})


async def confirm(controller, revision=None):
    return await controller.admin.call("POST", "/v1/policies/confirm", {"revision": revision})


async def state(controller):
    """All policies as they are, their numbers included."""
    items = (await controller.admin.call("GET", "/v1/policies"))["items"]
    return [(item["network"], item["name"], item["number"], item["document"]) for item in items]


async def revisions(controller):
    return (await controller.admin.call("GET", "/v1/policies/history"))["items"]


async def test_several_are_removed_as_one_change(world):
    await apply(world, document("p", "a"), document("q", "a"), guard(1))
    before = await state(world)
    outcome = await world.admin.call("POST", "/v1/policies/remove", {"policies": ["web/q", "web/gone", "guard", "web/q"]})
    assert [(item["name"], item["change"]) for item in outcome["items"]] == [("q", "removed"), ("guard", "removed")]
    assert outcome["revision"] == 2 and len(await revisions(world)) == 2
    await world.admin.call("POST", "/v1/policies/rollback", {"revision": 1})
    assert await state(world) == before
    nobody = await world.admin.call("POST", "/v1/policies/remove", {"policies": ["web/gone"]})
    assert (nobody["items"], nobody["revision"]) == ([], None)


async def test_every_change_is_a_revision_and_every_state_comes_back(world):
    states = [await state(world)]
    for change in (
        lambda: apply(world, document("p", "a"), guard(1)),
        lambda: apply(world, document("p", "b"), document("q", "a")),
        lambda: world.admin.call("DELETE", "/v1/policies/web/p"),
        lambda: apply(world, document("p", "a"), guard(2)),
        lambda: world.admin.call("DELETE", "/v1/policies/-/guard"),
    ):
        await change()
        states.append(await state(world))
    assert (await apply(world, document("p", "a")))["revision"] is None, "nothing changed"
    told = await revisions(world)
    assert [(item["number"], item["action"], item["who"], item["state"]) for item in told] == [
        (1, "apply", "local", ""),
        (2, "apply", "local", ""),
        (3, "remove", "local", ""),
        (4, "apply", "local", ""),
        (5, "remove", "local", ""),
    ]
    assert [[(change["network"], change["name"], change["change"]) for change in item["changes"]] for item in told] == [
        [("web", "p", "created"), ("", "guard", "created")],
        [("web", "p", "configured"), ("web", "q", "created")],
        [("web", "p", "removed")],
        [("web", "p", "created"), ("", "guard", "configured")],
        [("", "guard", "removed")],
    ]
    assert [change["kind"] for change in told[0]["changes"]] == ["NetworkPolicy", "ClusterNetworkPolicy"]
    for number in (2, 0, 4, 3, 5, 1):
        outcome = await rollback(world, number)
        assert await state(world) == states[number], number
        last = (await revisions(world))[-1]
        assert (last["number"], last["action"], last["target"]) == (outcome["revision"], "rollback", number)
        assert [item["change"] for item in outcome["items"]] == [change["change"] for change in last["changes"]]
    assert (await apply(world, document("new", "a")))["items"][0]["change"] == "created"
    numbers = {name: number for _, name, number, _ in await state(world)}
    assert numbers["new"] == 5, "numbers that came back are not given to others"
    await world.settled()
    assert world.active.reconciler.gap() == []


async def test_going_nowhere(world):
    with pytest.raises(NotFound, match="no revision 1: policies were never changed"):
        await rollback(world, 1)
    await apply(world, document("p", "a"))
    assert await rollback(world, 1) == {"items": [], "revision": None, "confirm_by": None, "warnings": []}
    with pytest.raises(NotFound, match="revision: no revision 2: kept are 0 to 1"):
        await rollback(world, 2)
    with pytest.raises(Forbidden):
        await world.h1.call("POST", "/v1/policies/rollback", {"revision": 0})
    assert (await world.h1.call("GET", "/v1/policies/history"))["items"][0]["number"] == 1


async def test_a_certificate_is_named(world):
    def credentials():
        subject = pki.Subject("somebody", pki.ORGANIZATION_ADMIN)
        controller_keys.lay(world.keys.parent / "admin", pki.load_authority(world.keys), "host", subject)
        return tls.client_context(world.keys.parent / "admin")

    async with ControllerClient(([f"127.0.0.1:{world.port}"], await asyncio.to_thread(credentials))) as remote:
        await remote.call("POST", "/v1/policies", {"documents": [document("p", "a")]})
    assert [item["who"] for item in await revisions(world)] == ["CN=somebody"]


async def test_a_change_that_is_confirmed_stays(world):
    with pytest.raises(Conflict, match="no change of policies waits to be confirmed"):
        await confirm(world)
    applied = await apply(world, document("p", "a"), confirm_within=60)
    assert applied["revision"] == 1
    assert applied["confirm_by"] == pytest.approx(world.clock() + 60, abs=5)
    (alarm,) = [text for text in (await world.admin.call("GET", "/v1/status"))["alarms"] if "revision 1" in text]
    assert "is taken back at" in alarm
    keep = "revision 1 waits until .* to be confirmed; `socketplane policy confirm` keeps it, `.* rollback 0` takes"
    for change in (
        lambda: apply(world, document("q", "a")),
        lambda: apply(world, document("q", "a"), confirm_within=5),
        lambda: world.admin.call("DELETE", "/v1/policies/web/p"),
    ):
        with pytest.raises(Conflict, match=keep):
            await change()
    assert (await apply(world, document("p", "a")))["confirm_by"] == applied["confirm_by"], "it changes nothing"
    with pytest.raises(Conflict, match="revision 1 is what stands"):
        await rollback(world, 1)
    with pytest.raises(Forbidden):
        await world.h1.call("POST", "/v1/policies/confirm", {})
    with pytest.raises(NotFound, match="no revision 7"):
        await confirm(world, 7)
    first = await confirm(world)
    assert (first["number"], first["state"]) == (1, "confirmed")
    assert await confirm(world) == await confirm(world, 1) == first, "said again it is no error"
    assert (await apply(world, document("q", "a")))["revision"] == 2
    assert await confirm(world, 1) == first
    for number in (None, 2):
        with pytest.raises(Conflict, match="no change of policies waits"):
            await confirm(world, number)
    world.clock.ahead = 120
    await apply(world, document("r", "a"))
    assert len(await state(world)) == 3


async def test_a_change_that_nobody_confirms_takes_itself_back(world):
    await apply(world, document("p", "a"), guard(1))
    before = await state(world)
    await apply(world, document("p", "b"), document("q", "a"), guard(2), confirm_within=1)
    await world.until(lambda: len(world.active.store.committed.revisions) == 3)
    assert await state(world) == before
    _, waited, back = await revisions(world)
    assert (waited["state"], back["action"], back["who"], back["target"]) == ("taken back", "expire", "controller", 1)
    assert back["time"] >= waited["confirm_by"]
    with pytest.raises(Conflict, match="nobody confirmed in time: revision 3 took the change back; apply it again"):
        await confirm(world)
    with pytest.raises(Conflict, match=r"revision 2 was to be confirmed until 20.*Z: it is taken back; apply it again"):
        await confirm(world, 2)
    assert not [text for text in (await world.admin.call("GET", "/v1/status"))["alarms"] if "revision" in text]
    await apply(world, document("q", "a"))
    await world.settled()
    assert world.active.reconciler.gap() == []


async def test_a_change_is_taken_back_by_hand_while_it_waits(world):
    await apply(world, document("p", "a"), confirm_within=60)
    assert [item["change"] for item in (await rollback(world, 0))["items"]] == ["removed"]
    assert [item["state"] for item in await revisions(world)] == ["taken back", ""]
    with pytest.raises(Conflict, match="no change of policies waits"):
        await confirm(world)
    await apply(world, document("q", "a"))


async def test_a_confirmation_that_comes_too_late_is_none(world):
    """The clock may be past the time before the controller gets round to taking the change back."""
    await apply(world, document("p", "a"), confirm_within=60)
    world.clock.ahead = 61
    with pytest.raises(Conflict, match="it is taken back; apply it again"):
        await confirm(world)


async def test_what_was_due_while_no_controller_ran_is_taken_back_before_anything_else(databases, keys):
    async with support.controller(databases, keys) as controller:
        await apply(controller, document("p", "a"), confirm_within=60)
    async with support.controller(databases, keys, name="in-time") as controller:
        assert [item["state"] for item in await revisions(controller)] == ["waiting"]
        assert len(await state(controller)) == 1
    async with support.controller(databases, keys, name="late", ahead=61) as controller:
        assert await state(controller) == []
        assert [item["action"] for item in await revisions(controller)] == ["apply", "expire"]


async def test_a_database_that_is_away_when_the_time_is_over(world, databases):
    await apply(world, document("p", "a"), confirm_within=1)
    await databases.intent.stop()
    await asyncio.sleep(1.2)  # the time runs out: that is the condition
    await databases.intent.start()
    await world.until(lambda: len(world.active.store.committed.revisions) == 2, 20)
    assert await state(world) == []


def drafted(*policies):
    """A draft without a database, with these policies in it."""
    intent = Intent()
    for policy in policies:
        intent.put(policy)
    return Draft(intent, Addresses(intent), 1000.0)


def change(draft, app, **more):
    policy = parse(document("p", app)).numbered(1)
    return history.revise(draft, history.Author("local", "apply"), lambda draft: draft.put(policy), **more)[1]


def test_the_last_two_hundred_are_kept_and_lead_back():
    draft = drafted()
    for number in range(history.KEPT + 50):
        change(draft, f"app-{number}")
    kept = sorted(draft.intent.revisions)
    assert kept == list(range(51, 251))
    with pytest.raises(NotFound, match="kept are 50 to 250"):
        history.rollback(draft, 49)
    history.revise(draft, history.Author("local", "rollback", 50), lambda draft: history.rollback(draft, 50))
    assert orjson.loads(draft.intent.policies["web", "p"].document) == document("p", "app-49")


def test_large_documents_shorten_the_history(monkeypatch):
    monkeypatch.setattr(history, "KEPT_BYTES", 3000)
    draft = drafted()
    for number in range(20):
        change(draft, f"app-{number}")
    sizes = [len(revision.former) for revision in draft.intent.revisions.values()]
    assert 2000 < sum(sizes) <= 3000
    monkeypatch.setattr(history, "KEPT_BYTES", 1)
    assert change(draft, "last") in draft.intent.revisions.values()
    assert len(draft.intent.revisions) == 1


def test_a_document_that_is_not_understood_any_more_is_refused_by_hand_and_closed_by_the_clock():
    draft = drafted()
    change(draft, "a")
    waited = change(draft, "b", confirm_within=60)
    former = orjson.loads(waited.former)
    former[0]["document"] = former[0]["document"].replace("podSelector", "podSelektor")
    draft.put(replace(waited, former=orjson.dumps(former).decode()))
    with pytest.raises(Conflict, match=r"not understood any more: spec\.podSelektor"):
        history.rollback(draft, 1)
    assert history.expire(draft, 2).action == "expire"
    closed = draft.intent.policies["web", "p"]
    assert (closed.document, closed.spec.ingress, closed.spec.egress) == (former[0]["document"], (), ())


def test_a_revision_goes_with_its_change_or_not_at_all():
    draft = drafted()
    mark = draft.mark()
    assert isinstance(change(draft, "a"), Revision)
    draft.undo(mark)
    assert (draft.intent.revisions, draft.intent.policies) == ({}, {})
