"""Our lines in iptables' filter table, as text. Pure.

Who else has a firewall here (Docker, ufw) has it there, with chains that drop what nothing accepts; an accept in a table of
our own does not beat that. So two chains of ours accept what our table lets through: the one for what is forwarded is
called right behind `DOCKER-USER`, the one for what comes to the host is called first. A call in `DOCKER-USER` would not be
reached behind an administrator's RETURN, after `iptables -F`, or without Docker's rules.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from ipaddress import collapse_addresses

from socketplane.agent.hostport import NAME as SP0
from socketplane.agent.ruleset import Boundary
from socketplane.config import GENEVE_PORT, RESOLVER_PORT
from socketplane.encryption import DEVICE
from socketplane.model.types import Subnet

CHAINS = {"FORWARD": "SOCKETPLANE", "INPUT": "SOCKETPLANE-IN"}
"""iptables' chains, and ours that they call."""
DOCKER_CHAIN = "DOCKER-USER"


@dataclass(frozen=True, slots=True)
class Saved:
    """The filter table, as iptables-save prints it."""

    lines: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> Saved:
        """Read the output of iptables-save."""
        return cls(tuple(text.splitlines()))

    def rules(self, chain: str) -> list[str]:
        """Return a chain's rules."""
        return [line for line in self.lines if line.startswith(f"-A {chain} ")]

    def has(self, chain: str) -> bool:
        """Return whether there is such a chain."""
        return any(line.startswith(f":{chain} ") for line in self.lines)

    def closed(self) -> list[str]:
        """Return which of iptables' chains might drop something: by policy, or by a rule that isn't ours."""
        return [chain for chain in CHAINS if self._policy(chain) != "ACCEPT" or self._others(chain)]

    def called(self) -> bool:
        """Return whether every closed chain calls ours once, behind Docker's users' lines and before everybody else's."""
        return not self._stray() and all(self._calls(chain) for chain in self.closed())

    def ours(self) -> list[str]:
        """Return the rules of our chains."""
        return [rule for chain in CHAINS.values() for rule in self.rules(chain)]

    def script(self, wanted: Collection[str]) -> str:
        """Return the input of iptables-restore that makes our chains so, and calls them where something is closed."""
        made = (f":{chain} - [0:0]" for chain in CHAINS.values())
        called = (f"-I {chain} {_position(self._others(chain))} -j {CHAINS[chain]}" for chain in self.closed())
        return _script([*made, *wanted, *self._uncall(), *called])

    def removal(self) -> str:
        """Return the input of iptables-restore that removes what is ours; empty where nothing is."""
        present = [chain for chain in CHAINS.values() if self.has(chain)]
        flushed = [line for verb in "FX" for line in (f"-{verb} {chain}" for chain in present)]
        return _script([*self._uncall(), *flushed]) if present else ""

    def _policy(self, chain: str) -> str:
        found = (line.split()[1] for line in self.lines if line.startswith(f":{chain} "))
        return next(found, "ACCEPT")

    def _others(self, chain: str) -> list[str]:
        return [rule for rule in self.rules(chain) if rule != _call(chain)]

    def _calls(self, chain: str) -> bool:
        rules = self.rules(chain)
        return rules.count(_call(chain)) == 1 and rules.index(_call(chain)) + 1 == _position(self._others(chain))

    def _stray(self) -> int:
        return self.rules(DOCKER_CHAIN).count(f"-A {DOCKER_CHAIN} -j {CHAINS['FORWARD']}")

    def _uncall(self) -> list[str]:
        calls = [
            f"-D {chain} -j {ours}" for chain, ours in CHAINS.items() for _ in range(self.rules(chain).count(_call(chain)))
        ]
        return [*calls, *[f"-D {DOCKER_CHAIN} -j {CHAINS['FORWARD']}"] * self._stray()]


def rules(boundary: Boundary, version: int = 4) -> list[str]:
    """Return the rules of our chains, of IPv4 or of IPv6."""
    lock = f"-A {CHAINS['FORWARD']} -o {SP0} -j DROP"  # while our table is flushed, it would be open for Docker's bridges
    if boundary.ipv6 is not None and version == 6:
        answers = f"-A {CHAINS['INPUT']} -i {SP0} -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"
        return [
            *_forwarded(boundary.ipv6.pool, boundary.ipv6.exits),
            *_routed(collapse_addresses(sorted(boundary.routed6))),
            lock,
            answers,
        ]
    return [
        *_forwarded(boundary.pool, boundary.exits),
        *_routed(collapse_addresses(sorted(boundary.routed))),
        lock,
        *_received(boundary),
    ]


def _forwarded(pool: Subnet, exits: Collection[str]) -> list[str]:
    """Return what of forwarded packets is accepted.

    The way out is accepted by link, never to Docker's own bridges: what is reachable there is Docker's to say.
    """
    start = f"-A {CHAINS['FORWARD']}"
    ways_out = [f"{start} -s {pool} -i {SP0} -o {name} -j ACCEPT" for name in sorted(exits)]
    answers = f"{start} -d {pool} -o {SP0} -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"
    published = f"{start} -d {pool} -o {SP0} -m conntrack --ctstate DNAT -j ACCEPT"  # what isn't ours we drop
    return [*ways_out, answers, published]


def _routed(subnets: Iterable[Subnet]) -> list[str]:
    start = f"-A {CHAINS['FORWARD']}"
    return [f"{start} -d {subnet} -o {SP0} -j ACCEPT" for subnet in subnets]


def _received(boundary: Boundary) -> list[str]:
    """Return what is accepted for the host: containers' answers, questions that we led to the resolver, hosts' tunnels."""
    start = f"-A {CHAINS['INPUT']}"
    found = [f"{start} -i {SP0} -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"]
    if boundary.resolvers:
        led = f"-d {boundary.gateway} -m conntrack --ctstate DNAT"
        found += [f"{start} {led} -p {each} --dport {RESOLVER_PORT} -j ACCEPT" for each in ("udp", "tcp")]
    if boundary.underlay is not None:
        port = boundary.encryption.port if boundary.encryption else GENEVE_PORT
        found.append(f"{start} -d {boundary.underlay} -p udp --dport {port} -j ACCEPT")
    if boundary.encryption is not None:
        found.append(f"{start} -i {DEVICE} -j ACCEPT")  # our table lets nothing but tunnels come by it
    return found


def _call(chain: str) -> str:
    return f"-A {chain} -j {CHAINS[chain]}"


def _position(rules: Sequence[str]) -> int:
    users = f"-A FORWARD -j {DOCKER_CHAIN}"
    return rules.index(users) + 2 if users in rules else 1


def _script(lines: Sequence[str]) -> str:
    return "\n".join(["*filter", *lines, "COMMIT", ""])
