"""What would be done now is what the operator then does; the rehearsal itself does nothing, over fakes."""

from pathlib import Path

import pytest

from pitcrew.adapters.ledger.files import LedgerFile
from pitcrew.adapters.ledger.reading import LedgerReader
from pitcrew.adapters.observer.local import LocalObserver
from pitcrew.adapters.policy.cel import CelCompiler
from pitcrew.core.dependency import Dependency
from pitcrew.core.deviation import Health
from pitcrew.core.errors import JournalDamaged, JournalUnwritable
from pitcrew.core.observation import RuntimeState
from pitcrew.core.order import Standing
from pitcrew.core.permit import PermitRefused
from pitcrew.core.policy import NO_GUARDRAILS, Case, Tries
from pitcrew.core.record import Entry
from pitcrew.core.resource import ServiceKey
from pitcrew.core.step import AskApproval, AskPermit, Escalate, Wait
from pitcrew.entrypoints.cli.output import Output
from pitcrew.entrypoints.cli.plan import show_rehearsal
from pitcrew.loop.rehearsal import Eyes, Rehearsal, rehearse
from pitcrew.official.onlooker import onlooker
from pitcrew.official.permits import Limits, SigningOfficial
from tests.core.test_report import as_golden
from tests.fakes.engine import Away
from tests.fakes.runtime import FakeRuntime
from tests.loop import virtual
from tests.loop.composed import FLAG, House, _runbooks, manifest


def looking_on(house: House, standing: Standing) -> SigningOfficial:
    return onlooker(
        ledger=LedgerReader(path=house.official / "ledger.jsonl"),
        compiler=CelCompiler(),
        now=house.clock.now,
        stop=lambda: house.stopped,
        suspended=lambda key: standing.of(key, house.now()),
        guardrails=lambda: NO_GUARDRAILS,
        limits=Limits(),
    )


async def rehearsed(house: House, *dependencies: Dependency) -> Rehearsal:
    standing, runtimes = Standing(), {house.engine.kind: FakeRuntime(house.engine)}
    eyes = Eyes(
        settings=house.settings,
        clock=house.clock,
        records=list(house.journal.read()),
        runtimes=runtimes,
        observer=LocalObserver(runtimes=runtimes, prober=house.prober, clock=house.clock, runs_commands=False),
        official=looking_on(house, standing),
        runbooks=_runbooks(()),
        standing=standing,
        guardrails=NO_GUARDRAILS,
        told_of=lambda service: dependencies,
    )
    (service,) = house.services
    return await rehearse(eyes, service)


def test_the_plan_is_the_one_that_the_operator_then_makes_and_nothing_came_of_saying_so(tmp_path: Path) -> None:
    async def play() -> None:
        house = House(tmp_path)
        house.flag()
        found = await rehearsed(house)
        assert isinstance(found.step, AskPermit)
        assert found.incident is not None
        assert (house.story(), house.effects(), list(tmp_path.rglob("*.jsonl"))) == ([], [], [])
        assert FLAG in house.engine.targets["victim"].files
        async with house.running():
            await house.healed()
        assert house.incident.attempt.plan == found.incident.attempt.plan
        assert house.incident.attempt.risk == found.incident.attempt.risk

    virtual.run(play())


@pytest.mark.parametrize(
    ("policy", "step"),
    [
        ({"autoUpTo": "None", "approveUpTo": "High", "approvers": {"users": ["ann"]}}, AskApproval),
        ({"autoUpTo": "None", "approveUpTo": "None"}, Escalate),
        ({"autoUpTo": "High", "budget": {"actions": 0}}, Wait),
        ({"autoUpTo": "High", "mode": "Observe"}, Escalate),
    ],
    ids=["a person is asked", "denied", "held", "only watched"],
)
def test_it_ends_where_a_verdict_or_a_person_comes_in(tmp_path: Path, policy: dict[str, object], step: type) -> None:
    async def play() -> None:
        house = House(tmp_path, manifest(policy=policy))
        house.flag()
        found = await rehearsed(house)
        assert isinstance(found.step, step)
        assert house.effects() == []

    virtual.run(play())


