"""Laws of the meaning of policy, and that what is compiled means the same."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from socketplane.compile import Features, Intent, compile_all
from socketplane.model.rules import ISOLATION, drop_id, numbered_rules, rule_id
from socketplane.model.spec import Action, ClusterRule, ClusterSpec, Direction, Policy, PolicySpec, Protocol, Rule, Selector
from socketplane.model.types import Endpoint, Host, Network
from socketplane.model.verdict import Party, Verdict, View, verdict
from support.acls import Acls, passes
from support.intent import CLUSTER, address_of, host, policies, rules, settled
from support.policies import accept, audited, block, deny, guard, on, views

State = dict[tuple[str, object], Intent]
packets = st.tuples(st.sampled_from([None, *Protocol]), st.sampled_from([53, 80, 443, 8080]))


def view_of(state: State, *more: Policy) -> View:
    networks = {thing.id: thing for thing in state.values() if isinstance(thing, Network)}
    return View(CLUSTER, networks, [*(thing for thing in state.values() if isinstance(thing, Policy)), *more])


def pairs(state: State, *, hosts: bool = True) -> list[tuple[Party, Party]]:
    endpoints: list[Endpoint] = [thing for thing in state.values() if isinstance(thing, Endpoint)]
    own = [thing for thing in state.values() if isinstance(thing, Host)] if hosts else []
    outside = [address_of(1), CLUSTER.pool.broadcast_address - 1] if hosts else []
    found: list[tuple[Party, Party]] = [(a, b) for a in endpoints for b in endpoints if a != b]
    found += [(a, b) for a in own for b in endpoints]
    return found + [(a, b) for a in endpoints for b in [*own, *outside]]


def ask(view: View, source: Party, destination: Party, packet: tuple[Protocol | None, int]) -> Verdict:
    protocol, port = packet
    return verdict(view, source, destination, protocol, port if protocol else None)


@given(settled(), packets)
def test_what_is_compiled_means_what_the_verdict_says(state: State, packet: tuple[Protocol | None, int]) -> None:
    view = view_of(state)
    acls = Acls(compile_all(CLUSTER, Features(), state.values()))
    for source, destination in pairs(state):
        said = ask(view, source, destination, packet)
        does = passes(view, acls, source, destination, packet[0] or "icmp", packet[1])
        assert said.allow == does.allow, (source, destination, said)


@given(settled(), packets)
def test_without_policy_a_network_is_free_inside_and_closed_to_others(
    state: State, packet: tuple[Protocol | None, int]
) -> None:
    view = replace(view_of(state), policies=[])
    for source, destination in pairs(state, hosts=False):
        assert isinstance(source, Endpoint) and isinstance(destination, Endpoint)
        assert ask(view, source, destination, packet).allow == (source.network == destination.network)


@given(settled(), packets)
def test_the_order_of_policies_is_no_matter(state: State, packet: tuple[Protocol | None, int]) -> None:
    view = view_of(state)
    turned = replace(view, policies=list(reversed(list(view.policies))))
    for source, destination in pairs(state):
        assert ask(view, source, destination, packet).allow == ask(turned, source, destination, packet).allow


@given(settled(), packets, rules)
def test_one_more_rule_never_forbids(state: State, packet: tuple[Protocol | None, int], rule: Rule) -> None:
    view = view_of(state)
    wider = [replace(policy, spec=_with_rule(policy.spec, rule)) for policy in view.policies]
    for source, destination in pairs(state):
        if ask(view, source, destination, packet).allow:
            assert ask(replace(view, policies=wider), source, destination, packet).allow


def _with_rule(spec: PolicySpec, rule: Rule) -> PolicySpec:
    ingress = None if spec.ingress is None else (*spec.ingress, rule)
    egress = None if spec.egress is None else (*spec.egress, rule)
    return replace(spec, ingress=ingress, egress=egress)


@given(settled(), packets)
def test_when_everything_is_denied_only_a_container_itself_and_its_host_reach_it(
    state: State, packet: tuple[Protocol | None, int]
) -> None:
    view = view_of(state)
    networks = [network.name or "" for network in view.networks.values()]
    closed = replace(view, policies=[Policy(name, "deny", 1, PolicySpec(Selector(), (), ())) for name in networks])
    for source, destination in pairs(state):
        allowed = ask(closed, source, destination, packet).allow
        own = isinstance(source, Host) and isinstance(destination, Endpoint) and source.name == destination.host
        assert not allowed or own


@given(settled(), packets)
def test_a_verdict_names_a_policy_that_exists_and_a_rule_of_it(state: State, packet: tuple[Protocol | None, int]) -> None:
    view = view_of(state)
    for source, destination in pairs(state):
        found = ask(view, source, destination, packet)
        numbers = {f"{policy.network}/{policy.name}": policy.number for policy in view.policies}
        if found.policy:
            assert found.rule[1:].split(".")[0] == str(numbers[found.policy])
            assert found.rule.startswith("r" if found.allow else "d")
        else:
            assert found.rule in ("", ISOLATION, "unknown.ingress", "unknown.egress")
        assert found.steps[-1] == found.reason


# Policies of all kinds

Cluster = tuple[View, list[Endpoint]]
OUTSIDE = [address_of(3), address_of(9), CLUSTER.pool.network_address + 1, CLUSTER.pool.broadcast_address - 1]


def ends(cluster: Cluster) -> list[tuple[Party, Party]]:
    _, endpoints = cluster
    others: list[Party] = [*endpoints, host(1), host(2), *OUTSIDE]
    found: list[tuple[Party, Party]] = [(a, b) for a in endpoints for b in others if a != b]
    return found + [(host(n), b) for n in (1, 2) for b in endpoints]


@given(views(), packets)
def test_any_order_of_policies_gives_the_same_verdict(cluster: Cluster, packet: tuple[Protocol | None, int]) -> None:
    view = cluster[0]
    turned = replace(view, policies=list(reversed(list(view.policies))))
    for source, destination in ends(cluster):
        assert ask(view, source, destination, packet) == ask(turned, source, destination, packet)


@given(views(), packets)
def test_a_would_be_denial_is_what_enforcing_would_deny(cluster: Cluster, packet: tuple[Protocol | None, int]) -> None:
    view = cluster[0]
    enforced = replace(view, policies=[_enforced(policy) for policy in view.policies])
    for source, destination in ends(cluster):
        real, other = ask(view, source, destination, packet), ask(enforced, source, destination, packet)
        expected = "a" + other.rule.removeprefix("d") if real.allow and not other.allow else ""
        assert real.would_deny == expected


def _enforced(policy: Policy) -> Policy:
    audit = isinstance(policy.spec, PolicySpec) and policy.spec.audit
    return replace(policy, spec=replace(policy.spec, audit=False)) if audit else policy


@given(views(), policies(), packets)
def test_a_policy_in_audit_mode_changes_no_verdict(
    cluster: Cluster, more: Policy, packet: tuple[Protocol | None, int]
) -> None:
    view = cluster[0]
    wider = replace(view, policies=[*view.policies, audited(replace(more, number=99))])
    for source, destination in ends(cluster):
        if all(end.known for end in (source, destination) if isinstance(end, Endpoint)):
            assert ask(view, source, destination, packet).allow == ask(wider, source, destination, packet).allow


@given(views(), packets)
def test_an_admin_denial_of_all_leaves_only_hosts(cluster: Cluster, packet: tuple[Protocol | None, int]) -> None:
    view = cluster[0]
    closed = guard(
        "closed", 99, on(), priority=-1, ingress=(deny(on()),), egress=(deny(on(), block("0.0.0.0/0", pool=True)),)
    )
    view = replace(view, policies=[*view.policies, closed])
    for source, destination in ends(cluster):
        assert isinstance(source, Host) or not ask(view, source, destination, packet).allow


@given(views(), packets)
def test_an_admin_accept_of_all_joins_whatever_has_a_way(cluster: Cluster, packet: tuple[Protocol | None, int]) -> None:
    view, endpoints = cluster
    opened = guard("open", 99, on(), priority=-1, ingress=(accept(on()),), egress=(accept(on()),))
    view = replace(view, policies=[*view.policies, opened])
    for source, destination in ((a, b) for a in endpoints for b in endpoints if a != b):
        near = source.network == destination.network
        internal = any(view.networks[end.network].internal for end in (source, destination))
        expected = source.known and destination.known and (near or not internal)
        assert ask(view, source, destination, packet).allow == expected


@given(views(), packets)
def test_the_rule_that_a_verdict_names_exists_and_can_decide_so(
    cluster: Cluster, packet: tuple[Protocol | None, int]
) -> None:
    view = cluster[0]
    for source, destination in ends(cluster):
        found = ask(view, source, destination, packet)
        assert found.steps[-1] == found.reason
        if found.policy:
            policy = next(policy for policy in view.policies if policy.title == found.policy)
            assert found.rule in _deciding(policy, Direction(found.direction), found.allow)
        else:
            assert found.rule in ("", ISOLATION, "unknown.ingress", "unknown.egress")


def _deciding(policy: Policy, direction: Direction, allow: bool) -> set[str]:
    """Return the ids under which a policy can allow, or deny, in a direction."""
    rules = [(index, rule) for way, index, rule in numbered_rules(policy.spec) if way is direction]
    if isinstance(policy.spec, ClusterSpec):
        action = Action.ACCEPT if allow else Action.DENY
        return {
            rule_id(policy.number, index)
            for index, rule in rules
            if isinstance(rule, ClusterRule) and rule.action is action
        }
    assert not policy.spec.audit
    return {rule_id(policy.number, index) for index, _ in rules} if allow else {drop_id(policy.number, direction)}
