"""Where things are on a host, and the few settings there are. Parsed once, frozen afterwards."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path

REST_PORT = 6675
"""TCP port of the controller's REST API (TLS)."""
SOUTHBOUND_PORT = 6642
"""TCP port of OVN's southbound database for ovn-controller (TLS)."""
GENEVE_PORT = 6081
"""UDP port at which tunnels end."""

RESOLVER_PORT = 6676
"""Port of a host's resolver on the address of its `sp0`; containers ask at port 53, from where they are led to it."""
RESOLVER_ADDRESS = IPv4Address("169.254.53.53")
"""The resolver of a container's own host, whichever that is: for `--dns`."""


@dataclass(frozen=True, slots=True)
class Paths:
    """Every path that SocketPlane uses, below `root` (`/` but in tests)."""

    root: Path = Path("/")

    @property
    def state(self) -> Path:
        """Data that must survive a reboot; mode 0700."""
        return self.root / "var/lib/socketplane"

    @property
    def run(self) -> Path:
        """Sockets and pid files."""
        return self.root / "run/socketplane"

    @property
    def log(self) -> Path:
        """Log files where systemd's journal is absent."""
        return self.root / "var/log/socketplane"

    @property
    def pki(self) -> Path:
        """ca.crt, host.crt, host.key on every host; ca.key, server.crt, server.key on managers."""
        return self.state / "pki"

    @property
    def encryption_key(self) -> Path:
        """WireGuard's private key of this host, where hosts encrypt; mode 0600. It never leaves the host."""
        return self.state / "wireguard.key"

    @property
    def host_file(self) -> Path:
        """What this host is in the cluster: see `socketplane.identity`."""
        return self.state / "host.json"

    @property
    def intent_db(self) -> Path:
        """File of the intent database."""
        return self.state / "intent.db"

    @property
    def intent_socket(self) -> Path:
        """ovsdb-server's socket of the intent database."""
        return self.run / "intent.sock"

    @property
    def controller_socket(self) -> Path:
        """The controller's REST socket for the local administrator; mode 0600."""
        return self.run / "controller.sock"

    @property
    def plugin_socket(self) -> Path:
        """The socket where dockerd finds the driver: the front's."""
        return self.root / "run/docker/plugins/socketplane.sock"

    @property
    def agent_socket(self) -> Path:
        """The agent's socket, where the front passes dockerd's calls on; mode 0600."""
        return self.run / "agent.sock"

    @property
    def names(self) -> Path:
        """The journal of names: the agent writes it, the resolver reads it."""
        return self.state / "names.journal"

    @property
    def resolver_socket(self) -> Path:
        """Where the resolver tells how it is; mode 0600."""
        return self.run / "resolver.sock"

    @property
    def system_bus(self) -> Path:
        """D-Bus, where firewalld is."""
        return self.root / "run/dbus/system_bus_socket"

    @property
    def bgp(self) -> Path:
        """Folder of our bgpd's control socket, which its name makes it."""
        return self.run / "bgp"

    @property
    def bgp_socket(self) -> Path:
        """Where our bgpd is told what to announce."""
        return self.bgp / "bgpd.vty"

    @property
    def docker_socket(self) -> Path:
        """dockerd's API socket."""
        return self.root / "run/docker.sock"

    @property
    def ovs_socket(self) -> Path:
        """The local Open_vSwitch database."""
        return self.root / "run/openvswitch/db.sock"

    @property
    def northbound_socket(self) -> Path:
        """OVN's northbound database; managers only, never on the network."""
        return self.root / "run/ovn/ovnnb_db.sock"

    @property
    def southbound_socket(self) -> Path:
        """OVN's southbound database on a manager, for northd."""
        return self.root / "run/ovn/ovnsb_db.sock"
