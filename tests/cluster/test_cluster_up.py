"""`up` and `down` on a machine of its own: what is there is left alone, what is ours goes without a trace."""

from __future__ import annotations

import asyncio
import json
import time

from cluster_site import Site

from socketplane.model.forwarding import SEGMENTATION

NETWORKS = ("docker", "network", "ls", "--filter", "driver=socketplane", "--format", "{{.Name}}")
RUNNING = ("docker", "ps", "--format", "{{.Names}}")


async def test_up_ends_with_a_table_and_run_again_changes_nothing(site: Site) -> None:
    first = (await site.up()).out
    row = next(line for line in first.splitlines() if line.startswith("h1"))
    assert row.split()[:4] == ["h1", "198.19.0.1", "yes", "userspace"]
    assert "\nNext:\n" in first
    assert "socketplane network create web" in first

    before = await site.pids("h1")
    began = time.monotonic()
    second = await site.run("h1", "socketplane", "up")
    assert time.monotonic() - began < 5
    assert "Nothing to do" in second.out
    assert [line for line in second.out.splitlines() if line.startswith("done")] == []
    assert await site.pids("h1") == before


async def test_down_stops_all_of_ours_and_up_brings_back_the_data_and_the_containers(site: Site) -> None:
    before = await site.look("h1")
    await site.up()
    await site.load_image("h1")
    await site.run("h1", "socketplane", "network", "create", "web")
    await site.until("h1", "docker network inspect web")
    await site.run(
        "h1",
        "docker",
        "run",
        "-d",
        "--stop-signal=KILL",
        "--name",
        "one",
        "--network",
        "web",
        "socketplane/lab",
        "sleep",
        "600",
    )

    stopped = await site.run("h1", "socketplane", "down")
    assert "stopped: one" in stopped.out
    after = await site.look("h1")
    assert (after.addresses, after.routes, after.links) == (before.addresses, before.routes, before.links)
    assert after.processes == before.processes
    assert after.rules == ""
    assert "Nothing to do" in (await site.run("h1", "socketplane", "down")).out

    again = await site.run("h1", "socketplane", "up")
    assert "1 started again" in again.out
    assert await site.out("h1", *NETWORKS) == "web"
    assert await site.out("h1", *RUNNING) == "one"


async def test_purge_forgets_everything(site: Site) -> None:
    await site.up()
    await site.run("h1", "socketplane", "network", "create", "web")
    await site.run("h1", "socketplane", "down", "--purge")
    await site.up()
    assert json.loads(await site.out("h1", "socketplane", "network", "ls", "-o", "json")) == []
    assert await site.out("h1", *NETWORKS) == ""


async def test_purge_keeps_a_northbound_that_was_there_before(site: Site) -> None:
    file, schema = "/var/lib/ovn/ovnnb_db.db", "/usr/share/ovn/ovn-nb.ovsschema"
    row = '["OVN_Northbound", {"op": "insert", "table": "Logical_Switch", "row": {"name": "theirs"}}]'
    query = '["OVN_Northbound", {"op": "select", "table": "Logical_Switch", "where": [["name", "==", "theirs"]]}]'
    await site.run("h1", "ovsdb-tool", "create", file, schema)
    await site.run("h1", "ovsdb-tool", "transact", file, row)
    await site.up()
    await site.run("h1", "socketplane", "down", "--purge")
    assert '"theirs"' in await site.out("h1", "ovsdb-tool", "query", file, query)
    await site.run("h1", "sh", "-c", f"rm {file} /var/lib/ovn/.*lock~")


async def test_what_ran_before_is_used_and_never_stopped(site: Site) -> None:
    await _open_vswitch(site, "h1")
    await site.run("h1", "ovs-vsctl", "add-br", "br-mine", "--", "set", "Bridge", "br-mine", "datapath_type=netdev")
    await site.background("h1", "dockerd", "--pidfile=/run/docker.pid", "--host=unix:///run/docker.sock")
    await site.until("h1", "docker version")
    await site.load_image("h1")
    await site.run("h1", "docker", "run", "-d", "--stop-signal=KILL", "--name", "theirs", "socketplane/lab", "sleep", "600")
    theirs = await site.pids("h1")

    out = (await site.up()).out
    for title in ("Open vSwitch database", "Open vSwitch", "Docker engine"):
        assert f"ok    {title}\n" in out
    await site.run("h1", "socketplane", "network", "create", "web")
    await site.until("h1", "docker network inspect web")
    await site.run(
        "h1",
        "docker",
        "run",
        "-d",
        "--stop-signal=KILL",
        "--name",
        "ours",
        "--network",
        "web",
        "socketplane/lab",
        "sleep",
        "600",
    )

    await site.run("h1", "socketplane", "down")
    assert theirs.items() <= (await site.pids("h1")).items()
    assert await site.out("h1", *RUNNING) == "theirs"
    assert await site.out("h1", "ovs-vsctl", "list-br") == "br-mine"
    ids = await site.out("h1", "ovs-vsctl", "get", "Open_vSwitch", ".", "external_ids")
    assert "ovn" not in ids

    await site.run("h1", "socketplane", "up")
    assert set((await site.out("h1", *RUNNING)).split()) == {"ours", "theirs"}
    await site.run("h1", "socketplane", "down", "--purge")
    assert theirs.items() <= (await site.pids("h1")).items()
    assert await site.out("h1", *NETWORKS) == ""
    await site.run("h1", "ovs-vsctl", "del-br", "br-mine")


