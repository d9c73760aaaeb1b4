"""`socketplane endpoint drain`: out of all services, before a container is stopped."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any

import typer

from socketplane.cli import connect, parse
from socketplane.cli.complete import container_names
from socketplane.cli.group import each, finish
from socketplane.cli.output import clean, examples, out
from socketplane.errors import SocketPlaneError, Unavailable

_LOOK_EVERY = 0.2
Find = Callable[[connect.Session, str], Sequence[Mapping[str, Any]]]


def register(app: typer.Typer, find: Find) -> None:
    """Add the command; `find` returns what a container's name stands for."""

    @app.command(
        "drain",
        epilog=examples(
            "socketplane endpoint drain web-1 --wait && docker stop web-1", "socketplane endpoint drain --off web-1"
        ),
    )
    def drain(
        ctx: typer.Context,
        endpoints: Annotated[
            list[str],
            typer.Argument(
                metavar="ENDPOINT...",
                help="Containers, NETWORK/CONTAINER, ids or their starts.",
                autocompletion=container_names,
            ),
        ],
        off: Annotated[bool, typer.Option("--off", help="Let services have them again.")] = False,
        wait: Annotated[bool, typer.Option("--wait", help="Return when all hosts have it.")] = False,
        timeout: Annotated[str, typer.Option(metavar="DURATION", help="How long --wait waits.")] = "30s",
    ) -> None:
        """Take containers out of all services: no new connections come, and those that are open go on.

        It lasts until the container is started anew. With --wait a container may be stopped afterwards without a
        connection that fails, once it has answered what it has.
        """
        from socketplane import wire  # heavy: pydantic

        seconds = parse.duration(timeout, "--timeout")
        body = wire.EndpointDrain(draining=not off)

        def one(session: connect.Session, name: str) -> None:
            for endpoint in find(session, name):
                told = session.call("PUT", connect.path("endpoints", endpoint["id"], "drain"), body)
                if wait:
                    _wait(session, told["sequence"], seconds)
            out(clean(name))

        with connect.session(connect.of(ctx)) as session:
            _, good = each(endpoints, lambda name: one(session, name))
        finish(good)


def _wait(session: connect.Session, sequence: int, seconds: float) -> None:
    """Return when all hosts that are heard have installed what has this number."""
    deadline = time.monotonic() + seconds
    while late := _late(session, sequence):
        if time.monotonic() >= deadline:
            raise Unavailable(
                f"not told by {', '.join(late)} within {seconds:g} s",
                remedy="it is drained; wait again, or see what is wrong there: socketplane status",
            )
        time.sleep(_LOOK_EVERY)


def _late(session: connect.Session, sequence: int) -> list[str]:
    try:
        hosts = session.items("/v1/hosts")
    except SocketPlaneError as error:
        raise type(error)(f"it is drained; whether hosts have it can't be told: {error.message}") from None
    return [
        host["name"]
        for host in hosts
        if not host.get("silent") and ((host.get("report") or {}).get("installed") or 0) < sequence
    ]
