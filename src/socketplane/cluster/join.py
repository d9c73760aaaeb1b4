"""`join`: from a token to a certificate, then the same steps as `up`."""

from __future__ import annotations

import http.client
from collections.abc import Iterator
from email.utils import parsedate_to_datetime

from socketplane import pki
from socketplane.cluster import encryption, network, openvswitch, preflight, rest, trust, up
from socketplane.cluster.machine import Machine
from socketplane.cluster.steps import Progress, Step, perform
from socketplane.cluster.trust import Options
from socketplane.config import REST_PORT, SOUTHBOUND_PORT
from socketplane.encryption import Encryption
from socketplane.errors import Conflict, InvalidInput, SocketPlaneError, Unauthenticated, Unavailable
from socketplane.files import private_directory, write_atomic
from socketplane.identity import HostIdentity
from socketplane.pki import JoinToken
from socketplane.transport.tls import anonymous_context, unverified_context
from socketplane.wire import JoinReply, JoinRequest

MAX_SKEW = 300.0
"""Seconds that two hosts' clocks may differ."""
TIMEOUT = 5.0


def join(machine: Machine, token: str, options: Options, progress: Progress) -> None:
    """Make this machine a member of the cluster that the token names.

    Nothing is changed before the controller has accepted it. Raises Conflict: it is in a cluster already; InvalidInput:
    the token is malformed; StepFailed.
    """
    if identity := machine.find_identity():
        remedy = "`socketplane up` starts what is not running; to join another cluster, `socketplane leave` first"
        raise Conflict(f"this machine is in a cluster already, as {identity.name}", remedy=remedy)
    ticket = JoinToken.decode(token)
    perform(_steps(machine, ticket, options), progress)


def _steps(machine: Machine, token: JoinToken, options: Options) -> Iterator[Step]:
    again = "mend that and join again with the same token"
    yield Step("machine", lambda: preflight.check(machine, manager=False), _nothing, again)
    yield Step("underlay", lambda: _can_reach_others(options), _nothing, again)
    yield Step("join", lambda: machine.joined, lambda: _enter(machine, token, options), again)
    yield from up.steps(machine, options)


def _nothing() -> None:
    """Checks have nothing to do."""


def _can_reach_others(options: Options) -> bool:
    """Return True; raise InvalidInput where this host's tunnels could not work."""
    kernel = openvswitch.kernel_datapath() if options.kernel is None else options.kernel
    if not kernel and options.uplink is None:
        name = network.interface_of(options.address) if options.address else network.default_interface()
        remedy = f"name it: --uplink {name or 'INTERFACE'} (it moves into an Open vSwitch bridge until `socketplane down`)"
        why = "this kernel has no Open vSwitch module, so tunnels need the interface towards the other hosts"
        raise InvalidInput(why, field="uplink", remedy=remedy)
    return True


def _enter(machine: Machine, token: JoinToken, options: Options) -> str:
    """Ask for a certificate and write down what came; the identity last, so that half of it is no membership."""
    name, address = trust.host_name(options), trust.choose_address(options)
    system_id = openvswitch.system_id(machine.paths)
    pair = pki.make_key_and_csr(system_id)
    ca = fetch_ca(token, machine.now())
    request = JoinRequest(
        token_id=token.id,
        secret=token.secret,
        name=name,
        system_id=system_id,
        address=address,
        csr=pair.csr,
        time=machine.now(),
        unencryptable=encryption.obstacle(machine, options),
    )
    where = list(token.controllers), anonymous_context(ca)
    reply = JoinReply.model_validate(rest.call(where, "POST", "/v1/join", request, timeout=30))
    private_directory(machine.paths.state)
    private_directory(machine.paths.pki)
    write_atomic(machine.paths.pki / pki.CA_CERT, ca, 0o644)
    trust.write_pair(machine, pki.HOST_CERT, reply.certificate, pki.HOST_KEY, pair.key)
    HostIdentity(
        name=reply.host.name,
        system_id=system_id,
        role="member",
        address=address,
        controllers=tuple(reply.controllers),
        southbound=tuple(reply.southbound),
        gateway=reply.host.gateway,
        uplink=options.uplink,
        pool=reply.pool,
        hosts=reply.hosts,
        encryption=Encryption(reply.encryption.network, reply.encryption.port) if reply.encryption else None,
    ).save(machine.paths.host_file)
    return f"as {reply.host.name}, {address}"


def fetch_ca(token: JoinToken, now: float) -> str:
    """Return the cluster's CA (PEM), known by the fingerprint in the token.

    Raises:
        Unauthenticated: another CA than the token's; someone may be in between.
        Unavailable: no controller of the token answers.
        SocketPlaneError: this machine's clock is far off, so that no certificate would be valid.
    """
    reasons = []
    for controller in token.controllers:
        try:
            ca, date = _get_ca(controller)
        except (OSError, http.client.HTTPException) as error:
            reasons.append(f"{controller}: {getattr(error, 'strerror', None) or error or type(error).__name__}")
            continue
        _check_fingerprint(controller, ca, token.fingerprint)
        _check_clock(controller, date, now)
        return ca
    let_in = f"with ufw there: `ufw allow {REST_PORT},{SOUTHBOUND_PORT}/tcp`"
    remedy = f"check that this machine reaches the manager's port ({let_in}), and that `socketplane status` is good there"
    raise Unavailable(f"no controller answers ({'; '.join(reasons)})", remedy=remedy)


def _get_ca(controller: str) -> tuple[str, str | None]:
    host, _, port = controller.rpartition(":")
    connection = http.client.HTTPSConnection(host, int(port), timeout=TIMEOUT, context=unverified_context())
    try:
        connection.request("GET", "/v1/ca")
        response = connection.getresponse()
        text = response.read(65536).decode("ascii", errors="replace")
        if response.status != 200:
            raise http.client.HTTPException(f"answered {response.status}")
        return text, response.headers.get("date")
    finally:
        connection.close()


def _check_fingerprint(controller: str, ca: str, wanted: str) -> None:
    try:
        found = pki.fingerprint(ca)
    except InvalidInput:
        found = "none"
    if found != wanted:
        remedy = "make a new token on the manager; if that does not help, someone may be between the two machines"
        message = f"{controller} is not of the cluster that the token names (CA {found[:16]}..., not {wanted[:16]}...)"
        raise Unauthenticated(message, field="token", remedy=remedy)


def _check_clock(controller: str, date: str | None, now: float) -> None:
    """Compare clocks before TLS does, whose message would be about certificates."""
    try:
        there = parsedate_to_datetime(date or "").timestamp()
    except ValueError:
        return
    if abs(now - there) > MAX_SKEW:
        message = f"this machine's clock and {controller}'s are {abs(now - there):.0f} s apart"
        raise SocketPlaneError(message, remedy="set the clock, or start NTP, on the one that is wrong")
