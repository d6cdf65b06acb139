"""Which picks of a model are followed, what each could still show, and what comes of it as evidence."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

import pytest

from pitcrew.core.diagnosis import Cause, Diagnoser, Diagnosis, diagnose
from pitcrew.core.evidence import ELSEWHERE, Evidence, Fact, Source, gather, more
from pitcrew.core.incident import Advice, Incident, Phase, Round
from pitcrew.core.investigation import CONFIDENT_MIN, SECONDS_MAX, enough, followed, offered
from pitcrew.core.observation import (
    Absent,
    Blind,
    EventKind,
    LogLine,
    ProbeReason,
    RuntimeEvent,
    RuntimeState,
    Sight,
)
from pitcrew.core.opinion import Opinion, Weighed
from pitcrew.core.pick import (
    LINES_MAX,
    NEIGHBOURS_MAX,
    OF_OTHERS,
    PICKS_MAX,
    Pick,
    Reading,
    Tool,
    added,
    changed,
    earlier,
    named,
    told,
    worth,
)
from pitcrew.core.prompt import evidence_digest
from pitcrew.core.resource import ServiceKey
from pitcrew.core.signal import Signal, shown
from tests.core.incidents import PROBE_FAILS, healed
from tests.core.scene import BAD, GOOD, answer, at, facts, seen


class P:
    """The picks of the target itself."""

    EARLIER_LOGS, STATS, PROCESSES, EVENTS, PROBE_AGAIN, MAKEUP = (
        Pick(tool=tool) for tool in Tool if tool is not Tool.LOGS
    )


OWN = tuple(Pick(tool=tool) for tool in Tool if tool is not Tool.LOGS)


def evidence(
    sight: Sight | None = None, *, log: Sequence[str] = (), processes: Sequence[str] = ()
) -> tuple[Evidence, ...]:
    lines = [LogLine(at=None, stream="stdout", text=text) for text in log]
    return gather(seen(answer(BAD), sight=sight), (PROBE_FAILS,), lines, (), (), processes)


KNOWN = evidence(log=["listening"])


def diagnosis(confidence: int, by: Diagnoser = Diagnoser.RULES, cause: Cause = Cause.SERVICE_ERRORS) -> Diagnosis:
    return Diagnosis(cause=cause, confidence=confidence, evidence=("E1",), by=by, summary="")


def incident(*wanted: Pick, rounds: tuple[Round, ...] = (), rules: int = 30, late: bool = False) -> Incident:
    said = Opinion(cause=Cause.UNKNOWN, runbook="", evidence=("E1",), confidence=0, summary="", more=wanted)
    advice = Advice(
        model="m",
        prompt_digest="p",
        evidence_digest=evidence_digest(KNOWN),
        asked_at=at(0),
        answered_at=at(1),
        tokens=9,
        opinion=said,
        late=late,
    )
    base = replace(healed().now, phase=Phase.DIAGNOSED, attempts=(), evidence=KNOWN, advice=(advice,))
    return replace(base, diagnoses=(diagnosis(rules),), rounds=rounds)


LATELY = at(2)


def reading(*picks: Pick, began_at: datetime = LATELY) -> Round:
    return Round(picks=picks, began_at=began_at, ended_at=began_at)


def grounded(confidence: int) -> Weighed:
    return Weighed(agrees=True, reason="", diagnosis=diagnosis(confidence, Diagnoser.MODEL))


UNGROUNDED = Weighed(agrees=None, reason="not grounded, so ignored")
FOLLOWED: dict[str, tuple[Incident, Weighed | None, tuple[Pick, ...]]] = {
    "nobody is sure": (incident(P.STATS, P.EVENTS), UNGROUNDED, (P.STATS, P.EVENTS)),
    "the model is nearly sure": (incident(P.STATS), grounded(CONFIDENT_MIN - 1), (P.STATS,)),
    "the model is sure": (incident(P.STATS), grounded(CONFIDENT_MIN), ()),
    "a rule is decisive": (incident(P.STATS, rules=95), UNGROUNDED, ()),
    "a rule is nearly decisive": (incident(P.STATS, rules=89), UNGROUNDED, (P.STATS,)),
    "it wants nothing": (incident(), UNGROUNDED, ()),
    "it came late": (incident(P.STATS, late=True), UNGROUNDED, ()),
    "what could show nothing": (incident(P.EARLIER_LOGS, P.PROCESSES), UNGROUNDED, (P.EARLIER_LOGS, P.PROCESSES)),
    "one was taken": (incident(P.STATS, P.EVENTS, rounds=(reading(P.STATS),)), UNGROUNDED, (P.EVENTS,)),
    "all were taken": (incident(P.STATS, rounds=(reading(P.STATS),)), UNGROUNDED, ()),
    "two rounds": (incident(P.STATS, rounds=(reading(P.EVENTS), reading(P.MAKEUP))), UNGROUNDED, ()),
    "within the time": (incident(P.STATS, rounds=(reading(P.EVENTS, began_at=LATELY),)), UNGROUNDED, (P.STATS,)),
    "after the time": (incident(P.STATS, rounds=(reading(P.EVENTS, began_at=at(1)),)), UNGROUNDED, ()),
}


@pytest.mark.parametrize(("case", "weighed", "expected"), FOLLOWED.values(), ids=FOLLOWED.keys())
def test_picks_are_followed_only_where_nobody_is_sure_and_within_the_bounds(
    case: Incident, weighed: Weighed | None, expected: tuple[Pick, ...]
) -> None:
    assert followed(case, weighed, at(1 + SECONDS_MAX)) == expected


def test_nobody_who_was_not_asked_about_this_evidence_is_followed() -> None:
    asked = incident(P.STATS)
    assert followed(replace(asked, evidence=KNOWN[:-1]), UNGROUNDED, at(1)) == ()
    assert followed(replace(asked, advice=(replace(asked.advice[0], opinion=None),)), UNGROUNDED, at(1)) == ()


def test_what_is_offered_is_what_would_be_followed() -> None:
    assert offered(incident(), at(0)) == worth(KNOWN, ())
    assert offered(incident(rules=95), at(0)) == ()
    assert offered(incident(rounds=(reading(*OWN),)), at(0)) == ()
    assert enough(incident(rounds=(reading(*OWN),)), at(0)) == f"{PICKS_MAX} picks are all"


WORTH: dict[str, tuple[tuple[Evidence, ...], set[Pick]]] = {
    "it runs": (KNOWN, {*OWN}),
    "nothing was logged": (evidence(), {*OWN} - {P.EARLIER_LOGS}),
    "its processes are known": (evidence(processes=["1 S app"]), {P.STATS, P.EVENTS, P.PROBE_AGAIN, P.MAKEUP}),
    "it ended": (evidence(facts(RuntimeState.EXITED)), {P.EVENTS, P.PROBE_AGAIN, P.MAKEUP}),
    "there is none": (evidence(Absent(detail="no such container")), {P.EVENTS, P.PROBE_AGAIN}),
    "it cannot be seen": (evidence(Blind(reason="Gone", detail="away")), {P.EVENTS, P.PROBE_AGAIN}),
}


@pytest.mark.parametrize(("known", "expected"), WORTH.values(), ids=WORTH.keys())
def test_only_what_could_show_something_new_can_be_picked(known: tuple[Evidence, ...], expected: set[Pick]) -> None:
    assert set(worth(known, ())) == expected
    assert set(worth(known, (P.EVENTS,))) == expected - {P.EVENTS}


KEYS = tuple(ServiceKey(f"default/{name}") for name in ("db", "cache", "queue"))


def test_the_same_can_be_picked_of_a_few_dependencies() -> None:
    others = [pick for pick in worth(KNOWN, (), KEYS) if pick.of]
    assert [pick.of for pick in others] == [*[KEYS[0]] * len(OF_OTHERS), *[KEYS[1]] * len(OF_OTHERS)]
    assert NEIGHBOURS_MAX == 2
    assert [named(str(pick)) for pick in others] == others
    assert Pick(tool=Tool.LOGS) not in worth(KNOWN, (), KEYS)


def test_six_picks_are_followed_however_many_can_be_had() -> None:
    wanted = tuple(pick for pick in worth(KNOWN, (), KEYS) if pick.of)
    assert followed(incident(*wanted), UNGROUNDED, at(1), KEYS) == wanted[:PICKS_MAX]
    before = reading(*wanted[:4])
    assert followed(incident(*wanted, rounds=(before,)), UNGROUNDED, at(3), KEYS) == wanted[4:PICKS_MAX]
    assert followed(incident(*wanted), UNGROUNDED, at(1)) == ()


def test_what_is_read_of_a_dependency_is_no_fact_of_the_target() -> None:
    pick = Pick(tool=Tool.PROBE_AGAIN, of=KEYS[0])
    look = seen(answer(BAD, reason=ProbeReason.TIMEOUT), sight=facts(RuntimeState.EXITED, exit_code=1))
    log = Reading(pick=Pick(tool=Tool.LOGS, of=KEYS[0]), logs=lines("FATAL no space left on device"))
    readings = [Reading(pick=pick, seen=look), log]
    new = added(KNOWN, readings, (PROBE_FAILS,))
    assert {(item.key, item.value) for item in new} == {(ELSEWHERE, "default/db")}
    assert {item.source for item in new} == {Source.RUNTIME, Source.PROBE, Source.LOG}
    assert "of default/db: target is Exited" in [item.text for item in new]
    assert diagnose((*KNOWN, *new)) == diagnose(KNOWN)
    assert not shown(Signal(log="no space left"), (*KNOWN, *new)).holds
    assert changed(KNOWN, readings) == ""


def lines(*texts: str) -> tuple[LogLine, ...]:
    return tuple(LogLine(at=None, stream="stdout", text=text) for text in texts)


EARLIER = {
    "more lines than were read": (lines("a", "b", "c", "d"), 2, 99, ["a", "b"]),
    "no more": (lines("a", "b"), 2, 99, []),
    "fewer": (lines("a"), 2, 99, []),
    "cut by bytes": (lines("aaaa", "bbbb", "cccc"), 9, 9, ["aaaa"]),
    "a line too long to be read at all": (lines("a", "b" * 20), 9, 9, ["a", "b" * 20]),
}


@pytest.mark.parametrize(("read", "lines_max", "bytes_max", "expected"), EARLIER.values(), ids=EARLIER.keys())
def test_earlier_lines_are_those_before_what_was_read_at_first(
    read: tuple[LogLine, ...], lines_max: int, bytes_max: int, expected: list[str]
) -> None:
    assert [line.text for line in earlier(read, lines_max=lines_max, bytes_max=bytes_max)] == expected


def test_what_is_added_is_numbered_on_bounded_and_said_once() -> None:
    events = tuple(RuntimeEvent(at=at(n), kind=EventKind.HEALTH, detail=f"check {n}") for n in range(60))
    readings = [
        told(P.STATS, "stats", ["memory 20 MiB"] * 3),
        told(P.MAKEUP, "makeup", [f"environment V{n}=(hidden)" for n in range(90)]),
        Reading(pick=P.EVENTS, events=events),
        Reading(pick=P.EARLIER_LOGS, logs=lines("listening", "ERROR no quota left")),
        Reading(pick=P.PROBE_AGAIN, seen=seen(answer(BAD))),
        Reading(pick=P.PROCESSES, trouble="not in time"),
    ]
    new = added(KNOWN, readings, (PROBE_FAILS,))
    assert [item.id for item in new] == [f"E{len(KNOWN) + n}" for n in range(1, len(new) + 1)]
    counts = {key: sum(item.key == key for item in new) for key in ("stats", "makeup", "event", "log", "missing")}
    assert counts == {"stats": 1, "makeup": LINES_MAX, "event": 20, "log": 1, "missing": 1}
    assert {item.key for item in new} == set(counts)
    assert new[-1].text == "could not be gathered: Processes: not in time"
    assert [item.text for item in new if item.key == "event"][-1].endswith("check 59")


def test_a_fresh_look_adds_what_it_shows_anew_under_the_keys_that_rules_read() -> None:
    look = seen(answer(BAD, reason=ProbeReason.TIMEOUT), sight=facts(suspended=True))
    new = added(KNOWN, [Reading(pick=P.PROBE_AGAIN, seen=look)], (PROBE_FAILS,))
    assert [(item.source, item.key, item.value) for item in new] == [
        (Source.RUNTIME, "suspended", True),
        (Source.PROBE, "probe.failing", "Timeout"),
    ]


CHANGED: dict[str, tuple[Sight, str]] = {
    "as before": (facts(), ""),
    "it ended": (facts(RuntimeState.EXITED), "the target is Exited now"),
    "it is gone": (Absent(detail="no such container"), "the target is Missing now"),
}


@pytest.mark.parametrize(("sight", "expected"), CHANGED.values(), ids=CHANGED.keys())
def test_a_fresh_look_at_another_state_is_a_change(sight: Sight, expected: str) -> None:
    assert changed(KNOWN, [Reading(pick=P.PROBE_AGAIN, seen=seen(answer(GOOD), sight=sight))]) == expected


def test_without_a_fresh_look_nothing_changed() -> None:
    assert changed(KNOWN, [told(P.STATS, "stats", ["memory 20 MiB"])]) == ""


def test_what_was_known_is_not_said_again_whatever_its_time() -> None:
    fact = Fact(source=Source.RUNTIME, key="stats", value="memory 20 MiB", text="stats: memory 20 MiB")
    once = more(KNOWN, [fact])
    assert more((*KNOWN, *once), [fact]) == ()
    later = [LogLine(at=at(9), stream="stdout", text="listening")]
    assert more(KNOWN, (), logs=later) == ()
