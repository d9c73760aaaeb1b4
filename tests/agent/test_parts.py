"""The agent's smaller parts: state, log, control socket, Docker client, outbox, breaker, inventory, report."""

import asyncio
import json
from ipaddress import IPv4Address, IPv4Network
from uuid import UUID, uuid4

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from socketplane import wire
from socketplane.agent import routes
from socketplane.agent.adoption import DockerNetwork
from socketplane.agent.denials import Denials
from socketplane.agent.docker import Docker, DockerError
from socketplane.agent.fanout import Clash, Create, Replace, Settle, plan
from socketplane.agent.inventory import CONNECTED, Inventory, container_of
from socketplane.agent.link import Breaker, Link
from socketplane.agent.outbox import Outbox
from socketplane.agent.report import Reporter
from socketplane.agent.revive import gave_up
from socketplane.agent.state import EndpointRecord, NetworkRecord, State
from socketplane.agent.tail import LogTail
from socketplane.agent.unixctl import ask, control_socket
from socketplane.errors import Conflict, Forbidden, NotFound, Unavailable
from support.engine import Engine
from support.ovsdb_server import OvsdbServer

SUBNET, GATEWAY = IPv4Network("10.200.0.0/24"), IPv4Address("10.200.0.1")


def record(number=1, **changes):
    values = {
        "docker": f"d{number}",
        "id": UUID(int=number),
        "subnet": SUBNET,
        "gateway": GATEWAY,
        "internal": False,
        "created": 5.0,
    }
    return NetworkRecord(**values | changes)


# ---- state


async def test_state_survives_and_is_private(tmp_path):
    path = tmp_path / "state" / "agent.json"
    state = await asyncio.to_thread(State.load, path)
    state.networks["d1"] = record(internal=True)
    state.endpoints["e1"] = EndpointRecord("e1", "d1", UUID(int=1), GATEWAY + 1, 24, "02:00:00:00:00:01")
    state.mark_put("e1")
    state.pools[UUID(int=2)] = 7.5
    state.tombstones.add(UUID(int=3))
    await state.save()
    again = await asyncio.to_thread(State.load, path)
    assert (again.networks, again.endpoints, again.pools, again.tombstones) == (
        state.networks,
        state.endpoints,
        state.pools,
        state.tombstones,
    )
    assert again.endpoints["e1"].put
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("content", ["", "{", "[]", '{"format": 2}', '{"format": 1}', '{"format": 1, "networks": [1]}'])
def test_a_state_that_can_not_be_read_is_put_aside(tmp_path, content):
    path = tmp_path / "agent.json"
    path.write_text(content)
    assert State.load(path).networks == {}
    assert (tmp_path / "agent.json.broken").read_text() == content
    assert not path.exists()


async def test_a_change_is_written_without_being_asked_for(tmp_path, until):
    state = State(tmp_path / "agent.json")
    task = asyncio.create_task(state.run())
    state.networks["d1"] = record()
    state.changed()
    path = tmp_path / "agent.json"
    await until(path.exists)
    task.cancel()
    assert (await asyncio.to_thread(State.load, path)).networks == state.networks


# ---- ovn-controller's log and control socket

LINE = "2026-01-01T00:00:00.000Z|{0:05}|{1}|WARN|{2}\n"
BAD = 'error parsing match "inport == x": Syntax error'


def test_a_rule_that_ovn_controller_dropped_is_an_alarm_until_it_starts_anew(tmp_path):
    path = tmp_path / "log"
    tail = LogTail(path)
    tail.read()
    assert tail.alarms == []
    path.write_text(LINE.format(1, "vlog", "opened log file") + LINE.format(20, "lflow", BAD))
    tail.read()
    tail.read()
    (alarm,) = tail.alarms
    assert alarm.endswith(BAD)
    path.rename(tmp_path / "log.1")
    path.write_text(LINE.format(21, "vlog", "opened log file") + LINE.format(22, "lflow", BAD)[:-9])
    tail.read()
    assert tail.alarms == [alarm], "rotated, not restarted; half a line is no line"
    with path.open("a") as file:
        file.write(LINE.format(22, "lflow", BAD)[-9:] + LINE.format(1, "vlog", "opened log file"))
    tail.read()
    assert tail.alarms == []


