"""`join` and `leave`: a second machine becomes part of the cluster, and what is wrong with a token is said clearly."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from cluster_site import Site

from socketplane.pki import JoinToken

CHASSIS = ("ovn-sbctl", "--bare", "--columns=hostname", "list", "Chassis")


async def hosts(site: Site, name: str = "h1") -> dict[str, bool]:
    answer = json.loads(await site.out(name, "socketplane", "host", "ls", "-o", "json"))
    return {host["name"]: host["ready"] for host in answer}


async def test_join_and_leave(site: Site) -> None:
    await site.up()
    await site.run("h1", "socketplane", "network", "create", "web")
    joined = await site.join("h2", await site.token())
    assert "as h2, 198.19.0.2" in joined.out
    assert await hosts(site) == await hosts(site, "h2") == {"h1": True, "h2": True}
    assert set((await site.out("h1", *CHASSIS)).split()) == {"h1", "h2"}
    await site.until("h2", "docker network inspect web")
    assert "Nothing to do" in (await site.run("h2", "socketplane", "up")).out

    orphaning = await site.run("h1", "socketplane", "leave", check=False)
    assert "h2 would be left without one" in orphaning.err

    await site.run("h2", "socketplane", "down")
    assert (await site.run("h2", "socketplane", "up")).code == 0
    assert await hosts(site) == {"h1": True, "h2": True}

    await site.run("h2", "socketplane", "leave")
    assert list(await hosts(site)) == ["h1"]
    assert (await site.out("h1", *CHASSIS)).split() == ["h1"]
    assert "not a SocketPlane host" in (await site.run("h2", "socketplane", "leave", check=False)).err
    assert await site.out("h1", "docker", "network", "ls", "-q", "--filter", "driver=socketplane") != ""

    await site.join("h2", await site.token())
    assert await hosts(site) == {"h1": True, "h2": True}
    await site.run("h2", "socketplane", "down", "--purge")
    assert list(await hosts(site)) == ["h1"]


async def test_leave_is_refused_while_containers_are_on_networks(site: Site) -> None:
    await site.up()
    await site.run("h1", "socketplane", "network", "create", "web")
    await site.join("h2", await site.token())
    await site.load_image("h2")
    await site.until("h2", "docker network inspect web")
    run = (
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
    await site.run("h2", *run)
    before = await site.pids("h2")
    refused = await site.run("h2", "socketplane", "leave", check=False)
    assert refused.code == 1
    assert "leave --force" in refused.err
    assert await site.pids("h2") == before
    await site.run("h2", "socketplane", "leave", "--force")
    assert list(await hosts(site)) == ["h1"]


@pytest.fixture
async def first(site: Site) -> Site:
    await site.up()
    return site


async def refuse(site: Site, token: str, *options: str, name: str = "h2") -> str:
    """Join in vain: nothing has changed on the machine, and no part of the token's secret is told."""
    before = await site.look(name)
    failed = await site.join(name, token, *options, check=False)
    assert failed.code == 1
    assert await site.look(name) == before
    assert token.strip() not in failed.out + failed.err
    return failed.err


async def test_each_wrong_token_is_its_own_clear_error(first: Site) -> None:
    site, text = first, await first.token("--uses", "1")
    token = JoinToken.decode(text)
    assert "malformed" in await refuse(site, text[:-7])
    assert "malformed" in await refuse(site, "hello")
    wrong = replace(token, fingerprint="0" * 64).encode()
    assert "is not of the cluster that the token names" in await refuse(site, wrong)
    assert "token" in await refuse(site, replace(token, secret="x" * 43).encode())
    assert "token" in await refuse(site, replace(token, id="unknown").encode())
    gone = replace(token, controllers=("198.19.0.1:1",)).encode()
    assert "no controller answers (198.19.0.1:1: Connection refused)" in await refuse(site, gone)
    options = ["--name", "h1", "--address", "198.19.0.2", "--uplink", "eth1"]
    assert "h1" in await refuse(site, text, *options)
    assert "uplink" in await refuse(site, text, "--name", "h2", "--address", "198.19.0.2")
    assert "not an address of this machine" in await refuse(site, text, "--address", "198.19.0.9", "--uplink", "eth1")

    await site.join("h2", text)
    assert "already, as h2" in (await site.join("h2", text, check=False)).err
    used_up = await refuse(site, text, name="h3")
    assert "token" in used_up
    short = json.loads(await site.token("--ttl", "1s", "-o", "json"))
    await site.until("h1", f"test $(date +%s) -gt {short['expires'] + 1:.0f}")
    assert "expired" in await refuse(site, short["token"], name="h3")


async def test_what_a_member_may_not_do(first: Site) -> None:
    token = await first.token()
    script = f"SOCKETPLANE_TOKEN={token} socketplane join {' '.join(first.options('h2'))}"
    await first.run("h2", "sh", "-c", script)
    assert await hosts(first) == {"h1": True, "h2": True}
    for pid in await first.pids("h2"):
        assert token not in await first.out("h2", "cat", f"/proc/{pid}/environ")
    pki = "/var/lib/socketplane/pki"
    tls = (f"--private-key={pki}/host.key", f"--certificate={pki}/host.crt", f"--ca-cert={pki}/ca.crt")
    southbound = ("ovn-sbctl", "--db=ssl:198.19.0.1:6642", *tls)
    assert "h1" in await first.out("h2", *southbound, "list", "Chassis")
    victim = (await first.out("h2", *southbound, "--bare", "--columns=name", "find", "Chassis", "hostname=h1")).strip()
    refused = await first.run("h2", *southbound, "chassis-del", victim, check=False)
    assert refused.code != 0
    assert "permission" in refused.err.lower()
    northbound = await first.run("h2", "ovn-nbctl", "--timeout=3", "--db=ssl:198.19.0.1:6641", *tls, "show", check=False)
    assert northbound.code != 0
    stranger = await first.run("h3", "curl", "-sk", "https://198.19.0.1:6675/v1/hosts")
    assert json.loads(stranger.out)["error"]["code"] == "unauthenticated"
    for secret in ("ca.key", "server.key"):
        assert (await first.run("h2", "test", "-e", f"{pki}/{secret}", check=False)).code != 0
