"""A first host's identity and CA, and every manager's certificates."""

from __future__ import annotations

import socket
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address, IPv4Network

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from pydantic import TypeAdapter, ValidationError

from socketplane import pki
from socketplane.cluster import network, openvswitch
from socketplane.cluster.machine import Machine
from socketplane.config import REST_PORT, SOUTHBOUND_PORT
from socketplane.encryption import Encryption
from socketplane.errors import Conflict, InvalidInput
from socketplane.files import private_directory, write_atomic
from socketplane.identity import HostIdentity
from socketplane.wire import Name

RENEW_BEFORE = timedelta(days=60)
DEFAULT_POOL = IPv4Network("10.192.0.0/10")
DEFAULT_HOSTS = IPv4Network("169.254.192.0/20")
DEFAULT_PREFIX = 22


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line said; None is what it left open."""

    name: str | None = None
    address: IPv4Address | None = None
    uplink: str | None = None
    pool: IPv4Network | None = None
    prefix: int | None = None
    kernel: bool | None = None
    """Use the kernel's datapath, or (False) Open vSwitch's own."""
    encrypt: bool = False
    """Have hosts encrypt what they send one another."""
    encrypt_range: IPv4Network | None = None
    encrypt_port: int | None = None


def host_name(options: Options) -> str:
    """Return the host's name in the cluster. Raises InvalidInput: it can't be one."""
    name = options.name or socket.gethostname()
    try:
        return str(TypeAdapter(Name).validate_python(name))
    except ValidationError:
        remedy = "use letters, digits, '.', '_' and '-', 63 at most: --name NAME"
        raise InvalidInput(f"{name!r} can't name a host", field="name", remedy=remedy) from None


def choose_address(options: Options) -> IPv4Address:
    """Return the host's underlay address, which must be one of this machine's."""
    address = options.address or network.choose_address(options.uplink)
    network.require_own(address)
    return address


def first_identity(machine: Machine, options: Options) -> HostIdentity:
    """Return what a first host of a new cluster is. Raises InvalidInput, NotFound, Conflict."""
    pool, prefix = options.pool or DEFAULT_POOL, options.prefix or DEFAULT_PREFIX
    if pool.prefixlen > 29:
        raise InvalidInput(f"{pool} has no room for a network", field="pool", remedy="give a larger one: --pool CIDR")
    if not pool.prefixlen <= prefix <= 29:
        raise InvalidInput(
            f"{prefix} must be from {pool.prefixlen}, the pool's, to 29", field="prefix", remedy="--prefix N"
        )
    address = choose_address(options)
    identity = HostIdentity(
        name=host_name(options),
        system_id=openvswitch.system_id(machine.paths),
        role="manager",
        address=address,
        controllers=(f"{address}:{REST_PORT}",),
        southbound=(f"ssl:{address}:{SOUTHBOUND_PORT}",),
        # What the controller gives to the first host; its answer is what counts and is noted later.
        gateway=DEFAULT_HOSTS[2],
        uplink=options.uplink,
        pool=pool,
        hosts=DEFAULT_HOSTS,
        prefix=prefix,
        encryption=_encryption(options, pool),
    )
    network.require_free(identity.pool, identity.hosts, identity.encryption)
    return identity


def _encryption(options: Options, pool: IPv4Network) -> Encryption | None:
    default = Encryption()
    chosen = Encryption(options.encrypt_range or default.network, options.encrypt_port or default.port)
    if not options.encrypt:
        if chosen != default:
            raise InvalidInput("says how to encrypt, and not to do so", field="encrypt", remedy="add --encrypt")
        return None
    if chosen.network.prefixlen > DEFAULT_HOSTS.prefixlen or any(map(chosen.network.overlaps, (pool, DEFAULT_HOSTS))):
        remedy = f"give a /{DEFAULT_HOSTS.prefixlen} or larger, apart from {pool} and {DEFAULT_HOSTS}: --encrypt-range CIDR"
        raise InvalidInput(f"{chosen.network} can't hold hosts' tunnels", field="encrypt-range", remedy=remedy)
    return chosen


def fits(identity: HostIdentity, options: Options) -> bool:
    """Return whether a host is already what the options ask for; an uplink may come later, the rest stays as it is.

    Raises Conflict: they ask for something that only a new cluster, or leaving and joining, can bring.
    """
    fixed = {"name": identity.name, "address": identity.address, "pool": identity.pool, "prefix": identity.prefix}
    if encryption := identity.encryption:
        fixed |= {"encrypt_range": encryption.network, "encrypt_port": encryption.port}
    elif options.encrypt or options.encrypt_range or options.encrypt_port:
        remedy = "`socketplane leave` on every host first, then `up --encrypt` on the new first one"
        raise Conflict("hosts of this cluster don't encrypt, and can't begin to", field="encrypt", remedy=remedy)
    for field, stands in fixed.items():
        asked = getattr(options, field)
        if asked is not None and asked != stands:
            remedy = "`socketplane leave` first, then start or join with the new one"
            raise Conflict(
                f"this host has {stands} and can't change to {asked}", field=field.replace("_", "-"), remedy=remedy
            )
    return options.uplink in (None, identity.uplink)


def with_uplink(machine: Machine, options: Options) -> HostIdentity:
    """Return the identity with the uplink that the options ask for. Raises Conflict: another is in use."""
    identity = machine.identity
    if machine.record.moved and options.uplink != machine.record.moved.nic:
        remedy = "`socketplane down` first, then `socketplane up --uplink`"
        raise Conflict(f"this host's is {identity.uplink}", field="uplink", remedy=remedy)
    return replace(identity, uplink=options.uplink)


def certificates_stand(machine: Machine) -> bool:
    """Return whether this host has what it shows to others, for a while yet."""
    identity, now = machine.identity, _now(machine)
    host = pki.Subject(identity.system_id, pki.ORGANIZATION_HOST)
    pairs = [(pki.HOST_CERT, pki.HOST_KEY, host)]
    if identity.manager:
        pairs.append((pki.SERVER_CERT, pki.SERVER_KEY, pki.Subject(identity.name, pki.ORGANIZATION_SERVER)))
    folder = machine.paths.pki
    return (folder / pki.CA_CERT).exists() and all(
        _pair_stands(machine, certificate, key, subject, now) for certificate, key, subject in pairs
    )


def make_certificates(machine: Machine) -> str:
    """Make the CA where there is none, and a manager's certificates where one is missing or about to end.

    Raises Conflict: this host holds no CA to sign with.
    """
    identity, now, folder = machine.identity, _now(machine), machine.paths.pki
    if not identity.manager:
        remedy = "`socketplane leave`, then join again with a new token"
        raise Conflict("this host's certificate is missing or has ended", remedy=remedy)
    private_directory(folder)
    if not (folder / pki.CA_CERT).exists():
        authority = pki.make_ca(identity.system_id[:8], now)
        # The certificate comes last: where it stands, its key stands too.
        write_atomic(folder / pki.CA_KEY, authority.key)
        write_atomic(folder / pki.CA_CERT, authority.certificate, 0o644)
    authority = pki.load_authority(folder)
    names, addresses = [identity.name], [identity.address]
    host = pki.Subject(identity.system_id, pki.ORGANIZATION_HOST)
    server = pki.Subject(identity.name, pki.ORGANIZATION_SERVER)
    if not _pair_stands(machine, pki.HOST_CERT, pki.HOST_KEY, host, now):
        pair = pki.make_key_and_csr(host.common_name, host.organization)
        certificate = pki.sign_csr(authority, pair.csr, host, now, names=names, addresses=addresses)
        write_pair(machine, pki.HOST_CERT, certificate, pki.HOST_KEY, pair.key)
    if not _pair_stands(machine, pki.SERVER_CERT, pki.SERVER_KEY, server, now):
        pair = pki.make_key_and_csr(server.common_name, server.organization)
        names, addresses = [*names, "localhost"], [*addresses, IPv4Address("127.0.0.1")]
        certificate = pki.sign_csr(authority, pair.csr, server, now, names=names, addresses=addresses, server=True)
        write_pair(machine, pki.SERVER_CERT, certificate, pki.SERVER_KEY, pair.key)
    return f"CA {pki.fingerprint(authority.certificate)[:16]}"


def write_pair(machine: Machine, certificate_file: str, certificate: str, key_file: str, key: str) -> None:
    """Write a key, then its certificate; half of it is noticed and made anew."""
    private_directory(machine.paths.pki)
    write_atomic(machine.paths.pki / key_file, key)
    write_atomic(machine.paths.pki / certificate_file, certificate, 0o644)


def _pair_stands(machine: Machine, certificate_file: str, key_file: str, subject: pki.Subject, now: datetime) -> bool:
    folder = machine.paths.pki
    try:
        certificate = x509.load_pem_x509_certificate((folder / certificate_file).read_bytes())
        key = serialization.load_pem_private_key((folder / key_file).read_bytes(), None)
        issuer = x509.load_pem_x509_certificate((folder / pki.CA_CERT).read_bytes())
        certificate.verify_directly_issued_by(issuer)
    except Exception:  # whatever is wrong with the files: they don't stand
        return False
    left = certificate.not_valid_after_utc - now
    alive = left > (RENEW_BEFORE if machine.identity.manager else timedelta())
    same = certificate.public_key() == key.public_key()
    return alive and same and pki.subject_of((folder / certificate_file).read_text()) == subject


def _now(machine: Machine) -> datetime:
    return datetime.fromtimestamp(machine.now(), UTC)
