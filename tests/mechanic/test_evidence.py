"""Further evidence of the brain, read over MCP from a Mechanic that serves: redacted and bounded before it arrives."""

import asyncio
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from pitcrew.core.observation import EngineHealth, EventKind, RuntimeFacts, Sight
from pitcrew.core.pick import LINES_MAX, Pick, Reading, Tool
from pitcrew.core.resource import HealthyService, TargetKind
from pitcrew.loop.tools import Tools
from pitcrew.mechanic.reading import EVENTS_MAX, LINE_BYTES_MAX, TEXT_BYTES_MAX
from tests.fakes.runtime import FakeRuntime
from tests.fakes.world import FakeWorld
from tests.mechanic.garage import WAIT_S, Garage, opened, parts
from tests.ports.remote_world import RemoteWorld

SECRET = "hunter2hunter2"
SAID = f"said password={SECRET} \x1b[31m"
LOG_LINES_MAX, LOG_BYTES_MAX = 10, 65536
WITHIN_S = 20.0


class Talkative(FakeRuntime):
    """Tells more than anybody asked for, secrets and control sequences included."""

    async def processes(self, service: HealthyService, facts: RuntimeFacts, *, lines_max: int) -> Sequence[str]:
        return _lines("process")

    async def stats(self, service: HealthyService, facts: RuntimeFacts) -> Sequence[str]:
        return _lines("stats")

    async def makeup(self, service: HealthyService, facts: RuntimeFacts) -> Sequence[str]:
        return _lines("makeup")


def _lines(of: str) -> Sequence[str]:
    return [f"{of} {number} {SAID} {'x' * 2 * LINE_BYTES_MAX}" for number in range(500)]


async def talkative(inner: FakeWorld, world: RemoteWorld) -> HealthyService:
    """A service whose log, events and health check hold a secret, and of which the Driver heard."""
    service = await world.create("alpha")
    target = inner.engine.of(service)
    target.health = EngineHealth(status="unhealthy", failing_streak=3, output=f"health {SAID} {'x' * 9000}")
    inner.engine.say("alpha", *(f"line {number} {SAID}" for number in range(50)))
    for number in range(2 * EVENTS_MAX):
        inner.engine.emit("alpha", EventKind.DIED, detail=f"event {number} {SAID} {'x' * 2 * LINE_BYTES_MAX}")
    world.runtime.declare([service])
    async with asyncio.timeout(WAIT_S):
        async for _ in world.runtime.wakes():
            if len(world.runtime.events(service)) >= EVENTS_MAX:
                return service
    raise AssertionError("the wakes of a runtime do not end")


def tools_over(world: RemoteWorld, service: HealthyService) -> Tools:
    """As `loop/perform/investigating.py` makes them, over the ports of a Driver."""
    look = partial(world.mechanics.observer.look, service)
    return Tools(service=service, runtime=world.runtime, look=look, lines_max=LOG_LINES_MAX, bytes_max=LOG_BYTES_MAX)


def texts(reading: Reading) -> list[str]:
    """Every free text of a reading."""
    sight = reading.seen.sight if reading.seen else None
    health = sight.engine_health if isinstance(sight, RuntimeFacts) else None
    return [
        *(fact.value for fact in reading.facts if isinstance(fact.value, str)),
        *(line.text for line in reading.logs),
        *(event.detail for event in reading.events),
        *([health.output] if health else []),
    ]


async def read_all(garage: Garage, inner: FakeWorld) -> dict[Tool, Reading]:
    """Each pick once, and what it gave."""
    world = RemoteWorld(inner, garage)
    try:
        service = await talkative(inner, world)
        tools, sight = tools_over(world, service), await world.runtime.look(service)
        return {tool: await tools.read(Pick(tool=tool), sight, within_s=WITHIN_S) for tool in Tool}
    finally:
        await world.close()


def test_every_pick_is_read_redacted_and_bounded(tmp_path: Path) -> None:
    inner = FakeWorld(tmp_path)
    inner.runtime = Talkative(inner.engine)

    async def play() -> dict[Tool, Reading]:
        made = parts(tmp_path / "mechanic", runtimes={TargetKind.DOCKER: inner.runtime})
        async with opened(made) as garage:
            return await read_all(garage, inner)

    readings = asyncio.run(play())
    assert [reading.trouble for reading in readings.values()] == [""] * len(Tool)
    most = {
        Tool.LOGS: LOG_LINES_MAX,
        Tool.EARLIER_LOGS: LOG_LINES_MAX,
        Tool.STATS: LINES_MAX,
        Tool.PROCESSES: LINES_MAX,
        Tool.EVENTS: EVENTS_MAX,
        Tool.PROBE_AGAIN: 1,
        Tool.MAKEUP: LINES_MAX,
    }
    assert {tool: len(texts(reading)) for tool, reading in readings.items()} == most
    for tool, reading in readings.items():
        for text in texts(reading):
            assert "said password=" in text, tool
            assert len(text.encode()) <= (TEXT_BYTES_MAX if tool is Tool.PROBE_AGAIN else LINE_BYTES_MAX)
        assert SECRET not in repr(reading)
        assert "\x1b" not in "".join(texts(reading))
    assert [text.split()[1] for text in texts(readings[Tool.LOGS])] == [str(number) for number in range(40, 50)]
    assert [text.split()[1] for text in texts(readings[Tool.EARLIER_LOGS])] == [str(number) for number in range(30, 40)]
    seen = readings[Tool.PROBE_AGAIN].seen
    assert seen is not None
    assert seen.seal is not None
    assert inner.engine.asked == []


def test_a_mechanic_that_went_away_is_a_trouble_of_each_pick_and_never_a_fact(tmp_path: Path) -> None:
    inner = FakeWorld(tmp_path)

    async def play() -> tuple[Sight, dict[Tool, Reading]]:
        made = parts(tmp_path / "mechanic", runtimes={TargetKind.DOCKER: inner.runtime})
        async with opened(made) as garage:
            world = RemoteWorld(inner, garage)
            service = await world.create("alpha")
            sight = await world.runtime.look(service)
        try:
            tools = tools_over(world, service)
            asked = [tool for tool in Tool if tool is not Tool.EVENTS]
            return sight, {tool: await tools.read(Pick(tool=tool), sight, within_s=WITHIN_S) for tool in asked}
        finally:
            await world.close()

    sight, readings = asyncio.run(play())
    assert isinstance(sight, RuntimeFacts)
    for reading in readings.values():
        assert "Mechanic" in reading.trouble
        assert texts(reading) == []
        assert reading.seen is None