async def test_segmentation_is_taken_over_where_that_works_and_given_back(site: Site) -> None:
    """Whichever release this is: on where ovs-vswitchd cuts segments itself, off where it does not; a crash is mended."""
    config = ("ovs-vsctl", "--if-exists", "get", "Open_vSwitch", ".", f"other_config:{SEGMENTATION}")
    counter = ("ovs-appctl", "coverage/read-counter", "netdev_soft_seg_good")
    await site.up()
    able = (await site.run("h1", *counter, check=False)).code == 0
    wanted = '"true"' if able else ""
    assert await site.out("h1", *config) == wanted
    enabled = ("grep", "-c", "Segmentation Offloading support enabled", "/var/log/openvswitch/ovs-vswitchd.log")
    assert (await site.run("h1", *enabled, check=False)).code == (0 if able else 1)
    # `up` died before ovs-vswitchd knew; or it was on, and another release came.
    for noted in ("wanted", "on"):
        file = site.machine("h1").path("/var/lib/socketplane/machine.json")
        record = json.loads(await asyncio.to_thread(file.read_text))
        await asyncio.to_thread(file.write_text, json.dumps({**record, "segmentation": noted}))
        await site.run("h1", "ovs-vsctl", "--no-wait", "set", "Open_vSwitch", ".", f"other_config:{SEGMENTATION}=true")
        await site.run("h1", "socketplane", "up")
        assert await site.out("h1", *config) == wanted
    # Who turns it off is obeyed.
    await site.run("h1", "ovs-vsctl", "--no-wait", "set", "Open_vSwitch", ".", f"other_config:{SEGMENTATION}=false")
    assert "Nothing to do" in (await site.run("h1", "socketplane", "up")).out
    assert await site.out("h1", *config) == '"false"'
    now = ["set", "Open_vSwitch", ".", f"other_config:{SEGMENTATION}=true"]
    now = now if able else ["remove", "Open_vSwitch", ".", "other_config", SEGMENTATION]
    await site.run("h1", "ovs-vsctl", "--no-wait", *now)
    await site.run("h1", "socketplane", "down")
    query = '["Open_vSwitch",{"op":"select","table":"Open_vSwitch","where":[],"columns":["other_config"]}]'
    assert SEGMENTATION not in await site.out("h1", "ovsdb-tool", "query", "/etc/openvswitch/conf.db", query)


async def test_up_starts_only_what_has_ended(site: Site) -> None:
    await site.up()
    before = await site.pids("h1")
    victims = ["/run/ovn/ovn-northd.pid", "/run/socketplane/agent.pid", "/run/openvswitch/ovs-vswitchd.pid"]
    for pidfile in victims:
        await site.run("h1", "sh", "-c", f"kill -9 $(cat {pidfile})")
    await site.until("h1", f"! kill -0 $(cat {' '.join(victims)})")
    out = (await site.run("h1", "socketplane", "up")).out
    done = {line[6:].strip() for line in out.splitlines() if line.startswith("done")} - {"ready"}
    assert done == {"Open vSwitch", "OVN northd", "agent"}
    kept = {args for args in before.values() if not any(word in args for word in ("northd", "-agent", "vswitchd"))}
    after = await site.pids("h1")
    assert {after.get(pid) for pid, args in before.items() if args in kept} == kept


async def test_a_port_that_is_taken_is_a_clear_error_and_the_next_up_goes_on(site: Site) -> None:
    pid = await site.background("h1", "socat", "TCP-LISTEN:6675,fork,reuseaddr", "EXEC:cat")
    await site.until("h1", "ss -Hltn 'sport = :6675' | grep -q .")
    failed = await site.up(check=False)
    assert failed.code == 1
    assert "Error: controller: port 6675 is taken by" in failed.err
    assert f"pid={pid}" in failed.err
    assert "the controller needs it" in failed.err
    await site.end_strangers("h1")
    assert "ready" in (await site.run("h1", "socketplane", "up")).out


async def test_a_machine_of_another_ovn_is_not_taken_over(site: Site) -> None:
    await _open_vswitch(site, "h1")
    await site.run("h1", "ovs-vsctl", "set", "Open_vSwitch", ".", "external_ids:ovn-remote=tcp:10.9.8.7:6642")
    failed = await site.up(check=False)
    assert failed.code == 1
    assert "is a chassis of another OVN (tcp:10.9.8.7:6642)" in failed.err
    await site.run("h1", "socketplane", "down", "--purge")
    assert "tcp:10.9.8.7:6642" in await site.out("h1", "ovs-vsctl", "get", "Open_vSwitch", ".", "external_ids")
    await site.run("h1", "ovs-vsctl", "remove", "Open_vSwitch", ".", "external_ids", "ovn-remote")


