"""Completion of names: asks the controller, and says nothing where that fails."""

from __future__ import annotations

import contextlib

import typer

from socketplane.cli import connect
from socketplane.cli.output import title
from socketplane.errors import SocketPlaneError


def network_names(ctx: typer.Context) -> list[str]:
    """Return the networks' names."""
    return [item["name"] for item in _items(ctx, "/v1/networks") if item["name"]]


def host_names(ctx: typer.Context) -> list[str]:
    """Return the hosts' names."""
    return [item["name"] for item in _items(ctx, "/v1/hosts")]


def policy_names(ctx: typer.Context) -> list[str]:
    """Return the policies as NETWORK/NAME, or NAME where they belong to no network."""
    return [title(item) for item in _items(ctx, "/v1/policies")]


def service_names(ctx: typer.Context) -> list[str]:
    """Return the services as NETWORK/NAME."""
    return [title(item) for item in _items(ctx, "/v1/services")]


def container_names(ctx: typer.Context) -> list[str]:
    """Return the names of containers on our networks."""
    return sorted({item["name"] for item in _items(ctx, "/v1/endpoints") if item["name"]})


def pool_names(ctx: typer.Context) -> list[str]:
    """Return the names of pools of addresses."""
    return [item["name"] for item in _items(ctx, "/v1/pools")]


def floating_addresses(ctx: typer.Context) -> list[str]:
    """Return the addresses that are given to containers."""
    return [item["address"] for item in _items(ctx, "/v1/floating")]


def _items(ctx: typer.Context, path: str) -> list[dict[str, str]]:
    with contextlib.suppress(SocketPlaneError, OSError, KeyError, TypeError), connect.session(connect.of(ctx)) as session:
        return session.items(path)
    return []
