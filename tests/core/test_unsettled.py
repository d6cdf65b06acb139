"""Unsettled: what a person should settle before something is done, by the log and by what the runtime shows."""

import pytest

from pitcrew.core.evidence import Evidence, gather
from pitcrew.core.observation import (
    EngineHealth,
    EventKind,
    LogLine,
    NetworkFact,
    RuntimeEvent,
    RuntimeFacts,
    RuntimeState,
)
from pitcrew.core.unexplained import at_the_end, now, of_file
from pitcrew.core.unsettled import before_attaching, before_restart, before_start
from tests.core.scene import at, facts, seen

CALM = tuple(LogLine(at=at(-3000 + 60 * place), stream="stdout", text=f"order {place} accepted") for place in range(40))


def log(*texts: str, when: float = -10) -> list[LogLine]:
    return [*CALM, *(LogLine(at=at(when), stream="stdout", text=text) for text in texts)]


@pytest.mark.parametrize(
    ("texts", "unexplained"),
    [
        ((), False),
        (("order 81 accepted",), False),
        (("request timed out after 30 s",), False),
        (("deadlock detected between threads 3 and 9",), False),
        (("Received TSTP, no longer accepting new work",), True),
        (("Wartungsfahrt der Weiche 12",), True),
        (("blocked while copying to 10.0.0.9:7000",), True),
    ],
)
def test_what_is_new_and_does_not_go_with_a_hang_is_unexplained(texts: tuple[str, ...], unexplained: bool) -> None:
    assert now(log(*texts), facts(started_at=at(-9000)), at(0)) is unexplained


def test_how_it_starts_and_what_clients_ask_for_is_nothing_new() -> None:
    fresh = facts(started_at=at(-12))
    assert not now([LogLine(at=at(-11), stream="stdout", text="Listening at: http://0.0.0.0:8080 (1)")], fresh, at(0))
    assert not now(log('"GET /never/asked/before HTTP/1.1" 404 12'), facts(started_at=at(-9000)), at(0))
    assert now(log("Wartungsfahrt der Weiche 12", when=-5), facts(started_at=at(-40)), at(0))


def test_one_that_answers_others_meanwhile_is_unexplained() -> None:
    asked = "GET /orders/4 HTTP/1.1 200 12ms"
    assert now([*log(asked, when=-2000), *log(asked, when=20)[-1:]], facts(started_at=at(-9000)), at(0))
    assert not now(log(asked, when=-2000), facts(started_at=at(-9000)), at(0))


def ended(code: int, **more: object) -> RuntimeFacts:
    return facts(RuntimeState.EXITED, started_at=at(-9000), finished_at=at(0), exit_code=code, **more)


@pytest.mark.parametrize(
    ("sight", "texts", "unexplained"),
    [
        (ended(1), ("ZeroDivisionError: division by zero",), False),
        (ended(1), (), False),
        (ended(139), ("leaving",), False),
        (ended(137), (), False),
        (ended(137, oom_killed=True), ("a new word",), False),
        (ended(3), ("this run was already sent to the printer",), True),
        (ended(1), ("Error: cannot go on", "this run was already sent to the printer"), True),
        (ended(0), (), True),
        (ended(143), (), True),
        (ended(139), ("posted 1 of 9", "posted 2 of 9", "posted 3 of 9"), True),
    ],
)
def test_an_end_that_is_no_mere_crash_is_unexplained(
    sight: RuntimeFacts, texts: tuple[str, ...], unexplained: bool
) -> None:
    assert at_the_end(log(*texts), sight) is unexplained


FILE = "/app/maintenance.flag"


@pytest.mark.parametrize(
    ("texts", "unexplained"),
    [
        ((f"unhealthy: {FILE} exists",), False),
        ((f"found {FILE} of a former run of the nightly importer",), False),
        ((), False),
        ((f"{FILE} set, payments halted by the risk team until review",), True),
    ],
)
def test_who_says_more_of_a_file_than_that_it_is_there_is_asked(texts: tuple[str, ...], unexplained: bool) -> None:
    assert of_file(log(*texts), FILE, at(0)) is unexplained


def test_a_log_without_times_names_a_file_as_well() -> None:
    undated = [LogLine(at=None, stream="stdout", text=f"{FILE} set, payments halted by the risk team until review")]
    assert of_file(undated, FILE, at(0))
    assert not of_file(undated, "/app/other.marker", at(0))


def test_the_way_to_a_file_is_no_word_about_it() -> None:
    told = log("unhealthy: the file /srv/shop/teams/orders/home/maintenance.flag exists")
    assert not of_file(told, "maintenance.flag", at(0))


@pytest.mark.parametrize(
    ("sight", "events", "processes", "why"),
    [
        (facts(), (), (), ""),
        (facts(), (), ("1 S futex_wait_queue java",), ""),
        (facts(), (), ("1 S rpc_wait_bit_killable filed",), "waits for the other end"),
        (facts(), (), ("1 S futex_wait app", "9 S n_tty_read bash"), "at a terminal"),
        (facts(), (), ("1 S do_wait sh", "9 S futex_wait app"), ""),
        (facts(), (RuntimeEvent(at=at(-60), kind=EventKind.UNPAUSED),), (), "from outside"),
        (facts(), (RuntimeEvent(at=at(-900), kind=EventKind.UNPAUSED),), (), ""),
        (facts(started_at=at(-60)), (RuntimeEvent(at=at(-61), kind=EventKind.NETWORK),), (), ""),
        (facts(started_at=at(-60)), (RuntimeEvent(at=at(-59), kind=EventKind.NETWORK),), (), "from outside"),
        (facts(image="postgres:15"), (), (), "keeps data"),
        (facts(image="shop/orders:3"), (), (), ""),
        (facts(engine_health=EngineHealth(status="healthy", failing_streak=0, checked_at=at(5))), (), (), "healthy"),
        (facts(engine_health=EngineHealth(status="healthy", failing_streak=0, checked_at=at(-5))), (), (), ""),
    ],
)
def test_a_restart_is_for_people_where_the_fault_may_lie_elsewhere(
    sight: RuntimeFacts, events: tuple[RuntimeEvent, ...], processes: tuple[str, ...], why: str
) -> None:
    found = before_restart(sight, events, processes, at(0))
    assert why in found
    assert bool(found) is bool(why)


def test_one_that_was_made_a_moment_ago_is_left_to_whoever_made_it() -> None:
    fresh = facts(RuntimeState.CREATED, started_at=None, ever_started=False)
    made = (RuntimeEvent(at=at(-4), kind=EventKind.CREATED),)
    assert before_start(fresh, made, at(0))
    assert not before_start(fresh, made, at(60))
    assert not before_start(ended(1), made, at(0))


def test_one_that_was_just_moved_to_another_network_is_not_simply_attached_again() -> None:
    off = facts(networks=("quarantine",), desired=(NetworkFact(name="shop", attached=False, named=False),))
    moved = (RuntimeEvent(at=at(-30), kind=EventKind.NETWORK, detail="connect quarantine"),)
    gone = (RuntimeEvent(at=at(-30), kind=EventKind.NETWORK, detail="disconnect shop"),)
    assert before_attaching(off, moved, at(0))
    assert not before_attaching(off, gone, at(0))


def test_all_of_it_becomes_evidence_by_what_it_is_about() -> None:
    sight = facts(image="redis:7", started_at=at(-9000))
    found: tuple[Evidence, ...] = gather(seen(sight=sight), (), log("Received TSTP"), ())
    assert [(item.value, str(item.source)) for item in found if item.key == "unsettled"] == [
        ("now", "Log"),
        ("now", "Runtime"),
    ]
