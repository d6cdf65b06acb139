"""Search over runbooks: what is asked for is words and never a query, and the same words find the same."""

import sqlite3
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pitcrew.adapters.runbooks.files import built_in
from pitcrew.adapters.runbooks.page import read_page
from pitcrew.adapters.search import fts5
from pitcrew.adapters.search.fts5 import WORDS_MAX, Fts5Search, plain_words
from pitcrew.bootstrap import open_world
from pitcrew.core.errors import InvalidInput
from pitcrew.core.runbook import Runbook
from pitcrew.core.shortlist import asked_of
from pitcrew.entrypoints.cli.doctor import Patient, examine
from pitcrew.entrypoints.cli.guards import Stand
from pitcrew.settings import Settings
from tests.core.incidents import healed

PAGE = """---
id: {id}
title: {title}
cause: {cause}
signals:
  - {signal}
not-when:
  - {{log: submarine}}
ask: call us
verify: by hand
---
# Heading

{text}
"""


def book(
    id_: str, title: str = "Plain", text: str = "", signal: str = "{fact: process}", cause: str = "Hang"
) -> Runbook:
    page = PAGE.format(id=id_, title=title, text=text, signal=signal, cause=cause)
    return read_page(f"{id_}.md", page.encode(), "test").runbook


BOOKS = (
    book("in-text", text="Somebody saw a penguin here."),
    book("in-signal", signal="{log: penguin is here}"),
    book("in-title", title="The penguin sleeps"),
    book("other", text="Nothing of it.", cause="FlagFile"),
    book("plural", text="Many penguins, penguins and penguins, they restarted."),
)


@pytest.fixture(scope="module")
def search() -> Fts5Search:
    return Fts5Search.over(BOOKS)


def ids(search: Fts5Search, asked: str) -> list[str]:
    return [hit.runbook for hit in search.search(asked)]


def test_title_weighs_more_than_signals_and_those_more_than_text(search: Fts5Search) -> None:
    found = ids(search, "penguin")
    assert found[:2] == ["in-title", "in-signal"]
    assert set(found[2:]) == {"in-text", "plural"}


def test_other_forms_of_a_word_are_found_and_the_word_asked_for_is_told(search: Fts5Search) -> None:
    (hit,) = search.search("RESTARTING zebra")
    assert (hit.runbook, hit.words) == ("plural", ("restarting",))


def test_a_cause_is_found_by_its_words(search: Fts5Search) -> None:
    assert ids(search, "flag") == ids(search, "FlagFile") == ["other"]


def test_the_words_of_exclusions_find_nothing(search: Fts5Search) -> None:
    assert ids(search, "submarine") == []