def test_alarms_are_found_that_are_older_than_the_agent_and_are_not_many(tmp_path):
    path = tmp_path / "log"
    path.write_text("".join(LINE.format(n, "lflow", f"{BAD} {n % 9}") for n in range(2, 200)) + "no line of a log\n")
    tail = LogTail(path)
    tail.read()
    assert len(tail.alarms) == 5


DENIAL = (
    "2026-01-01T00:00:{0:02}.000Z|{0:05}|acl_log(ovn_pinctrl0)|INFO|"
    'name="d3.ingress", verdict=drop, severity=info, direction=to-lport: '
    "tcp,nw_src=10.192.0.2,nw_dst=10.192.0.3,nw_frag=no,tp_src=1,tp_dst={1},tcp_flags=syn\n"
)


def refused(tail):
    return {denied.port: (seen.count, seen.last - seen.first) for denied, seen in tail.take_denied()}


def test_refused_packets_are_counted_from_where_they_were_taken_last(tmp_path):
    path = tmp_path / "log"
    path.write_text(DENIAL.format(2, 70) + LINE.format(3, "lflow", BAD))
    tail = LogTail(path)
    tail.read()
    assert (refused(tail), len(tail.alarms)) == ({}, 1), (
        "what was there before the first look is another agent's, or nobody's"
    )
    with path.open("a") as file:
        file.write(DENIAL.format(4, 80) + DENIAL.format(5, 81) + DENIAL.format(6, 80) + DENIAL.format(7, 80)[:-9])
    tail.read()
    mark = tail.mark
    assert refused(tail) == {80: (2, 2.0), 81: (1, 0.0)}
    with path.open("a") as file:
        file.write(DENIAL.format(7, 80)[-9:])
    tail.read()
    assert refused(tail) == {80: (1, 0.0)}
    again = LogTail(path, mark)
    again.read()
    assert (refused(again), len(again.alarms)) == ({80: (1, 0.0)}, 1)
    path.rename(tmp_path / "log.1")
    path.write_text(DENIAL.format(8, 90))
    for rotated in (again, LogTail(path, mark)):
        rotated.read()
        assert refused(rotated) == {90: (1, 0.0)}
    late = LogTail(tmp_path / "later")
    late.read()
    path.rename(tmp_path / "later")
    late.read()
    assert refused(late) == {90: (1, 0.0)}


async def test_refused_packets_are_told_once(tmp_path, until):
    path, client = tmp_path / "log", Client()
    path.write_text("")
    state, link = State(tmp_path / "agent.json"), Link(client, "h1")
    task = asyncio.create_task(Denials(state, link, LogTail(path), look_every=0.01).run())
    await until(lambda: state.log)
    client.answer = down

    def write(*lines):
        with path.open("a") as file:
            file.write("".join(lines))

    await asyncio.to_thread(write, DENIAL.format(1, 80), DENIAL.format(2, 80))
    await until(lambda: len(client.calls) > 2)
    await asyncio.to_thread(write, DENIAL.format(3, 81))
    client.answer = lambda method, path, body: None
    await until(lambda: state.log == (path.stat().st_ino, path.stat().st_size))
    task.cancel()
    told = {body.request: [(item.port, item.count) for item in body.items] for *_, body in client.calls}
    assert list(told.values()) == [[(80, 2)], [(81, 1)]], "one that could not be told is told as it was"
    assert client.calls[0][:2] == ("POST", "/v1/hosts/h1/denials")


