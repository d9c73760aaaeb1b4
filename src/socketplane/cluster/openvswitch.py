"""The local Open_vSwitch database and its settings, through Open vSwitch's own tools."""

from __future__ import annotations

import contextlib
import json
import re
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pyroute2.netlink import genlmsg
from pyroute2.netlink.exceptions import NetlinkError
from pyroute2.netlink.generic import GenericNetlinkSocket

from socketplane.cluster import daemons, probe
from socketplane.cluster.machine import Machine
from socketplane.cluster.run import run
from socketplane.config import Paths
from socketplane.errors import Conflict, InvalidInput
from socketplane.identity import HostIdentity
from socketplane.model.forwarding import Traits

INTEGRATION_BRIDGE = "br-int"
SYSTEM_ID_FILE = "etc/openvswitch/system-id.conf"
"""Where Debian's start script keeps the system id; it sets the id from there at each boot."""
_SCHEMA = "usr/share/openvswitch/vswitch.ovsschema"
_SYSTEM_ID = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_SELECT_IDS = '["Open_vSwitch",{"op":"select","table":"Open_vSwitch","where":[],"columns":["external_ids"]}]'


def kernel_datapath() -> bool:
    """Return whether the kernel has Open vSwitch's datapath, loading its module where that can be done."""
    return kernel_has("ovs_datapath", "openvswitch")


def kernel_has(family: str, module: str) -> bool:
    """Return whether the kernel has a family of generic netlink, loading its module where that can be done."""
    if _family_exists(family):
        return True
    with contextlib.suppress(Exception):
        run(["modprobe", "--quiet", module], check=False)
    return _family_exists(family)


def _family_exists(family: str) -> bool:
    with contextlib.closing(GenericNetlinkSocket()) as socket:
        try:
            socket.bind(family, genlmsg)
        except NetlinkError:
            return False
    return True


def vsctl(paths: Paths, *arguments: str, wait: bool = True) -> str:
    """Run ovs-vsctl on the local database; with `wait`, until the switch has done what was asked."""
    flags = ["--timeout=15", f"--db=unix:{paths.ovs_socket}", *([] if wait else ["--no-wait"])]
    return run(["ovs-vsctl", *flags, *arguments]).out


def prepare_file(file: Path, schema: Path) -> None:
    """Make a database file with a schema, or convert one that has an older one (kept beside it)."""
    file = file.resolve()  # Debian's conf.db is a link, which may point to nothing yet
    file.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    if not file.exists():
        run(["ovsdb-tool", "create", str(file), str(schema)])
    elif run(["ovsdb-tool", "needs-conversion", str(file), str(schema)]).out.strip() == "yes":
        version = run(["ovsdb-tool", "db-version", str(file)]).out.strip()
        run(["cp", "--archive", str(file), f"{file}.backup-{version}"])
        run(["ovsdb-tool", "compact", str(file)])
        run(["ovsdb-tool", "convert", str(file), str(schema)], timeout=120)


def start_database(machine: Machine) -> None:
    """Start the local database, with its file where it has none."""
    paths = machine.paths
    if not machine.systemd and probe.pid_of(daemons.ovs_database(paths)) is None:
        prepare_file(daemons.ovs_database_file(paths), paths.root / _SCHEMA)
    machine.start(daemons.ovs_database(paths))
    if not machine.systemd:
        version = run(["ovs-vswitchd", "--version"]).out.split()[-1]
        vsctl(paths, "init", "--", "set", "Open_vSwitch", ".", f"ovs-version={json.dumps(version)}", wait=False)


def external_ids(paths: Paths) -> dict[str, str]:
    """Return the settings of the running database."""
    text = vsctl(paths, "--format=json", "--columns=external_ids", "list", "Open_vSwitch", wait=False)
    return only_map(json.loads(text)["data"])


def system_id(paths: Paths) -> str:
    """Return this machine's system id as it stands, or a new one where it has none; Open vSwitch need not run.

    Raises InvalidInput: it can't stand in a certificate.
    """
    found = _existing_system_id(paths)
    if found and not _SYSTEM_ID.fullmatch(found):
        remedy = f"write another into /{SYSTEM_ID_FILE} and restart Open vSwitch"
        raise InvalidInput(f"{found!r} is not made of letters, digits, '.', '_' and '-'", field="system-id", remedy=remedy)
    return found or str(uuid.uuid4())


