"""The lab itself: machines are apart, fit for Docker, and leave nothing, however they end."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from socketplane.errors import Conflict, InvalidInput
from socketplane.lab import Lab, Machine, build, images, labs, layout, leftovers, names, probe, remove
from socketplane.lab.probe import Outcome, Target
from socketplane.lab.shell import CommandFailed

pytestmark = pytest.mark.lab
CLI = str(Path(sys.prefix) / "bin/socketplane")


def until(what: str, condition: Callable[[], object], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what}: not within {seconds:g} s"
        time.sleep(0.05)


def cli(*arguments: str, **more: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([CLI, *arguments], capture_output=True, text=True, timeout=60, **more)  # type: ignore[call-overload, no-any-return]


def links() -> list[str]:
    return sorted(path.name for path in Path("/sys/class/net").iterdir())


def mounts() -> list[str]:
    return Path("/proc/self/mountinfo").read_text().splitlines()


async def test_machines_are_apart(bare: Lab) -> None:
    h1, h2 = bare.hosts
    await h1.run("sh", "-c", "echo one | tee /run/x /tmp/x /etc/docker/x /etc/x /var/lib/x /var/lib/docker/x")
    for path in ("/run/x", "/tmp/x", "/etc/docker/x", "/etc/x", "/var/lib/x", "/var/lib/docker/x"):
        assert (await h1.run("cat", path)).out == "one\n"
        assert (await h2.run("test", "-e", path, check=False)).code == 1
        assert not await asyncio.to_thread(os.path.exists, path)
    assert (await h1.run("cat", "/proc/sys/kernel/hostname", "/etc/hostname")).out == "h1\nh1\n"
    assert (await h2.run("cat", "/proc/sys/kernel/hostname")).out == "h2\n"
    assert (await h1.run("cat", "/var/run/x")).out == "one\n"
    assert await asyncio.to_thread(h1.path("/run/x").read_text) == "one\n"
    assert await asyncio.to_thread(h1.path("/var/lib/docker/x").read_text) == "one\n"
    programs = (await h1.run("sh", "-c", "cat /proc/[0-9]*/comm")).out.split()
    assert programs[:2] == ["tini", "sleep"] and len(programs) <= 4
    assert (await h1.run("ls", "/sys/class/net")).out.split() == ["eth0", "eth1", "lo"]


async def test_our_programs_run_inside(bare: Lab) -> None:
    said = await bare.hosts[0].run("socketplane", "version")
    assert said.out.startswith("socketplane ")


async def test_machines_reach_one_another_on_both_networks(bare: Lab) -> None:
    h1, h2 = bare.hosts
    for target in (h2.management, h2.underlay, bare.fabric.management, bare.fabric.underlay):
        await h1.run("busybox", "ping", "-c", "1", "-W", "5", str(target))
    assert (await h1.run("ip", "route", "show", "default")).out == ""


async def test_packets_carry_their_checksums(bare: Lab) -> None:
    """Where a cable's sender leaves them to the hardware, a userspace switch at its end would see empty ones."""
    for host in bare.hosts:
        for interface in ("eth0", "eth1"):
            assert "tx-checksumming: off" in (await host.run("ethtool", "-k", interface)).out


async def test_a_program_hands_through_everything(bare: Lab) -> None:
    name = bare.name
    ran = cli("lab", "exec", "--name", name, "h2", "--", "sh", "-c", "cat; echo bad >&2; exit 7", input="in\0put")
    assert (ran.returncode, ran.stdout, ran.stderr) == (7, "in\0put", "bad\n")
    assert cli("lab", "exec", "--name", name, "h1", "ls", "-d", "/run/lock").stdout == "/run/lock\n"
    assert cli("lab", "exec", "--name", name, "h1", "--", "pwd").stdout == f"{Path.cwd()}\n"
    assert cli("lab", "exec", "--name", name, "h1", "--", "pwd", cwd=layout.RUN).stdout == "/\n"
    assert cli("lab", "exec", "--name", name, "h1", "--", "no-such-program").returncode == 127
    unknown = cli("lab", "exec", "--name", name, "h9", "--", "true")
    assert unknown.returncode == 1 and "it has h1, h2" in unknown.stderr
    none = cli("lab", "exec", "--name", "no-such-lab", "h1", "--", "true")
    assert none.returncode == 1 and "lab up" in none.stderr
    assert cli("lab", "exec", "--name", name).returncode == 2


