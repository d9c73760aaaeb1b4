"""make test-versions: tests on the Open vSwitch and OVN of each supported Debian release.

python -m releases test [SUITE...]
python -m releases run SUITE -- COMMAND...
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Sequence

from releases.programs import SUITES, environment, versions
from socketplane.errors import SocketPlaneError

RUNS = (
    ("-n", "3", "tests/ovsdb", "tests/northd", "tests/controller"),
    ("-n", "2", "--dist", "loadfile", "tests/datapath", "tests/cluster"),
    ("-n", "2", "--dist", "loadfile", "tests/lab", "-m", "smoke and not slow"),
)
"""What pytest runs on each release: what shares nothing, then what shares a machine or a lab within a file."""


def main() -> int:
    """Run what was asked for; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m releases", description="Other releases' Open vSwitch and OVN.")
    commands = parser.add_subparsers(dest="command", required=True)
    test = commands.add_parser("test", help="run tests on each release")
    test.add_argument("suites", nargs="*", metavar="SUITE", help=f"default: {' '.join(SUITES)}")
    run = commands.add_parser("run", help="run a command with a release's programs before this machine's")
    run.add_argument("suite", metavar="SUITE")
    run.add_argument("argv", nargs="+", metavar="COMMAND")
    options = parser.parse_args()
    try:
        return _test(options.suites or list(SUITES)) if options.command == "test" else _run(options.suite, options.argv)
    except SocketPlaneError as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 1


def _test(suites: Sequence[str]) -> int:
    """Run all on each release, however the others end; say what ran on which."""
    environments = {suite: environment(suite) for suite in suites}  # made before, so that times are the tests'
    said = []
    for suite, env in environments.items():
        title = f"{SUITES[suite]} ({suite}): {versions(env)}"
        print(f"\n=== {title}", flush=True)
        began = time.monotonic()
        codes = [
            subprocess.run([sys.executable, "-m", "pytest", "-q", *run], env=env, check=False).returncode for run in RUNS
        ]
        outcome = "failed" if any(codes) else "passed"
        said.append((any(codes), f"{title}: {outcome}, {time.monotonic() - began:.0f} s"))
    print("\n" + "\n".join(line for _, line in said))
    return int(any(failed for failed, _ in said))


def _run(suite: str, argv: list[str]) -> int:
    os.execvpe(argv[0], argv, environment(suite))


if __name__ == "__main__":
    sys.exit(main())
