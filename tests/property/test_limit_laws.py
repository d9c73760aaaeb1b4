"""Laws of limits, over any history."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from socketplane.compile import Compiler, Intent
from socketplane.controller.limits import LimitBook
from socketplane.controller.store import Change
from socketplane.model.traffic import NO_LIMITS, Limit, Limits, TrafficPolicy, TrafficSpec, effective
from socketplane.model.types import Endpoint, Network, effective_labels
from support.intent import CLUSTER, NAMES, endpoints, key_of, networks, selectors

_rates = st.none() | st.builds(Limit, st.integers(1, 4), st.none() | st.integers(1, 2))
_specs = st.builds(TrafficSpec, selectors, st.builds(Limits, _rates, _rates))
_policies = st.builds(TrafficPolicy, st.sampled_from(NAMES), st.sampled_from("pqr"), st.integers(1, 99), _specs)
_steps = st.lists(st.tuples(st.booleans(), st.one_of(endpoints, endpoints, networks, _policies, _policies)), max_size=30)


def meant(endpoint: Endpoint, things: list[Intent]) -> Limits:
    """Return what holds for an endpoint, found without an index."""
    network = next((thing for thing in things if isinstance(thing, Network) and thing.id == endpoint.network), None)
    name = network.name if network else None
    labels = effective_labels(endpoint, name)
    policies = [thing for thing in things if isinstance(thing, TrafficPolicy) and thing.network == name]
    selecting = [
        policy
        for policy in policies
        if policy.spec.subject.everything or (endpoint.known and policy.spec.subject.matches(labels))
    ]
    return effective(selecting, endpoint.rate)


@given(_steps, st.integers(1, 5))
def test_after_any_history_each_endpoint_has_its_limits_and_was_told(steps: list[tuple[bool, Intent]], batch: int) -> None:
    compiler = Compiler(CLUSTER)
    book = LimitBook(compiler.index)
    there: dict[tuple[str, object], Intent] = {}
    told: dict[str, Limits] = {}
    gone: set[tuple[str, object]] = set()
    for start in range(0, len(steps), batch):
        changes: list[Change] = []
        for puts, thing in steps[start : start + batch]:
            key = key_of(thing)
            if key in gone:
                continue  # Docker never gives an endpoint's id again
            if puts:
                changes.append(Change(there.get(key), thing))
                there[key] = thing
                compiler.put(thing)
            elif key in there:
                changes.append(Change(there.pop(key), None))
                compiler.remove(thing)
                gone |= {key} if isinstance(thing, Endpoint) else set()
        for host, news in book.take(changes).items():
            assert all(there["Endpoint", endpoint].host == host for endpoint in news)
            told |= news
    for endpoint in (thing for thing in there.values() if isinstance(thing, Endpoint)):
        wanted = meant(endpoint, list(there.values()))
        assert book.of(endpoint.id) == wanted
        assert told.get(endpoint.id, NO_LIMITS) == wanted
        assert book.all_of([endpoint.id]) == ({endpoint.id: wanted} if wanted else {})
