"""Declared commands, from a user's runbook to the target: run, failing, timed out, undone, and never run twice."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from pitcrew.core.incident import Phase
from pitcrew.core.resource import RemediationPolicy
from pitcrew.ports import ExecAnswer
from pitcrew.settings import Settings
from tests.fakes.engine import FakeTarget, Mishap
from tests.loop.composed import House, manifest
from tests.loop.virtual import run

BOOK = """---
id: stale-cache
title: The cache holds what is not so any more
cause: ServiceErrors
signals:
  - {fact: state, equals: Running}
  - {fact: probe.failing}
  - {fact: probe.failing, equals: Status}
remedies:
  - {action: runCommand, command: flush-cache}
ask: look at the cache, flushing it did not help
verify: the failing probe is good over the verification window
---
Written by whoever owns the cache.
"""
FLUSH: dict[str, Any] = {"name": "flush-cache", "argv": ["/app/bin/flush", "--all; $(id)"], "undo": "refill-cache"}
REFILL: dict[str, Any] = {"name": "refill-cache", "argv": ["/app/bin/fill"], "timeoutSeconds": 300}
OK = ExecAnswer(exit_code=0, output="")


class Cache:
    """What the commands of one house do: `heals` says whether flushing helps, `answer` what it ends with."""

    def __init__(self, house: House, *, heals: bool, answer: ExecAnswer) -> None:
        self.house = house
        self.heals = heals
        self.answer = answer
        self.ran: list[tuple[str, ...]] = []
        house.engine.command = self

    async def __call__(self, target: FakeTarget, argv: Sequence[str], timeout_s: float) -> ExecAnswer:
        self.ran.append(tuple(argv))
        if self.heals:
            self.house.prober.sick.clear()
        return self.answer if argv[0].endswith("flush") else OK


def house_of(
    state: Path, *, policy: dict[str, Any] | None = None, commands: Sequence[dict[str, Any]] = (FLUSH, REFILL)
) -> House:
    """A sick house with a user's runbook."""
    books = state / "books"
    books.mkdir(mode=0o700)
    (books / "stale-cache.md").write_text(BOOK, encoding="utf-8")
    actions = {"runCommand": {"commands": list(commands)}} if commands else {}
    service = manifest(remediation={"actions": actions}, policy=policy or {"autoUpTo": "High"})
    house = House(state, service, settings=Settings(state=state, runbooks=(books,)), separated=True)
    house.prober.sick.add("victim")
    return house


def escalated(house: House) -> bool:
    return bool(house.incidents()) and house.incident.outcome == "Escalated" and bool(house.incident.report)


FLUSHED, FILLED = ("/app/bin/flush", "--all; $(id)"), ("/app/bin/fill",)


def test_a_command_that_helps_heals_and_is_told_with_its_arguments(tmp_path: Path) -> None:
    async def test() -> None:
        house = house_of(tmp_path)
        cache = Cache(house, heals=True, answer=OK)
        async with house.running():
            await house.healed()
        assert cache.ran == [FLUSHED]
        assert house.incident.outcome == "Recovered"
        attempt = house.incident.attempt
        assert {f.name: f.points for f in attempt.risk.factors}["unknown reach"] > 0
        assert "flush\\-cache" in house.reports.texts["victim-1"][-1]

    run(test())


def test_a_command_that_does_not_help_is_taken_back_by_its_own_undo(tmp_path: Path) -> None:
    async def test() -> None:
        house = house_of(tmp_path)
        cache = Cache(house, heals=False, answer=OK)
        async with house.running():
            await house.until(lambda: escalated(house))
        assert cache.ran == [FLUSHED, FILLED]
        assert house.incident.ask == "look at the cache, flushing it did not help"

    run(test())


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (ExecAnswer(exit_code=3, output="password=hunter2hunter2"), "flush-cache ended with 3; it said: password="),
        (ExecAnswer(exit_code=None, output="still at it"), "flush-cache was not done after 30 s and was ended"),
    ],
    ids=["fails", "times out"],
)
def test_a_command_that_fails_may_have_done_half_and_is_taken_back(
    answer: ExecAnswer, says: str, tmp_path: Path
) -> None:
    async def test() -> None:
        house = house_of(tmp_path)
        cache = Cache(house, heals=False, answer=answer)
        async with house.running():
            await house.until(lambda: escalated(house))
        assert cache.ran == [FLUSHED, FILLED]
        assert says in house.incident.attempts[0].verified
        assert not any(b"hunter2" in line for line in house.journal.lines)

    run(test())