async def test_bad_options_change_nothing(site: Site) -> None:
    before = await site.look("h1")
    cases: dict[tuple[str, ...], str] = {
        ("--address", "10.1.2.3"): "10.1.2.3 is not an address of this machine",
        ("--pool", "198.18.0.0/16"): "198.18.0.0/16 overlaps 198.18.0.0/24 on eth0",
        ("--prefix", "31"): "must be from 10",
        ("--name", "no name"): "'no name' can't name a host",
        (): "no default route",
    }
    for options, message in cases.items():
        given = ["--address", "198.19.0.1"] if options and "--address" not in options else []
        failed = await site.run("h1", "socketplane", "up", *given, *options, check=False)
        assert (failed.code, message in failed.err) == (1, True), (options, failed.err)
        assert (await site.look("h1")).processes == before.processes
    for wrong in (["--address", "x"], ["--pool", "10.0.0.1/8"], ["--prefix", "x"], ["--datapath", "x"]):
        assert (await site.run("h1", "socketplane", "up", *wrong, check=False)).code == 2


async def test_a_host_that_can_not_encrypt_is_refused_before_anything_changes(site: Site) -> None:
    before = await site.look("h1")
    failed = await site.up("h1", "--encrypt", "--datapath", "userspace", check=False)
    assert failed.code == 1
    assert "Error: encryption: this host can't encrypt: Open vSwitch's own datapath" in failed.err
    assert "modules openvswitch and wireguard" in failed.err
    assert await site.look("h1") == before
    half = await site.up("h1", "--encrypt-port", "4500", check=False)
    assert "encrypt: says how to encrypt, and not to do so; add --encrypt" in half.err
    assert (await site.look("h1")).processes == before.processes


async def test_the_uplink_moves_whole_or_not_at_all(site: Site) -> None:
    before = await site.look("h1")
    failed = await site.run("h1", "socketplane", "up", "--address", "198.19.0.1", "--uplink", "eth0", check=False)
    assert "eth0 does not hold this host's address 198.19.0.1" in failed.err
    assert (await site.look("h1")).addresses == before.addresses
    await site.run("h1", "socketplane", "down", "--purge")

    alone = await site.run("h1", "socketplane", "up", "--name", "h1", "--address", "198.19.0.1")
    assert "socketplane up --uplink INTERFACE" in alone.out
    assert "eth1 is in br-phy" in (await site.run("h1", "socketplane", "up", "--uplink", "eth1")).out
    assert (await site.addresses("h1"))["br-phy"] == ["198.19.0.1/24"]
    other = await site.run("h1", "socketplane", "up", "--uplink", "eth0", check=False)
    assert "this host's is eth1" in other.err

    await site.run("h1", "ip", "address", "flush", "dev", "br-phy")  # as after a crash in the middle
    await site.run("h1", "nft", "delete", "table", "inet", "socketplane_underlay")
    assert "done  underlay" in (await site.run("h1", "socketplane", "up")).out
    assert (await site.addresses("h1"))["br-phy"] == ["198.19.0.1/24"]


async def test_only_root_may(site: Site, as_nobody: tuple[str, ...]) -> None:
    for command in ("up", "down", "leave", "join"):
        more = ["sp1.x"] if command == "join" else []
        refused = await site.run("h1", *as_nobody, "socketplane", command, *more, check=False)
        assert (refused.code, "needs root" in refused.err) == (1, True), refused.err


async def _open_vswitch(site: Site, name: str) -> None:
    """Start Open vSwitch as a distribution without systemd would."""
    schema = "/usr/share/openvswitch/vswitch.ovsschema"
    await site.run(
        name, "sh", "-c", f"test -e /etc/openvswitch/conf.db || ovsdb-tool create /etc/openvswitch/conf.db {schema}"
    )
    await site.run(name, "mkdir", "-p", "/run/openvswitch", "/var/log/openvswitch")
    await site.background(
        name,
        *("ovsdb-server", "/etc/openvswitch/conf.db", "--remote=punix:/run/openvswitch/db.sock"),
        *("--pidfile=/run/openvswitch/ovsdb-server.pid",),
    )
    await site.until(name, "ovs-vsctl --no-wait init")
    await site.background(
        name,
        *(
            "ovs-vswitchd",
            "unix:/run/openvswitch/db.sock",
            "--disable-system",
            "--pidfile=/run/openvswitch/ovs-vswitchd.pid",
        ),
    )
    await site.until(name, "ovs-appctl -t ovs-vswitchd version")


async def test_down_undoes_all_even_after_everything_was_killed(site: Site) -> None:
    await site.up()
    await site.run("h1", "kill", "-9", *(await site.pids("h1")), check=False)  # some go when another does
    await site.until("h1", "! pidof ovs-vswitchd ovsdb-server dockerd")
    out = (await site.run("h1", "socketplane", "down")).out
    assert "done  Open vSwitch to undo" in out
    assert (await site.addresses("h1"))["eth1"] == ["198.19.0.1/24"]
    await site.up()
    assert json.loads(await site.out("h1", "socketplane", "host", "ls", "-o", "json"))[0]["ready"]
