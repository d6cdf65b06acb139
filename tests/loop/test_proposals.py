"""An assistant's diagnosis takes the governed path: closed lists, grounded, weighed, recorded; it never acts."""

import asyncio
from pathlib import Path

import pytest

from pitcrew.bootstrap import Operator
from pitcrew.core.approval import Decision
from pitcrew.core.assistant import PROPOSALS_MAX
from pitcrew.core.diagnosis import Diagnoser
from pitcrew.core.errors import Refused
from pitcrew.core.incident import Phase
from pitcrew.core.observation import LogLine
from pitcrew.core.order import Person
from pitcrew.core.policy import Effect
from pitcrew.core.record import Json
from pitcrew.core.report import section_text, why
from pitcrew.core.resource import HealthyService
from pitcrew.settings import Settings
from tests.fakes.consultant import FakeConsultant, opinion
from tests.loop.composed import House, manifest
from tests.loop.virtual import run

ALICE = Person(uid=4001, name="alice")
BOB = Person(uid=4002, name="bob", groups=("helpers",))
MALLORY = Person(uid=4003, name="mallory")
ASKS = {"autoUpTo": "None", "approveUpTo": "High", "approvers": {"users": ["carol"]}, "approveWithin": "6h"}


def house_at(tmp_path: Path, *services: HealthyService, **settings: object) -> House:
    chosen = {"state": tmp_path, "proposers": ("alice", "@helpers"), **settings}
    return House(tmp_path, *services, settings=Settings.model_validate(chosen))


def ids(house: House, *keys: str) -> tuple[str, ...]:
    """The ids of the evidence with these keys, in the newest gathering."""
    found = tuple(item.id for item in house.incident.evidence if item.key in keys)
    assert found, [item.key for item in house.incident.evidence]
    return found


async def propose(
    operator: Operator, house: House, cause: str, runbook: str, by: Person = ALICE, *, evidence: tuple[str, ...] = ()
) -> dict[str, Json]:
    cited = evidence or ids(house, "state", "probe.failing")
    return await operator.control.propose(by, house.incident.id, cause, runbook, cited)


def phase(house: House) -> Phase | None:
    return house.incident.phase if house.incidents() else None


async def awaiting(house: House) -> None:
    await house.until(lambda: phase(house) is Phase.AWAITING_APPROVAL)


@pytest.mark.parametrize(
    ("cause", "runbook", "agrees", "grounded"),
    [
        ("FlagFile", "flag-file", True, True),
        ("Hang", "hang", False, True),
        ("OutOfMemory", "out-of-memory", None, False),
        ("Hang", "flag-file", None, False),
        ("Unknown", "hang", None, False),
    ],
    ids=["agrees", "disagrees", "not grounded", "a runbook of another cause", "unknown"],
)
def test_a_proposal_beside_a_plan_is_recorded_with_what_it_is_beside_the_rules_and_changes_nothing(
    cause: str, runbook: str, agrees: bool | None, grounded: bool, tmp_path: Path
) -> None:
    async def test() -> None:
        house = house_at(tmp_path, manifest(policy=ASKS))
        house.flag()
        async with house.running() as operator:
            await awaiting(house)
            plan = house.incident.attempt.plan.digest
            said = await propose(operator, house, cause, runbook)
            assert (said["agrees"], said["grounded"], said["late"]) == (agrees, grounded, True)
            await house.passes(60)
            (one,) = house.incident.proposed
            assert (one.by, one.agrees, one.grounded, one.late) == (ALICE, agrees, grounded, True)
            assert (phase(house), house.incident.attempt.plan.digest) == (Phase.AWAITING_APPROVAL, plan)
            told = section_text(why(house.incident, house.records()))
            assert "Proposed by assistants (they choose no action)" in told
            assert f"the assistant of alice (uid 4001): {cause}" in told
        assert house.effects() == []

    run(test())


