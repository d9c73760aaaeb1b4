"""A driver that does nothing but hand out addresses and a cable: what Docker's plugin protocol costs by itself.

Runs on a host of the lab: python -m bench.floor SOCKET
"""

from __future__ import annotations

import json
import socketserver
import sys
from http.server import BaseHTTPRequestHandler
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

from pyroute2 import IPRoute

POOL = IPv4Network("10.201.0.0/20")
_addresses = POOL.hosts()
_GATEWAY = next(_addresses)
_ends: dict[str, str] = {}


def _answer(method: str, request: dict[str, Any]) -> dict[str, Any]:
    """Return the shortest answer that dockerd accepts."""
    if method == "Plugin.Activate":
        return {"Implements": ["NetworkDriver", "IpamDriver"]}
    if method == "NetworkDriver.GetCapabilities":
        return {"Scope": "local", "ConnectivityScope": "local"}
    if method == "IpamDriver.GetDefaultAddressSpaces":
        return {"LocalDefaultAddressSpace": "floor", "GlobalDefaultAddressSpace": "floor"}
    if method == "IpamDriver.RequestPool":
        return {"PoolID": "floor", "Pool": str(POOL), "Data": {}}
    if method == "IpamDriver.RequestAddress":
        gateway = (request.get("Options") or {}).get("RequestAddressType")
        return {"Address": f"{_GATEWAY if gateway else next(_addresses)}/{POOL.prefixlen}", "Data": {}}
    if method == "NetworkDriver.CreateEndpoint":
        return {"Interface": {"MacAddress": "02:00:" + ":".join(request["EndpointID"][n : n + 2] for n in range(0, 8, 2))}}
    if method == "NetworkDriver.EndpointOperInfo":
        return {"Value": {}}
    if method == "NetworkDriver.Join":
        return {"InterfaceName": {"SrcName": _cable(request["EndpointID"]), "DstPrefix": "eth"}, "Gateway": str(_GATEWAY)}
    if method == "NetworkDriver.DeleteEndpoint":
        _cut(request["EndpointID"])
    return {}


def _cable(endpoint: str) -> str:
    inner, outer = f"fl{endpoint[:8]}i", f"fl{endpoint[:8]}"
    with IPRoute() as netlink:
        netlink.link("add", ifname=outer, kind="veth", peer={"ifname": inner})
        netlink.link("set", index=netlink.link_lookup(ifname=outer)[0], state="up")
    _ends[endpoint] = outer
    return inner


def _cut(endpoint: str) -> None:
    with IPRoute() as netlink:
        for index in netlink.link_lookup(ifname=_ends.pop(endpoint, "")):
            netlink.link("del", index=index)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """Answer one call."""
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        text = json.dumps(_answer(self.path.strip("/"), json.loads(body or "{}"))).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def address_string(self) -> str:
        """Return a name for the caller: a unix socket has no address."""
        return "docker"

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class _Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True


if __name__ == "__main__":
    Path(sys.argv[1]).parent.mkdir(parents=True, exist_ok=True)
    _Server(sys.argv[1], _Handler).serve_forever()