def test_a_program_gets_the_terminal_and_its_interrupts(bare: Lab) -> None:
    script = "test -t 0 && test -t 1 && trap 'echo caught; exit 5' INT && echo ready && while :; do sleep 0.1; done"
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(CLI, [CLI, "lab", "exec", "--name", bare.name, "h1", "--", "bash", "-c", script])
    said = b""
    with os.fdopen(terminal, "rb+", buffering=0) as screen:
        while b"ready" not in said:
            said += screen.read(100)
        screen.write(b"\x03")
        while b"caught" not in said:
            said += screen.read(100)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 5


def test_what_runs_inside_ends_with_its_caller(bare: Lab) -> None:
    caller = subprocess.Popen([CLI, "lab", "exec", "--name", bare.name, "h1", "--", "sleep", "4321"])
    inside = ["lab", "exec", "--name", bare.name, "h1", "--", "pidof", "sleep"]
    until("sleep runs beside init's", lambda: len(cli(*inside).stdout.split()) == 2)
    caller.kill()
    caller.wait()
    until("it is gone", lambda: len(cli(*inside).stdout.split()) == 1)


async def test_a_program_that_takes_too_long_is_ended(bare: Lab) -> None:
    with pytest.raises(CommandFailed, match=r"did not end within 0.5 s: so far"):
        await bare.hosts[0].run("sh", "-c", "echo so far; sleep 60", timeout=0.5)
    leaves_a_daemon = await bare.hosts[0].run("sh", "-c", "sleep 3 & echo done", timeout=2.0)
    assert leaves_a_daemon.out == "done\n"


@pytest.fixture(scope="module")
def engine(bare: Lab) -> Iterator[Machine]:
    """A machine whose Docker engine runs and knows the image."""

    async def begin(machine: Machine) -> None:
        await machine.run("sh", "-c", "dockerd > /var/log/dockerd.log 2>&1 &")
        await machine.run("sh", "-c", "until docker version > /dev/null 2>&1; do sleep 0.2; done", timeout=40)
        await images.load(machine, await images.tarball())

    asyncio.run(begin(bare.hosts[0]))
    yield bare.hosts[0]


async def test_docker_runs_and_publishes_ports(bare: Lab, engine: Machine) -> None:
    serve = ("httpd", "-f", "-p", "80", "-h", "/www")
    await engine.run("docker", "run", "-d", "--name", "web", "-p", "8080:80", images.IMAGE, *serve)
    await engine.run("docker", "run", "-d", "--name", "peer", images.IMAGE, "sleep", "600")
    for caller, address in (
        (engine, "127.0.0.1"),
        (bare.hosts[1], str(engine.underlay)),
        (bare.fabric, str(engine.management)),
    ):
        ask = ("curl", "-s", "--retry", "5", "--retry-connrefused", "-m", "10", f"http://{address}:8080")
        assert (await caller.run(*ask)).out == "socketplane\n"
    groups = (await engine.run("docker", "exec", "web", "cat", "/proc/self/cgroup")).out
    assert f"{os.getpid()}" not in re.split(r"\W", groups)  # the machine's root is the root
    pid = (await engine.run("docker", "inspect", "-f", "{{.State.Pid}}", "web")).out.strip()
    seen = (await engine.run("cat", f"/proc/{pid}/cgroup")).out
    assert "/docker/" in seen
    await engine.run("docker", "rm", "-f", "web", "peer")


async def test_the_image_has_what_tests_need(engine: Machine) -> None:
    check = "curl --version && iperf3 --version && socat -V && nc --help && ping -c 1 127.0.0.1 && nslookup --help"
    said = await engine.run("docker", "run", "--rm", images.IMAGE, "sh", "-c", f"{check} 2>&1")
    assert "curl" in said.out and "iperf" in said.out and "socat" in said.out


async def test_probes_tell_open_refused_and_lost(engine: Machine) -> None:
    command = "socat UDP-LISTEN:53,fork EXEC:cat & httpd -p 80 && exec sleep 600"
    await engine.run("docker", "run", "-d", "--name", "server", images.IMAGE, "sh", "-c", command)
    await engine.run("docker", "run", "-d", "--name", "client", images.IMAGE, "sleep", "600")
    client, server = [await probe.container(engine, name, "bridge") for name in ("client", "server")]
    drop = f"iptables -I DOCKER-USER -d {server.address} -p tcp --dport 81 -j DROP".split()
    await engine.run(*drop)
    await engine.run("docker", "exec", "server", "sh", "-c", "until netstat -ln | grep -q :53; do sleep 0.1; done")
    expected = {
        server.target(80): Outcome.OPEN,
        server.target(82): Outcome.REFUSED,
        server.target(53, "udp"): Outcome.OPEN,
        server.target(54, "udp"): Outcome.REFUSED,
        Target("203.0.113.1", 80): Outcome.UNREACHABLE,
    }
    bridged = (await engine.run("cat", "/proc/sys/net/bridge/bridge-nf-call-iptables", check=False)).out.strip() == "1"
    if bridged:
        expected[server.target(81)] = Outcome.TIMEOUT
    assert await probe.probe(client, expected, wait=3.0) == expected
    seen = await probe.matrix([client, server], [80, 82])
    assert seen == {
        ("client", "server", 80): Outcome.OPEN,
        ("client", "server", 82): Outcome.REFUSED,
        ("server", "client", 80): Outcome.REFUSED,
        ("server", "client", 82): Outcome.REFUSED,
    }
    await engine.run("docker", "rm", "-f", "client", "server")