async def test_a_real_daemon_answers_on_its_control_socket(tmp_path, until):
    async def answered():  # it accepts clients a moment before it has its control socket
        try:
            return await ask(server.control, "version")
        except Unavailable:
            return ""

    schema = {"name": "Empty", "version": "1.0.0", "tables": {}}
    async with OvsdbServer(schema, tmp_path / "db") as server:
        assert "ovsdb-server" in await until(answered)
        with pytest.raises(Unavailable, match="not a valid command"):
            await ask(server.control, "nonsense")
        server.pause()
        with pytest.raises(Unavailable, match="not in time"):
            await ask(server.control, "version", seconds=0.05)
        server.resume()
    with pytest.raises(Unavailable):
        await ask(server.control, "version")


def test_control_sockets_are_found_by_pid_or_age(tmp_path):
    assert control_socket(tmp_path, "ovn-controller") is None
    (tmp_path / "ovn-controller.7.ctl").touch()
    assert control_socket(tmp_path, "ovn-controller") == tmp_path / "ovn-controller.7.ctl"
    (tmp_path / "ovn-controller.pid").write_text("9\n")
    assert control_socket(tmp_path, "ovn-controller") is None
    (tmp_path / "ovn-controller.9.ctl").touch()
    assert control_socket(tmp_path, "ovn-controller") == tmp_path / "ovn-controller.9.ctl"


async def test_the_report_says_what_this_host_is(tmp_path, until):
    async def answer(reader, writer):
        request = json.loads(await reader.read(1000))
        result = {"connection-status": "connected", "version": "ovs-vswitchd (Open vSwitch) 3.1.0\n"}[request["method"]]
        body = json.dumps({"id": request["id"], "result": result, "error": None}).encode()
        for part in (body[:9], body[9:]):
            writer.write(part)
            await writer.drain()
        writer.close()

    client = Client()
    conflicts = ["web: taken"]
    reporter = Reporter(
        Link(client, "h1"),
        tmp_path,
        datapath=lambda: ("userspace", 1442, 1500),
        docker=lambda: "20.10.24",
        conflicts=lambda: conflicts,
        alarms=lambda: ["other"],
        look_every=0.01,
        interval=3600,
    )
    assert not (await reporter.gather()).ovn_controller
    for name in ("ovn", "openvswitch"):
        await asyncio.to_thread((tmp_path / name).mkdir)
    server = await asyncio.start_unix_server(answer, tmp_path / "ovn" / "ovn-controller.1.ctl")
    switch = await asyncio.start_unix_server(answer, tmp_path / "openvswitch" / "ovs-vswitchd.1.ctl")
    report = await reporter.gather()
    assert (report.datapath, report.mtu, report.underlay_mtu, report.ovs, report.docker, report.ovn_controller) == (
        "userspace", 1442, 1500, "3.1.0", "20.10.24", True,
    )  # fmt: skip
    assert report.conflicts == ["web: taken"]
    assert report.alarms == ["other"]
    task = asyncio.create_task(reporter.run())
    await until(lambda: len(client.calls) == 1)
    conflicts.append("db: taken")
    await until(lambda: len(client.calls) == 2)
    task.cancel()
    server.close()
    switch.close()
    method, path, body = client.calls[1]
    assert (method, path, body.conflicts) == ("PUT", "/v1/hosts/h1/report", ["db: taken", "web: taken"])


# ---- the way to the controller


class Client:
    """A controller of few words."""

    def __init__(self):
        self.calls = []
        self.answer = lambda method, path, body: None

    async def call(self, method, path, body=None, params=None, *, timeout=10):
        self.calls.append((method, path, body))
        return self.answer(method, path, body)

    async def watch(self):
        await asyncio.Event().wait()
        yield


def down(*_):
    raise Unavailable("nobody")


def test_the_breaker_lets_one_through_a_second_once_patience_is_over():
    now = [100.0]
    breaker = Breaker(lambda: now[0])
    breaker.refuse(10)
    breaker.failed("nobody")
    now[0] += 5
    breaker.refuse(10)
    assert breaker.left(10) == 5
    now[0] += 6
    breaker.refuse(10)
    for _ in range(3):
        with pytest.raises(Unavailable, match="nobody"):
            breaker.refuse(10)
    now[0] += 1
    breaker.refuse(10)
    breaker.answered()
    breaker.refuse(10)
    assert breaker.left(10) == 10


