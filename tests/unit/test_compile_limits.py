"""What can't be compiled is known before."""

from __future__ import annotations

import pytest

from socketplane.compile import Features, unsupported
from socketplane.compile.limits import MAX_PREFIXES
from socketplane.errors import Exhausted, InvalidInput, SocketPlaneError, Unsupported
from socketplane.model.spec import Policy, Rule, Tier
from support.intent import allow, policy, selector
from support.policies import accept, audited, block, deny, guard, on, pass_on

TIERS, BANDS = Features(acl_tier=True), Features()


def refused(features: Features, *policies: Policy) -> SocketPlaneError:
    error = unsupported(features, policies)
    assert error is not None
    return error


def test_most_policies_compile_everywhere() -> None:
    policies = [
        policy("p", 1, selector(), ingress=(allow(),), egress=()),
        audited(policy("q", 2, selector(), ingress=())),
        guard("g", 3, on(), ingress=(accept(on()), deny(on()))),
    ]
    assert unsupported(BANDS, policies) is unsupported(TIERS, policies) is None
    assert unsupported(BANDS, []) is None


@pytest.mark.parametrize("way", ["ingress", "egress"])
def test_pass_takes_tiers(way: str) -> None:
    passing = guard("passing", 3, on(), **{way: (deny(on()), pass_on(on()))})
    assert unsupported(TIERS, [passing]) is None
    error = refused(BANDS, passing)
    assert isinstance(error, Unsupported)
    assert error.field == f"spec.{way}[1].action"
    assert "policy passing" in error.message
    assert "OVN 23.06" in str(error.remedy)


def test_audit_beside_baseline_takes_tiers() -> None:
    both = (
        audited(policy("p", 1, selector(), ingress=())),
        guard("base", 2, on(), tier=Tier.BASELINE, ingress=(accept(on()),)),
    )
    assert unsupported(TIERS, both) is None
    error = refused(BANDS, *both)
    assert isinstance(error, Unsupported)
    assert "web/p" in error.message and "base" in error.message and "OVN 23.06" in str(error.remedy)
    assert unsupported(BANDS, both[:1]) is unsupported(BANDS, both[1:]) is None


@pytest.mark.parametrize(("tier", "most"), [(Tier.ADMIN, 320), (Tier.BASELINE, 280)])
@pytest.mark.parametrize("features", [TIERS, BANDS])
def test_a_tier_has_room_for_so_many(features: Features, tier: Tier, most: int) -> None:
    guards = [guard(f"g{n}", n, on(), tier=tier, ingress=(deny(on()),)) for n in range(1, most + 2)]
    assert unsupported(features, guards[:most]) is None
    error = refused(features, *guards)
    assert isinstance(error, Exhausted)
    assert str(most) in error.message


def test_rules_that_are_too_many_are_refused() -> None:
    many = policy("p", 1, selector(), ingress=(allow(),) * 4096, egress=(allow(),))
    error = refused(TIERS, many)
    assert isinstance(error, InvalidInput)
    assert "web/p" in error.message
    long = guard("g", 2, on(), egress=(deny(on()),) * 26)
    assert refused(TIERS, long).field == "spec.egress"


def test_addresses_that_come_to_too_many_prefixes_are_refused() -> None:
    holes = [f"10.{n >> 8}.{n & 255}.0/32" for n in range(0, 1024, 2)]
    fits = policy("p", 1, selector(), egress=(allow(), Rule((block("10.0.0.0/14", *holes[:100]),))))
    assert unsupported(TIERS, [fits]) is None
    error = refused(TIERS, policy("p", 1, selector(), egress=(allow(), Rule((block("10.0.0.0/14", *holes),)))))
    assert error.field == "spec.egress[1]"
    assert str(MAX_PREFIXES) in error.message


def test_the_same_is_refused_whatever_the_order() -> None:
    bad = [guard(f"g{n}", n, on(), ingress=(pass_on(on()),)) for n in range(1, 4)]
    assert str(refused(BANDS, *bad)) == str(refused(BANDS, *reversed(bad)))
