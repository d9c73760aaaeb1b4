"""What we read of a file is what Compose itself makes of it: its own `config` of the file reads the same to us."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from socketplane.model.compose import Project, load, parse_env
from socketplane.model.spec import Port

FILE = """\
x-common: &common
  labels: {tier: "${TIER:-back}", app: base}
services:
  base:
    <<: *common
    image: busybox
    expose: ["80"]
    networks: {n: {aliases: [one]}}
  web:
    image: busybox
    depends_on: [app, db]
    links: ["db:database"]
    ports: ["${PORT}:80", "127.0.0.1::81/udp", 3000-3005, "[::1]:6001:6001", "9090-9091:8080-8081", 443]
    labels: [app=web, bare, "with=a=b", "dollar=$$x", "${KEY:-x}=$QUOTED"]
    networks: [n, m]
  app:
    extends: {service: base}
    labels: {app: app, count: 3, flag: "yes", version: 1.10, port: "22:22"}
    expose: [81, "90-92/udp"]
    networks: {n: {ipv4_address: 10.192.8.9, aliases: [two]}}
    deploy: {replicas: 1}
  db:
    image: busybox
    container_name: "${TENANT-acme}-db"
    depends_on: {base: {condition: service_started}}
  tool:
    image: busybox
    network_mode: "service:db"
networks:
  n:
    name: "${TENANT-acme}-n"
    driver: socketplane
    labels: [zone=dmz]
    ipam: {driver: socketplane, config: [{subnet: 10.192.8.0/24}]}
  m: {external: true, name: shared}
"""
ENV = "PORT=8080 # the front's\nQUOTED='$as it is'\nTENANT=acme\n"


def compose() -> list[str]:
    if shutil.which("docker-compose"):
        return ["docker-compose"]
    found = shutil.which("docker") and subprocess.run(["docker", "compose", "version"], capture_output=True).returncode == 0
    return ["docker", "compose"] if found else pytest.skip("no Compose on this machine")


def single(ports: tuple[Port, ...]) -> set[tuple[str, int]]:
    """Compose writes a range as its ports."""
    return {(port.protocol, number) for port in ports for number in range(port.port or 0, (port.end or port.port or 0) + 1)}


def meaning(project: Project) -> object:
    services = {
        key: (
            service.containers,
            dict(service.labels),
            {attachment.network: attachment for attachment in service.attachments},
            (service.mode, service.joins),
            {need.service for need in service.needs},
            single(service.exposed),
            {(publication.host, *port) for publication in service.published for port in single((publication.port,))},
        )
        for key, service in project.services.items()
    }
    return services, dict(project.networks)


def test_composes_own_reading_is_ours(tmp_path: Path) -> None:
    folder = tmp_path / "shop"
    folder.mkdir()
    (folder / "compose.yaml").write_text(FILE)
    (folder / ".env").write_text(ENV)
    ran = subprocess.run(
        [*compose(), "-f", "compose.yaml", "config"], cwd=folder, capture_output=True, text=True, check=True
    )
    environment = parse_env(ENV, ".env", {})
    ours = load(FILE, "compose.yaml", folder="shop", environment=environment)
    assert ours.services["web"].labels["x"] == "$as it is"
    assert meaning(load(ran.stdout, "config", folder="shop")) == meaning(ours)
