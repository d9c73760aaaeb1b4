"""The daemons of a host, as data: what starts each, and how to see that it works."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from socketplane.config import Paths
from socketplane.model.forwarding import Traits
from socketplane.pki import CA_CERT, HOST_CERT, HOST_KEY


@dataclass(frozen=True, slots=True)
class Database:
    """It works when ovsdb-server serves this database."""

    socket: Path
    name: str


@dataclass(frozen=True, slots=True)
class Control:
    """It works when it answers on its control socket (`ovs-appctl`)."""


@dataclass(frozen=True, slots=True)
class Http:
    """It works when it answers this request on a unix socket with a status below 500."""

    socket: Path
    method: str
    path: str


@dataclass(frozen=True, slots=True)
class Vty:
    """It works when it answers on this socket as FRR's daemons do."""

    socket: Path


Probe = Database | Control | Http | Vty


@dataclass(frozen=True, slots=True)
class Daemon:
    """A daemon. `title` is for people, `name` for files and records."""

    name: str
    title: str
    argv: tuple[str, ...]
    pidfile: Path
    log: Path
    probe: Probe
    units: tuple[str, ...]
    """systemd units that run it; the first is the one to enable."""
    control: Path | None = None
    """Control socket of Open vSwitch's kind; `{pid}` stands for its process. None: it knows signals only."""
    farewell: tuple[str, ...] = ("exit",)
    """What to say on the control socket to end it."""
    patience: float = 20.0
    """Seconds until it must be gone."""
    startup: float = 60.0
    """Seconds until it must work; one that ends is not waited for. Slow machines load our programs for long."""

    @property
    def forks(self) -> bool:
        """Whether it puts itself into the background, writes its pidfile, and returns once it works."""
        return self.control is not None

    @property
    def program(self) -> str:
        """Name of the running program."""
        return Path(self.argv[0]).name


def _ovs(program: str, *arguments: str, pidfile: Path, log: Path) -> tuple[str, ...]:
    """Return the command line of a daemon of Open vSwitch's kind. `--monitor` starts it anew when it crashes."""
    flags = ("-vconsole:emer", "-vsyslog:off", "-vfile:info", "--no-chdir", "--detach", "--monitor")
    return (program, *arguments, *flags, f"--pidfile={pidfile}", f"--log-file={log}")


def ovs_database(paths: Paths) -> Daemon:
    """The local Open_vSwitch database."""
    run, log = paths.root / "run/openvswitch", paths.root / "var/log/openvswitch/ovsdb-server.log"
    pidfile = run / "ovsdb-server.pid"
    keys = ("private-key=db:Open_vSwitch,SSL,private_key", "certificate=db:Open_vSwitch,SSL,certificate")
    arguments = (
        str(ovs_database_file(paths)),
        f"--remote=punix:{paths.ovs_socket}",
        "--remote=db:Open_vSwitch,Open_vSwitch,manager_options",
        *(f"--{key}" for key in keys),
        "--bootstrap-ca-cert=db:Open_vSwitch,SSL,ca_cert",
    )
    return Daemon(
        "ovsdb-server",
        "Open vSwitch database",
        _ovs("ovsdb-server", *arguments, pidfile=pidfile, log=log),
        pidfile,
        log,
        Database(paths.ovs_socket, "Open_vSwitch"),
        ("openvswitch-switch.service", "ovsdb-server.service"),
        run / "ovsdb-server.{pid}.ctl",
    )


def ovs_database_file(paths: Paths) -> Path:
    """Where Debian keeps the Open_vSwitch database (a link into /var/lib)."""
    return paths.root / "etc/openvswitch/conf.db"