@pytest.mark.parametrize(
    ("health", "step", "says"),
    [
        (Health.UNHEALTHY, Escalate, "default/db is Unhealthy, as an operator here tells"),
        (Health.UNKNOWN, AskApproval, "default/db is Unknown: a plan does not look at it, and no fresh status tells"),
    ],
    ids=["known to be down", "unknown"],
)
def test_what_it_depends_on_is_taken_as_told_and_said(
    health: Health, step: type, says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async def play() -> None:
        house = House(tmp_path, manifest(dependsOn=[{"name": "db"}]))
        house.prober.sick.add("victim")
        found = await rehearsed(house, Dependency(service=ServiceKey("default/db"), health=health))
        assert isinstance(found.step, step)
        show_rehearsal(found, house.services[0], (), Output.TABLE)
        assert says in capsys.readouterr().out

    virtual.run(play())


@pytest.mark.parametrize("healthy", [True, False], ids=["healthy", "not to be seen"])
def test_without_a_deviation_there_is_nothing_to_rehearse(tmp_path: Path, healthy: bool) -> None:
    async def play() -> None:
        house = House(tmp_path)
        if not healthy:
            house.flag()
            house.engine.away = Away.GONE
        found = await rehearsed(house)
        assert (found.deviates, found.incident, found.step) == (False if healthy else None, None, None)

    virtual.run(play())


def test_what_was_tried_in_an_open_incident_is_not_proposed_again(tmp_path: Path) -> None:
    async def play() -> None:
        house = House(tmp_path, manifest(remediation={"actions": {"restart": {}}}), separated=True)
        house.prober.sick.add("victim")
        async with house.running():
            await house.until(lambda: house.story() and house.incident.phase == "Escalated")
        before, effects = house.journal.head, house.effects()
        found = await rehearsed(house)
        assert found.was_open is not None
        assert isinstance(found.step, Escalate)
        assert found.incident is not None
        assert len(found.incident.attempts) == len(house.incident.attempts)
        assert (house.journal.head, house.effects()) == (before, effects)

    virtual.run(play())


def test_a_probe_that_would_run_a_command_runs_none(tmp_path: Path) -> None:
    async def play() -> None:
        house = House(tmp_path, manifest(probes=[{"exec": {"command": ["check"]}}]))

        async def ran(*_: object) -> None:
            raise AssertionError("a command ran")

        house.engine.command = ran  # type: ignore[assignment]
        found = await rehearsed(house)
        assert found.deviates is None
        assert found.seen is not None
        assert "no command is run" in found.seen.probes[0].detail
        house.engine.targets["victim"].state = RuntimeState.PAUSED
        assert (await rehearsed(house)).deviates is True

    virtual.run(play())


def test_an_onlooker_gives_nothing_away(tmp_path: Path) -> None:
    async def play() -> None:
        house = House(tmp_path, manifest(policy={"autoUpTo": "None", "approvers": {"users": ["ann"]}}))
        house.flag()
        asked = await rehearsed(house)
        free = House(tmp_path / "free", manifest())
        free.flag()
        allowed = await rehearsed(free)
        for one, found in ((house, asked), (free, allowed)):
            assert found.incident is not None
            plan, service = found.incident.attempt.plan, one.services[0]
            official = looking_on(one, Standing())
            case = Case(level=found.incident.attempt.risk.level, tries=Tries(effects=0, plans=1), facts={})
            assert isinstance(await official.permit(service, plan, case), PermitRefused)
            assert isinstance(await official.permit_undo(service, plan), PermitRefused)
            assert isinstance(await official.ask(service, plan, case), PermitRefused)
            assert not (one.official / "ledger.jsonl").exists()

    virtual.run(play())


# The ledger as somebody reads it who may not write


def written(path: Path, house: House) -> LedgerFile:
    ledger = LedgerFile(path=path)
    ledger.read()
    for number in range(3):
        ledger.append(Entry(type="Permit", data={"number": number}), house.clock.now())
    return ledger


def test_a_ledger_in_use_is_read_without_a_trace(tmp_path: Path) -> None:
    async def play() -> None:
        path = tmp_path / "ledger.jsonl"
        written(path, House(tmp_path / "house"))
        with path.open("ab") as file:
            file.write(b'{"v":1,"se')
        before = path.read_bytes()
        reader = LedgerReader(path=path)
        assert [record.data["number"] for record in reader.read()] == [0, 1, 2]
        assert path.read_bytes() == before
        assert [found.name for found in tmp_path.glob("ledger*")] == ["ledger.jsonl"]
        assert LedgerReader(path=tmp_path / "none").read() == ()

    virtual.run(play())


def test_a_ledger_that_was_changed_is_not_believed_and_none_is_written(tmp_path: Path) -> None:
    async def play() -> None:
        house = House(tmp_path / "house")
        path = tmp_path / "ledger.jsonl"
        written(path, house)
        path.write_bytes(path.read_bytes().replace(b'"number":1', b'"number":7'))
        with pytest.raises(JournalDamaged):
            LedgerReader(path=path).read()
        with pytest.raises(JournalUnwritable):
            LedgerReader(path=path).append(Entry(type="Permit", data={}), house.clock.now())

    virtual.run(play())


# What people read


@pytest.mark.parametrize(
    ("name", "broken", "policy"),
    [
        ("would-act", True, {"autoUpTo": "High"}),
        ("would-ask", True, {"autoUpTo": "None", "approveUpTo": "High", "approvers": {"users": ["ann"]}}),
        ("would-hand-over", True, {"autoUpTo": "None", "approveUpTo": "None"}),
        ("would-wait", True, {"autoUpTo": "High", "budget": {"actions": 0}}),
        ("nothing", False, {}),
    ],
    ids=str,
)
def test_what_would_be_done_reads_as_its_golden_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, broken: bool, policy: dict[str, object]
) -> None:
    async def play() -> None:
        house = House(tmp_path, manifest(policy=policy))
        if broken:
            house.flag()
        found = await rehearsed(house)
        show_rehearsal(found, house.services[0], (), Output.TABLE)

    virtual.run(play())
    as_golden(f"plan-{name}.txt", capsys.readouterr().out)