def test_a_proposal_before_the_plan_is_weighed_by_it_beside_a_model_that_is_slow(tmp_path: Path) -> None:
    async def test() -> None:
        house = house_at(tmp_path, manifest(criticality="High", policy={**ASKS, "autoUpTo": "High"}))
        house.consultant = FakeConsultant(lambda question: opinion(), delay_s=8)
        house.flag()
        async with house.running() as operator:
            await house.until(lambda: "ModelAsked" in house.story())
            said = await propose(operator, house, "Hang", "hang")
            assert (said["agrees"], said["late"]) == (False, False)
            await awaiting(house)
        attempt = house.incident.attempt
        assert [one.agrees for one in house.incident.advice] == [True]
        assert "two opinions differ: the assistant of alice (uid 4001) says Hang" in attempt.doubt
        assert attempt.verdict is not None
        assert attempt.verdict.effect is Effect.REQUIRE_APPROVAL
        told = section_text(why(house.incident, house.records()))
        assert "model fake-1: FlagFile" in told
        assert "the assistant of alice (uid 4001): Hang" in told
        assert house.effects() == []

    run(test())


def test_an_assistant_that_agrees_does_not_outweigh_a_model_that_contradicts(tmp_path: Path) -> None:
    async def test() -> None:
        house = house_at(tmp_path, manifest(criticality="High", policy={**ASKS, "autoUpTo": "High"}))
        house.consultant = FakeConsultant(lambda question: opinion(cause="Hang", runbook="hang"), delay_s=8)
        house.flag()
        async with house.running() as operator:
            await house.until(lambda: "ModelAsked" in house.story())
            for one in (ALICE, BOB):
                assert (await propose(operator, house, "FlagFile", "flag-file", one))["agrees"] is True
            await awaiting(house)
        assert "two opinions differ: the model says Hang" in house.incident.attempt.doubt
        assert house.effects() == []

    run(test())


def full_disk(tmp_path: Path, **policy: object) -> House:
    """A service whose log blames a full disk, which no remedy is known for."""
    house = house_at(tmp_path, manifest(policy={"autoUpTo": "High", "approvers": {"users": ["carol"]}, **policy}))
    house.prober.sick.add("victim")
    target = next(iter(house.engine.targets.values()))
    target.log.append(LogLine(at=house.now(), stream="stderr", text="OSError: [Errno 28] No space left on device"))
    return house


async def escalated(house: House) -> None:
    await house.until(lambda: phase(house) is Phase.ESCALATED and house.incident.report)


def test_a_cause_that_no_rule_names_is_planned_and_a_person_is_asked(tmp_path: Path) -> None:
    async def test() -> None:
        house = full_disk(tmp_path)
        async with house.running() as operator:
            await escalated(house)
            assert house.incident.cause == "DiskFull"
            said = await propose(operator, house, "Hang", "hang")
            assert (said["grounded"], said["late"]) == (True, False)
            await awaiting(house)
            await house.passes(120)
        attempt = house.incident.attempt
        assert attempt.leading is not None
        assert (attempt.leading.by, attempt.leading.proposer) == (Diagnoser.ASSISTANT, "alice")
        assert attempt.leading.confidence <= 50
        assert attempt.doubt == "only an assistant of alice names this cause, Hang, and no rule does"
        assert attempt.proposal.runbook == "hang"
        assert house.effects() == []
        assert phase(house) is Phase.AWAITING_APPROVAL

    run(test())


def test_it_survives_a_restart_and_is_not_planned_twice_once_it_was_left(tmp_path: Path) -> None:
    async def test() -> None:
        house = full_disk(tmp_path, approveWithin="60s")
        async with house.running() as operator:
            await escalated(house)
            await propose(operator, house, "Hang", "hang")
            await awaiting(house)
        async with house.running():
            await house.until(lambda: "Decided" in house.story())
            await escalated(house)
            await house.passes(600)
        assert house.story().count("ApprovalAsked") == 1
        assert phase(house) is Phase.ESCALATED
        assert house.effects() == []

    run(test())


def test_one_that_is_not_grounded_does_not_wake_an_incident_that_waits_for_a_person(tmp_path: Path) -> None:
    async def test() -> None:
        house = full_disk(tmp_path)
        async with house.running() as operator:
            await escalated(house)
            assert (await propose(operator, house, "OutOfMemory", "out-of-memory"))["grounded"] is False
            await house.passes(60)
        assert "Reconsidered" not in house.story()
        assert phase(house) is Phase.ESCALATED

    run(test())


