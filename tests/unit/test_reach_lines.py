"""Reach and its changes as people read them: few lines, by groups."""

from __future__ import annotations

from dataclasses import replace

from socketplane.model.reach import Change, Matrix, Reach, changes, matrix
from socketplane.model.selection import View
from socketplane.model.spec import Policy
from socketplane.model.types import Endpoint, Labels
from support.intent import CLUSTER, allow, endpoint, host, network, policy, selector, tcp
from support.policies import accept, block, deny, guard, on

WEB, DATA = network(0), network(1)
FRONTS = [endpoint(1, WEB, "h1", {"app": "front"}), endpoint(2, WEB, "h2", {"app": "front", "canary": "yes"})]
APP, DB = endpoint(3, WEB, "h2", {"app": "app"}), endpoint(4, WEB, "h1", {"app": "db"})
FAR = endpoint(5, DATA, "h1", {"com.docker.compose.service": "metrics", "app": "any"})
PLAIN = endpoint(6, DATA, "h1")
ALL = [*FRONTS, APP, DB, FAR, PLAIN]
TO_DB = policy("db", 1, selector(app="db"), ingress=(allow(selector(app="app"), ports=tcp(5432)),))
TO_APP = policy("app", 2, selector(app="app"), ingress=(allow(selector(app="front"), ports=tcp(80, 81)),))


def view(*policies: Policy, endpoints: list[Endpoint] = ALL, hosts: int = 2) -> View:
    nets = {net.id: net for net in (WEB, DATA)}
    return View(CLUSTER, nets, policies, endpoints, [host(number) for number in range(1, hosts + 1)])


def said(found: Matrix) -> list[tuple[str, str, str]]:
    return [
        (", ".join(map(str, opening.sources)), ", ".join(map(str, opening.destinations)), str(opening.ports))
        for opening in found.openings
    ]


def test_without_policies_every_network_is_a_line() -> None:
    assert said(matrix(view())) == [
        ("*/*", "hosts, outside", "any"),
        ("data/*, hosts", "data/*", "any"),
        ("web/*, hosts", "web/*", "any"),
    ]
    assert [str(group) for group in matrix(view()).groups] == [
        "data/service=metrics",
        "data/unlabelled",
        "web/app=app",
        "web/app=db",
        "web/app=front",
    ]


def test_with_policies_it_is_who_reaches_whom_on_what() -> None:
    found = said(matrix(view(TO_DB, TO_APP), network=WEB.id))
    assert found == [
        ("web/*", "hosts, outside", "any"),
        ("web/*, hosts", "web/app=front", "any"),
        ("web/app=app", "web/app=db", "tcp/5432"),
        ("web/app=front", "web/app=app", "tcp/80-81"),
    ]


def test_groups_can_be_chosen_and_need_not_be_uniform() -> None:
    canary = policy("canary", 1, selector(app="db"), ingress=(allow(selector(canary="yes")),))
    found = matrix(view(canary), by=["app"], network=WEB.id)
    assert ("web/app=front (1 of 2)", "web/app=db", "any") in said(found)
    part = next(opening.sources[0] for opening in found.openings if str(opening.destinations[0]) == "web/app=db")
    assert (part.size, part.total, part.example) == (1, 2, FRONTS[1])
    by_both = said(matrix(view(canary), by=["app", "canary"], network=WEB.id))
    assert ("web/app=front,canary=yes", "web/app=db,!canary", "any") in by_both
    assert {str(group) for group in matrix(view(), by=["service"], network=DATA.id).groups} == {
        "data/service=metrics",
        "data/!service",
    }


def test_a_network_is_seen_from_both_ends() -> None:
    into = guard("scrape", 1, on(), ingress=(accept(on(**{"com.docker.compose.service": "metrics"}), ports=tcp(9100)),))
    found = said(matrix(view(into), network=DATA.id))
    assert ("data/service=metrics", "web/*", "tcp/9100") in found
    assert not [line for line in found if line[0].startswith("web/") and line[1].startswith("web/")]


