"""A whole lab as its user meets it: how long it takes, and the demo in it."""

from __future__ import annotations

import asyncio
import subprocess
import sys

import pytest

from socketplane.lab import Lab, demo
from support.world import World

pytestmark = pytest.mark.lab


def test_three_hosts_are_up_within_a_minute(took: float) -> None:
    assert took < 60


def test_the_policy_file_says_what_the_demo_expects() -> None:
    text = demo.POLICY.read_text()
    for source, target, port in demo.ALLOWED:
        assert f"role: {source}" in text and f"role: {target}" in text and f"port: {port}" in text


async def test_the_demo_sees_what_it_expects(lab: Lab, world: World) -> None:
    command = [sys.executable, "-m", "socketplane.lab.demo", "--name", lab.name]
    for _ in range(2):  # the second finds what the first left
        ran = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, timeout=90)
        assert ran.returncode == 0, ran.stdout + ran.stderr
        assert ran.stdout.count("All 40 connections went as expected.") == 2
        assert "VERDICT     allow" in ran.stdout and "VERDICT     deny" in ran.stdout
        assert "\x1b" not in ran.stdout and "lab down" in ran.stdout