def ovs_switch(paths: Paths, traits: Traits) -> Daemon:
    """The switch itself, with that datapath."""
    run, log = paths.root / "run/openvswitch", paths.root / "var/log/openvswitch/ovs-vswitchd.log"
    pidfile = run / "ovs-vswitchd.pid"
    arguments = (f"unix:{paths.ovs_socket}", "--mlockall") + (() if traits.needs_module else ("--disable-system",))
    return Daemon(
        "ovs-vswitchd",
        "Open vSwitch",
        _ovs("ovs-vswitchd", *arguments, pidfile=pidfile, log=log),
        pidfile,
        log,
        Control(),
        ("openvswitch-switch.service", "ovs-vswitchd.service"),
        run / "ovs-vswitchd.{pid}.ctl",
        ("exit", "--cleanup"),
    )


def _ovn_database(paths: Paths, short: str, name: str, table: str, unit: str) -> Daemon:
    run, log = paths.root / "run/ovn", paths.root / f"var/log/ovn/ovsdb-server-{short}.log"
    pidfile, socket, control = (run / f"ovn{short}_db.{kind}" for kind in ("pid", "sock", "ctl"))
    arguments = (
        str(ovn_database_file(paths, short)),
        f"--remote=punix:{socket}",
        f"--unixctl={control}",
        f"--remote=db:{name},{table},connections",
        f"--private-key=db:{name},SSL,private_key",
        f"--certificate=db:{name},SSL,certificate",
        f"--ca-cert=db:{name},SSL,ca_cert",
        f"--ssl-protocols=db:{name},SSL,ssl_protocols",
        f"--ssl-ciphers=db:{name},SSL,ssl_ciphers",
    )
    return Daemon(
        f"ovn-{short}",
        f"OVN {name.removeprefix('OVN_').lower()} database",
        _ovs("ovsdb-server", *arguments, pidfile=pidfile, log=log),
        pidfile,
        log,
        Database(socket, name),
        ("ovn-central.service", unit),
        control,
    )


def ovn_database_file(paths: Paths, short: str) -> Path:
    """Where Debian keeps the northbound (`nb`) or southbound (`sb`) database."""
    return paths.root / f"var/lib/ovn/ovn{short}_db.db"


def northbound(paths: Paths) -> Daemon:
    """OVN's northbound database: on a unix socket only, since it knows no roles."""
    return _ovn_database(paths, "nb", "OVN_Northbound", "NB_Global", "ovn-ovsdb-server-nb.service")


def southbound(paths: Paths) -> Daemon:
    """OVN's southbound database; other hosts reach it as its own `connections` say."""
    return _ovn_database(paths, "sb", "OVN_Southbound", "SB_Global", "ovn-ovsdb-server-sb.service")


def northd(paths: Paths) -> Daemon:
    """The compiler from northbound to southbound."""
    run, log = paths.root / "run/ovn", paths.root / "var/log/ovn/ovn-northd.log"
    pidfile = run / "ovn-northd.pid"
    arguments = (f"--ovnnb-db=unix:{paths.northbound_socket}", f"--ovnsb-db=unix:{paths.southbound_socket}")
    return Daemon(
        "ovn-northd",
        "OVN northd",
        _ovs("ovn-northd", *arguments, pidfile=pidfile, log=log),
        pidfile,
        log,
        Control(),
        ("ovn-central.service", "ovn-northd.service"),
        run / "ovn-northd.{pid}.ctl",
    )


def ovn_controller(paths: Paths) -> Daemon:
    """The compiler from southbound to this host's OpenFlow; it shows this host's certificate."""
    run, log = paths.root / "run/ovn", paths.root / "var/log/ovn/ovn-controller.log"
    pidfile = run / "ovn-controller.pid"
    arguments = (f"unix:{paths.ovs_socket}", *tls_options(paths))
    return Daemon(
        "ovn-controller",
        "OVN controller",
        _ovs("ovn-controller", *arguments, pidfile=pidfile, log=log),
        pidfile,
        log,
        Control(),
        ("ovn-host.service", "ovn-controller.service"),
        run / "ovn-controller.{pid}.ctl",
        patience=15.0,
    )


def tls_options(paths: Paths) -> tuple[str, ...]:
    """Return the options that make a daemon of OVN show this host's certificate."""
    files = {"private-key": HOST_KEY, "certificate": HOST_CERT, "ca-cert": CA_CERT}
    return tuple(f"--{option}={paths.pki / file}" for option, file in files.items())


