"""Results in JUnit's XML, which CI systems show beside a change."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING
from xml.etree import ElementTree

if TYPE_CHECKING:
    from socketplane.model.assertions import Result


def junit(results: Sequence[Result], describe: Callable[[Result], Sequence[str]]) -> bytes:
    """Return the report: a suite for each file. `describe` says in lines what is wrong."""
    from socketplane.model.assertions import Outcome

    root = ElementTree.Element("testsuites", {"name": "socketplane policy test"} | _counts(results))
    for filename in dict.fromkeys(result.assertion.filename for result in results):
        mine = [result for result in results if result.assertion.filename == filename]
        suite = ElementTree.SubElement(root, "testsuite", {"name": _plain(filename)} | _counts(mine))
        for result in mine:
            assertion = result.assertion
            names = {"name": _plain(assertion.title), "classname": _plain(filename), "file": _plain(filename)}
            case = ElementTree.SubElement(suite, "testcase", names | {"line": str(assertion.line), "time": "0"})
            if result.outcome is not Outcome.PASS:
                lines = [_plain(line) for line in describe(result)]
                kind = "failure" if result.outcome is Outcome.FAIL else "error"
                problem = ElementTree.SubElement(case, kind, {"message": lines[0]})
                problem.text = "\n".join([_plain(assertion.text), *lines])
    ElementTree.indent(root)
    report: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return report + b"\n"


def _counts(results: Sequence[Result]) -> dict[str, str]:
    outcomes = [result.outcome.value for result in results]
    counts = {"tests": len(outcomes), "failures": outcomes.count("fail"), "errors": outcomes.count("error"), "time": 0}
    return {name: str(number) for name, number in counts.items()}


def _plain(text: str) -> str:
    """Return text without the characters that XML can't hold."""
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)
