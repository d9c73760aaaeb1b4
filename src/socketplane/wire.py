"""The REST types: what agent, command line and controller say to one another under /v1.

Every body is JSON. Unknown fields are refused, so that a typo is an error and not a surprise. Errors come as
`{"error": {"code", "message", "field", "remedy"}}` with the status of `socketplane.errors`.

| call | who | meaning |
|---|---|---|
| GET /v1/version                          | anyone | `Version` |
| GET /v1/ca                               | anyone | the cluster's CA certificate (PEM, text/plain) |
| POST /v1/join                            | token  | `JoinRequest` -> `JoinReply` |
| GET /v1/status                           | all    | `Status` |
| GET /v1/hosts, /v1/hosts/{name}          | all    | `Host` |
| PUT /v1/hosts/{name}                     | admin  | `HostPut` -> `Host`: the first host, by `socketplane up`; idempotent |
| PATCH /v1/hosts/{name}                   | admin  | `HostPatch` -> `Host` |
| DELETE /v1/hosts/{name}?force=           | admin, the host itself | leave; refused (InUse) with endpoints unless forced |
| PUT /v1/hosts/{name}/report              | the host | `HostReport`: health, every 10 s and at once on change |
| POST /v1/hosts/{name}/denials            | the host | `DenialBatch`: packets that policy refused there |
| POST /v1/hosts/{name}/streams            | the host | `StreamCheck` -> `StreamsForbidden`: what of it must not go on |
| POST /v1/hosts/{name}/probes             | the host | `ProbeAnswer`: how connections ended that it was told to try |
| GET /v1/networks, /v1/networks/{id|name} | all    | `Network` |
| POST /v1/networks                        | admin, hosts | `NetworkCreate` -> `Network` |
| PATCH /v1/networks/{id}                  | admin, origin host | `NetworkPatch` -> `Network` |
| DELETE /v1/networks/{id|name}            | admin, hosts | refused (InUse) with endpoints |
| POST /v1/networks/{id}/leases            | hosts  | `LeaseCreate` -> `Lease` |
| DELETE /v1/networks/{id}/leases/{address}| hosts  | own leases only; idempotent |
| GET /v1/leases?host=                     | all    | `Lease` |
| GET /v1/endpoints?network=&host=&label=  | all    | `Endpoint`; label may repeat: k=v |
| GET /v1/endpoints/{id}                   | all    | `Endpoint` |
| PUT /v1/endpoints/{id}                   | its host | `EndpointPut` -> `Endpoint` |
| DELETE /v1/endpoints/{id}                | its host | idempotent; `?release=true` releases its address too |
| POST /v1/endpoints                       | hosts  | `EndpointBulk` -> `EndpointBulkReply`: many in one |
| GET /v1/policies, /v1/policies/{network}/{name} | all | `Policy`; `-` stands for no network |
| POST /v1/policies                        | admin  | `PolicyApply` -> `PolicyOutcome`: all or nothing |
| POST /v1/policies/plan                   | admin  | `PolicyTrial` -> `PolicyPlan`: changes nothing |
| DELETE /v1/policies/{network}/{name}     | admin  | |
| POST /v1/policies/remove                 | admin  | `PolicyRemove` -> `PolicyOutcome`: several as one change |
| GET /v1/policies/history                 | all    | `PolicyRevision`, the oldest that is kept first |
| POST /v1/policies/rollback               | admin  | `PolicyRollback` -> `PolicyOutcome` |
| POST /v1/policies/confirm                | admin  | `PolicyConfirm` -> `PolicyRevision`; idempotent |
| GET /v1/policies/violations?policy=&since= | all  | `PolicyViolation`, the latest first; since: seconds ago |
| GET /v1/schemas/{kind}, /v1/schemas      | all    | JSON schema of a kind of document; of all kinds together |
| GET /v1/explain?src=&dst=&port=&protocol=| all    | `Explanation` |
| GET /v1/reach?network=&by=&version=     | all    | `Reach`: who reaches whom, in groups by labels; by may repeat |
| GET /v1/reach/samples?network=&by=&limit=&version= | all | `ReachSamples`: connections that show whether it is so |
| POST /v1/probes                          | admin  | `ProbeRequest` -> `ProbeResults`: connections that are really tried |
| GET, POST /v1/tokens; DELETE /v1/tokens/{id} | admin | `Token`; POST `TokenCreate` -> `TokenCreated` |
| GET /v1/watch                            | all    | stream of `Change`, one JSON object a line |
| GET /metrics, /openapi.json              | all    | Prometheus text, OpenAPI |

"all" is an administrator or a host's certificate. A list is `{"items": [...]}`.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, StringConstraints

from socketplane.model.units import MAX_RATE, MIN_RATE

NAME_PATTERN = r"^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,62}$"
Name = Annotated[str, StringConstraints(pattern=NAME_PATTERN)]
EndpointId = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{16,64}$")]
Mac = Annotated[str, StringConstraints(pattern=r"^([0-9a-f]{2}:){5}[0-9a-f]{2}$")]
SystemId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]
Labels = dict[str, str]
Port = Annotated[int, Field(ge=1, le=65535)]
PolicyKind = Literal["NetworkPolicy", "ClusterNetworkPolicy", "TrafficPolicy"]
NO_NETWORK = "-"
"""Stands for the network, in paths, of a policy that belongs to none."""


class Wire(BaseModel):
    """Base of all wire types: frozen, and strict about unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Version(Wire):
    """Program and API version."""

    version: str
    api: Literal["v1"] = "v1"


