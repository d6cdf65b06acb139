"""Conditions and notices: what people and tools read of a service, in single lines, with times that mean something."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from pitcrew.core.conditions import MESSAGE_BYTES_MAX, Condition, conditions, notice
from pitcrew.core.dependency import Dependency
from pitcrew.core.deviation import Health, Watch, observe
from pitcrew.core.event import (
    Abandoned,
    Event,
    Failed,
    Healed,
    Turned,
)
from pitcrew.core.incident import (
    Incident,
    Phase,
)
from pitcrew.core.observation import Absent, Blind, ProbeReason, RuntimeState, Sight, StoppedBy
from pitcrew.core.order import Suspension
from pitcrew.core.resource import HealthyService, ServiceKey
from tests.core.incidents import HOSTILE, healed, hostile, undone
from tests.core.scene import BAD, GOOD, UNKNOWN, answer, at, declared, facts, seen, watched
from tests.core.test_incident import SAMPLES


def told(
    watch: Watch,
    *,
    service: HealthyService | None = None,
    incident: Incident | None = None,
    waits_for: str = "",
    stale: str = "",
    halted: str = "",
    held: Suspension | None = None,
    before: Sequence[Condition] = (),
    seconds: float = 3,
    dependencies: Sequence[Dependency] = (),
) -> dict[str, Condition]:
    found = conditions(
        service or declared(),
        watch,
        incident,
        waits_for,
        stale,
        halted,
        held,
        before,
        at(seconds),
        dependencies=dependencies,
    )
    assert len({condition.type for condition in found}) == len(found)
    return {condition.type: condition for condition in found}


def sighted(sight: Sight) -> Watch:
    return observe(Watch(), declared(), seen(sight=sight))


S = RuntimeState
READY: dict[str, tuple[Watch, str, str, str]] = {
    "not seen yet": (Watch(), "Unknown", "Unknown", "not seen yet"),
    "healthy": (watched((GOOD,)), "True", "Healthy", "every probe is good"),
    "failing": (watched((BAD, BAD, BAD)), "False", "Unhealthy", "httpget-0: Status"),
    "a probe unknown": (watched((GOOD, UNKNOWN)), "Unknown", "Unknown", "httpget-0: NoAddress"),
    "first failure": (watched((BAD,)), "Unknown", "Unknown", "httpget-0: Status"),
    "blind": (sighted(Blind(reason="EngineAway", detail="refused")), "Unknown", "EngineAway", "refused"),
    "missing": (sighted(Absent(detail="no such container")), "False", "Missing", "no such container"),
    "stopped": (
        sighted(facts(S.EXITED, stopped_by=StoppedBy.PERSON)),
        "False",
        "StoppedByPerson",
        "victim was stopped",
    ),
    "completed": (sighted(facts(S.EXITED, exit_code=0)), "False", "Completed", "victim completed its work"),
    "starting": (sighted(facts(S.RESTARTING)), "False", "Starting", "its engine is bringing it back"),
    "paused": (sighted(facts(S.PAUSED)), "False", "Unhealthy", "Paused"),
    "dead": (sighted(facts(S.EXITED, exit_code=1)), "False", "Unhealthy", "NotRunning"),
}


@pytest.mark.parametrize(("watch", "status", "reason", "says"), READY.values(), ids=READY.keys())
def test_ready_says_how_the_service_is(watch: Watch, status: str, reason: str, says: str) -> None:
    ready = told(watch)["Ready"]
    assert (ready.status, ready.reason) == (status, reason)
    assert ready.message.startswith(says)


def test_abnormal_conditions_are_there_only_when_they_say_something() -> None:
    assert set(told(watched((GOOD,)))) == {"Ready", "IncidentActive"}
    shadow = declared(policy={"mode": "Shadow"})
    found = told(watched((GOOD,)), service=shadow, stale="line 3 is wrong", halted="no journal")
    assert {name: found[name].message for name in ("ManifestStale", "EffectsHalted", "NotEnforcing")} == {
        "ManifestStale": "line 3 is wrong",
        "EffectsHalted": "no journal",
        "NotEnforcing": "decides, and does not act",
    }
    assert all(found[name].status == "True" for name in ("ManifestStale", "EffectsHalted", "NotEnforcing"))


DB = ServiceKey("default/db")


@pytest.mark.parametrize(
    ("one", "kind", "says"),
    [
        (Dependency(service=DB, health=Health.UNHEALTHY, incident="db-1, phase Acting"), "DependencyDown", "db-1"),
        (Dependency(service=DB, health=Health.STOPPED), "DependencyDown", "is Stopped"),
        (Dependency(service=DB), "DependencyUnknown", "not declared here"),
        (Dependency(service=DB, health=Health.UNHEALTHY, circular=True), "DependencyCircle", "in turn"),
        (Dependency(service=DB, health=Health.UNKNOWN), "", ""),
        (Dependency(service=DB, health=Health.HEALTHY), "", ""),
    ],
    ids=str,
)
def test_what_it_depends_on_is_told_where_that_says_something(one: Dependency, kind: str, says: str) -> None:
    found = {name: each for name, each in told(watched((GOOD,)), dependencies=(one,)).items() if "Depend" in name}
    assert set(found) == ({kind} if kind else set())
    assert not kind or says in found[kind].message


def test_an_open_incident_is_active_and_an_escalated_one_is_stalled() -> None:
    escalated = undone().now
    found = told(watched((BAD,)), incident=escalated, waits_for="a person")
    assert (found["IncidentActive"].status, found["IncidentActive"].reason) == ("True", "Escalated")
    assert "a person" in found["IncidentActive"].message
    assert found["Stalled"].message == f"{escalated.id}: {escalated.ask}"
    assert "Stalled" not in told(watched((BAD,)), incident=replace(escalated, phase=Phase.HELD))
    assert told(watched((GOOD,)))["IncidentActive"].status == "False"


def test_since_is_kept_while_the_status_is() -> None:
    good, bad = watched((GOOD,)), watched((BAD, BAD, BAD))
    first = tuple(told(good, seconds=1).values())
    second = tuple(told(good, before=first, seconds=5).values())
    third = told(bad, before=second, seconds=9)
    assert {condition.since for condition in second} == {at(1)}
    assert third["Ready"].since == at(9)
    assert third["IncidentActive"].since == at(1)


def test_another_reason_with_the_same_status_keeps_since() -> None:
    first = tuple(told(sighted(facts(S.PAUSED)), seconds=1).values())
    ready = told(sighted(Absent(detail="gone")), before=first, seconds=5)["Ready"]
    assert (ready.reason, ready.since) == ("Missing", at(1))


def test_hostile_details_stay_one_bounded_line() -> None:
    watch = observe(Watch(), declared(), seen(answer(BAD, reason=ProbeReason.STATUS, detail="a\nb\n" * 999)))
    message = told(watch)["Ready"].message
    assert "\n" not in message
    assert len(message.encode()) <= MESSAGE_BYTES_MAX


@pytest.mark.parametrize("event", SAMPLES.values(), ids=SAMPLES.keys())
def test_every_event_is_told_in_one_line(event: Event) -> None:
    told_ = notice(event, healed().now, at(1))
    assert told_.message
    assert len(told_.message.splitlines()) == 1
    assert (told_.reason, told_.incident, told_.at) == (event.type, "victim-1", at(1))
    assert told_.kind == (
        "Warning" if event.type in ("Opened", "ApprovalAsked", "Escalated", "Failed", "UndoTurned") else "Normal"
    )


@pytest.mark.parametrize(
    "event",
    [Turned(reason=""), Healed(detail=""), Abandoned(reason=""), Failed(reason="\n"), Turned(reason=HOSTILE * 50)],
    ids=["no reason", "no detail", "empty", "only a newline", "hostile"],
)
def test_a_notice_is_never_empty_nor_longer_than_a_line(event: Event) -> None:
    message = notice(event, hostile().now, at(1)).message
    assert message.strip()
    assert "\n" not in message
    assert len(message.encode()) <= MESSAGE_BYTES_MAX