def test_what_cannot_be_taken_back_stays_and_that_is_said(tmp_path: Path) -> None:
    async def test() -> None:
        house = house_of(tmp_path, commands=[{**FLUSH, "undo": None}])
        cache = Cache(house, heals=False, answer=OK)
        async with house.running():
            await house.until(lambda: escalated(house))
        assert cache.ran == [FLUSHED]
        assert house.incident.attempt.plan.irreversible == "the service declares no command that takes flush-cache back"

    run(test())


@pytest.mark.parametrize("mishap", [Mishap.ANSWER_LOST, Mishap.REQUEST_LOST, Mishap.NOT_ASKED], ids=str)
def test_a_lost_answer_is_read_off_and_nothing_is_run_twice_on_a_guess(mishap: Mishap, tmp_path: Path) -> None:
    async def test() -> None:
        house = house_of(tmp_path)
        cache = Cache(house, heals=True, answer=OK)
        house.engine.mishaps.append(mishap)
        async with house.running():
            await house.healed()
        assert cache.ran == [FLUSHED]

    run(test())


@pytest.mark.parametrize("record", ["Permitted", "Intended", "Acted", "Verified", "Failed", "UndoIntended", "Undone"])
def test_a_crash_between_any_two_records_runs_each_command_once(record: str, tmp_path: Path) -> None:
    async def test() -> None:
        house = house_of(tmp_path)
        answer = ExecAnswer(exit_code=3, output="no") if record == "Failed" else OK
        cache = Cache(house, heals=False, answer=answer)
        house.journal.after[record] = house.freezes
        async with house.crashing():
            await house.until(lambda: record in house.story())
            await house.passes(1)
        async with house.running():
            await house.until(lambda: escalated(house))
            await house.passes(100)
        assert cache.ran == [FLUSHED, FILLED]
        assert len(house.incidents()) == 1

    run(test())


def test_a_crash_before_the_record_of_a_failure_does_not_run_it_again(tmp_path: Path) -> None:
    async def test() -> None:
        house = house_of(tmp_path)
        cache = Cache(house, heals=False, answer=ExecAnswer(exit_code=3, output="no"))
        house.journal.before["Failed"] = house.freezes
        async with house.crashing():
            await house.until(lambda: cache.ran)
            await house.passes(1)
        async with house.running():
            await house.until(lambda: escalated(house))
        assert cache.ran == [FLUSHED, FILLED]

    run(test())


def test_by_default_a_person_is_asked_about_the_exact_arguments(tmp_path: Path) -> None:
    async def test() -> None:
        house = house_of(tmp_path, policy={"autoUpTo": "Low"})
        cache = Cache(house, heals=True, answer=OK)
        async with house.running():
            await house.until(lambda: house.incidents() and house.incident.phase is Phase.AWAITING_APPROVAL)
            before = house.incident.attempt.plan
            edited = manifest(
                remediation={"actions": {"runCommand": {"commands": [{**FLUSH, "argv": ["/app/bin/flush"]}, REFILL]}}},
                policy={"autoUpTo": "Low"},
            )
            await house.manifests.declare(edited)
            await house.until(
                lambda: (
                    house.incident.phase is Phase.AWAITING_APPROVAL
                    and house.incident.attempt.plan.digest != before.digest
                )
            )
        assert before.data["action"] == {
            "name": "runCommand",
            "command": "flush-cache",
            "argv": ["/app/bin/flush", "--all; $(id)"],
            "timeout_s": 30,
        }
        assert cache.ran == []

    run(test())


def test_a_command_that_nobody_declared_falls_out_and_a_person_is_told(tmp_path: Path) -> None:
    async def test() -> None:
        house = house_of(tmp_path, commands=[])
        cache = Cache(house, heals=True, answer=OK)
        async with house.running():
            await house.until(lambda: escalated(house))
        assert cache.ran == []
        assert "stale-cache: runCommand flush-cache: the service declares no command" in house.incident.stuck_because

    run(test())


@pytest.mark.parametrize(("actions", "runs"), [(["runCommand"], 1), (["restart"], 0)], ids=str)
def test_a_guardrail_names_commands_as_it_names_any_action(actions: list[str], runs: int, tmp_path: Path) -> None:
    async def test() -> None:
        house = house_of(tmp_path)
        cache = Cache(house, heals=True, answer=OK)
        document = {
            "apiVersion": "pitcrew.dev/v1alpha1",
            "kind": "RemediationPolicy",
            "metadata": {"name": "platform"},
            "spec": {"selector": {}, "actions": actions},
        }
        await house.manifests.declare(*house.services, policies=[RemediationPolicy.model_validate(document)])
        async with house.running():
            await house.until(lambda: house.incidents() and (escalated(house) or not house.incident.open))
        assert len(cache.ran) == runs

    run(test())
