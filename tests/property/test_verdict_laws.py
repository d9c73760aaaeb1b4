"""Laws of the meaning of policy, and that what is compiled means the same."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from socketplane.compile import Features, Intent, compile_all
from socketplane.model.rules import ISOLATION
from socketplane.model.spec import Policy, PolicySpec, Protocol, Rule, Selector
from socketplane.model.types import Endpoint, Host, Network
from socketplane.model.verdict import Party, Verdict, View, verdict
from support.acls import Acls, passes
from support.intent import CLUSTER, address_of, rules, settled

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
        does = passes(view, acls, source, destination, packet[0] or "icmp4", packet[1])
        assert said.allow == does, (source, destination, said)


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