class JoinRequest(Wire):
    """A new host's request: it made its own key and asks for a certificate."""

    token_id: str
    secret: str
    name: Name
    system_id: SystemId
    address: IPv4Address
    """Underlay address of the joining host."""
    csr: str
    """PEM; its common name is the system id."""
    time: float
    """The joining host's clock, seconds since the epoch: far off is its own clear error."""


class JoinReply(Wire):
    """What a host needs to be part of the cluster."""

    certificate: str
    ca: str
    host: Host
    controllers: list[str]
    """host:port of the REST API."""
    southbound: list[str]
    """OVSDB remotes for ovn-controller, ssl:address:port."""
    pool: IPv4Network
    hosts: IPv4Network


class HostReport(Wire):
    """What an agent says of its own host."""

    version: str
    datapath: Literal["kernel", "userspace", "unknown"] = "unknown"
    docker: str = ""
    """Engine version; empty while Docker does not answer."""
    ovs: str = ""
    ovn_controller: bool = False
    """Whether it is connected to the southbound."""
    mtu: int = 0
    conflicts: list[str] = []
    """Networks that can't exist on this host, and why."""
    alarms: list[str] = []
    """Things that are wrong and need a person."""
    resolvers: Annotated[list[IPv4Address], Field(max_length=32)] = []
    """Addresses from which containers are led to this host's resolver, at port 53."""
    resolver: Resolver | None = None
    """None while it does not run."""

    def says_new(self, before: HostReport) -> bool:
        """Return whether it says more than how much the resolver had to do."""
        return self.model_copy(update={"resolver": None}) != before.model_copy(update={"resolver": None})


class Resolver(Wire):
    """How a host's resolver is."""

    names: int = 0
    """Entries that it knows: places of containers on networks."""
    servers: list[IPv4Address] = []
    """Whom it asks for all other names."""
    queries: dict[str, int] = {}
    """Since it started, by what became of them: answered, forwarded, unanswered, refused, malformed, ignored, failed."""
    problem: str = ""


class Host(Wire):
    """A host of the cluster; `report` is what its agent said last, `ready` whether that is recent and good."""

    name: str
    system_id: str
    address: str
    gateway: IPv4Address
    labels: Labels = {}
    endpoints: int = 0
    ready: bool = False
    seen: float | None = None
    """When its agent was heard last, seconds since the epoch."""
    report: HostReport | None = None
    silent: bool = False
    """Whether its agent was not heard for so long that the host is probably gone: its names are not given out."""


class HostPut(Wire):
    """A host that needs no token, because an administrator of the manager says so."""

    system_id: SystemId
    address: IPv4Address
    """Underlay address."""


class HostPatch(Wire):
    """Labels replace those that stand."""

    labels: Labels


class NetworkCreate(Wire):
    """Make a network on every host. Without a name it is pending until `NetworkPatch` gives it one."""

    name: Name | None = None
    subnet: IPv4Network | None = None
    """None: the next free one of the pool."""
    gateway: IPv4Address | None = None
    """None: the subnet's first address."""
    ip_range: IPv4Network | None = None
    ipv6: bool = False
    """Whether its containers have IPv6 addresses too; so is with `subnet6`."""
    subnet6: IPv6Network | None = None
    """None: with `ipv6`, the next free one of the cluster's IPv6 pool."""
    gateway6: IPv6Address | None = None
    internal: bool = False
    labels: Labels = {}
    request: str = ""
    """Id made by an agent: the same twice means once."""


