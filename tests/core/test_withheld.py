"""Withheld: which words, answers and processes show that to act at once would come between, and when they are over."""

from collections.abc import Sequence
from datetime import datetime

import pytest

from pitcrew.core.observation import LogLine, Outcome, ProbeReason, ProbeResult, RuntimeState
from pitcrew.core.withheld import AT_WORK, HARMED, IN_HAND, OUTSIDE, TAKEN_OUT, in_answers, in_log, in_processes
from tests.core.scene import at, facts


def lines(*texts: str, when: datetime | None = None) -> list[LogLine]:
    return [LogLine(at=when, stream="stderr", text=text) for text in texts]


def said(*texts: str, when: float = -20, state: RuntimeState = RuntimeState.RUNNING) -> Sequence[str]:
    """What one says by its log that began to deviate at 0, with lines of so many seconds before."""
    return in_log(lines(*texts, when=at(when)), facts(state, started_at=at(-7200)), at(0), at(0))


AT_WORK_OR_NOT = {
    "a recovery": ("LOG: recovery in progress, 45 % done", True),
    "a migration": ("INFO running database migrations", True),
    "a busy script": ("# Slow script detected: still in execution after 5004 milliseconds", True),
    "a loading data set": ("LOADING Redis is loading the dataset in memory", True),
    "a backup": ("INFO backup still running", True),
    "a rebuild": ("rebuilding index 1200 of 90000", True),
    "a collection that freed much": ("[gc][old] duration [18.5s], memory [29.8gb]->[9.1gb]/[31gb]", True),
    "a collection that freed nothing": ("[gc][old] duration [18.5s], memory [29.8gb]->[29.7gb]/[31gb]", False),
    "a short collection": ("[gc][old] duration [8ms], memory [29.8gb]->[9.1gb]/[31gb]", False),
    "a request": ("INFO request served in 12 ms", False),
    "a recovery that is over": ("INFO recovered from panic in handler", False),
}


@pytest.mark.parametrize(("text", "busy"), AT_WORK_OR_NOT.values(), ids=AT_WORK_OR_NOT)
def test_who_is_busy_with_its_own_data_says_so(text: str, busy: bool) -> None:
    assert (AT_WORK in said(text)) is busy


def test_a_work_that_began_stands_until_a_later_line_ends_it() -> None:
    begun = "starting backup of volume data"
    assert AT_WORK in said(begun, when=-1800)
    assert AT_WORK not in said(begun, "backup finished, 4.1 GB", when=-1800)
    assert AT_WORK not in said(begun, "ready to accept connections", when=-1800)
    assert AT_WORK in said(begun, "vacuum finished", when=-1800)
    assert AT_WORK not in said(begun, when=-5000), "who says nothing of it for an hour has forgotten it"


@pytest.mark.parametrize(
    "text",
    ["PANIC: invalid page in block 7", "checksum mismatch in segment 3", "index is corrupted", "Read-only file system"],
)
def test_harm_to_its_data_is_told(text: str) -> None:
    assert HARMED in said(text)
    assert HARMED not in said("ERROR request failed")


HELD = {
    "a change": ("maintenance CHG-1204 by ops, ends 11:00", True),
    "a question to people": ("waiting for the operator to confirm", True),
    "a standby": ("lost leadership to node-1; standing by", True),
    "no quorum": ("raft: no quorum, 1 of 3 voters", True),
    "a lock of another": ("lock is held by pid 4410 on node2", True),
    "a lock of nobody": ("lock is held by pid 12 of a former run, not running", False),
    "a browser": ('user agent: "do not restart me"', False),
    "an ordinary line": ("order 12 accepted", False),
}


@pytest.mark.parametrize(("text", "held"), HELD.values(), ids=HELD)
def test_what_people_or_peers_have_in_hand_is_told(text: str, held: bool) -> None:
    assert (IN_HAND in said(text)) is held


@pytest.mark.parametrize(
    ("begun", "over"),
    [
        ("planned maintenance until 11:00", "maintenance mode off"),
        ("no leader, starting an election", "became leader of term 4"),
        ("deploy 7 in progress", "deploy 7 finished"),
    ],
)
def test_what_was_handed_back_is_no_longer_in_hand(begun: str, over: str) -> None:
    assert IN_HAND in said(begun, when=-900)
    assert IN_HAND not in said(begun, over, when=-900)


BLAMED = {
    "an expired certificate": ("certificate verify failed: certificate has expired", True),
    "a password": ('FATAL: password authentication failed for user "orders"', True),
    "a limit": ("bank answered 429 Too Many Requests", True),
    "a licence in Russian": ("Срок действия: лицензия истекла", True),
    "a certificate in Chinese": ("连接失败：证书已过期", True),
    "a clock": ("token used before issued, clock skew of 412 s", True),
    "a schema": ("column orders.total does not exist", True),
    "a certificate that is good for long": ("certificate expires in 21 days", False),
    "a password of a caller": ("login of user 81: password rejected", False),
    "a token of a caller": ("token of client 233 has expired", False),
}


@pytest.mark.parametrize(("text", "blamed"), BLAMED.values(), ids=BLAMED)
def test_what_others_have_to_renew_is_told_and_what_callers_get_wrong_is_not(text: str, blamed: bool) -> None:
    assert (OUTSIDE in said(text)) is blamed


@pytest.mark.parametrize(
    ("detail", "keys"),
    [
        ("maintenance mode is on", {TAKEN_OUT}),
        ("draining", {TAKEN_OUT}),
        ("planned maintenance CHG-77", {TAKEN_OUT, IN_HAND}),
        ("not the leader", {IN_HAND}),
        ("warming up", {AT_WORK}),
        ("Internal Server Error", set()),
    ],
)
def test_a_failing_answer_is_read_as_well(detail: str, keys: set[str]) -> None:
    failed = ProbeResult(probe="p", at=at(0), outcome=Outcome.FAILURE, reason=ProbeReason.STATUS, detail=detail)
    good = ProbeResult(probe="p", at=at(0), outcome=Outcome.SUCCESS, reason=ProbeReason.OK, detail=detail)
    assert set(in_answers([failed])) == keys
    assert in_answers([good]) == ()


@pytest.mark.parametrize(
    ("process", "keys"),
    [
        ("7 S - gdb", {"debugged"}),
        ("1 t ptrace_stop java", {"debugged"}),
        ("63 S pipe_read pg_restore", {AT_WORK}),
        ("12 S ep_poll postgres: startup recovering 00000002", {AT_WORK}),
        ("12 S ep_poll postgres: autovacuum launcher", set()),
        ("1 D rpc_wait_bit_killable filed", {"uninterruptible"}),
        ("1 S futex_wait_queue java", set()),
    ],
)
def test_processes_show_who_is_at_it(process: str, keys: set[str]) -> None:
    assert set(in_processes([process])) == keys
