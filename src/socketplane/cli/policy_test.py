"""`socketplane policy test`: do assertions about who may talk to whom hold, in the cluster or in files."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from socketplane.cli import connect, parse
from socketplane.cli.compose_files import ProfilesOption
from socketplane.cli.group import FAILED
from socketplane.cli.output import Output, OutputOption, clean, examples, fail, no_style, note, out, show_json, table
from socketplane.cli.policy_files import STDIN, FilesOption, NamespaceOption, called, content
from socketplane.cli.policy_judges import live, offline
from socketplane.errors import SocketPlaneError

if TYPE_CHECKING:
    from socketplane.model.assertions import Assertion, Judge, Population, Result

BAD_FILE = 2
PASS = "pass"  # noqa: S105
STYLES = {"pass": "green", "fail": "bold red", "error": "bold yellow"}

ComposeOption = Annotated[
    list[str] | None,
    typer.Option("--compose", metavar="FILE", help="Judge without a cluster: a project's Compose file. Repeatable."),
]
PolicyOption = Annotated[
    list[str] | None,
    typer.Option("--policy", metavar="FILE", help="With --compose: the policies to judge by. Repeatable."),
]
PoolOption = Annotated[
    str | None,
    typer.Option("--pool", metavar="CIDR", help="With --compose: the cluster's pool, where it is not the usual one."),
]
JunitOption = Annotated[
    Path | None, typer.Option("--junit", metavar="FILE", help="Write the results as JUnit XML, too.", dir_okay=False)
]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        "test",
        epilog=examples(
            "socketplane policy test -f tests.yaml",
            "socketplane policy test -f tests.yaml --compose compose.yaml --policy policy.yaml",
            "socketplane policy test -f tests.yaml --compose compose.yaml --policy policy.yaml --junit results.xml",
        ),
    )(test)


def test(
    ctx: typer.Context,
    files: FilesOption,
    compose: ComposeOption = None,
    policy: PolicyOption = None,
    network: NamespaceOption = None,
    profile: ProfilesOption = None,
    pool: PoolOption = None,
    junit: JunitOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Hold assertions (web -> db:5432 deny) against the cluster; with --compose against files, without any cluster.

    Exit code 0: all hold; 1: one does not, or speaks of nobody; 2: a file is bad. docs/policy-testing.md tells more.
    """
    if not compose and (policy or profile or pool):
        raise typer.BadParameter(
            "they go with --compose: without it the cluster is asked", param_hint="--policy, --profile, --pool"
        )
    if [*files, *(compose or ()), *(policy or ())].count(STDIN) > 1:
        raise typer.BadParameter("standard input can be one of the files only", param_hint="-")
    cidr = None if pool is None else parse.subnet(pool, "--pool")
    with _bad_files():
        assertions = _assertions(files)
        if compose:
            court = offline(compose, policy or (), network=network, profiles=profile or (), pool=cidr)
            results = _hold(assertions, *court)
    if not compose:
        with connect.session(connect.of(ctx)) as session:
            results = _hold(assertions, *live(session, assertions))
    if junit is not None:
        _write(junit, results)
    _show(results, output)
    if any(result.outcome != PASS for result in results):
        raise typer.Exit(FAILED)


@contextlib.contextmanager
def _bad_files() -> Iterator[None]:
    """Tell a file that can't be used from an assertion that does not hold."""
    try:
        yield
    except SocketPlaneError as error:
        fail(error)
        raise typer.Exit(BAD_FILE) from None


def _assertions(names: Sequence[str]) -> list[Assertion]:
    from socketplane.model.assertions import parse_assertions  # heavy: yaml

    return [assertion for name in dict.fromkeys(names) for assertion in parse_assertions(content(name), called(name))]


def _hold(assertions: Sequence[Assertion], population: Population, judge: Judge, ports: Sequence[int]) -> list[Result]:
    from socketplane.model.assertions import hold

    return [hold(assertion, population, judge, ports) for assertion in assertions]


def _write(path: Path, results: Sequence[Result]) -> None:
    from socketplane.cli.junit import junit

    try:
        path.write_bytes(junit(results, _why))
    except OSError as error:
        fail(f"{path}: can't be written: {error.strerror}")
        raise typer.Exit(BAD_FILE) from None


def _show(results: Sequence[Result], output: Output) -> None:
    if output is Output.JSON:
        show_json([_as_json(result) for result in results])
        return
    rows = [[result.outcome.value, clean(result.assertion.title)] for result in results]
    table(["RESULT", "ASSERTION"], rows, [lambda cell: STYLES.get(cell, ""), no_style])
    for result in results:
        if result.outcome != PASS:
            assertion = result.assertion
            out()
            out(clean(f"{assertion.filename}, line {assertion.line}: {assertion.text}"))
            for line in _why(result):
                out(f"  {clean(line)}")
    failed = sum(result.outcome != PASS for result in results)
    note(f"{len(results) - failed} of {len(results)} assertions hold")


def _why(result: Result) -> list[str]:
    """Return in lines what speaks against an assertion."""
    if result.problem:
        return [f"it can't be judged: {result.problem}"]
    lines = []
    for finding in result.against:
        allow, policy, rule, reason = finding.judgement
        lines.append(
            f"expected {result.assertion.expect}, is {'allow' if allow else 'deny'}: "
            f"{finding.source} -> {finding.target} {finding.service}"
        )
        decided = f"policy {policy}, rule {rule}" if policy else f"rule {rule}" if rule else "no policy"
        lines.append(f"decided by {decided}: {reason}")
    return lines


def _as_json(result: Result) -> dict[str, object]:
    assertion = result.assertion
    return {
        "name": assertion.name,
        "file": assertion.filename,
        "line": assertion.line,
        "from": assertion.source,
        "to": assertion.target,
        "port": assertion.port,
        "protocol": assertion.protocol,
        "expect": assertion.expect,
        "result": result.outcome.value,
        "problem": result.problem,
        "against": [
            {
                "source": finding.source,
                "destination": finding.target,
                "service": finding.service,
                "verdict": "allow" if finding.judgement.allow else "deny",
                "policy": finding.judgement.policy,
                "rule": finding.judgement.rule,
                "reason": finding.judgement.reason,
            }
            for finding in result.against
        ],
    }