class NetworkPatch(Wire):
    """What Docker told later. None leaves a field alone; gateways and IPv6 only while no endpoint exists."""

    name: Name | None = None
    gateway: IPv4Address | None = None
    ipv6: bool | None = None
    """Give it IPv6, as `NetworkCreate` does; it is not taken away again."""
    subnet6: IPv6Network | None = None
    gateway6: IPv6Address | None = None
    internal: bool | None = None
    labels: Labels | None = None


class Network(Wire):
    """A network. `name` is empty while pending; without `subnet6` it has IPv4 only."""

    id: UUID
    name: str
    subnet: IPv4Network
    gateway: IPv4Address
    ip_range: IPv4Network | None = None
    subnet6: IPv6Network | None = None
    gateway6: IPv6Address | None = None
    internal: bool = False
    labels: Labels = {}
    endpoints: int = 0
    created: float = 0.0
    origin: str = ""


class LeaseCreate(Wire):
    """Ask for an address; `address` None means any. The gateways' leases are shared by all hosts."""

    kind: Literal["gateway", "endpoint", "auxiliary"] = "endpoint"
    address: IPv4Address | IPv6Address | None = None
    version: Literal[4, 6] = 4
    """Of IP, where `address` does not tell it."""
    request: str
    """Id made by the agent: the same twice means once."""


class Lease(Wire):
    """A held address, with its prefix length as Docker wants it."""

    network: UUID
    address: IPv4Address | IPv6Address
    prefix: int
    kind: Literal["gateway", "endpoint", "auxiliary"]
    host: str
    created: float = 0.0


class Limit(Wire):
    """A rate that is held."""

    rate: int
    """Bits a second."""
    burst: int | None = None
    """Bytes that may pass above it after a pause; None: what holds the rate best."""


class Limits(Wire):
    """What an endpoint may send and get; None where it is not limited."""

    egress: Limit | None = None
    ingress: Limit | None = None


class PublishedPort(Wire):
    """A port of a container, and where its host answers for it."""

    protocol: Literal["tcp", "udp", "sctp"]
    address: IPv4Address
    """One of the host's addresses; 0.0.0.0: at all of them."""
    host_port: Port
    port: Port
    """The container's."""


Alias = Annotated[str, StringConstraints(min_length=1, max_length=253)]


class EndpointPut(Wire):
    """A container's whole place on a network; sent again it replaces what stood."""

    network: UUID
    address: IPv4Address
    address6: IPv6Address | None = None
    mac: Mac
    container: str = ""
    name: str = ""
    labels: Labels = {}
    known: bool = True
    rate: Annotated[int, Field(ge=MIN_RATE, le=MAX_RATE)] | None = None
    """Bits a second that it asks for itself, in both directions."""
    published: Annotated[list[PublishedPort], Field(max_length=4096)] = []
    """The ports that its host answers at."""
    aliases: Annotated[list[Alias], Field(max_length=100)] = []
    """By what else it is found on this network. Docker tells them only once the container runs."""


class Endpoint(Wire):
    """A container on a network. `up` once its host installed its flows (as the northbound knows it)."""

    id: str
    network: UUID
    network_name: str
    host: str
    address: IPv4Address
    address6: IPv6Address | None = None
    mac: str
    container: str = ""
    name: str = ""
    labels: Labels = {}
    known: bool = True
    rate: int | None = None
    aliases: list[str] = []
    limits: Limits | None = None
    """What TrafficPolicies and its own `rate` come to; None where it is not limited."""
    published: list[PublishedPort] = []
    up: bool = False
    created: float = 0.0


class EndpointBulkPut(EndpointPut):
    """One of many."""

    id: EndpointId


class EndpointBulk(Wire):
    """Many endpoints of one host, written together."""

    put: Annotated[list[EndpointBulkPut], Field(max_length=1000)] = []
    delete: Annotated[list[EndpointId], Field(max_length=1000)] = []
    release: bool = False
    """Release the deleted endpoints' addresses too."""


class EndpointBulkReply(Wire):
    """Errors by endpoint id; what is not named was done."""

    errors: dict[str, dict[str, str | None]] = {}


