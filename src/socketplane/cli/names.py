"""`socketplane names`: that containers ask this host's resolver where Docker does not have them do it by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from socketplane.cli import connect
from socketplane.cli.output import examples, note, out

if TYPE_CHECKING:
    from socketplane.cluster.dockerdns import Setting

app = typer.Typer(help="How containers of this host ask for names.", no_args_is_help=True)


@app.command("enable", epilog=examples("sudo socketplane names enable"))
def enable(ctx: typer.Context) -> None:
    """Have Docker send all containers' questions to this host's resolver: `dns` in its daemon.json.

    Needed where `status` says that questions don't come by themselves (Docker 28 and later, hosts whose only name servers
    are on their loopback). It concerns every container of this host. dockerd reads it at its next start, which you decide.
    """
    from socketplane.cluster import dockerdns
    from socketplane.identity import HostIdentity

    paths = connect.of(ctx).paths
    HostIdentity.load(paths.host_file)  # elsewhere nobody would answer
    _say(dockerdns.enable(paths))


@app.command("disable", epilog=examples("sudo socketplane names disable"))
def disable(ctx: typer.Context) -> None:
    """Take that back; what stood there before stands there again."""
    from socketplane.cluster import dockerdns

    _say(dockerdns.disable(connect.of(ctx).paths))


def _say(setting: Setting) -> None:
    now = "not set" if setting.now is None else ", ".join(setting.now)
    out(f"{setting.file}: dns is {now}")
    if not setting.changed:
        note("Nothing was to be done.")
        return
    stops = "containers go on, for live-restore is on" if setting.live_restore else "that stops this host's containers"
    note(f"It was {'not set' if setting.before is None else ', '.join(setting.before)}.")
    note(f"dockerd reads it at its start: `systemctl restart docker` ({stops}).")
