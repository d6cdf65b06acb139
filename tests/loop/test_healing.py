"""The way of one incident, from the first failing probe to the report."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest

from pitcrew.core.deviation import FLAP_CALM_S
from pitcrew.core.errors import EngineUnavailable
from pitcrew.core.event import (
    Intended,
    Judged,
    Permitted,
    Planned,
    UndoIntended,
    UndoPermitted,
    from_record,
)
from pitcrew.core.incident import (
    Phase,
)
from pitcrew.core.observation import LogLine, RuntimeFacts, StoppedBy
from pitcrew.core.policy import Effect
from pitcrew.core.resource import HealthyService
from tests.fakes.engine import Mishap
from tests.fakes.prober import BROKEN
from tests.fakes.runtime import FakeRuntime
from tests.loop.composed import FLAG, House, manifest
from tests.loop.virtual import run

PROBE = {"httpGet": {"path": "/health", "port": 8080}}
USUAL = [
    "Opened", "EvidenceGathered", "Diagnosed", "Planned", "Judged", "Permitted", "Checked", "Intended", "Acted",
    "Verified", "Reported",
]  # fmt: skip


def test_a_flag_is_removed_once_and_the_journal_tells_every_stage_in_order(tmp_path: Path) -> None:
    async def test() -> None:
        house = House(tmp_path)
        async with house.running():
            await house.until(lambda: house.condition("Ready"))
            house.flag()
            await house.healed()
        assert house.effects() == ["removeFile"]
        assert FLAG not in house.engine.targets["victim"].files
        assert house.story() == USUAL
        assert house.incident.outcome == "Recovered"
        assert house.incident.phase is Phase.CLOSED
        assert len(house.reports.texts["victim-1"]) == 1

    run(test())


def test_every_effect_has_an_earlier_verdict_and_permit_of_its_very_plan(tmp_path: Path) -> None:
    async def test() -> None:
        house = House(tmp_path, manifest(probes=[PROBE]))
        house.prober.sick.add("victim")
        house.flag()
        async with house.running():
            await house.until(lambda: house.incidents() and house.incident.outcome == "Escalated")
        assert house.effects() == ["removeFile", "restart", "restoreFile"]
        digest, judged, permitted = "", "", ""
        for record in house.records():
            match from_record(record):
                case Planned(plan=plan):
                    digest = plan.digest
                case Judged(verdict=verdict):
                    judged = digest if verdict.effect is Effect.ALLOW else ""
                case Permitted(permit=permit) | UndoPermitted(permit=permit):
                    permitted = permit.plan_digest
                case Intended():
                    assert digest == judged == permitted
                case UndoIntended():
                    assert permitted in {attempt.plan.digest for attempt in house.incident.attempts}
                case _:
                    pass

    run(test())


@pytest.mark.parametrize("break_it", ["kill", "hang", "none"])
def test_a_process_that_died_or_hangs_is_started_or_restarted_once(break_it: str, tmp_path: Path) -> None:
    async def test() -> None:
        house = House(tmp_path)
        async with house.running():
            await house.until(lambda: house.condition("Ready"))
            if break_it == "kill":
                house.engine.die("victim")
            elif break_it == "hang":
                house.engine.targets["victim"].suspended = True
            if break_it != "none":
                await house.healed()
            await house.passes(120)
        assert house.effects() == {"kill": ["start"], "hang": ["restart"], "none": []}[break_it]
        assert [one.outcome for one in house.incidents()] == ([] if break_it == "none" else ["Recovered"])

    run(test())


def test_what_a_person_stopped_is_left_alone(tmp_path: Path) -> None:
    async def test() -> None:
        house = House(tmp_path)
        async with house.running():
            await house.until(lambda: house.condition("Ready"))
            house.engine.die("victim", exit_code=143, by=StoppedBy.PERSON)
            await house.passes(600)
        assert house.effects() == []
        assert house.incidents() == []
        ready = house.condition("Ready")
        assert ready is not None
        assert ready.reason == "StoppedByPerson"

    run(test())


@pytest.mark.parametrize(
    ("mishap", "effects"),
    [
        (Mishap.ANSWER_LOST, ["removeFile"]),
        (Mishap.REQUEST_LOST, ["removeFile", "removeFile"]),
        (Mishap.NOT_ASKED, ["removeFile"]),
        (Mishap.REFUSED_BY_ENGINE, ["removeFile", "restart"]),
        (Mishap.WITHOUT_EFFECT, ["removeFile", "restart"]),
    ],
)
def test_an_effect_that_goes_wrong_is_read_off_the_target(mishap: Mishap, effects: list[str], tmp_path: Path) -> None:
    async def test() -> None:
        house = House(tmp_path)
        house.engine.mishaps.append(mishap)
        done: list[str] = []
        house.engine.before_effect = lambda target, action: done.append(action.name)
        house.flag()
        async with house.running():
            await house.until(lambda: house.incidents() and house.incident.outcome != "Open")
        assert house.effects()[:2] == effects
        assert done.count("removeFile") <= 1
        told = [attempt.plan.action.name for attempt in house.incident.attempts if attempt.touched]
        assert set(done) - {"restoreFile"} <= set(told)

    run(test())


def test_logs_that_cannot_be_read_are_recorded_as_missing_and_runtime_facts_heal(tmp_path: Path) -> None:
    class NoLogs(FakeRuntime):
        async def logs(
            self, service: HealthyService, facts: RuntimeFacts, *, lines_max: int, bytes_max: int
        ) -> Sequence[LogLine]:
            raise EngineUnavailable("no logs today")

    async def test() -> None:
        house = House(tmp_path)
        house.runtime_of = NoLogs
        house.flag()
        async with house.running():
            await house.healed()
        assert house.effects() == ["removeFile"]
        assert any("no logs today" in str(item) for item in house.incident.evidence)

    run(test())


HOSTILE = "\x1b[31m<script>alert(1)</script>\u202e password=hunter2secret Bearer abcdefghijklmnop1234567890"


def test_hostile_text_from_outside_reaches_no_sink_raw(tmp_path: Path) -> None:
    async def test() -> None:
        house = House(tmp_path)
        house.flag()
        house.engine.say("victim", *[f"ERROR {HOSTILE} {n}" for n in range(20)])
        house.prober.says["victim"] = replace(BROKEN, detail=BROKEN.detail)
        house.engine.targets["victim"].env_names = ("PATH", HOSTILE)
        async with house.running():
            await house.until(lambda: house.incidents() and house.incident.outcome == "Escalated")
            status = repr(house.status.now["default/victim"])  # type: ignore[index]
        sinks = {
            "journal": b"".join(house.journal.lines).decode(),
            "report": house.reports.texts["victim-1"][-1],
            "evidence": str(house.incident.evidence),
        }
        for name, text in sinks.items():
            assert "hunter2secret" not in text, name
            assert "abcdefghijklmnop1234567890" not in text, name
            assert "\x1b" not in text, name
            assert "\\u001b" not in text, name
            assert "\u202e" not in text, name
        assert "hunter2secret" not in str(house.status.now["default/victim"].notices)  # type: ignore[index]
        assert status

    run(test())


def test_a_probe_that_is_flawed_by_a_bug_of_ours_only_delays(tmp_path: Path) -> None:
    async def test() -> None:
        house = House(tmp_path)
        house.journal.after["Judged"] = bug_in(house)
        house.flag()
        async with house.running():
            await house.healed()
        assert house.effects() == ["removeFile"]
        assert house.incident.outcome == "Recovered"

    def bug_in(house: House) -> Callable[[], Awaitable[None]]:
        async def breaks() -> None:
            house.prober.errors.append(RuntimeError("a bug"))

        return breaks

    run(test())


def test_a_service_that_is_broken_and_healed_again_and_again_is_not_taken_for_flapping(tmp_path: Path) -> None:
    quick = {**PROBE, "periodSeconds": 1, "failureThreshold": 1}
    remediation = {"actions": {"removeFile": {"paths": [FLAG]}}, "verifyFor": "1s"}

    async def test() -> None:
        house = House(tmp_path, manifest(probes=[quick], remediation=remediation))

        def ended(number: int) -> bool:
            return len(house.incidents()) == number and not house.incident.open

        async with house.running():
            await house.until(lambda: house.condition("Ready"))
            for number in range(1, 6):
                house.flag()
                await house.until(partial(ended, number))
        assert house.effects() == ["removeFile"] * 5
        assert {incident.outcome for incident in house.incidents()} == {"Recovered"}
        first, *_, last = house.incidents()
        assert last.opened_at - first.opened_at < timedelta(seconds=FLAP_CALM_S)

    run(test())