class Policy(Wire):
    """A policy; `document` is what was applied. A ClusterNetworkPolicy belongs to no network: `network` is empty."""

    kind: PolicyKind = "NetworkPolicy"
    network: str
    name: str
    number: int
    tier: Literal["Admin", "Baseline"] | None = None
    """Of a ClusterNetworkPolicy, as its priority."""
    priority: int | None = None
    mode: Literal["enforce", "audit"] = "enforce"
    subjects: int = 0
    """Endpoints that it selects now."""
    network_exists: bool = True
    document: dict[str, object]


class PolicyDocuments(Wire):
    """Policy documents; `metadata.namespace` names a NetworkPolicy's network, `network` stands in where it is absent."""

    documents: Annotated[list[dict[str, object]], Field(min_length=1, max_length=10_000)]
    network: Name | None = None


class PolicyApply(PolicyDocuments):
    """Create or replace these policies, all or none."""

    confirm_within: Annotated[float, Field(ge=1, le=86400)] | None = None
    """Seconds after which the change takes itself back, unless it is confirmed."""


class PolicyRemove(Wire):
    """Remove these policies as one change: NETWORK/NAME, or NAME of what belongs to no network.

    Of a name that no policy has, nothing is removed, and the answer has no item.
    """

    policies: Annotated[list[str], Field(min_length=1, max_length=100_000)]


class PolicyTrial(PolicyDocuments):
    """What would these documents change?"""

    by: Annotated[list[str], Field(max_length=10)] = []
    """Keys of labels that group endpoints; without any, Compose's service, `app`, or what policies use."""


class PolicyApplied(Wire):
    """What became of one policy."""

    kind: PolicyKind = "NetworkPolicy"
    network: str
    name: str
    change: Literal["created", "configured", "unchanged", "removed"]
    network_exists: bool = True
    """False: it waits for a network of that name."""


class PolicyOutcome(Wire):
    """What a change of policies did."""

    items: list[PolicyApplied]
    revision: int | None = None
    """Its number in the history; None where nothing changed."""
    confirm_by: float | None = None
    """When the latest change is taken back unless it is confirmed; None where none waits."""
    warnings: list[str] = []


class ReachChange(Wire):
    """Services that all of the sources gain or lose towards all of the destinations."""

    source: str
    """Groups of endpoints (NETWORK/LABELS), hosts, outside, or addresses."""
    destination: str
    ports: str
    sources: int
    """Number of endpoints and hosts."""
    destinations: int


class PolicyPlan(Wire):
    """What applying would do now."""

    items: list[PolicyApplied]
    allowed: list[ReachChange]
    """Newly, to the endpoints that there are."""
    denied: list[ReachChange]
    warnings: list[str] = []


class PolicyConfirm(Wire):
    """Keep the change that waits; `revision` says which one is meant."""

    revision: int | None = None


class PolicyRollback(Wire):
    """Go back to the state right after a revision; 0 is the state before the first one."""

    revision: Annotated[int, Field(ge=0)]


class PolicyChanged(Wire):
    """One policy that a revision changed."""

    kind: PolicyKind
    network: str
    name: str
    change: Literal["created", "configured", "removed"]


class PolicyRevision(Wire):
    """One change of policies. `target` is the revision whose state a rollback or an expiry brought back."""

    number: int
    time: float
    who: str
    """`local` over the controller's socket, `CN=name` with a certificate, `controller` for its own doing."""
    action: Literal["apply", "remove", "rollback", "expire"]
    target: int | None = None
    changes: list[PolicyChanged]
    confirm_by: float | None = None
    confirmed: float | None = None
    state: Literal["", "waiting", "confirmed", "taken back"] = ""
    """Empty where it needed no confirmation."""


class DenialReport(Wire):
    """Packets of one kind that a rule refused on a host, or would have refused (a policy in audit mode)."""

    rule: Annotated[str, StringConstraints(pattern=r"^[a-z0-9.]{1,40}$")]
    """Id of the rule, as drop logs carry it and `explain` names it."""
    source: IPv4Address | IPv6Address
    destination: IPv4Address | IPv6Address
    protocol: Annotated[str, StringConstraints(pattern=r"^[a-z0-9]{1,10}$")]
    port: Annotated[int | None, Field(ge=0, le=65535)] = None
    """Of the destination; None where the protocol has none."""
    count: Annotated[int, Field(ge=1, le=10**12)] = 1
    """Packets that were logged: of a busy rule some are not (the logs' rate is bounded)."""
    first: FiniteFloat
    """Seconds since the epoch, by the host's clock; `last` likewise."""
    last: FiniteFloat


