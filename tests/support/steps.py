"""What tests of the controller do again and again."""

from __future__ import annotations

import re
from ipaddress import IPv4Address
from typing import Any

from socketplane.model.types import mac_of
from socketplane.transport.client import ControllerClient


def endpoint_id(number: int) -> str:
    """Return an endpoint's id, as Docker makes them."""
    return f"{number:064x}"


async def lease(client: ControllerClient, network: dict[str, Any], request: str, **more: Any) -> dict[str, Any]:
    """Hold an address."""
    return await client.call("POST", f"/v1/networks/{network['id']}/leases", {"request": request, **more})


async def attach(client: ControllerClient, network: dict[str, Any], number: int, **more: Any) -> dict[str, Any]:
    """Hold an address and put an endpoint there."""
    held = await lease(client, network, f"r{number}")
    body = {"network": network["id"], "address": held["address"], "mac": mac_of(IPv4Address(held["address"])), **more}
    return await client.call("PUT", f"/v1/endpoints/{endpoint_id(number)}", body)


def ports(controller: Any) -> dict[str, Any]:
    """Return the endpoints' ports of the northbound, by name."""
    rows = controller.active.reconciler.northbound.replica["Logical_Switch_Port"].values()
    return {row["name"]: row for row in rows if re.fullmatch("sp-[0-9a-f]{64}", row["name"])}
