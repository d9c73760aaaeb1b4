"""The virtual machine, for `make test-kernel` and `make bench-kernel`.

python -m vm test|bench|shell|image|run -- COMMAND [--results DIR] [--timeout SECONDS]
"""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path

from releases.programs import SUITES

from socketplane.errors import SocketPlaneError
from vm import programs, qemu
from vm.image import CHECKOUT, image
from vm.say import say

RESULTS = CHECKOUT / "build/vm"
JOBS = Path(__file__).resolve().parent / "jobs"
TIMEOUT = 1800.0
SHELL = "stty -F /dev/ttyS1 sane; exec setsid --ctty bash --login < /dev/ttyS1 > /dev/ttyS1 2>&1\n"


def main() -> int:
    """Do what the arguments say; return the exit code."""
    options = _parser().parse_args()
    programs.ended_by_signals()
    try:
        return _do(options)
    except SocketPlaneError as error:
        say(f"Error: {error}")
        return 1
    except KeyboardInterrupt:
        say("interrupted; nothing is left running")
        return 130


def _do(options: argparse.Namespace) -> int:
    qemu.check()
    found = image(options.suite)
    if options.command == "image":
        print(found.folder)
        return 0
    script = _script(options)
    code = qemu.run(found, script, options.results, timeout=options.timeout, interactive=options.command == "shell")
    say(f"results and logs: {options.results}")
    return code


def _script(options: argparse.Namespace) -> str:
    match options.command:
        case "run":
            return f"#!/bin/sh\nexec {shlex.join(options.words)}\n"
        case "shell":
            return f"#!/bin/sh\n{SHELL}"
    return (JOBS / str(options.command)).read_text()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m vm", description="Run something in a virtual machine.")
    parser.add_argument("--suite", choices=SUITES, default=next(iter(SUITES)), help="release of Debian")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder for results and logs, made anew")
    parser.add_argument("--timeout", type=float, default=TIMEOUT, help="seconds that the machine may take")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("test", help="tests of the lab on the kernel's datapath")
    commands.add_parser("bench", help="traffic beside its peers, for `python -m bench --load RESULTS/bench.json`")
    commands.add_parser("shell", help="look around")
    commands.add_parser("image", help="make the machine's image, and tell where it is")
    run = commands.add_parser("run", help="a command, in the checkout's folder; what it writes to $RESULTS comes out")
    run.add_argument("words", nargs="+", metavar="COMMAND")
    return parser


if __name__ == "__main__":
    sys.exit(main())