async def test_an_error_of_the_controller_is_an_answer():
    client = Client()
    link = Link(client, "h1", patience=5)

    def refuse(*_):
        raise Conflict("no")

    client.answer = refuse
    with pytest.raises(Conflict):
        await link.call("GET", "/v1/networks")
    assert not link.down
    assert len(client.calls) == 1


async def test_deletions_wait_for_the_controller_and_are_gathered():
    client = Client()
    client.answer = down
    now = [0.0]
    outbox = Outbox(Link(client, "h1", clock=lambda: now[0]))
    net = uuid4()
    for number in range(5):
        await outbox.delete_endpoint(f"{number:064x}", [(net, GATEWAY + number)])
    await outbox.release(net, GATEWAY + 100)
    await outbox.release(net, GATEWAY + 1)  # Docker's echo of what goes with its endpoint
    assert not outbox.empty
    client.calls.clear()
    client.answer = lambda *_: {"errors": {}}
    with pytest.raises(Unavailable):  # somebody tried a moment ago
        await outbox.flush()
    assert client.calls == []
    now[0] += 1
    await outbox.flush()
    (_, path, body), (method, lease, _) = client.calls
    assert (path, len(body.delete), body.release) == ("/v1/endpoints", 5, True)
    assert (method, lease) == ("DELETE", f"/v1/networks/{net}/leases/10.200.0.101")
    assert outbox.empty


async def test_what_the_controller_refuses_to_delete_is_not_sent_for_ever():
    client = Client()

    def refuse(*_):
        raise Forbidden("not yours")

    client.answer = refuse
    outbox = Outbox(Link(client, "h1"))
    await outbox.delete_endpoint("ab" * 32)
    await outbox.release(uuid4(), GATEWAY)
    assert outbox.empty


async def test_a_controller_that_hangs_does_not_hold_up_a_stop():
    client = Client()

    async def hang(*_, **__):
        await asyncio.Event().wait()

    client.call = hang
    outbox = Outbox(Link(client, "h1"), wait=0.01)
    async with asyncio.timeout(1):
        await outbox.delete_endpoint("ab" * 32)
    assert not outbox.empty


# ---- Docker


@pytest.mark.parametrize(("api", "agreed"), [("1.41", "/v1.41"), ("1.51", "/v1.51"), ("1.60", "/v1.51")])
async def test_the_api_version_is_the_lower_one(tmp_path, api, agreed):
    async with (
        Engine(tmp_path / "none", tmp_path / "docker.sock", api=api) as engine,
        Docker(tmp_path / "docker.sock") as docker,
    ):
        assert await docker.networks() == []
        assert docker._api == agreed
        assert docker.version == engine.version


async def test_an_engine_that_is_too_old_is_named(tmp_path):
    async with Engine(tmp_path / "none", tmp_path / "docker.sock", api="1.24"), Docker(tmp_path / "docker.sock") as docker:
        with pytest.raises(Unavailable, match=r"20\.10 or later"):
            await docker.networks()


async def test_errors_of_the_engine_keep_their_sentence_and_kind(tmp_path):
    async with Engine(tmp_path / "none", tmp_path / "docker.sock") as engine, Docker(tmp_path / "docker.sock") as docker:
        with pytest.raises(NotFound, match="network not found"):
            await docker.network("../x")
        await engine.network_create("web", driver="bridge", ipam="default")
        body = {
            "Name": "web",
            "Driver": "bridge",
            "Internal": False,
            "Options": {},
            "Labels": {},
            "IPAM": {"Driver": "x", "Config": [], "Options": {}},
        }
        with pytest.raises(Conflict, match="already exists"):
            await docker.create_network(body)
    async with Docker(tmp_path / "docker.sock") as docker:
        with pytest.raises(Unavailable, match="Docker does not answer"):
            await docker.networks()
        assert not await docker.responsive()