HOSTILE = {
    "nothing": ("", []),
    "blanks": (" \n\t ", []),
    "quotes": ('"\' penguin "', ["in-title"]),
    "an open quote": ('"penguin', ["in-title"]),
    "operators": ("penguin OR NOT penguin", ["in-title"]),
    "a near": ("NEAR(penguin zebra, 0)", ["in-title"]),
    "a column": ("id : other {id} : other", ["other"]),
    "a caret, a star and brackets": ("^peng* (penguin)))", ["in-title"]),
    "a minus": ("- -penguin + :", ["in-title"]),
    "a NUL": ("pen\0guin penguin\0", ["in-title"]),
    "a statement": ("'; DROP TABLE books; --penguin", ["in-title"]),
    "a surrogate": ("\ud800penguin\udfff", ["in-title"]),
    "underscores": ("___ __penguin__", ["in-title"]),
    "a megabyte of one word": ("x" * (1 << 20), []),
    "a megabyte of quotes": ('"' * (1 << 20), []),
    "a megabyte of words": ("penguin " + " ".join(f"zz{n}" for n in range(150_000)), ["in-title"]),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_text_is_only_words(search: Fts5Search, name: str) -> None:
    asked, first = HOSTILE[name]
    assert ids(search, asked)[:1] == first
    assert len(plain_words(asked)) <= WORDS_MAX
    assert len(ids(search, "penguin")) == 4


PIECES = ['"', "^", "*", "(", ")", ":", "-", "+", "{", "}", "NEAR", "AND", "OR", "NOT", "id", "penguin", "\0", "\ud800"]


@given(st.text(max_size=400) | st.lists(st.sampled_from(PIECES)).map(" ".join))
def test_no_text_raises_and_the_same_text_finds_the_same(asked: str) -> None:
    assert _SHARED.search(asked) == _SHARED.search(asked)


_SHARED = Fts5Search.over(BOOKS)


def test_equal_runbooks_stand_by_their_ids_in_whatever_order_they_came() -> None:
    twins = [book(id_, title="The penguin sleeps") for id_ in ("m", "a", "z")]
    assert ids(Fts5Search.over(twins), "penguin") == ids(Fts5Search.over(twins[::-1]), "penguin") == ["a", "m", "z"]


def test_runbooks_with_hostile_text_can_be_indexed() -> None:
    odd = book("odd", title="'NEAR(penguin AND ^'", text='"\x00 \x1b[2J; DROP TABLE books; -- penguin')
    assert ids(Fts5Search.over([odd]), "penguin") == ["odd"]


def test_it_may_be_asked_in_any_thread(search: Fts5Search) -> None:
    found: list[list[str]] = []
    threads = [threading.Thread(target=lambda: found.append(ids(search, "penguin"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [ids(search, "penguin")] * 8


def test_the_evidence_of_a_flag_file_finds_its_runbook_first() -> None:
    hits = Fts5Search.over(built_in()).search(asked_of(healed().now.evidence))
    assert hits[0].runbook == "flag-file"
    assert "unhealthy" in hits[0].words


def test_a_sqlite_without_fts5_is_told_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fts5, "_TABLE", fts5._TABLE.replace("fts5(", "fts99("))
    with pytest.raises(InvalidInput) as refused:
        Fts5Search.over(BOOKS)
    assert str(refused.value) == (
        f"SQLite {sqlite3.sqlite_version} of this Python cannot search runbooks (no such module: fts99); "
        "use a Python whose sqlite3 was built with FTS5, such as that of Debian or python.org"
    )


@pytest.mark.parametrize(("model", "stand"), [("", Stand.OFF), ("some-model", Stand.NOT_ARMED)], ids=["rules", "model"])
def test_doctor_shows_a_sqlite_without_fts5(
    model: str, stand: Stand, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
    monkeypatch.setenv("PITCREW_MODEL", model)
    armed = {guard.name: guard for guard in examine(Patient(state=tmp_path))}["runbook search"]
    assert (armed.stand, armed.seen) == (Stand.ARMED, f"BM25 by SQLite {sqlite3.sqlite_version}, FTS5")
    monkeypatch.setattr(fts5, "_TABLE", fts5._TABLE.replace("fts5(", "fts99("))
    missing = {guard.name: guard for guard in examine(Patient(state=tmp_path))}["runbook search"]
    assert missing.stand is stand
    assert "cannot search runbooks (no such module: fts99); use a Python" in missing.seen
    assert "rules alone need no search" in missing.remedy


def test_an_operator_with_a_model_does_not_start_without_it_and_one_with_rules_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fts5, "_TABLE", fts5._TABLE.replace("fts5(", "fts99("))
    manifests = tmp_path / "manifests"
    manifests.mkdir(mode=0o755)
    for model in ("", "some-model"):
        settings = Settings(state=tmp_path / (model or "rules"), manifests=(manifests,), model=model, lock_dir=tmp_path)
        if not model:
            open_world(settings).journal_files.close()
            continue
        with pytest.raises(InvalidInput, match="use a Python whose sqlite3 was built with FTS5"):
            open_world(settings)
