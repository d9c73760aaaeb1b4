"""The benchmarks' own logic: documents that mean what the values do, axes, a report that keeps what was not measured."""

from datetime import UTC, datetime
from xml.etree import ElementTree

import pytest
from bench import policy_intent
from bench.plot import Panel, svg, ticks
from bench.policy import touching
from bench.policy_documents import document
from bench.report import Section, merged
from bench.table import Figure

from socketplane.model.policy import parse


@pytest.mark.parametrize("number", [0, 1, 49, 98, 99])
def test_documents_mean_the_policies(number: int) -> None:
    policy = policy_intent.policy(number, 100)
    read = parse(document(policy))
    assert (read.network, read.name, read.spec) == (policy.network, policy.name, policy.spec)


def test_policies_touch_an_endpoint_as_subject_or_as_peer() -> None:
    policies = [policy_intent.policy(number, 100) for number in range(100)]
    touch, rest = touching(policy_intent.endpoint(0, 100), policies)
    assert policies[0] in touch  # net0's first application is the endpoint's
    assert policies[20] in rest or policies[40] in rest
    assert len(touch) + len(rest) == 100


@pytest.mark.parametrize(
    ("low", "high", "linear", "expected"),
    [
        (100, 10_000, False, [100, 1000, 10_000]),
        (0.03, 3, False, [0.01, 0.1, 1, 10]),
        (5, 5, False, [1, 10]),
        (1, 9, True, [0, 2, 4, 6, 8, 10]),
        (1, 450, True, [0, 100, 200, 300, 400, 500]),
    ],
)
def test_axes_have_round_values_around_what_they_show(low: float, high: float, linear: bool, expected: list[float]) -> None:
    assert ticks(low, high, linear=linear) == pytest.approx(expected)


def test_a_plot_is_an_svg_with_all_its_points() -> None:
    panel = Panel("A & B", "ports", "ms", {"one": [(100, 1), (1000, 2)], "two": [(100, 3)]}, goal=10)
    root = ElementTree.fromstring(svg([panel, panel]))
    assert len(root.findall(".//{*}circle")) == 6
    assert "A & B" in [text.text for text in root.findall(".//{*}text")]


def test_a_report_keeps_sections_that_were_not_measured() -> None:
    when = datetime(2026, 1, 2, tzinfo=UTC)
    first = merged("", {"one": Section([Figure("a", "s", (1.0,))]).text("one", when, 0.5)})
    assert first.startswith("# Benchmarks")
    both = merged(first, {"two": Section([Figure("b", "s", (2.0,))], "About.", ("p.svg", "")).text("two", when, 0.5)})
    again = merged(both, {"one": Section([Figure("c", "s", (3.0,))]).text("one", when, 0.5)})
    assert both.startswith(first.rstrip("\n"))
    assert again.index("### one") < again.index("### two")
    assert "| c |" in again
    assert "| a |" not in again
    assert "About. 2026-01-02" in again
    assert "](img/p.svg)" in again