def _existing_system_id(paths: Paths) -> str:
    with contextlib.suppress(FileNotFoundError):
        if text := (paths.root / SYSTEM_ID_FILE).read_text().strip():
            return text
    if probe.answers(daemons.ovs_database(paths)):
        return external_ids(paths).get("system-id", "")
    file = daemons.ovs_database_file(paths)
    if not file.exists():
        return ""
    rows = json.loads(run(["ovsdb-tool", "query", str(file), _SELECT_IDS]).out)[0]["rows"]
    return only_map([[row["external_ids"]] for row in rows]).get("system-id", "")


def foreign_chassis(paths: Paths, ours: Mapping[str, str | None]) -> str | None:
    """Return the OVN that this machine belongs to already, None when it is in none, or in ours."""
    remote = external_ids(paths).get("ovn-remote")
    return remote if remote and "ovn-remote" not in ours else None


def chassis_settings(identity: HostIdentity, traits: Traits) -> dict[str, str]:
    """Return what ovn-controller and the agent read from Open_vSwitch's external_ids."""
    return {
        "system-id": identity.system_id,
        "hostname": identity.name,
        "ovn-remote": ",".join(identity.southbound),
        "ovn-encap-type": "geneve",
        "ovn-encap-ip": str(identity.tunnel),
        "ovn-encap-tos": "inherit",  # marks of TrafficPolicies are for the underlay's switches
        "ovn-bridge-datapath-type": traits.bridge_type,
        "ovn-monitor-all": "true",  # every network is on every host
        "ovn-remote-probe-interval": "60000",
        "ovn-openflow-probe-interval": "60",
    }


def settings_stand(machine: Machine, settings: Mapping[str, str]) -> bool:
    """Return whether all of these settings stand, and by our hand."""
    current, ours = external_ids(machine.paths), machine.record.external_ids
    return all(current.get(key) == value and key in ours for key, value in settings.items())


def apply_settings(machine: Machine, settings: Mapping[str, str]) -> None:
    """Write settings, after noting what stood there.

    Raises Conflict: this machine belongs to another OVN.
    """
    if foreign := foreign_chassis(machine.paths, machine.record.external_ids):
        remedy = "take it out of that one first (ovs-vsctl remove Open_vSwitch . external_ids ovn-remote)"
        raise Conflict(f"this machine is a chassis of another OVN ({foreign})", remedy=remedy)
    if not machine.record.external_ids and (ports := _ports(machine.paths)):
        remedy = f"take them away, or the bridge: ovs-vsctl del-br {INTEGRATION_BRIDGE}"
        raise Conflict(f"there is a bridge {INTEGRATION_BRIDGE} with ports of others: {', '.join(ports)}", remedy=remedy)
    current = external_ids(machine.paths)
    before = {key: current.get(key) for key in settings}
    machine.note(external_ids=before | dict(machine.record.external_ids))
    _keep_system_id(machine, settings["system-id"])
    values = [f"external_ids:{key}={json.dumps(value)}" for key, value in settings.items()]
    vsctl(machine.paths, "set", "Open_vSwitch", ".", *values, wait=False)


def restore(machine: Machine) -> None:
    """Put back what stood before our settings, and remove the bridge that was made by them.

    The system id stays, since it names the machine and not us. The settings go first: an ovn-controller that ran before
    us would make the bridge anew.
    """
    for key, value in machine.record.external_ids.items():
        if key == "system-id":
            continue
        change = ["remove", "Open_vSwitch", ".", "external_ids", key]
        if value is not None:
            change = ["set", "Open_vSwitch", ".", f"external_ids:{key}={json.dumps(value)}"]
        vsctl(machine.paths, *change, wait=False)
    switch = daemons.ovs_switch(machine.paths, machine.record.traits)
    vsctl(machine.paths, "--if-exists", "del-br", INTEGRATION_BRIDGE, wait=probe.answers(switch))
    machine.note(external_ids={}, kernel=None)


def _ports(paths: Paths) -> list[str]:
    """Return the integration bridge's ports, none where there is no such bridge."""
    if INTEGRATION_BRIDGE not in vsctl(paths, "list-br", wait=False).split():
        return []
    return vsctl(paths, "list-ports", INTEGRATION_BRIDGE, wait=False).split()


def _keep_system_id(machine: Machine, value: str) -> None:
    """Write the id where Debian's start script looks, which would make up another one."""
    file = machine.paths.root / SYSTEM_ID_FILE
    if not file.exists():
        file.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        machine.note(files=tuple({*machine.record.files, str(file)}))
        file.write_text(f"{value}\n")


def only_map(rows: Any) -> dict[str, str]:
    """Return the map in the only row's only column."""
    return {str(key): str(value) for row in rows for key, value in row[0][1]}
