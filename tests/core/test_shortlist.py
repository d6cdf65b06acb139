"""The shortlist joins what the evidence proves with what a search finds, and never decides over a remedy."""

from collections.abc import Sequence

import pytest

from pitcrew.adapters.runbooks.files import built_in
from pitcrew.adapters.search.fts5 import Fts5Search
from pitcrew.core.diagnosis import Cause, Diagnoser, Diagnosis
from pitcrew.core.evidence import Evidence, Source
from pitcrew.core.runbook import Runbook, RunbookHead, drift, pinned, retrieve
from pitcrew.core.shortlist import ASKED_BYTES_MAX, Hit, asked_of, offered, shortlist
from pitcrew.core.signal import Signal, fact
from tests.core.incidents import PROBE_FAILS, evidence_of, facts, failing, healed, hostile

EVIDENCE = evidence_of(facts(), failing(), found=(PROBE_FAILS,), logs=("ERROR lock held",))
RUNNING, FAILING, FLAG, DEAD = (
    fact("state", "Running"), fact("probe.failing"), fact("file.present"), fact("state", "Exited"),
)  # fmt: skip


def book(id_: str, *signals: Signal, not_when: Sequence[Signal] = (), cause: str = "Hang") -> Runbook:
    head = RunbookHead.model_validate(
        {
            "id": id_, "title": "A title", "cause": cause, "signals": signals, "not-when": not_when,
            "ask": "look", "verify": "good",
        }
    )  # fmt: skip
    return Runbook(head=head, text="", origin="test", digest=id_[0] * 64)


def hit(id_: str, *words: str) -> Hit:
    return Hit(runbook=id_, words=words or ("lock",))


BOOKS = (book("a", RUNNING), book("b", RUNNING, FAILING), book("c", RUNNING, FAILING, FLAG), book("d", DEAD))
ORDERS: dict[str, tuple[tuple[Runbook, ...], tuple[Hit, ...], list[str]]] = {
    "without a search the most specific is first": (BOOKS, (), ["c", "b", "a"]),
    "a search moves one up that is well placed by both": (BOOKS, (hit("b"), hit("a"), hit("c")), ["b", "c", "a"]),
    "being found counts": (BOOKS, (hit("a"),), ["a", "c", "b"]),
    "what is found and not proven comes last": (BOOKS, (hit("d"), hit("a")), ["a", "c", "b", "d"]),
    "equal ones stand by their ids": ((book("y", RUNNING), book("x", RUNNING)), (), ["x", "y"]),
    "equal ones are told apart by the search": ((book("y", RUNNING), book("x", RUNNING)), (hit("y"),), ["y", "x"]),
    "a hit on a runbook that is not there is nothing": (BOOKS, (hit("zz"),), ["c", "b", "a"]),
}


@pytest.mark.parametrize("name", ORDERS)
def test_runbooks_are_ordered_by_proof_and_by_words(name: str) -> None:
    books, hits, order = ORDERS[name]
    assert [one.runbook.head.id for one in shortlist(books, EVIDENCE, hits)] == order
    assert [one.runbook.head.id for one in shortlist(tuple(reversed(books)), EVIDENCE, hits)] == order


def test_each_tells_why() -> None:
    excluded = book("e", RUNNING, not_when=(fact("file.present"),))
    first, second, third = shortlist((*BOOKS[2:], excluded), EVIDENCE, (hit("d", "lock"), hit("e", "held", "lock")))
    assert (first.words, first.applies) == ((), True)
    assert first.proof is not None
    assert set(first.proof.evidence) <= {item.id for item in EVIDENCE}
    assert [str(signal) for signal in first.proof.holds] == ["state = Running", "probe.failing", "file.present"]
    assert second.proof is not None
    assert (second.words, [str(signal) for signal in second.proof.excludes]) == (("held", "lock"), ["file.present"])
    assert third.proof is not None
    assert [str(signal) for signal in third.proof.lacks] == ["state = Exited"]


def test_words_alone_prove_nothing() -> None:
    (found,) = shortlist(BOOKS, (), (hit("c"),))
    assert found.proof is None
    assert not found.applies
    assert offered((found,)) == ()


LOUD = Evidence(id="E99", source=Source.LOG, key="log", value="", text="died died kernel OOMKilled crash start-failed")


@pytest.mark.parametrize("evidence", [healed().now.evidence, hostile().now.evidence, (*EVIDENCE, LOUD)], ids=len)
def test_a_model_is_offered_what_the_evidence_proves_whatever_its_words_say(evidence: Sequence[Evidence]) -> None:
    hits = Fts5Search.over(built_in()).search(asked_of(evidence))
    proven = {
        match.runbook.head.id
        for cause in Cause
        for match in retrieve(
            built_in(), Diagnosis(cause=cause, confidence=0, evidence=(), by=Diagnoser.MODEL, summary=""), evidence
        )
    }
    assert {each.head.id for each in offered(shortlist(built_in(), evidence, hits))} == proven
    assert {each.head.id for each in offered(shortlist(built_in(), evidence))} == proven


def test_the_words_of_evidence_are_bounded() -> None:
    long = [Evidence(id=f"E{n}", source=Source.LOG, key="log", value="", text="word " * 80) for n in range(99)]
    assert len(asked_of(long).encode()) <= ASKED_BYTES_MAX


# Pins


def test_a_pin_is_the_id_and_the_beginning_of_the_digest() -> None:
    assert pinned("flag-file", "1a2b3c4d5e6f7788") == "flag-file@1a2b3c4d5e6f"
    assert pinned("flag-file", "") == "flag-file"


DRIFTS = {
    "the same": ("a", "a" * 64, ""),
    "of before runbooks were pinned": ("a", "", ""),
    "another text": ("a", "b" * 64, "runbook a@bbbbbbbbbbbb is now a@aaaaaaaaaaaa"),
    "gone": ("z", "z" * 64, "runbook z@zzzzzzzzzzzz is gone"),
    "gone, and never pinned": ("z", "", ""),
}


@pytest.mark.parametrize("name", DRIFTS)
def test_a_runbook_that_changed_or_went_is_told(name: str) -> None:
    id_, digest, told = DRIFTS[name]
    assert drift(BOOKS, id_, digest) == told
