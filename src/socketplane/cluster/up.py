"""`up`: the steps that make this machine a working host, and do nothing where it is one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain

from socketplane.cluster import (
    daemons,
    encryption,
    firewalls,
    host,
    intent,
    network,
    openvswitch,
    ovn,
    preflight,
    probe,
    rest,
    segmentation,
    trust,
    underlay,
    unitfiles,
)
from socketplane.cluster.daemons import Daemon
from socketplane.cluster.machine import Machine
from socketplane.cluster.steps import Progress, Step, perform
from socketplane.cluster.trust import Options
from socketplane.config import REST_PORT
from socketplane.errors import Conflict, InvalidInput

AGAIN = "mend that and run `socketplane up` again"


def up(machine: Machine, options: Options, progress: Progress) -> bool:
    """Make this machine a host: the first of a new cluster if it is in none. Return whether anything was to be done.

    Raises StepFailed.
    """
    found = machine.find_identity()
    manager = found is None or found.manager
    check = Step("machine", lambda: preflight.check(machine, manager=manager), _nothing, AGAIN)
    return perform(chain([check], steps(machine, options)), progress)


def steps(machine: Machine, options: Options) -> Iterator[Step]:
    """Yield the steps; those after the identity depend on what this host is."""
    if encryption.wanted(machine, options):
        yield Step("encryption", lambda: encryption.can(machine, options), _nothing, AGAIN)
    yield Step("datapath", lambda: _datapath_chosen(machine, options), lambda: _choose_datapath(machine, options), AGAIN)
    yield Step("identity", lambda: _identified(machine, options), lambda: _identify(machine, options), AGAIN)
    yield Step("certificates", lambda: trust.certificates_stand(machine), lambda: trust.make_certificates(machine), AGAIN)
    yield Step("addresses", lambda: _addresses_free(machine), _nothing, AGAIN)
    if machine.systemd:
        yield Step("systemd units", lambda: unitfiles.stand(machine), lambda: unitfiles.install(machine), AGAIN)
    if machine.identity.encryption:  # before Open vSwitch and OVN learn where tunnels end
        yield Step("encrypted tunnels", encryption.stands, encryption.start, AGAIN)
    yield from _switch(machine)
    if machine.identity.manager:
        yield from _manager(machine)
        yield Step("firewall", lambda: firewalls.told(machine), lambda: firewalls.tell(machine), AGAIN)
    yield from _host(machine)


def _switch(machine: Machine) -> Iterator[Step]:
    paths = machine.paths
    yield _run(machine, daemons.ovs_database(paths), lambda: openvswitch.start_database(machine))
    yield _run(machine, daemons.ovs_switch(paths, machine.record.traits))
    yield Step("segmentation", lambda: segmentation.stands(machine), lambda: segmentation.turn(machine), AGAIN)
    settings = openvswitch.chassis_settings(machine.identity, machine.record.traits)
    yield Step(
        "chassis settings",
        lambda: openvswitch.settings_stand(machine, settings),
        lambda: openvswitch.apply_settings(machine, settings),
        AGAIN,
    )
    yield Step("underlay", lambda: underlay.stands(machine), lambda: underlay.move(machine), AGAIN)


def _manager(machine: Machine) -> Iterator[Step]:
    paths = machine.paths
    for database in (daemons.northbound(paths), daemons.southbound(paths)):
        yield _run(machine, database, lambda database=database: ovn.start_database(machine, database))  # type: ignore[misc]
    yield _run(machine, daemons.northd(paths))
    yield Step("OVN for hosts", lambda: ovn.listens(machine), lambda: ovn.listen(machine), AGAIN)
    database = daemons.intent(paths)
    yield Step(database.title, lambda: intent.stands(machine), lambda: intent.start(machine), _look(machine, database))
    controller = daemons.controller(paths)
    yield _run(machine, controller, lambda: _start_controller(machine, controller))
    remedy = _look(machine, controller)
    yield Step("this host's row", lambda: host.row_stands(machine), lambda: host.put_row(machine), remedy)


def _host(machine: Machine) -> Iterator[Step]:
    paths = machine.paths
    yield _run(machine, daemons.ovn_controller(paths))
    yield _run(machine, daemons.plugin(paths))
    yield _run(machine, daemons.resolver(paths))
    yield _run(machine, daemons.agent(paths))
    yield _run(machine, daemons.docker(paths))
    if daemons.bgp_program().exists():  # behind what has to be there: one that does not start breaks nothing else
        yield _run(machine, daemons.bgp(paths))
    if machine.record.containers:
        yield Step("containers", lambda: False, lambda: _restart_containers(machine), AGAIN)
    yield Step("ready", lambda: host.ready(machine), lambda: host.wait_ready(machine), "see `socketplane status`")


def _run(machine: Machine, daemon: Daemon, start: Callable[[], object] | None = None) -> Step:
    """Return the step that has a daemon running."""

    def do() -> str:
        (start or (lambda: machine.start(daemon)))()
        return ""

    return Step(daemon.title, lambda: probe.answers(daemon), do, _look(machine, daemon))


def _look(machine: Machine, daemon: Daemon) -> str:
    return f"look into {machine.supervisor.log_of(daemon)}"


def _nothing() -> None:
    """Checks have nothing to do."""


def _datapath_chosen(machine: Machine, options: Options) -> bool:
    chosen = machine.record.kernel
    if chosen is None:
        return False
    if options.kernel is not None and options.kernel != chosen:
        stands, asked = (("userspace", "kernel")[kernel] for kernel in (chosen, options.kernel))
        remedy = "`socketplane down` first, then `up` with the new one"
        raise Conflict(f"this host uses {stands} and can't change to {asked}", field="datapath", remedy=remedy)
    return True


def _choose_datapath(machine: Machine, options: Options) -> str:
    found = openvswitch.kernel_datapath()
    if options.kernel and not found:
        remedy = "install a kernel with the openvswitch module, or use --datapath userspace"
        raise InvalidInput("this kernel has no Open vSwitch", field="datapath", remedy=remedy)
    kernel = found if options.kernel is None else options.kernel
    machine.note(kernel=kernel)
    return "kernel" if kernel else "userspace"


def _identified(machine: Machine, options: Options) -> bool:
    identity = machine.find_identity()
    return identity is not None and trust.fits(identity, options)


def _identify(machine: Machine, options: Options) -> str:
    identity = machine.find_identity()
    identity = trust.with_uplink(machine, options) if identity else trust.first_identity(machine, options)
    identity.save(machine.paths.host_file)
    return f"{identity.name}, {identity.address}"


def _addresses_free(machine: Machine) -> bool:
    identity = machine.identity
    moved = machine.record.moved
    if moved is None or all(not address.startswith(f"{identity.address}/") for address in moved.addresses):
        network.require_own(identity.address)
    network.require_free(identity.pool, identity.hosts, identity.encryption)
    return True


def _start_controller(machine: Machine, daemon: Daemon) -> None:
    if probe.pid_of(daemon) is None:
        network.require_free_port(REST_PORT, "the controller")
    machine.start(daemon)


def _restart_containers(machine: Machine) -> str:
    containers = machine.record.containers
    rest.Docker(machine.paths.docker_socket).start(containers)
    machine.note(containers=())
    return f"{len(containers)} started again"
