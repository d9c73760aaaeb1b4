"""`socketplane status`: the cluster at a glance, or what runs here when it can't be asked."""

from __future__ import annotations

import socket
import time
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import typer

from socketplane.cli import connect
from socketplane.cli.endpoint import ports
from socketplane.cli.host import columns, report
from socketplane.cli.output import Output, OutputOption, clean, examples, note, out, show, show_json
from socketplane.config import Paths
from socketplane.errors import NotFound, SocketPlaneError, Unavailable

SHOWN = 12
"""Published ports that are listed; more of them only `endpoint ls --published` lists."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("status", epilog=examples("socketplane status", "socketplane status -o json | jq -r '.alarms[]'"))(status)


def status(ctx: typer.Context, output: OutputOption = Output.TABLE) -> None:
    """Show the cluster: its hosts, what they carry, and alarms. Without a controller: what runs on this machine."""
    connection = connect.of(ctx)
    try:
        with connect.session(connection) as session:
            answer = session.get("/v1/status")
            some = output is Output.TABLE and 0 < answer.get("published", 0) <= SHOWN
            published = session.items("/v1/endpoints", {"published": "true"}) if some else []
    except (Unavailable, NotFound) as error:
        if output is Output.TABLE and connection.controller is None:
            show_local(connection.paths)
        raise _with_next_step(error, connection) from None
    if output is Output.JSON:
        show_json(answer)
    else:
        show_status(answer, published)


def show_status(answer: Mapping[str, Any], publishing: Collection[Mapping[str, Any]] = ()) -> None:
    """Print a `wire.Status` for a person, and the endpoints with published ports, if they are few."""
    hosts = answer["hosts"]
    show(hosts, columns(time.time()), Output.TABLE)
    out()
    ready = sum(1 for host in hosts if host["ready"])
    counts = [f"{len(hosts)} host{_s(len(hosts))} ({ready} ready)"]
    counts += [f"{answer[noun]} {noun if answer[noun] != 1 else singular}" for noun, singular in _COUNTED.items()]
    if services := answer.get("services"):
        counts.append(f"{services} service{_s(services)}")
    if published := answer.get("published"):
        counts.append(f"{published} published port{_s(published)}")
    if floating := answer.get("floating"):
        counts.append(f"{floating} floating address{'' if floating == 1 else 'es'}")
    facts = [f"pool {clean(answer['pool'])}", *([f"MTU {answer['mtu']}"] if answer.get("mtu") else [])]
    facts += ["encrypted"] if answer.get("encrypted") else []
    out("; ".join([", ".join(counts), *facts, f"SocketPlane {clean(answer['version'])}"]))
    for each in publishing:
        where = f"{each['network_name'] or each['network']}/{each['name'] or each['address']}"
        out(f"{clean(each['host'])} publishes {clean(where)}: {ports(each)}")
    conflicts = [f"host {host['name']}: {text}" for host in hosts for text in report(host, "conflicts") or ()]
    for warning in answer.get("warnings") or ():
        out(f"WARNING: {clean(warning)}")
    for alarm in [*answer["alarms"], *conflicts]:
        out(f"ALARM: {clean(alarm)}")


_COUNTED = {"networks": "network", "endpoints": "endpoint", "policies": "policy"}


def _s(count: int) -> str:
    return "" if count == 1 else "s"


def show_local(paths: Paths) -> None:
    """Print on stderr which of a host's parts answer on this machine."""
    parts = {
        "Docker engine": paths.docker_socket,
        "Open vSwitch": paths.ovs_socket,
        "driver's socket": paths.plugin_socket,
        "agent": paths.agent_socket,
        "resolver": paths.resolver_socket,
        "controller": paths.controller_socket,
        "intent database": paths.intent_socket,
        "OVN northbound": paths.northbound_socket,
        "OVN southbound": paths.southbound_socket,
    }
    width = max(map(len, parts))
    note("On this machine:")
    for name, path in parts.items():
        note(f"  {name.ljust(width)}  {answers(path)}")


def answers(path: Path) -> str:
    """Return `running` where something accepts connections on a unix socket, else what is the matter."""
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(str(path))
        except FileNotFoundError:
            return "absent"
        except PermissionError:
            return "can't tell (not root)"
        except OSError as error:
            return f"not running ({error.strerror or error})"
    return "running"


def _with_next_step(error: SocketPlaneError, connection: connect.Connection) -> SocketPlaneError:
    """Return the error with the command to type next."""
    if isinstance(error, NotFound) or connection.controller:
        return error
    from socketplane.identity import HostIdentity

    try:
        identity = HostIdentity.load(connection.paths.host_file)
    except (SocketPlaneError, OSError):
        return error
    start = "sudo socketplane up"
    remedy = (
        f"start it: {start}"
        if identity.manager
        else f"on the manager: {start}; this host: is {identity.controllers[0]} reachable?"
    )
    return type(error)(error.message, remedy=remedy)