async def test_a_socket_of_something_else(tmp_path):
    async def hello(_):
        return web.Response(text="hello")

    app = web.Application()
    app.router.add_get("/{any:.*}", hello)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.UnixSite(runner, str(tmp_path / "docker.sock")).start()
    async with Docker(tmp_path / "docker.sock") as docker:
        with pytest.raises(Unavailable, match="something else than Docker"):
            await docker.connect()
    await runner.cleanup()
    assert issubclass(DockerError, Exception)


async def test_the_inventory_follows_the_engine_across_its_restart(tmp_path, until):
    async with Engine(tmp_path / "none", tmp_path / "docker.sock") as engine, Docker(tmp_path / "docker.sock") as docker:
        old = engine.create("old", labels={"a": "b"})
        inventory, events = Inventory(docker), []
        inventory.on_event(events.append)
        task = asyncio.create_task(inventory.run())
        await until(lambda: inventory.connected)
        assert inventory.by_name("old").labels == {"a": "b"}
        new = engine.create("new", labels={"name": "x", "c": "d"})
        engine.create("long", labels={"blob": "x" * 300_000})
        await until(lambda: inventory.by_name("long"))
        assert inventory.by_name("new").labels == {"c": "d"}, "an event can't tell a label called `name`"
        await engine.rename(new, "newer")
        await until(lambda: inventory.by_name("newer"))
        assert inventory.by_name("long").labels == {"blob": "x" * 300_000}
        await engine.stop_api()
        await until(lambda: not inventory.connected)
        del engine.boxes[old.id]
        await engine.start_api()
        await until(lambda: inventory.connected)
        assert inventory.by_name("old") is None
        assert events.count(CONNECTED) == 2
        task.cancel()


def test_a_linked_containers_name_is_the_one_without_its_users():
    assert container_of({"Id": "1", "Names": ["/user/alias", "/db"], "Labels": None}).name == "db"


ABSENCE = (
    'Post "http://%2Frun%2Fdocker%2Fplugins%2Fsocketplane.sock/NetworkDriver.Join": dial unix: connect: connection refused'
)


MISSING = "IpamDriver.RequestAddress: socketplane: the agent isn't running, nothing was changed; `socketplane up` starts it"


@pytest.mark.parametrize(
    ("error", "policy", "status", "expected"),
    [
        ('legacy plugin: plugin "socketplane" not found', "always", "exited", True),
        (ABSENCE, "unless-stopped", "created", True),
        (ABSENCE.replace("connection refused", "no such file or directory"), "always", "created", True),
        ("Unable to locate plugin: socketplane, retrying in 8s", "always", "exited", True),
        ("could not find plugin socketplane in v1 plugin registry: plugin not found", "on-failure", "exited", True),
        (MISSING, "always", "exited", True),
        (MISSING, "unless-stopped", "created", True),
        (MISSING, "on-failure", "exited", True),
        (MISSING, "no", "exited", False),
        (
            "NetworkDriver.Join: socketplane: the agent ended over this call each time it was sent; its log may have why",
            "always",
            "exited",
            True,
        ),
        ('OCI runtime create failed: exec: "socketplane": executable file not found in $PATH', "always", "exited", False),
        ('error mounting "/srv/socketplane": no such file or directory', "always", "exited", False),
        (
            "IpamDriver.RequestAddress: socketplane: the controller is unreachable, nothing was changed: x",
            "always",
            "exited",
            True,
        ),
        ("NetworkDriver.Join: socketplane: port sp1 is not ready after 10 s: x", "on-failure", "exited", True),
        (ABSENCE, "no", "exited", False),
        (ABSENCE, "always", "running", False),
        ("IpamDriver.RequestAddress: socketplane: address: 10.0.0.9 is held by container a", "always", "exited", False),
        ('OCI runtime create failed: exec: "x": executable file not found', "always", "exited", False),
        ("", "always", "exited", False),
    ],
)
def test_which_containers_docker_gave_up_on(error, policy, status, expected):
    state = {"Error": error, "Status": status, "Running": status == "running"}
    assert gave_up({"State": state, "HostConfig": {"RestartPolicy": {"Name": policy}}}) is expected


