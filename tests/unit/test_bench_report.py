"""The benchmarks' own logic: documents that mean what the values do, axes, a report that keeps what was not measured."""

from xml.etree import ElementTree

import pytest
from bench import bars, policy_intent, traffic
from bench.plot import Panel, svg, ticks
from bench.policy import touching
from bench.policy_documents import document
from bench.report import Section, loaded, measured, merged, saved
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


def test_bars_are_an_svg_with_a_bar_for_each_and_no_empty_panel() -> None:
    panel = bars.Panel("A & B", "ms", {"one": (2.0, 1.0, 3.0), "two": (4.0, 4.0, 4.0)})
    root = ElementTree.fromstring(bars.svg([panel, bars.Panel("none", "ms", {})]))
    widths = [float(bar.attrib["width"]) for bar in root.findall(".//{*}rect")]
    assert widths[1] == pytest.approx(2 * widths[0], rel=0.01)
    assert "none (ms)" not in [text.text for text in root.findall(".//{*}text")]


def test_ways_are_compared_round_by_round_and_times_the_other_way_up() -> None:
    found: traffic.Values = {}
    for name, speeds, times in (
        (traffic.PLAIN, [2.0, 4.0, 9.0], [1.0, 2.0, 4.0]),
        (traffic.SWARM, [1.0, 4.0, 3.0], [2.0, 2.0, 2.0]),
    ):
        found["TCP, 1 stream", name, "across"] = speeds
        found["round trip", name, "across"] = times
    of = {(figure.name, figure.against): figure for figure in traffic.figures(found)}
    tcp = of["across: TCP, 1 stream: SocketPlane", traffic.SWARM]
    assert (tcp.ratio, tcp.ratios, tcp.goal) == (2.0, (2.0, 1.0, 3.0), "1 or more")
    assert of["across: round trip: SocketPlane", traffic.SWARM].ratios == (2.0, 1.0, 0.5)
    assert of["across: round trip: Swarm overlay", ""].ratio is None


def test_a_report_keeps_sections_that_were_not_measured() -> None:
    first = merged("", {"one": Section([Figure("a", "s", (1.0,))]).text("one")})
    assert first.startswith("# Benchmarks")
    section = measured(Section([Figure("b", "s", (2.0,))], "About.", ("p.svg", "")), 0.5)
    both = merged(first, {"two": section.text("two")})
    again = merged(both, {"one": Section([Figure("c", "s", (3.0,))]).text("one")})
    assert both.startswith(first.rstrip("\n"))
    assert again.index("### one") < again.index("### two")
    assert "| c |" in again
    assert "| a |" not in again
    assert "load 0.5 before it." in again
    assert "](img/p.svg)" in again


def test_what_was_measured_elsewhere_is_reported_as_if_here() -> None:
    sections = {
        "one": measured(
            Section([Figure("a", "s", (1.0, 2.0), "b", 0.5, "", (0.4, 0.6))], "About.", ("p.svg", "<svg/>")), 0.5
        ),
        "two": Section([Figure("a", "s", (1.0,))]),
    }
    assert loaded(saved(sections)) == sections