def test_addresses_outside_are_told_by_the_longest_prefix() -> None:
    closed = guard("lan", 1, on(app="db"), egress=(deny(block("192.0.2.0/24", pool=True), ports=tcp(22)),))
    found = said(matrix(view(closed), network=WEB.id))
    assert ("web/app=db", "192.0.2.0/24", "any but tcp/22") in found
    assert ("web/*", "hosts, 0.0.0.0/0", "any") in found


def test_a_change_is_few_lines() -> None:
    found = changes(view(), view(TO_DB, TO_APP))
    assert found.allowed == []
    assert found.denied == [
        Change("web/app=app", "web/app=db", "any but tcp/5432", 1, 1),
        Change("web/app=db, hosts", "web/app=app", "any", 3, 1),
        Change("web/app=front", "web/app=app", "any but tcp/80-81", 2, 1),
        Change("web/app=front, hosts", "web/app=db", "any", 4, 1),
    ]
    back = changes(view(TO_DB, TO_APP), view())
    assert (back.allowed, back.denied) == (found.denied, [])


def test_what_changes_nothing_is_no_line() -> None:
    same = replace(TO_DB, number=7, name="again")
    assert changes(view(TO_DB), view(TO_DB, same)).denied == []
    nobody = policy("nobody", 3, selector(app="none"), ingress=())
    assert changes(view(), view(nobody)).denied == []


def test_a_container_alone_is_no_line() -> None:
    only = [DB]
    assert said(matrix(view(TO_DB, endpoints=only, hosts=1))) == [("web/app=db", "hosts, outside", "any")]
    assert changes(view(endpoints=only, hosts=1), view(TO_DB, endpoints=only, hosts=1)).denied == []


def test_ten_thousand_pairs_are_one_line() -> None:
    many = [endpoint(number, WEB, "h1", {"app": f"a{number % 50}"}) for number in range(1, 101)]
    deny_all = policy("deny", 1, selector(), ingress=())
    found = changes(view(endpoints=many, hosts=1), view(deny_all, endpoints=many, hosts=1))
    assert found.denied == [Change("web/*", "web/*", "any", 100, 100)]


def test_most_of_a_network_is_told_by_what_is_not_of_it() -> None:
    many = [endpoint(number, WEB, "h1", {"app": f"a{number}"}) for number in range(1, 31)]
    to_first = policy("first", 1, selector(app="a1"), ingress=(allow(selector(app="a2")),))
    found = changes(view(endpoints=many, hosts=1), view(to_first, endpoints=many, hosts=1))
    assert found.denied == [Change("web/* except app=a1, app=a2", "web/app=a1", "any", 28, 1)]
    some = policy("some", 1, selector(app="a1"), ingress=(allow(*(selector(app=f"a{n}") for n in range(10, 31))),))
    listed = changes(view(endpoints=many, hosts=1), view(some, endpoints=many, hosts=1)).denied[0]
    assert listed.source == "web/app=a2, web/app=a3, web/app=a4, web/app=a5, web/app=a6, and 3 more"
    assert listed.sources == 8


def test_cells_are_as_few_as_policies_can_tell_apart() -> None:
    def cells(*policies: Policy, labels: Labels) -> int:
        many = [endpoint(number, WEB, "h1", {**labels, "n": str(number)}) for number in range(1, 31)]
        return len([cell for cell in Reach(view(*policies, endpoints=many)).cells.cells if cell.endpoint])

    assert cells(labels={"app": "x"}) == 1
    assert cells(TO_DB, TO_APP, labels={"app": "x"}) == 1
    assert cells(policy("one", 1, selector(n="7"), ingress=()), labels={}) == 2
    inside = guard("half", 1, on(), egress=(deny(block("10.192.0.0/28", pool=True)),))
    assert cells(inside, labels={}) == 2
