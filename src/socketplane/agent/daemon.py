"""What this package's daemons have in common: command line, log, signals."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import structlog
import uvloop

from socketplane import __version__
from socketplane.config import Paths

Run = Callable[[Paths, asyncio.Event], Awaitable[int]]
"""A daemon: runs until the event, then returns its exit code."""


def start(program: str, description: str, run: Run) -> None:
    """Be a daemon until a signal ends it: `PROGRAM [--root DIR] [--log-level LEVEL]`."""
    parser = argparse.ArgumentParser(prog=program, description=description)
    root = Path(os.environ.get("SOCKETPLANE_ROOT", "/"))
    parser.add_argument("--root", type=Path, default=root, help="directory below which all paths are (default /)")
    parser.add_argument("--log-level", default="info", choices=("debug", "info", "warning", "error"))
    parser.add_argument("--version", action="version", version=__version__)
    arguments = parser.parse_args()
    _set_up_logging(arguments.log_level)
    sys.exit(uvloop.run(_until_signal(Paths(arguments.root), run)))


async def _until_signal(paths: Paths, run: Run) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    return await run(paths, stop)


def _set_up_logging(level: str) -> None:
    structlog.configure(
        processors=[
            structlog.stdlib.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.LogfmtRenderer(key_order=["timestamp", "level", "event"]),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
