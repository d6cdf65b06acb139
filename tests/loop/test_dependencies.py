"""Services that depend on others: the one that is down is healed, and those that only suffer from it are left alone."""

import asyncio
from collections.abc import Mapping
from pathlib import Path

import pytest

from pitcrew.core.dependency import SETTLE_S
from pitcrew.core.deviation import Deviation, DeviationKind, Health
from pitcrew.core.diagnosis import Cause
from pitcrew.core.incident import Incident, Phase
from pitcrew.core.observation import Sight, StoppedBy
from pitcrew.core.resource import HealthyService, ServiceKey
from pitcrew.core.storm import STORM_TYPES
from pitcrew.loop.perform.gathering import AROUND_S
from pitcrew.settings import Settings
from tests.fakes.engine import Away, FakeTarget
from tests.fakes.prober import SILENT
from tests.fakes.runtime import FakeRuntime
from tests.loop.composed import FLAG, House, manifest
from tests.loop.virtual import run

ON_DB = [{"name": "db"}]
NOT_RUNNING = (Deviation(kind=DeviationKind.NOT_RUNNING),)
ASKS = {"autoUpTo": "None", "approveUpTo": "High", "approvers": {"users": ["ann"]}}


def db(**spec: object) -> HealthyService:
    return manifest("db", "", **spec)


def api(name: str = "api", **spec: object) -> HealthyService:
    return manifest(name, "", dependsOn=ON_DB, **spec)


def of(house: House, service: str) -> list[Incident]:
    return [one for one in house.incidents() if one.service == f"default/{service}"]


def escalated(house: House, service: str) -> bool:
    return bool(of(house, service)) and of(house, service)[-1].phase is Phase.ESCALATED


def answers_again(house: House, target: FakeTarget) -> None:
    house.prober.says.pop(target.name, None)


async def all_healthy(house: House) -> None:
    await house.until(lambda: all(house.status.now[one.key].health is Health.HEALTHY for one in house.services))


async def begun(house: House) -> None:
    await house.until(lambda: len(house.status.now) == len(house.services))
    await all_healthy(house)


def two(tmp_path: Path, *, asked: bool = False, separated: bool = False) -> House:
    """`db`, which heals by itself or only when a person says so, and `api`, which needs it."""
    house = House(tmp_path, db(policy=ASKS) if asked else db(), api(), separated=separated)
    house.prober.needs["api"] = "db"
    return house


@pytest.mark.parametrize("first", ["db", "api"], ids=["db is seen first", "api is seen first"])
def test_the_one_that_is_down_is_healed_and_the_one_that_needs_it_comes_back_by_itself(
    first: str, tmp_path: Path
) -> None:
    async def test() -> None:
        slow = {"httpGet": {"path": "/health", "port": 8080}, "periodSeconds": 30}
        services = db(probes=[slow]) if first == "api" else db(), api()
        house = House(tmp_path, *services)
        house.prober.needs["api"] = "db"
        async with house.running():
            await begun(house)
            house.flag("db")
            await house.until(lambda: of(house, "api"))
            await house.until(lambda: not any(one.open for one in house.incidents()))
        assert house.effects("db") == ["removeFile"]
        assert house.effects("api") == []
        assert [one.outcome for one in of(house, "db")] == ["Recovered"]
        assert [one.outcome for one in of(house, "api")] == ["SelfRecovered"]

    run(test())


def test_while_the_other_is_down_the_cause_is_named_and_what_it_waits_for(tmp_path: Path) -> None:
    async def test() -> None:
        house = two(tmp_path, asked=True)
        async with house.running():
            await begun(house)
            house.flag("db")
            await house.until(lambda: escalated(house, "api"))
            await house.passes(300)
        incident = of(house, "api")[0]
        assert incident.cause is Cause.DEPENDENCY_DOWN
        assert incident.ask.startswith("heal default/db, and leave this service alone")
        assert incident.attempts == ()
        assert house.effects("api") == []
        waits = house.status.now[ServiceKey("default/api")].waits_for
        assert waits == "waits for what it depends on: default/db is Unhealthy (db-1, phase AwaitingApproval)"
        down = house.condition("DependencyDown", "default/api")
        assert down is not None
        assert "db-1" in down.message

    run(test())


def test_a_fault_of_its_own_is_treated_once_the_other_is_healthy_again(tmp_path: Path) -> None:
    async def test() -> None:
        house = two(tmp_path, asked=True)
        async with house.running():
            await begun(house)
            house.engine.say("api", "ERROR db:5432: connection refused")
            house.flag("db")
            house.flag("api")
            await house.until(lambda: escalated(house, "api"))
            del house.engine.targets["db"].files[FLAG]
            back_s = house.elapsed_s()
            await house.until(lambda: house.effects("api"))
            assert house.elapsed_s() - back_s >= SETTLE_S
            await house.until(lambda: not any(one.open for one in house.incidents()))
        assert house.effects("api") == ["removeFile"]
        assert [one.outcome for one in of(house, "api")] == ["Recovered"]
        assert "Reconsidered" in house.story("api-1")

    run(test())