@pytest.mark.parametrize(
    ("cause", "runbook", "evidence", "why_not"),
    [
        ("Gremlins", "hang", ("E1",), "cause 'Gremlins' is none of those offered"),
        ("Hang", "rm-rf", ("E1",), "runbook 'rm-rf' is none of those offered"),
        ("Hang", "hang", ("E999",), "evidence 'E999' is none of those offered"),
        ("Hang", "hang", ("E1'; restart",), "is none of those offered"),
    ],
)
def test_what_is_in_no_closed_list_is_refused_and_not_recorded(
    cause: str, runbook: str, evidence: tuple[str, ...], why_not: str, tmp_path: Path
) -> None:
    async def test() -> None:
        house = house_at(tmp_path, manifest(policy=ASKS))
        house.flag()
        async with house.running() as operator:
            await awaiting(house)
            with pytest.raises(Refused, match=why_not):
                await propose(operator, house, cause, runbook, evidence=evidence)
            assert house.incident.proposed == ()

    run(test())


def test_who_may_not_propose_and_incidents_that_are_not_open_are_refused(tmp_path: Path) -> None:
    async def test() -> None:
        house = house_at(tmp_path)
        house.flag()
        async with house.running() as operator:
            await house.healed()
            with pytest.raises(Refused, match=r"mallory .* may not propose"):
                await propose(operator, house, "FlagFile", "flag-file", MALLORY)
            with pytest.raises(Refused, match="victim-1 has ended"):
                await propose(operator, house, "FlagFile", "flag-file")
            with pytest.raises(Refused, match="no incident 'victim-99'"):
                await operator.control.propose(ALICE, "victim-99", "FlagFile", "flag-file", ("E1",))
        assert "DiagnosisProposed" not in house.story()

    run(test())


def test_proposals_are_bounded_and_one_is_heard_once(tmp_path: Path) -> None:
    async def test() -> None:
        house = house_at(tmp_path, manifest(policy=ASKS))
        house.flag()
        async with house.running() as operator:
            await awaiting(house)
            first = await propose(operator, house, "Hang", "hang")
            assert first["proposalsLeft"] == PROPOSALS_MAX - 1
            with pytest.raises(Refused, match="already"):
                await propose(operator, house, "Hang", "hang")
            others = ("FlagFile", "Died", "Paused", "Latency", "Flapping")
            for cause in others[: PROPOSALS_MAX - 1]:
                await propose(operator, house, cause, "hang")
            with pytest.raises(Refused, match=f"has {PROPOSALS_MAX} proposals, and that is all"):
                await propose(operator, house, others[-1], "hang", BOB)
        async with house.running() as operator:
            await house.until(lambda: operator.fleet.desks)
            with pytest.raises(Refused, match="that is all"):
                await propose(operator, house, others[-1], "hang", BOB)
        assert len(house.incident.proposed) == PROPOSALS_MAX

    run(test())


def test_who_proposed_at_once_is_recorded_by_the_worker_and_no_record_is_lost(tmp_path: Path) -> None:
    async def test() -> None:
        house = house_at(tmp_path, manifest(policy=ASKS))
        house.flag()
        async with house.running() as operator:
            await awaiting(house)
            said = await asyncio.gather(
                propose(operator, house, "Hang", "hang", ALICE),
                propose(operator, house, "FlagFile", "flag-file", BOB),
            )
            assert [one["agrees"] for one in said] == [False, True]
            (desk,) = operator.fleet.desks.values()
            assert desk.incident == house.incident
        assert {one.by.name for one in house.incident.proposed} == {"alice", "bob"}

    run(test())


@pytest.mark.parametrize("approvers", [["alice", "carol"], ["Alice", "carol"]])
def test_whose_assistant_led_to_the_plan_never_approves_it_and_another_person_may(
    approvers: list[str], tmp_path: Path
) -> None:
    async def test() -> None:
        house = full_disk(tmp_path, approvers={"users": approvers})
        async with house.running() as operator:
            await escalated(house)
            await propose(operator, house, "Hang", "hang")
            await awaiting(house)
            asked = house.incident.attempt
            assert asked.request is not None
            assert asked.request.proposer == "alice"
            for name in ("alice", approvers[0]):
                person = Person(uid=4001, name=name)
                with pytest.raises(Refused, match="whoever proposes never decides"):
                    await operator.control.decide(
                        person, house.incident.id, asked.plan.digest, Decision.APPROVE, "it is mine"
                    )
            assert house.effects() == []
            carol = Person(uid=4004, name="carol")
            await operator.control.decide(carol, house.incident.id, asked.plan.digest, Decision.APPROVE, "try it")
            await house.until(lambda: house.effects() == ["restart"])

    run(test())
