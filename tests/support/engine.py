"""A Docker engine as a driver sees it: libnetwork's calls in libnetwork's order, and the API calls that an agent makes.

Written from the protocol's description (order, shapes, locks), not from the agent: what dockerd would refuse is refused,
and what would deadlock dockerd is recorded in `deadlocks`.
"""

from __future__ import annotations

import asyncio
import json
import re
import secrets
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from ipaddress import IPv4Interface
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web


class EngineError(Exception):
    """What `docker` would print."""

    def __init__(self, message: str, status: int = 500) -> None:
        super().__init__(message)
        self.status = status


@dataclass
class Place:
    endpoint: str
    address: str
    mac: str
    joined: bool = False
    gateway: str = ""
    interface: str = ""
    address6: str = ""
    gateway6: str = ""


@dataclass
class Box:
    """A container."""

    id: str
    name: str
    labels: dict[str, str]
    networks: list[str]
    ip: str = ""
    ip6: str = ""
    mac: str = ""
    restart: str = "no"
    running: bool = False
    error: str = ""
    portmap: list[dict[str, Any]] = field(default_factory=list)
    driver_opts: dict[str, str] = field(default_factory=dict)
    aliases: list[str] = field(default_factory=list)
    places: dict[str, Place] = field(default_factory=dict)
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    held_for_start: bool = False
    pid: int = 4242
    health: str = ""
    """What its HEALTHCHECK says, where it has one."""
    remains: bool = False
    """It ended while dockerd was down: it is exited, and still described with the places that it had."""