def test_a_flag_that_nothing_speaks_against_is_removed_and_tried_again_when_the_other_is_back(tmp_path: Path) -> None:
    """Removing it is exact and is taken back; that it did not help while the other was down tells nothing."""

    async def test() -> None:
        house = two(tmp_path, asked=True)
        async with house.running():
            await begun(house)
            house.flag("db")
            house.flag("api")
            await house.until(lambda: escalated(house, "api"))
            assert house.effects("api") == ["removeFile", "restoreFile"]
            del house.engine.targets["db"].files[FLAG]
            await house.until(lambda: not any(one.open for one in house.incidents()))
        assert house.effects("api") == ["removeFile", "restoreFile", "removeFile"]
        assert [one.outcome for one in of(house, "api")] == ["Recovered"]

    run(test())


def test_a_hang_of_its_own_is_restarted_once_the_other_is_healthy_again(tmp_path: Path) -> None:
    async def test() -> None:
        house = two(tmp_path, asked=True)
        async with house.running():
            await begun(house)
            house.prober.says["api"] = SILENT
            house.engine.after_effect = lambda target, action: answers_again(house, target)
            house.engine.say("api", "ERROR db:5432: connection refused")
            house.flag("db")
            await house.until(lambda: escalated(house, "api"))
            assert house.effects("api") == []
            del house.engine.targets["db"].files[FLAG]
            await house.until(lambda: not any(one.open for one in house.incidents()))
        assert house.effects("api") == ["restart"]

    run(test())


@pytest.mark.parametrize(
    ("log", "before"),
    [("", ["start"]), ("FATAL could not connect to db: connection refused", [])],
    ids=["it does not say why", "it says why"],
)
def test_one_that_died_is_started_when_that_can_help(log: str, before: list[str], tmp_path: Path) -> None:
    async def test() -> None:
        house = two(tmp_path, asked=True)
        async with house.running():
            await begun(house)
            house.flag("db")
            await house.until(lambda: of(house, "db"))
            house.engine.say("api", *([log] if log else []))
            house.engine.die("api", exit_code=1)
            await house.until(lambda: escalated(house, "api") and NOT_RUNNING in of(house, "api")[0].considered)
            assert house.effects("api") == before
            del house.engine.targets["db"].files[FLAG]
            await house.until(lambda: not any(one.open for one in house.incidents()))
        assert house.effects("api") == ["start"]

    run(test())


def test_what_a_person_stopped_is_down_for_those_who_need_it(tmp_path: Path) -> None:
    async def test() -> None:
        house = two(tmp_path)
        async with house.running():
            await begun(house)
            house.engine.die("db", exit_code=143, by=StoppedBy.PERSON)
            await house.until(lambda: escalated(house, "api"))
            assert "default/db is Stopped" in house.status.now[ServiceKey("default/api")].waits_for
            house.engine.start("db")
            await house.until(lambda: not any(one.open for one in house.incidents()))
        assert house.effects("db") == house.effects("api") == []
        assert [one.outcome for one in house.incidents()] == ["SelfRecovered"]

    run(test())


def test_what_falls_while_a_plan_waits_has_all_looked_at_anew(tmp_path: Path) -> None:
    async def test() -> None:
        house = House(tmp_path, db(), api(policy=ASKS))
        async with house.running():
            await begun(house)
            house.prober.sick.add("api")
            await house.until(lambda: of(house, "api") and of(house, "api")[0].phase is Phase.AWAITING_APPROVAL)
            house.engine.die("db", exit_code=143, by=StoppedBy.PERSON)
            await house.until(lambda: escalated(house, "api"))
        assert of(house, "api")[0].cause is Cause.DEPENDENCY_DOWN
        assert "Reconsidered" in house.story("api-1")
        assert house.effects("api") == []

    run(test())


def test_what_falls_between_the_permit_and_the_act_stays_the_hand(tmp_path: Path) -> None:
    async def test() -> None:
        house = two(tmp_path, separated=True)

        async def falls() -> None:
            house.engine.die("db", exit_code=143, by=StoppedBy.PERSON)
            await house.until(lambda: house.status.now[ServiceKey("default/db")].health is Health.STOPPED)

        async with house.running():
            await begun(house)
            house.journal.after["Permitted"] = falls
            house.prober.sick.add("api")
            await house.until(lambda: escalated(house, "api"))
        assert house.effects("api") == []
        assert of(house, "api")[0].cause is Cause.DEPENDENCY_DOWN

    run(test())


UNSEEN: Mapping[str, HealthyService] = {
    "nobody declares it": manifest("cache"),
    "it depends on this one in turn": manifest("db", dependsOn=[{"name": "api"}]),
}


