"""What led up to an incident is told as facts: how long, what changed, what was before."""

import pytest

from pitcrew.core.context import FORMER_MAX, LATELY_S, changes, former, probe_history
from pitcrew.core.deviation import Watch, observe
from pitcrew.core.diagnosis import Cause
from pitcrew.core.evidence import Fact, gather
from pitcrew.core.history import Past
from pitcrew.core.observation import Absent, Blind, Outcome, RuntimeState, Sight
from pitcrew.core.signal import FACTS
from tests.core.scene import BAD, GOOD, UNKNOWN, answer, at, declared, facts, seen, watched


def told(facts: tuple[Fact, ...]) -> dict[str, str]:
    return {fact.key: fact.text for fact in facts}


def test_a_failing_probe_tells_since_when_how_often_and_when_it_was_last_good() -> None:
    found = probe_history(watched([GOOD, GOOD, BAD, BAD, BAD]), at(5))
    assert told(found) == {
        "probe.streak": "probe httpget-0 failed 3 times in a row since 05:00:02",
        "probe.last.good": "probe httpget-0 was last good at 05:00:01",
    }
    assert {fact.key: fact.value for fact in found} == {"probe.streak": 3, "probe.last.good": "httpget-0"}


HISTORIES: dict[str, tuple[list[Outcome], set[str]]] = {
    "good": ([BAD, GOOD], set()),
    "nothing yet": ([], set()),
    "never good": ([BAD, BAD], {"probe.streak", "probe.never.good"}),
    "not to be told now": ([GOOD, UNKNOWN], {"probe.last.good"}),
    "swinging": (
        [GOOD, BAD, BAD, BAD, GOOD, BAD, BAD, BAD],
        {"probe.streak", "probe.last.good", "probe.swings"},
    ),
}


@pytest.mark.parametrize(("outcomes", "keys"), HISTORIES.values(), ids=HISTORIES.keys())
def test_a_history_says_what_there_is_to_say(outcomes: list[Outcome], keys: set[str]) -> None:
    assert set(told(probe_history(watched(outcomes), at(10)))) == keys


def test_when_a_probe_was_last_good_outlives_the_run_of_its_target() -> None:
    watch: Watch = watched([GOOD, GOOD])
    watch = observe(watch, declared(), seen(answer(BAD, 9), sight=facts(instance="run-2"), seconds=9))
    assert told(probe_history(watch, at(9)))["probe.last.good"] == "probe httpget-0 was last good at 05:00:01"


IMAGE, OTHER = f"shop@sha256:{'a' * 64}", f"shop@sha256:{'b' * 64}"
CHANGES: dict[str, tuple[dict[str, object], dict[str, object], dict[str, str]]] = {
    "nothing": ({}, {}, {}),
    "another run": ({}, {"instance": "run-2"}, {"instance": "was started anew"}),
    "another target": (
        {},
        {"instance": "run-2", "target_id": "d00d"},
        {"target": "is another one now"},
    ),
    "another image": (
        {"image": IMAGE},
        {"image": OTHER},
        {"image": f"shop@sha256:{'a' * 12} became shop@sha256:{'b' * 12}"},
    ),
    "other environment": (
        {"env_names": ("A", "B")},
        {"env_names": ("B", "C")},
        {"env": "without A; new C"},
    ),
    "a network less": ({"networks": ("back", "front")}, {"networks": ("front",)}, {"networks": "without back"}),
    "many names": (
        {},
        {"env_names": tuple(f"N{n}" for n in range(9))},
        {"env": "new N0, N1, N2, N3, N4, N5 and 3 more"},
    ),
}


@pytest.mark.parametrize(("before", "after", "expected"), CHANGES.values(), ids=CHANGES.keys())
def test_what_changed_since_it_was_healthy_is_told(
    before: dict[str, object], after: dict[str, object], expected: dict[str, str]
) -> None:
    found = changes(
        seen(sight=facts(RuntimeState.RUNNING, **after), seconds=60), seen(sight=facts(RuntimeState.RUNNING, **before))
    )
    assert {fact.value: fact.text for fact in found} == {
        what: f"changed since healthy at 05:00:00: {what} {text}" for what, text in expected.items()
    }


@pytest.mark.parametrize("sight", [Absent(detail="gone"), Blind(reason="EngineAway", detail="x")])
def test_nothing_is_said_of_changes_where_the_target_is_not_seen(sight: Sight) -> None:
    assert changes(seen(sight=sight), seen()) == ()
    assert changes(seen(), seen(sight=sight)) == ()
    assert changes(seen(), None) == ()


def test_a_change_that_was_healthy_at_first_is_told_for_an_hour() -> None:
    before, after = seen(sight=facts(image="a"), seconds=0), seen(sight=facts(image="b"), seconds=60)
    [told] = changes(seen(sight=facts(image="b"), seconds=90), after, before)
    assert told.text == "changed since healthy at 05:00:00: image a became b"
    assert changes(seen(sight=facts(image="b"), seconds=LATELY_S + 1), after, before) == ()


def past(number: int, *, effects: int = 1, outcome: str = "Recovered") -> Past:
    return Past(
        incident=f"victim-{number}",
        opened_at=at(60 * number),
        cause=Cause.HANG,
        effects=effects,
        recovered=outcome == "Recovered",
        outcome=outcome,
    )


def test_the_latest_earlier_incidents_are_told_with_their_ends() -> None:
    found = former([past(1), past(2, effects=0, outcome="SelfRecovered"), *map(past, range(3, 7))])
    assert len(found) == FORMER_MAX
    assert found[0].text == "former incident victim-6 of 2026-03-04 05:06: Hang, Recovered, 1 remedy"
    assert found[0].value == "Hang"
    [alone] = former([past(2, effects=0, outcome="SelfRecovered")])
    assert alone.text.endswith("Hang, SelfRecovered, nothing was done")


def test_signals_may_name_whatever_context_tells() -> None:
    watch = watched([GOOD, BAD, BAD, BAD, GOOD, BAD, BAD, BAD])
    never = probe_history(watched([BAD]), at(1))
    history = (*probe_history(watch, at(8)), *never)
    changed = changes(seen(sight=facts(image="x")), seen())
    found = gather(seen(), (), (), (), changes=changed, history=history, former=former([past(1)]))
    assert {item.key for item in found} <= set(FACTS)
    assert {"probe.streak", "probe.last.good", "probe.never.good", "probe.swings", "changed", "former"} <= {
        item.key for item in found
    }