@dataclass
class Net:
    id: str
    name: str
    driver: str
    options: dict[str, str]
    labels: dict[str, str]
    internal: bool
    pool_id: str = ""
    subnet: str = ""
    gateway: str = ""
    pool6_id: str = ""
    subnet6: str = ""
    gateway6: str = ""
    ipam_driver: str = "default"
    in_delete: bool = False
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class Plugin:
    """dockerd's end of the plugin socket."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.calls: list[tuple[str, dict[str, Any] | None]] = []

    async def __aenter__(self) -> Plugin:
        self._session = aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(self._path), limit=0))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def raw(self, method: str, body: bytes) -> tuple[int, dict[str, Any]]:
        headers = {"Accept": "application/vnd.docker.plugins.v1.2+json", "Host": "plugin.moby.localhost"}
        async with self._session.post(
            f"http://plugin.moby.localhost/{method}", data=body, headers=headers, skip_auto_headers=("Content-Type",)
        ) as response:
            return response.status, json.loads(await response.read())

    async def call(self, method: str, arguments: dict[str, Any] | None = None) -> dict[str, Any]:
        self.calls.append((method, arguments))
        try:
            status, answer = await self.raw(method, b"" if arguments is None else json.dumps(arguments).encode())
        except (aiohttp.ClientError, OSError) as error:
            url = f"http://%2Frun%2Fdocker%2Fplugins%2Fsocketplane.sock/{method}"
            raise EngineError(f'Post "{url}": {_as_go_says(error)}') from None
        if status != 200:
            raise EngineError(f"{method}: {answer['Err']}")
        if answer.get("Err") or answer.get("Error"):
            raise EngineError(f"remote: {answer.get('Err') or answer.get('Error')}")
        return answer


def _as_go_says(error: Exception) -> str:
    """Return the reason in dockerd's words, which end up in a container's State.Error."""
    if isinstance(error, aiohttp.ClientConnectorError):
        reason = (error.os_error.strerror or "").lower()
        return f"dial unix /run/docker/plugins/socketplane.sock: connect: {reason}"
    return "EOF"


class Engine:
    """One host's engine: a plugin client, an API server, networks and containers."""

    def __init__(self, plugin_socket: Path, api_socket: Path, *, version: str = "20.10.24", api: str = "1.41") -> None:
        self.plugin = Plugin(plugin_socket)
        self._api_socket = api_socket
        self.version, self.api = version, api
        self.networks: dict[str, Net] = {}
        self.boxes: dict[str, Box] = {}
        self.deadlocks: list[str] = []
        self.requests: list[str] = []
        self.booting = asyncio.Event()
        self.booting.set()
        self._streams: set[asyncio.Queue[bytes]] = set()
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Engine:
        await self._stack.enter_async_context(self.plugin)
        await self.start_api()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop_api()
        await self._stack.aclose()

    async def start_api(self) -> None:
        app = web.Application()
        app.add_routes(
            [
                web.get("/version", self._version),
                web.get("/_ping", self._ping),
                web.get("/v{v}/events", self._events),
                web.get("/v{v}/networks", self._list_networks),
                web.post("/v{v}/networks/create", self._create),
                web.get("/v{v}/networks/{id}", self._inspect_network),
                web.delete("/v{v}/networks/{id}", self._remove),
                web.get("/v{v}/containers/json", self._list_containers),
                web.get("/v{v}/containers/{id}/json", self._inspect_container),
                web.post("/v{v}/containers/{id}/start", self._start),
            ]
        )
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.UnixSite(self._runner, str(self._api_socket)).start()

    async def stop_api(self) -> None:
        for stream in list(self._streams):
            stream.put_nowait(b"")
        await self._runner.cleanup()
        self._api_socket.unlink(missing_ok=True)

    # ---- what a user does

    async def network_create(
        self,
        name: str,
        *,
        driver: str = "socketplane",
        ipam: str = "socketplane",
        subnet: str = "",
        gateway: str = "",
        ip_range: str = "",
        internal: bool = False,
        ipv6: bool = False,
        subnet6: str = "",
        gateway6: str = "",
        options: dict[str, str] | None = None,
        ipam_options: dict[str, str] | None = None,
        labels: dict[str, str] | None = None,
        aux: dict[str, str] | None = None,
    ) -> str:
        if any(net.name == name for net in self.networks.values()):
            raise EngineError(f"network with name {name} already exists", 409)
        net = Net(secrets.token_hex(32), name, driver, options or {}, labels or {}, internal, ipam_driver=ipam)
        if driver == "socketplane":
            six = (subnet6, gateway6) if ipv6 else None
            await self._plugin_network(net, subnet, gateway, ip_range, six, ipam_options or {}, aux or {})
        self.networks[net.id] = net
        self._event("network", "create", net.id, {"name": name, "type": driver})
        return net.id

    async def _plugin_network(
        self,
        net: Net,
        subnet: str,
        gateway: str,
        ip_range: str,
        ipv6: tuple[str, str] | None,
        ipam_options: dict[str, str],
        aux: dict[str, str],
    ) -> None:
        generic = {
            "com.docker.network.enable_ipv6": ipv6 is not None,
            "com.docker.network.generic": net.options,
            **({"com.docker.network.internal": True} if net.internal else {}),
        }
        if net.ipam_driver != "socketplane":
            data = {"AddressSpace": "LocalDefault", "Pool": subnet or "172.18.0.0/16", "Gateway": "172.18.0.1/16"}
            arguments = {"NetworkID": net.id, "Options": generic, "IPv4Data": [data], "IPv6Data": None}
            await self.plugin.call("NetworkDriver.CreateNetwork", arguments)
            return
        space = (await self.plugin.call("IpamDriver.GetDefaultAddressSpaces"))["LocalDefaultAddressSpace"]
        request = {"AddressSpace": space, "Pool": subnet, "SubPool": ip_range, "Options": ipam_options, "V6": False}
        pool = await self.plugin.call("IpamDriver.RequestPool", request)
        net.pool_id, net.subnet = pool["PoolID"], pool["Pool"]
        taken: list[str] = []
        try:
            address = (pool.get("Data") or {}).get("com.docker.network.gateway", "")
            if gateway or not address:
                address = await self._address(net, gateway, {"RequestAddressType": "com.docker.network.gateway"})
                taken.append(address)
            net.gateway = address
            for wanted in aux.values():
                taken.append(await self._address(net, wanted, None))
            data = {"AddressSpace": space, "Pool": net.subnet, "Gateway": net.gateway}
            data6 = await self._pool6(net, {**request, "SubPool": ""}, *ipv6) if ipv6 is not None else None
            arguments = {"NetworkID": net.id, "Options": generic, "IPv4Data": [data], "IPv6Data": data6}
            await self.plugin.call("NetworkDriver.CreateNetwork", arguments)
        except EngineError:
            if net.pool6_id:
                await self._quietly("IpamDriver.ReleasePool", {"PoolID": net.pool6_id})
            for address in taken:
                await self._quietly("IpamDriver.ReleaseAddress", {"PoolID": net.pool_id, "Address": address.split("/")[0]})
            await self._quietly("IpamDriver.ReleasePool", {"PoolID": net.pool_id})
            raise

    async def _pool6(self, net: Net, request: dict[str, Any], subnet: str, gateway: str) -> list[dict[str, str]]:
        pool = await self.plugin.call("IpamDriver.RequestPool", {**request, "Pool": subnet, "V6": True})
        net.pool6_id, net.subnet6 = pool["PoolID"], pool["Pool"]
        net.gateway6 = pool["Data"]["com.docker.network.gateway"]
        if gateway:
            net.gateway6 = await self._address6(net, gateway, {"RequestAddressType": "com.docker.network.gateway"})
        return [{"AddressSpace": request["AddressSpace"], "Pool": net.subnet6, "Gateway": net.gateway6}]

    async def _address6(self, net: Net, address: str, options: dict[str, str] | None) -> str:
        arguments = {"PoolID": net.pool6_id, "Address": address, "Options": options}
        return str((await self.plugin.call("IpamDriver.RequestAddress", arguments))["Address"])

    async def _address(self, net: Net, address: str, options: dict[str, str] | None) -> str:
        arguments = {"PoolID": net.pool_id, "Address": address, "Options": options}
        return str((await self.plugin.call("IpamDriver.RequestAddress", arguments))["Address"])

    async def network_rm(self, name: str) -> None:
        net = self.net(name)
        if any(net.id in box.places for box in self.boxes.values()):
            raise EngineError(f"error while removing network: network {net.name} id {net.id} has active endpoints", 403)
        net.in_delete = True  # not listed any more from here on
        if net.driver == "socketplane" and net.pool_id:
            address = net.gateway.split("/")[0]
            await self._quietly("IpamDriver.ReleaseAddress", {"PoolID": net.pool_id, "Address": address})
            await self._quietly("IpamDriver.ReleasePool", {"PoolID": net.pool_id})
            if net.pool6_id:
                address = net.gateway6.split("/")[0]
                await self._quietly("IpamDriver.ReleaseAddress", {"PoolID": net.pool6_id, "Address": address})
                await self._quietly("IpamDriver.ReleasePool", {"PoolID": net.pool6_id})
            await self._quietly("NetworkDriver.DeleteNetwork", {"NetworkID": net.id})
        self.networks.pop(net.id, None)
        self._event("network", "destroy", net.id, {"name": net.name, "type": net.driver})

    def create(self, name: str, *networks: str, labels: dict[str, str] | None = None, **settings: Any) -> Box:
        box = Box(secrets.token_hex(32), name, labels or {}, list(networks), **settings)
        self.boxes[box.id] = box
        # The engine's own attributes overwrite labels of the same key.
        self._event("container", "create", box.id, {**box.labels, "image": "busybox", "name": name})
        return box

    async def start(self, box: Box) -> None:
        async with box.lock:
            try:
                for network in box.networks:
                    await self._connect(box, self.net(network))
            except EngineError as error:
                box.error = str(error)
                for net_id in list(box.places):
                    await self._disconnect(box, self.networks[net_id])
                raise
            box.running, box.error = True, ""
        self._event("container", "start", box.id, {**box.labels, "image": "busybox", "name": box.name})

    async def run(self, name: str, *networks: str, **settings: Any) -> Box:
        box = self.create(name, *networks, **settings)
        await self.start(box)
        return box

    async def stop(self, box: Box) -> None:
        async with box.lock:
            box.running = False
            for net_id in list(box.places):
                await self._disconnect(box, self.networks[net_id])

    def kill(self, box: Box, signal: int = 15) -> None:
        """Tell of a signal; what the container makes of it is told apart."""
        self._event("container", "kill", box.id, {"name": box.name, "signal": str(signal)})

    def turn(self, box: Box, health: str) -> None:
        """Have a container's HEALTHCHECK say something else."""
        box.health = health
        self._event("container", f"health_status: {health}", box.id, {"name": box.name})

    async def rm(self, box: Box) -> None:
        await self.stop(box)
        del self.boxes[box.id]
        self._event("container", "destroy", box.id, {"name": box.name})

    async def rename(self, box: Box, name: str) -> None:
        old, box.name = box.name, name
        self._event("container", "rename", box.id, {"name": name, "oldName": f"/{old}"})

    async def _connect(self, box: Box, net: Net) -> None:
        if net.driver != "socketplane":
            return
        async with net.lock:
            named = {"com.docker.network.endpoint.name": box.name} if int(self.version.partition(".")[0]) >= 29 else None
            address = await self._address(net, box.ip, named)
            place = Place(secrets.token_hex(32), address, box.mac)
            if net.pool6_id:
                place.address6 = await self._address6(net, box.ip6, None)
            common = {"NetworkID": net.id, "EndpointID": place.endpoint}
            interface = {"Address": address, "AddressIPv6": place.address6, "MacAddress": box.mac}
            options = {"com.docker.network.endpoint.exposedports": [], "com.docker.network.portmap": []}
            options |= box.driver_opts | ({"com.docker.network.portmap": box.portmap} if box.portmap else {})
            try:
                answer = await self.plugin.call(
                    "NetworkDriver.CreateEndpoint", {**common, "Interface": interface, "Options": options}
                )
                given = answer.get("Interface") or {}
                for key, value in interface.items():
                    if value and given.get(key):
                        raise EngineError(f"driver may not change {key}")  # libnetwork refuses this
                place.mac = box.mac or given["MacAddress"]
            except EngineError:
                await self._release(net, place)
                raise
        box.places[net.id] = place
        try:
            joined = await self.plugin.call(
                "NetworkDriver.Join", {**common, "SandboxKey": f"/var/run/docker/netns/{box.id[:12]}", "Options": options}
            )
            place.interface, place.gateway = joined["InterfaceName"]["SrcName"], joined.get("Gateway", "")
            place.gateway6 = joined.get("GatewayIPv6", "")
            if place.gateway:
                await self.plugin.call("NetworkDriver.ProgramExternalConnectivity", {**common, "Options": options})
            await self.plugin.call("NetworkDriver.EndpointOperInfo", common)
        except EngineError:
            del box.places[net.id]
            await self._quietly("NetworkDriver.DeleteEndpoint", common)
            await self._release(net, place)
            raise
        place.joined = True
        self._event("network", "connect", net.id, {"container": box.id, "name": net.name, "type": net.driver})

    async def _disconnect(self, box: Box, net: Net) -> None:
        place = box.places.pop(net.id)
        common = {"NetworkID": net.id, "EndpointID": place.endpoint}
        await self._quietly("NetworkDriver.RevokeExternalConnectivity", common)
        await self._quietly("NetworkDriver.Leave", common)
        await self._quietly("NetworkDriver.DeleteEndpoint", common)
        await self._release(net, place)
        self._event("network", "disconnect", net.id, {"container": box.id, "name": net.name, "type": net.driver})

    async def connect(self, box: Box, network: str) -> None:
        async with box.lock:
            await self._connect(box, self.net(network))

    async def disconnect(self, box: Box, network: str) -> None:
        async with box.lock:
            await self._disconnect(box, self.net(network))

    async def _release(self, net: Net, place: Place) -> None:
        for pool, address in ((net.pool_id, place.address), (net.pool6_id, place.address6)):
            if address:
                await self._quietly("IpamDriver.ReleaseAddress", {"PoolID": pool, "Address": address.split("/")[0]})

    async def _quietly(self, method: str, arguments: dict[str, Any]) -> None:
        with suppress(EngineError):  # dockerd logs it
            await self.plugin.call(method, arguments)

    def net(self, name: str) -> Net:
        for net in self.networks.values():
            if name in (net.name, net.id):
                return net
        raise EngineError(f"network {name} not found", 404)

    def names(self) -> set[str]:
        return {net.name for net in self.networks.values()}

    # ---- the API

    def _event(self, kind: str, action: str, actor: str, attributes: dict[str, str]) -> None:
        event = {"Type": kind, "Action": action, "Actor": {"ID": actor, "Attributes": attributes}, "scope": "local"}
        for stream in self._streams:
            stream.put_nowait(json.dumps(event).encode() + b"\n")

    async def _served(self, request: web.Request) -> None:
        self.requests.append(f"{request.method} {re.sub(r'^/v[0-9.]+', '', request.path)}")
        await self.booting.wait()

    async def _version(self, request: web.Request) -> web.Response:
        await self._served(request)
        return web.json_response({"Version": self.version, "ApiVersion": self.api, "MinAPIVersion": "1.12"})

    async def _ping(self, request: web.Request) -> web.Response:
        await self._served(request)
        return web.Response(text="OK")

    async def _events(self, request: web.Request) -> web.StreamResponse:
        await self._served(request)
        response = web.StreamResponse()
        response.content_type = "application/json"
        await response.prepare(request)
        queue: asyncio.Queue[bytes] = asyncio.Queue()
        self._streams.add(queue)
        try:
            while line := await queue.get():
                await response.write(line)
        finally:
            self._streams.discard(queue)
        return response

    async def _list_networks(self, request: web.Request) -> web.Response:
        await self._served(request)
        return web.json_response([self._told(net) for net in self.networks.values() if not net.in_delete])

    async def _inspect_network(self, request: web.Request) -> web.Response:
        await self._served(request)
        net = self.networks.get(request.match_info["id"])
        if net is None:
            return web.json_response({"message": "network not found"}, status=404)
        containers = {}
        for box in self.boxes.values():
            if (place := box.places.get(net.id)) and not box.remains:
                key = box.id if place.joined else f"ep-{place.endpoint}"
                containers[key] = {
                    "Name": box.name, "EndpointID": place.endpoint, "MacAddress": place.mac,
                    "IPv4Address": place.address, "IPv6Address": place.address6,
                }  # fmt: skip
        return web.json_response({**self._told(net), "Containers": containers})

    @staticmethod
    def _told(net: Net) -> dict[str, Any]:
        config = [{"Subnet": net.subnet, "Gateway": net.gateway.split("/")[0]}] if net.subnet else []
        if net.subnet6:
            config.append({"Subnet": net.subnet6, "Gateway": net.gateway6.split("/")[0]})
        return {
            "Id": net.id, "Name": net.name, "Driver": net.driver, "Scope": "local", "Internal": net.internal,
            "EnableIPv6": bool(net.subnet6), "IPAM": {"Driver": net.ipam_driver, "Options": None, "Config": config},
            "Options": net.options, "Labels": net.labels, "Containers": {},
        }  # fmt: skip

    async def _create(self, request: web.Request) -> web.Response:
        await self._served(request)
        body = await request.json()
        configs = body["IPAM"]["Config"] or [{}]
        config = configs[0]
        six = next((entry for entry in configs if ":" in entry.get("Subnet", "")), {})
        try:
            made = await self.network_create(
                body["Name"],
                driver=body["Driver"],
                ipam=body["IPAM"]["Driver"],
                subnet=config.get("Subnet", ""),
                gateway=config.get("Gateway", ""),
                ip_range=config.get("IPRange", ""),
                ipv6=body.get("EnableIPv6", False),
                subnet6=six.get("Subnet", ""),
                gateway6=six.get("Gateway", ""),
                internal=body["Internal"],
                options=body.get("Options"),
                ipam_options=body["IPAM"].get("Options"),
                labels=body["Labels"],
            )
        except EngineError as error:
            return web.json_response({"message": str(error)}, status=error.status)
        return web.json_response({"Id": made}, status=201)

    async def _remove(self, request: web.Request) -> web.Response:
        await self._served(request)
        try:
            await self.network_rm(request.match_info["id"])
        except EngineError as error:
            return web.json_response({"message": str(error)}, status=error.status)
        return web.Response(status=204)

    async def _list_containers(self, request: web.Request) -> web.Response:
        await self._served(request)
        filters = json.loads(request.query.get("filters", "{}"))
        patterns, ids = filters.get("name", []), filters.get("id", [])
        listed = []
        for box in self.boxes.values():
            if ids and box.id not in ids:
                continue
            if patterns and not any(re.search(pattern, f"/{box.name}") for pattern in patterns):
                continue
            places = {}
            for name in box.networks:
                net = next((net for net in self.networks.values() if net.name == name), None)
                place = box.places.get(net.id) if net and (box.running or box.remains) else None
                places[name] = self._place(net, place)
            for net_id, place in box.places.items():
                if box.running:
                    places[self.networks[net_id].name] = self._place(self.networks[net_id], place)
            health = f" ({'health: ' if box.health == 'starting' else ''}{box.health})" if box.health else ""
            state = "running" if box.running else ("exited" if box.error or box.remains else "created")
            listed.append(
                {
                    "Id": box.id, "Names": [f"/{box.name}"], "Labels": box.labels, "State": state,
                    "Status": f"Up 2 seconds{health}" if box.running else state,
                    "NetworkSettings": {"Networks": places},
                }
            )  # fmt: skip
        return web.json_response(listed)

    @staticmethod
    def _place(net: Net | None, place: Place | None) -> dict[str, str]:
        address = IPv4Interface(place.address) if place else None
        return {
            "NetworkID": net.id if net else "", "EndpointID": place.endpoint if place else "",
            "IPAddress": str(address.ip) if address else "", "MacAddress": place.mac if place else "",
            "GlobalIPv6Address": place.address6.split("/")[0] if place else "",
        }  # fmt: skip

    async def _inspect_container(self, request: web.Request) -> web.Response:
        await self._served(request)
        box = self.boxes[request.match_info["id"]]
        if box.lock.locked():
            self.deadlocks.append(box.name)
        async with box.lock:
            state = {"Running": box.running, "Status": "running" if box.running else "exited", "Error": box.error}
            state["Pid"] = box.pid if box.running else 0
            policy = {"RestartPolicy": {"Name": box.restart}}
            networks = {
                self.networks[net].name: {
                    **self._place(self.networks[net], place),
                    "DriverOpts": box.driver_opts or None,
                    "Aliases": [*box.aliases, box.id[:12]],
                }
                for net, place in box.places.items()
            }
            config = {"Config": {"Labels": box.labels}}
            told = {"Id": box.id, "Name": f"/{box.name}", "State": state, "HostConfig": policy, **config}
            return web.json_response({**told, "NetworkSettings": {"Networks": networks}})

    async def _start(self, request: web.Request) -> web.Response:
        await self._served(request)
        try:
            await self.start(self.boxes[request.match_info["id"]])
        except EngineError as error:
            return web.json_response({"message": str(error)}, status=error.status)
        return web.Response(status=204)