# ---- networks


def network(number, name):
    return wire.Network(id=UUID(int=number), name=name, subnet=SUBNET, gateway=GATEWAY)


def docker_network(number, name, driver="socketplane"):
    return DockerNetwork(f"d{number}", name, driver)


WEB, MINE = network(1, "web"), docker_network(1, "web")


@pytest.mark.parametrize(
    ("desired", "docker", "records", "expected"),
    [
        ([], [], [], []),
        ([WEB], [], [], [Create(WEB)]),
        ([WEB], [MINE], [record(1)], []),
        ([], [MINE], [record(1)], [Settle(MINE, record(1))]),
        ([], [MINE], [], [Replace(MINE, "the cluster has no network for it")]),
        ([], [docker_network(1, "web", "bridge")], [], []),
        ([WEB], [docker_network(2, "web")], [record(2)], [Settle(docker_network(2, "web"), record(2))]),
        ([WEB], [docker_network(2, "other", "bridge")], [], [Create(WEB)]),
    ],
)
def test_the_plan(desired, docker, records, expected):
    wanted = {each.id: each for each in desired}
    assert plan(wanted, docker, {each.docker: each for each in records}, set(), set()) == expected


def test_the_plan_names_clashes():
    (rival,) = plan({WEB.id: WEB}, [docker_network(1, "web", "bridge")], {}, set(), set())
    (other,) = plan({WEB.id: WEB}, [docker_network(1, "mine")], {"d1": record(1)}, set(), set())
    assert isinstance(rival, Clash)
    assert "docker network rm web" in rival.text
    assert isinstance(other, Clash)
    assert "docker network rm mine" in other.text


def test_the_plan_leaves_alone_what_is_being_removed():
    assert plan({WEB.id: WEB}, [], {}, {WEB.id}, set()) == [], "its removal is yet to be told"
    assert plan({WEB.id: WEB}, [MINE], {}, set(), {"d1"}) == [], "Docker has not finished"


NAMES = st.sampled_from(["web", "db", "x"])


@given(
    desired=st.dictionaries(st.integers(1, 4), NAMES, max_size=4),
    docker=st.lists(
        st.tuples(st.integers(1, 4), NAMES, st.sampled_from(["socketplane", "bridge"])), unique_by=lambda x: x[0]
    ),
    records=st.sets(st.integers(1, 4)),
    tombstones=st.sets(st.integers(1, 4)),
    deleting=st.sets(st.integers(1, 4)),
)
def test_the_plan_never_touches_others_networks_nor_makes_a_name_twice(desired, docker, records, tombstones, deleting):
    engine = [docker_network(*entry) for entry in docker]
    actions = plan(
        {UUID(int=n): network(n, name) for n, name in desired.items()},
        engine,
        {f"d{n}": record(n) for n in records},
        {UUID(int=n) for n in tombstones},
        {f"d{n}" for n in deleting},
    )
    names = {entry.name for entry in engine}
    for action in actions:
        match action:
            case Create(wanted):
                assert wanted.name not in names
                assert wanted.id not in {UUID(int=n) for n in tombstones}
            case Settle(touched, _) | Replace(touched, _):
                assert touched.driver == "socketplane"
                assert touched.id not in {f"d{n}" for n in deleting}


# ---- routes


def test_this_hosts_own_routes_can_be_read():
    table = routes.TABLE.read_text()
    assert routes.overlapping(IPv4Network("198.51.100.0/24"), table) is None


def test_the_default_route_overlaps_nothing_and_broken_lines_are_skipped():
    table = "Iface\tDestination\nshort line\neth0\t00000000\t0102A8C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"
    assert routes.overlapping(SUBNET, table) is None
