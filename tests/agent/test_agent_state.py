"""What the agent remembers, in its file."""

import asyncio
from uuid import UUID

import pytest

from socketplane.agent.state import EndpointRecord, State
from support.agent_parts import GATEWAY, record


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