class DenialBatch(Wire):
    """What a host saw since its last batch."""

    request: Annotated[str, StringConstraints(max_length=64)] = ""
    """Id made by the agent: the same twice means once."""
    items: Annotated[list[DenialReport], Field(max_length=500)]


class Denial(DenialReport):
    """What a host saw, as the controller remembers it."""

    host: str


UdpPort = Annotated[int, Field(ge=0, le=65535)]


class Streams(Wire):
    """UDP streams as conntrack knows them: who sent the first packets, and to whom."""

    source: IPv4Address | IPv6Address
    destination: IPv4Address | IPv6Address
    port: UdpPort
    side: Literal["egress", "ingress"]
    """Whose tracking is told of: the source's (egress), or the destination's; its container is on the host that tells."""
    source_ports: Annotated[list[UdpPort], Field(max_length=1000)] = []
    """Those to be interrupted, if they are forbidden."""


class StreamCheck(Wire):
    """Streams of containers of one host, to be judged. Of all ports in it, the first thousand are interrupted."""

    revision: str
    """Of the rules that the host has installed: other ones can't be asked about."""
    streams: Annotated[list[Streams], Field(max_length=1000)]


class StreamsForbidden(Wire):
    """Which of the streams that were asked about must not go on."""

    forbidden: list[int]
    """By their place in the request. The hosts of their sources are told to interrupt the ports that were named."""
    unheard: list[int] = []
    """Those of them whose source's host has no agent that listens."""


class Interruption(Wire):
    """A packet that is to be sent in a stream's direction, on the host of its source: OVN drops it, and then the rest."""

    endpoint: str
    """Where it comes from; empty for the host itself."""
    source: IPv4Address | IPv6Address
    source_port: UdpPort
    source_mac: Mac
    destination: IPv4Address | IPv6Address
    port: UdpPort
    destination_mac: Mac


class Rules(Wire):
    """What decides about connections, as it is in OVN's northbound."""

    revision: str
    """Another one with every change that may forbid an open connection."""
    sequence: int
    """OVN's number (`nb_cfg`) by which a host can tell that it has installed them."""


class Explanation(Wire):
    """Whether a packet passes, and by which rule."""

    verdict: Literal["allow", "deny"]
    source: str
    destination: str
    protocol: str
    port: int | None
    direction: str
    """Which side decided: ingress, egress, isolation or default."""
    policy: str = ""
    """The deciding policy: NETWORK/NAME, of a ClusterNetworkPolicy its name; empty where none decides."""
    rule: str = ""
    """Id of the deciding rule, as conntrack labels and drop logs carry it."""
    reason: str
    """A sentence."""
    steps: list[str] = []
    would_deny: str = ""
    """Allowed, but a policy in audit mode would deny it if it were enforced: the id of that denial."""


class PolicyViolation(Denial):
    """Packets that a policy refused, or would have refused if it were enforced, with the names of what is concerned."""

    mode: Literal["audit", "enforce"]
    """audit: they passed, because the policy is in audit mode."""
    policy: str = ""
    """NETWORK/NAME, or NAME of a ClusterNetworkPolicy; empty where no policy refused them, or it is there no more."""
    source_name: str = ""
    """NETWORK/NAME of the container, or `host NAME`; empty where the address is nobody's, or was another's then."""
    destination_name: str = ""


class ReachEnds(Wire):
    """Ends under one name: NETWORK/LABELS, NETWORK/*, */*, hosts, outside, or a prefix of addresses outside."""

    name: str
    size: int
    """How many of the `total` are meant; addresses are not counted."""
    total: int
    example: str = ""
    """Id of one endpoint of them."""


class ReachLine(Wire):
    """All of the sources reach all of the destinations on these ports. A container by itself is nobody's destination."""

    sources: list[ReachEnds]
    destinations: list[ReachEnds]
    ports: list[str]
    """Each tcp/80, tcp/8000-8080, udp/any or ping; `any` alone for everything."""
    summary: str
    """The ports in few words: any but tcp/22."""


class Reach(Wire):
    """Who reaches whom. A group of endpoints that is no line's destination is reached by nobody but its hosts."""

    groups: list[ReachEnds]
    lines: list[ReachLine]


class Probe(Wire):
    """A connection from one container to another; without a port, a ping."""

    source: EndpointId
    destination: EndpointId
    protocol: Literal["tcp", "udp", "icmp"]
    port: Annotated[int | None, Field(ge=1, le=65535)] = None
    version: Literal[4, 6] = 4
    """Of IP."""