@pytest.mark.parametrize("other", UNSEEN.values(), ids=UNSEEN.keys())
def test_what_is_unknown_or_in_a_circle_is_told_and_keeps_nobody_from_healing(
    other: HealthyService, tmp_path: Path
) -> None:
    async def test() -> None:
        house = House(tmp_path, other, api(), separated=True)
        name = other.metadata.name
        async with house.running():
            await begun(house)
            house.prober.sick |= {name, "api"}
            house.engine.after_effect = lambda target, action: house.prober.sick.discard(target.name)
            await house.healed(2)
            told = "DependencyUnknown" if name == "cache" else "DependencyCircle"
            assert house.condition(told, "default/api")
        assert house.effects(name) == house.effects("api") == ["restart"]

    run(test())


def test_many_that_need_one_are_no_storm_and_none_of_them_is_restarted(tmp_path: Path) -> None:
    async def test() -> None:
        names = ("api", "web", "jobs", "mail")
        house = House(tmp_path, db(), *(api(name) for name in names), settings=Settings(state=tmp_path))
        house.prober.needs |= dict.fromkeys(names, "db")
        async with house.running():
            await begun(house)
            house.flag("db")
            await house.until(lambda: of(house, "db"))
            await house.until(lambda: not any(one.open for one in house.incidents()))
            await all_healthy(house)
        assert house.effects("db") == ["removeFile"]
        assert [house.effects(name) for name in names] == [[]] * len(names)
        began = [record.type for record in house.journal.read() if record.type in STORM_TYPES]
        assert began in ([], ["StormBegan", "StormEnded"])

    run(test())


def test_a_dependency_that_cannot_be_looked_at_delays_nobody_for_long(tmp_path: Path) -> None:
    hangs, again = asyncio.Event(), asyncio.Event()

    class Hung(FakeRuntime):
        async def look(self, service: HealthyService) -> Sight:
            if hangs.is_set() and service.metadata.name == "db":
                await again.wait()
            return await super().look(service)

    async def test() -> None:
        house = House(tmp_path, db(), api(), separated=True)
        house.runtime_of = Hung
        async with house.running():
            await begun(house)
            hangs.set()
            await house.passes(20)
            house.prober.sick.add("api")
            house.engine.after_effect = lambda target, action: house.prober.sick.discard(target.name)
            await house.until(lambda: of(house, "api"))
            opened_s = house.elapsed_s()
            await house.until(lambda: house.effects("api"))
            assert house.elapsed_s() - opened_s < AROUND_S + 5
            again.set()

    run(test())


def test_an_engine_that_is_away_makes_no_dependency_down(tmp_path: Path) -> None:
    async def test() -> None:
        house = two(tmp_path)
        async with house.running():
            await begun(house)
            house.engine.away = Away.GONE
            await house.passes(120)
            assert house.condition("DependencyDown", "default/api") is None
            house.engine.away = None
            await all_healthy(house)
        assert house.incidents() == []

    run(test())


def test_a_dependency_that_is_withdrawn_is_waited_for_no_longer(tmp_path: Path) -> None:
    async def test() -> None:
        house = two(tmp_path, separated=True)
        house.prober.needs.clear()
        async with house.running():
            await begun(house)
            house.engine.die("db", exit_code=143, by=StoppedBy.PERSON)
            house.prober.sick.add("api")
            house.engine.after_effect = lambda target, action: house.prober.sick.discard(target.name)
            await house.until(lambda: escalated(house, "api"))
            await house.manifests.declare(manifest("api"))
            await house.until(lambda: not any(one.open for one in house.incidents()))
        assert house.effects("api") == ["restart"]

    run(test())


def test_a_full_disk_is_told_and_not_restarted_away(tmp_path: Path) -> None:
    async def test() -> None:
        house = House(tmp_path)
        async with house.running():
            await house.until(lambda: house.condition("Ready"))
            house.engine.say("victim", "OSError: [Errno 28] No space left on device: '/data/x'")
            house.prober.says["victim"] = SILENT
            await house.until(lambda: escalated(house, "victim"))
            await house.passes(300)
        assert house.effects() == []
        assert house.incident.cause is Cause.DISK_FULL
        assert "free space or inodes" in house.incident.ask

    run(test())


def test_what_a_run_of_before_complained_of_keeps_a_hang_from_nothing(tmp_path: Path) -> None:
    async def test() -> None:
        house = House(tmp_path)
        house.engine.say("victim", "ENOSPC: no space left on device", "db: connection refused")
        async with house.running():
            await house.until(lambda: house.condition("Ready"))
            await house.passes(10)
            house.engine.start("victim")
            house.prober.says["victim"] = SILENT
            house.engine.after_effect = lambda target, action: answers_again(house, target)
            await house.healed()
        assert house.effects() == ["restart"]

    run(test())