def intent(paths: Paths) -> Daemon:
    """The cluster's intent."""
    pidfile, log = paths.run / "intent.pid", paths.log / "intent.log"
    arguments = (str(paths.intent_db), f"--remote=punix:{paths.intent_socket}", f"--unixctl={paths.run / 'intent.ctl'}")
    return Daemon(
        "socketplane-intent",
        "intent database",
        _ovs("ovsdb-server", *arguments, pidfile=pidfile, log=log),
        pidfile,
        log,
        Database(paths.intent_socket, "SocketPlane"),
        ("socketplane-intent.service",),
        paths.run / "intent.ctl",
    )


def binary(name: str) -> str:
    """Return where one of our own programs is: beside the Python that runs us."""
    return str(Path(sys.prefix) / "bin" / name)


def controller(paths: Paths) -> Daemon:
    """The REST API and the compiler from intent to northbound."""
    return Daemon(
        "socketplane-controller",
        "controller",
        (binary("socketplane-controller"),),
        paths.run / "controller.pid",
        paths.log / "controller.log",
        Http(paths.controller_socket, "GET", "/v1/version"),
        ("socketplane-controller.service",),
    )


def plugin(paths: Paths) -> Daemon:
    """The driver's socket, there for Docker even while the agent is not."""
    return Daemon(
        "socketplane-plugin",
        "driver's socket",
        (binary("socketplane-plugin"),),
        paths.run / "plugin.pid",
        paths.log / "plugin.log",
        Http(paths.plugin_socket, "POST", "/Plugin.Activate"),
        ("socketplane-plugin.service", "socketplane-plugin.socket"),
    )


def agent(paths: Paths) -> Daemon:
    """Docker's network and IPAM driver on this host."""
    return Daemon(
        "socketplane-agent",
        "agent",
        (binary("socketplane-agent"),),
        paths.run / "agent.pid",
        paths.log / "agent.log",
        Http(paths.agent_socket, "POST", "/Plugin.Activate"),
        ("socketplane-agent.service",),
    )


def resolver(paths: Paths) -> Daemon:
    """Names for this host's containers, there even while the agent is not."""
    return Daemon(
        "socketplane-resolver",
        "resolver",
        (binary("socketplane-resolver"),),
        paths.run / "resolver.pid",
        paths.log / "resolver.log",
        Http(paths.resolver_socket, "GET", "/"),
        ("socketplane-resolver.service",),
    )


def bgp_program() -> Path:
    """Return where FRR's bgpd is, or would be: Debian's place, unless SOCKETPLANE_FRR names another folder."""
    return Path(os.environ.get("SOCKETPLANE_FRR") or "/usr/lib/frr") / "bgpd"


def bgp(paths: Paths) -> Daemon:
    """FRR's bgpd, one of our own beside any that the administrator runs: it listens nowhere and touches no route.

    Where FRR is not installed, there is none.
    """
    pidfile = paths.bgp / "bgpd.pid"
    alone = ("-S", "-Z", "-n", "-p", "0", "-P", "0", "-f", "/dev/null")
    own = ("-i", str(pidfile), "--vty_socket", str(paths.bgp), "--log", "stdout", "--log-level", "informational")
    return Daemon(
        "socketplane-bgp",
        "BGP",
        (str(bgp_program()), *alone, *own),
        pidfile,
        paths.log / "bgp.log",
        Vty(paths.bgp_socket),
        ("socketplane-bgp.service",),
    )


def docker(paths: Paths) -> Daemon:
    """The Docker engine."""
    pidfile = paths.root / "run/docker.pid"
    return Daemon(
        "dockerd",
        "Docker engine",
        ("dockerd", f"--pidfile={pidfile}", f"--host=unix://{paths.docker_socket}"),
        pidfile,
        paths.log / "dockerd.log",
        Http(paths.docker_socket, "GET", "/_ping"),
        ("docker.service", "docker.socket"),
        patience=60.0,
    )