async def test_the_image_is_made_once_and_the_same_each_time(
    lab_name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def digest(path: Path) -> str:
        return hashlib.sha256(path.read_bytes()).hexdigest()

    monkeypatch.setattr(layout, "CACHE", tmp_path)
    made = await images.tarball()
    first, when = await asyncio.to_thread(digest, made), (await asyncio.to_thread(made.stat)).st_mtime_ns
    assert await images.tarball() == made
    assert (await asyncio.to_thread(made.stat)).st_mtime_ns == when
    await asyncio.to_thread(made.unlink)
    assert await images.tarball() == made
    assert await asyncio.to_thread(digest, made) == first
    assert await asyncio.to_thread(os.listdir, tmp_path) == [made.name]


def test_down_leaves_nothing_and_says_so(lab_name: str) -> None:
    before = links(), mounts()
    name = f"{lab_name}-down"
    made = cli("lab", "up", "--bare", "--hosts", "1", "--name", name)
    assert made.returncode == 0, made.stderr
    start = "dockerd > /var/log/dockerd.log 2>&1 & until docker version > /dev/null 2>&1; do sleep 0.2; done"
    inside = ("lab", "exec", "--name", name, "h1", "--")
    assert cli(*inside, "timeout", "40", "sh", "-c", start).returncode == 0
    asyncio.run(images_into(labs.load(name).hosts[0]))
    assert cli(*inside, "docker", "run", "-d", "-p", "80:80", images.IMAGE, "sleep", "600").returncode == 0
    listed = json.loads(cli("lab", "ls", "-o", "json").stdout)
    assert [(lab["state"], lab["hosts"]) for lab in listed if lab["name"] == name] == [("up", ["h1"])]
    assert leftovers(name)
    down = cli("lab", "down", "--name", name)
    assert (down.returncode, "is gone" in down.stderr) == (0, True)
    assert leftovers(name) == []
    assert name not in names()
    assert (links(), mounts()) == before
    again = cli("lab", "down", "--name", name)
    assert (again.returncode, "nothing to do" in again.stderr) == (0, True)


async def images_into(machine: Machine) -> None:
    await images.load(machine, await images.tarball())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_interrupted_or_crashed(lab_name: str, number: signal.Signals) -> None:
    """An interrupted `lab up` removes what it made; what a killed one left is removed by the next."""
    name = f"{lab_name}-crash"
    # SocketPlane's start is where the time goes: interrupt it once the machines are there.
    process = subprocess.Popen([CLI, "lab", "up", "--hosts", "2", "--name", name], stderr=subprocess.PIPE, text=True)
    until("machines run", lambda: layout.Layout(name).file.exists())
    process.send_signal(number)
    _, said = process.communicate(timeout=30)
    assert process.returncode == (-signal.SIGKILL if number == signal.SIGKILL else 1), said
    assert "Traceback" not in said
    if number != signal.SIGKILL:
        assert "interrupted" in said
    else:
        assert leftovers(name)
        assert "broken" in {lab["state"] for lab in json.loads(cli("lab", "ls", "-o", "json").stdout)}
        next_one = cli("lab", "up", "--bare", "--hosts", "1", "--name", name)
        assert next_one.returncode == 0, next_one.stderr
        assert [host.name for host in labs.load(name).hosts] == ["h1"]
        assert cli("lab", "down", "--name", name).returncode == 0
    assert leftovers(name) == []


def test_interrupted_at_a_terminal(lab_name: str) -> None:
    """Control-C reaches every program in the foreground: none of them may spoil the removal."""
    name = f"{lab_name}-key"
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(CLI, [CLI, "lab", "up", "--hosts", "2", "--name", name])
    said = b""
    with os.fdopen(terminal, "rb+", buffering=0) as screen:
        while b"socketplane up on h1" not in said:
            said += screen.read(200)
        screen.write(b"\x03")
        with contextlib.suppress(OSError):  # the terminal's end
            while chunk := screen.read(200):
                said += chunk
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 1
    assert b"interrupted; the lab was removed" in said and b"Traceback" not in said
    assert leftovers(name) == []


def test_completion_knows_labs_and_hosts(bare: Lab) -> None:
    def complete(*words: str) -> list[str]:
        asked = {"COMP_WORDS": " ".join(("socketplane", *words)), "COMP_CWORD": str(len(words))}
        ran = cli(env={**os.environ, **asked, "_SOCKETPLANE_COMPLETE": "complete_bash"})
        return ran.stdout.split()

    assert bare.name in complete("lab", "down", "--name", "test-")
    assert complete("lab", "exec", "--name", bare.name, "h") == ["h1", "h2"]


def test_remains_without_their_file(lab_name: str) -> None:
    """A crash before the lab's file was written, or a file cut short: the processes are found by their groups."""
    name = f"{lab_name}-lost"
    for spoil in (Path.unlink, lambda file: file.write_text('{"name": ')):
        asyncio.run(build.up(name, 1, bare=True))
        spoil(layout.Layout(name).file)
        assert any(line.startswith("process") for line in leftovers(name))
        remove(name)
        assert leftovers(name) == []


def test_labs_live_side_by_side(bare: Lab, lab_name: str) -> None:
    name = f"{lab_name}-other"
    other = asyncio.run(build.up(name, 1, bare=True))
    assert {bare.name, name} <= set(names())
    assert asyncio.run(other.hosts[0].run("busybox", "ping", "-c", "1", "-W", "1", "198.19.0.2", check=False)).code == 1
    remove(name)
    assert bare.alive


def test_up_again_is_the_same_lab(bare: Lab) -> None:
    assert asyncio.run(build.up(bare.name, 2, bare=True)) == bare
    again = cli("lab", "up", "--bare", "--hosts", "2", "--name", bare.name)
    assert again.returncode == 0 and "up already" in again.stderr
    for hosts, plain in ((3, True), (2, False)):
        with pytest.raises(Conflict, match="is up already, with 2 hosts without SocketPlane"):
            asyncio.run(build.up(bare.name, hosts, bare=plain))
    assert bare.alive


def test_one_at_a_time_makes_a_lab(lab_name: str) -> None:
    with labs.locked(lab_name), pytest.raises(Conflict, match="another process"):
        asyncio.run(build.up(lab_name, 1, bare=True))
    assert leftovers(lab_name) == []


@pytest.mark.parametrize("name", ["", "UP", "../x", "a/b", "x" * 33, "-a", "a b"])
def test_odd_names_are_refused(name: str) -> None:
    with pytest.raises(InvalidInput):
        remove(name)
    assert cli("lab", "down", f"--name={name}").returncode == 1


def test_odd_numbers_of_hosts_are_refused() -> None:
    assert cli("lab", "up", "--bare", "--hosts", "99").returncode == 1
    assert cli("lab", "up", "--bare", "--hosts", "0").returncode == 2
    assert cli("lab", "up", "--datapath", "nonsense").returncode == 2


def test_without_root_it_says_what_to_do(bare: Lab, as_nobody: tuple[str, ...]) -> None:
    named = ["--name", bare.name]
    for command in (["up"], ["down", *named], ["exec", *named, "h1", "--", "true"], ["ls"]):
        ran = subprocess.run([*as_nobody, CLI, "lab", *command], capture_output=True, text=True)
        assert ran.returncode == 1 and "sudo" in ran.stderr, command
    assert bare.alive


V2_ONLY = """
umount -R /sys/fs/cgroup && mount -t cgroup2 cgroup2 /sys/fs/cgroup || exit 77
set -e
"$0" lab up --bare --hosts 1 --name "$1"
trap '"$0" lab down --name "$1"' EXIT
"$0" lab exec --name "$1" h1 -- timeout 40 sh -c '
  dockerd > /var/log/dockerd.log 2>&1 & until docker version > /dev/null 2>&1; do sleep 0.2; done
  busybox tar -c -C / bin/busybox | docker import - box > /dev/null
  docker info -f "cgroup v{{.CgroupVersion}}"
  docker run --rm box busybox cat /proc/self/cgroup'
"""


def test_control_groups_of_the_other_version(lab_name: str) -> None:
    """Where v1 is mounted, try with v2 alone: in a namespace with no other hierarchy mounted."""
    name = f"{lab_name}-v2"
    command = ["unshare", "--mount", "sh", "-c", V2_ONLY, CLI, name]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=90)
    if ran.returncode == 77:
        pytest.skip("control groups can't be mounted anew here")
    assert ran.returncode == 0, ran.stderr
    assert "cgroup v2\n" in ran.stdout
    assert leftovers(name) == []