class ReachSample(Probe):
    """One that shows whether a line is true, and the groups that it is for."""

    source_name: str
    """NETWORK/NAME of the container."""
    destination_name: str
    source_group: str
    destination_group: str
    expected: Literal["allow", "deny"]


class ReachSamples(Wire):
    """Of every line some. Hosts and what is outside are left out."""

    items: list[ReachSample]
    complete: bool
    """Whether the limit cut nothing off."""


class ProbeRequest(Wire):
    """Try these connections at once."""

    items: Annotated[list[Probe], Field(min_length=1, max_length=64)]
    wait: Annotated[float, Field(ge=0.1, le=3)] = 1.0
    """Seconds after which silence is an outcome."""


class ProbeSeen(Wire):
    """How a try ended: TCP is open once connected, UDP and pings once an answer came."""

    outcome: Literal["open", "refused", "timeout", "unreachable", "skipped"]
    detail: str = ""
    """Why it was skipped, that is not tried at all."""


class ProbeResult(Probe, ProbeSeen):
    """What was tried, beside what policy says of it."""

    expected: Literal["allow", "deny"] | None = None
    """None where an end is gone."""
    agrees: bool | None = None
    """None where it says nothing: skipped, or UDP that nobody answers."""


class ProbeResults(Wire):
    """In the order of the request."""

    items: list[ProbeResult]


class ProbeItem(Wire):
    """A connection that a host's agent is to try."""

    endpoint: str
    """Of the source, which is on that host; `container` is its container's id."""
    container: str
    source: IPv4Address | IPv6Address
    destination: IPv4Address | IPv6Address
    protocol: Literal["tcp", "udp", "icmp"]
    port: int | None = None


class ProbeOrder(Wire):
    """Connections that a host's agent is to try at once."""

    id: str
    wait: float
    items: list[ProbeItem]


class ProbeAnswer(Wire):
    """How an order's connections ended, in its order."""

    order: Annotated[str, StringConstraints(max_length=64)]
    seen: Annotated[list[ProbeSeen], Field(max_length=64)]


class TokenCreate(Wire):
    """A permission to join."""

    ttl: Annotated[float, Field(gt=0, le=30 * 86400)] = 86400.0
    """Seconds."""
    uses: Annotated[int, Field(ge=1, le=1000)] = 1


class Token(Wire):
    """A token, without its secret."""

    id: str
    created: float
    expires: float
    uses: int


class TokenCreated(Token):
    """A new token; `token` is the text to hand to `socketplane join`, shown once."""

    token: str


class Status(Wire):
    """The cluster at a glance."""

    version: str
    cluster: UUID
    pool: IPv4Network
    hosts: list[Host]
    networks: int
    endpoints: int
    policies: int
    published: int = 0
    """Ports of containers that hosts answer at."""
    alarms: list[str] = []


class Named(Wire):
    """By which names an endpoint is found, lower case, its container's own first."""

    id: str
    address: IPv4Address
    address6: IPv6Address | None = None
    container: str
    host: str
    names: list[str]


class NetworkNames(Wire):
    """Names on a network; `whole`: what is not in it is not there."""

    whole: bool = False
    put: list[Named] = []
    gone: list[str] = []
    """Endpoints' ids."""


class Change(Wire):
    """One line of GET /v1/watch: first a `snapshot`, then changes; `ping` every 5 s.

    `interrupt`, `probe`, limits and names are for single hosts.
    """

    type: Literal["snapshot", "put", "delete", "ping", "interrupt", "probe"]
    kind: Literal["network", "host", "rules", "limits", "names", ""] = ""
    networks: list[Network] | None = None
    """Snapshot only. Pending networks are left out, here and below."""
    hosts: list[Host] | None = None
    network: Network | None = None
    host: Host | None = None
    rules: Rules | None = None
    """Also in a snapshot."""
    interruptions: list[Interruption] | None = None
    probe: ProbeOrder | None = None
    limits: dict[EndpointId, Limits] | None = None
    """To a host, of its own endpoints: in a snapshot of all that have any, else of those whose limits changed."""
    names: dict[UUID, NetworkNames] | None = None
    """To a host, of the networks that it has endpoints on: in a snapshot of all of them, else of those that changed."""
    id: str = ""
    """Delete: the network's id or the host's name."""
