"""Whatever an endpoint does, an incident ends by the rules or at a person, in time, and the record says why.

The real client asks over a real socket on loopback; time is virtual.
"""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from pitcrew.adapters.diagnoser.openai import OpenAIConsultant
from pitcrew.core.incident import Advice, Phase
from pitcrew.settings import Settings
from tests.fakes.model_faults import NEVER_WHOLE, TAKEN, UNREADABLE, UNUSABLE
from tests.fakes.model_server import Behaviour, ModelServer, serving
from tests.loop.composed import House, manifest
from tests.loop.virtual import run

DEADLINE_S = 5.0
ALONE = {"autoUpTo": "High"}
NOBODY_MAY = {"autoUpTo": "None", "approveUpTo": "None"}
FAULTS = {**NEVER_WHOLE, **UNREADABLE, **UNUSABLE}


@asynccontextmanager
async def house_at(url: str, tmp_path: Path, policy: dict[str, str]) -> AsyncIterator[House]:
    """A house whose model is at this address, and which waits for it as long as it may: the flag is no Low risk."""
    settings = Settings(state=tmp_path, model_deadline_s=DEADLINE_S, model_patience_s=60)
    house = House(tmp_path, manifest(criticality="High", policy=policy), settings=settings)
    house.consultant = OpenAIConsultant(
        model="m", api_key="", base_url=url, deadline_s=DEADLINE_S, monotonic=asyncio.get_running_loop().time
    )
    house.flag()
    yield house


def advice(house: House) -> Advice:
    (found,) = house.incident.advice
    return found


def in_time(found: Advice) -> bool:
    assert found.answered_at is not None
    return (found.answered_at - found.asked_at).total_seconds() <= DEADLINE_S + 1


async def healed_beside(behave: Behaviour, tmp_path: Path) -> tuple[House, ModelServer]:
    async with serving(behave) as server, house_at(server.url, tmp_path, ALONE) as house:
        async with house.running():
            await house.healed()
        return house, server


@pytest.mark.parametrize("name", FAULTS)
def test_the_rules_go_on_beside_every_fault_of_an_endpoint_and_the_record_says_why(name: str, tmp_path: Path) -> None:
    async def test() -> None:
        house, server = await healed_beside(FAULTS[name].behave, tmp_path)
        assert house.effects() == ["removeFile"]
        assert house.incident.outcome == "Recovered"
        found = advice(house)
        assert found.opinion is None
        assert re.search(FAULTS[name].told, found.failure), found.failure
        assert found.failure.isprintable()
        assert len(found.failure) < 500
        assert in_time(found)
        assert found.cost.tokens > 0
        if name in UNUSABLE:
            _given_back_once(server, found)
        else:
            _asked_once_in_each_way(server, found)

    run(test())


def _given_back_once(server: ModelServer, found: Advice) -> None:
    first, again = server.asked
    assert first.way == again.way == found.way
    assert [one["role"] for one in again.body["messages"]] == ["system", "user", "assistant", "user"]
    assert found.repaired


def _asked_once_in_each_way(server: ModelServer, found: Advice) -> None:
    assert server.asked
    assert all(len(one.body["messages"]) == 2 for one in server.asked)
    waited = "left alone for 1 s" in found.failure
    assert len({one.way for one in server.asked}) == len(server.asked) - waited
    assert found.repaired == ""


@pytest.mark.parametrize("name", ["silent", "drips", "10 MB", "prose", "too many requests for an hour"])
def test_where_nothing_may_be_done_a_fault_of_an_endpoint_ends_at_a_person(name: str, tmp_path: Path) -> None:
    async def test() -> None:
        async with serving(FAULTS[name].behave) as server, house_at(server.url, tmp_path, NOBODY_MAY) as house:
            async with house.running():
                await house.until(lambda: house.incidents() and house.incident.phase is Phase.ESCALATED)
            assert house.effects() == []
            assert in_time(advice(house))

    run(test())


@pytest.mark.parametrize("behave", TAKEN.values(), ids=TAKEN)
def test_what_is_odd_and_no_lie_is_taken_and_a_usage_that_cannot_be_believed_counts_as_set_aside(
    behave: Behaviour, tmp_path: Path
) -> None:
    async def test() -> None:
        house, server = await healed_beside(behave, tmp_path)
        found = advice(house)
        assert (found.agrees, found.failure, found.repaired) == (True, "", "")
        bytes_sent = sum(len(one["content"].encode()) for one in server.asked[-1].body["messages"])
        assert (found.usage.tokens_in, found.usage.tokens_out) == (bytes_sent // 2, 600)
        assert in_time(found)

    run(test())


def test_where_nobody_listens_nothing_is_spent(tmp_path: Path) -> None:
    async def test() -> None:
        async with serving(TAKEN["a fence"]) as server:
            url = server.url
        async with house_at(url, tmp_path, ALONE) as house:
            async with house.running():
                await house.healed()
            assert "no connection to http://127.0.0.1" in advice(house).failure
            assert advice(house).cost.tokens == 0
            assert house.effects() == ["removeFile"]

    run(test())
