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
| PUT /v1/networks/{id|name}/reservations/{address} | admin | `ReservationPut` -> `Network`; idempotent |
| DELETE /v1/networks/{id|name}/reservations/{address} | admin | idempotent |
| POST /v1/networks/{id}/leases            | hosts  | `LeaseCreate` -> `Lease` |
| DELETE /v1/networks/{id}/leases/{address}| hosts  | own leases only; idempotent |
| GET /v1/leases?host=                     | all    | `Lease` |
| GET /v1/endpoints?network=&host=&label=  | all    | `Endpoint`; label may repeat: k=v |
| GET /v1/endpoints/{id}                   | all    | `Endpoint` |
| PUT /v1/endpoints/{id}                   | its host | `EndpointPut` -> `Endpoint` |
| DELETE /v1/endpoints/{id}                | its host | idempotent; `?release=true` releases its address too |
| POST /v1/endpoints                       | hosts  | `EndpointBulk` -> `EndpointBulkReply`: many in one |
| GET /v1/pools, /v1/pools/{name}          | all    | `Pool`: addresses of the outside that may be given |
| POST /v1/pools                           | admin  | `PoolCreate` -> `Pool` |
| DELETE /v1/pools/{name}                  | admin  | refused (InUse) while addresses of it are given |
| GET /v1/floating                         | all    | `Floating` |
| POST /v1/floating                        | admin  | `Expose` -> `Floating`; idempotent |
| DELETE /v1/floating/{address}            | admin  | |
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
| GET /v1/services, /v1/services/{network}/{name} | all | `Service`, with its backends |
| POST /v1/services                        | admin  | `ServiceApply` -> `ServiceOutcome`: all or nothing |
| DELETE /v1/services/{network}/{name}     | admin  | |
| PUT /v1/endpoints/{id}/drain             | admin  | `EndpointDrain` -> `Drained`: no service's backend any more |
| POST /v1/hosts/{name}/conditions         | the host | `Conditions`: how its containers are, for services |
| GET, PUT /v1/bgp                         | all; PUT admin | `Bgp`; PUT `BgpPut` |
| GET, POST /v1/bgp/peers                  | all; POST admin | `BgpPeer`; POST `BgpPeerCreate` |
| DELETE /v1/bgp/peers/{address}?host=     | admin  | |
| GET, POST /v1/tokens; DELETE /v1/tokens/{id} | admin | `Token`; POST `TokenCreate` -> `TokenCreated` |
| GET /v1/watch                            | all    | stream of `Change`, one JSON object a line |
| GET /metrics, /openapi.json              | all    | Prometheus text, OpenAPI |

"all" is an administrator or a host's certificate. A list is `{"items": [...]}`.
"""

from __future__ import annotations

from socketplane.wire.base import (
    NAME_PATTERN,
    NO_NETWORK,
    Alias,
    EndpointId,
    Labels,
    Mac,
    Name,
    PolicyKind,
    Port,
    SystemId,
    UdpPort,
    Wire,
)
from socketplane.wire.bgp import (
    Bgp,
    BgpHost,
    BgpNeighbour,
    BgpPeer,
    BgpPeerCreate,
    BgpPut,
    BgpSession,
    BgpSettings,
    BgpStatus,
)
from socketplane.wire.cluster import (
    EncryptedPeer,
    Encryption,
    Host,
    HostPatch,
    HostPut,
    HostReport,
    JoinReply,
    JoinRequest,
    Resolver,
    Status,
    Token,
    TokenCreate,
    TokenCreated,
    Version,
)
from socketplane.wire.denials import Denial, DenialBatch, DenialReport, PolicyViolation
from socketplane.wire.endpoints import (
    Endpoint,
    EndpointBulk,
    EndpointBulkPut,
    EndpointBulkReply,
    EndpointPut,
    Limit,
    Limits,
    PublishedPort,
)
from socketplane.wire.floating import AnyAddress, Claim, Expose, Floating, Pool, PoolCreate
from socketplane.wire.names import Named, NetworkNames
from socketplane.wire.networks import Lease, LeaseCreate, Network, NetworkCreate, NetworkPatch, ReservationPut
from socketplane.wire.policies import (
    Explanation,
    Policy,
    PolicyApplied,
    PolicyApply,
    PolicyChanged,
    PolicyConfirm,
    PolicyDocuments,
    PolicyOutcome,
    PolicyPlan,
    PolicyRemove,
    PolicyRevision,
    PolicyRollback,
    PolicyTrial,
    ReachChange,
)
from socketplane.wire.probes import (
    Probe,
    ProbeAnswer,
    ProbeItem,
    ProbeOrder,
    ProbeRequest,
    ProbeResult,
    ProbeResults,
    ProbeSeen,
    ReachSample,
    ReachSamples,
)
from socketplane.wire.reach import Reach, ReachEnds, ReachLine
from socketplane.wire.services import (
    Backend,
    Check,
    Conditions,
    Drained,
    EndpointDrain,
    Service,
    ServiceApplied,
    ServiceApply,
    ServiceOutcome,
    ServicePort,
)
from socketplane.wire.streams import Interruption, StreamCheck, Streams, StreamsForbidden
from socketplane.wire.watch import Change, Rules
