"""Linting files of people: every problem at once with its place, whatever the files hold."""

import os
from pathlib import Path

import pytest

from pitcrew.adapters.runbooks.files import RunbookFiles, built_in
from pitcrew.adapters.runbooks.linting import lint_paths
from pitcrew.adapters.runbooks.skeleton import skeleton
from pitcrew.core.diagnosis import Cause
from pitcrew.core.errors import InvalidInput
from tests.adapters.test_runbook_files import MINE, written

GOLDEN = Path(__file__).parent.parent / "golden"
GOOD = MINE.replace("id: hang", "id: mine").replace("Text.", "# Our own way with hangs")
BAD = """---
id: {id}
title: All wrong
cause: Hang
signals:
  - {{fact: state, equals: Runing}}
  - fact: deviation
    equals: [NotRunning, RestartLop]
not-when:
  - {{log: failed at 10:00:00}}
remedies:
  - {{action: restart, undo: at-end}}
ask: look at {{file.present}}
verify: by hand
---
No heading.
"""


def said(*paths: Path) -> list[str]:
    return [str(remark).replace(str(paths[0].parent), "") for remark in lint_paths(paths).remarks]


def test_the_built_in_runbooks_are_linted_without_a_path_and_nothing_is_said() -> None:
    linted = lint_paths(())
    assert linted.remarks == ()
    assert [page.runbook for page in linted.pages] == list(built_in())


def test_every_problem_reads_as_its_golden_file(tmp_path: Path) -> None:
    books = tmp_path / "books"
    written(books, BAD.format(id="bad"), "a-bad.md")
    written(books, GOOD.replace("id: mine", "id: hang"), "b-shadow.md")
    written(books, GOOD, "c-good.md")
    written(books, GOOD, "d-twice.md")
    written(books, GOOD.replace("Hang", "Gremlins").replace("ask: call us\n", ""), "e-cause.md")
    written(books, GOOD.replace("ask:", "remedies: [{action: reboot}]\nask:").replace("state", "mood"), "f-action.md")
    text = "\n".join(said(books)) + "\n"
    path = GOLDEN / "runbooks-lint.txt"
    if os.environ.get("PITCREW_GOLDEN") == "write":
        path.write_text(text)
    assert text == path.read_text()


def test_files_and_directories_may_be_mixed_and_a_file_that_is_named_twice_has_its_id_twice(tmp_path: Path) -> None:
    path = written(tmp_path / "books", GOOD)
    assert said(path) == []
    assert ["mine is the id of" in line for line in said(tmp_path / "books", path)] == [True]


HOSTILE = {
    "no text at all": (b"", "no front matter"),
    "bytes that are no text": (b"\xff\xfe\x00" * 99, "no front matter"),
    "a megabyte": (b"x" * (1 << 20), "above 65536 for a runbook"),
    "an alias bomb": (b"---\na: &a [x]\nb: [*a, *a]\n---\n", "anchors"),
    "deep nesting": (b"---\na: " + b"[" * 3000 + b"\n---\n", "no YAML"),
    "a tag": (b"---\nid: !!python/object/apply:os.system [reboot]\n---\n", "tags are not allowed"),
    "control characters": (GOOD.replace("id: mine", "id: \x1b[2J").encode(), "no YAML"),
    "an id that is a path": (GOOD.replace("id: mine", "id: ../../etc/passwd").encode(), "id: String should match"),
    "a list": (b"---\n- a\n---\n", "valid dictionary"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_told_and_nothing_else_happens(tmp_path: Path, name: str) -> None:
    raw, fact = HOSTILE[name]
    path = written(tmp_path / "books", "", "hostile.md")
    path.write_bytes(raw)
    written(tmp_path / "books", GOOD)
    linted = lint_paths([tmp_path / "books"])
    assert [page.runbook.head.id for page in linted.pages] == ["mine"]
    assert any(fact in str(remark) for remark in linted.remarks)
    assert all("\x1b" not in str(remark) for remark in linted.remarks)


def test_what_others_can_write_is_an_error_here_too(tmp_path: Path) -> None:
    written(tmp_path / "books", GOOD).chmod(0o666)
    assert said(tmp_path / "books") == ["/books/mine.md: others can write it (mode 0666); chmod go-w it"]


# To begin with


@pytest.mark.parametrize("cause", [each for each in Cause if each is not Cause.UNKNOWN], ids=str)
def test_a_skeleton_passes_lint_and_is_used_for_its_cause(tmp_path: Path, cause: Cause) -> None:
    written(tmp_path / "books", skeleton("our-own", cause), "our-own.md")
    assert said(tmp_path / "books") == []
    found = {one.head.id: one for one in RunbookFiles.load([tmp_path / "books"]).runbooks()}
    assert found["our-own"].head.cause is cause
    assert found["our-own"].text.startswith(f"# {found['our-own'].head.title}\n")


@pytest.mark.parametrize("id_", ["", "-a", "A", "../x", "a b", "a\nb", "x" * 64], ids=repr)
def test_an_id_that_is_none_is_refused(id_: str) -> None:
    with pytest.raises(InvalidInput, match="take small letters"):
        skeleton(id_, "Hang")


@pytest.mark.parametrize("cause", ["", "Unknown", "hang", "Gremlins"])
def test_a_cause_that_no_runbook_can_treat_is_refused_with_those_that_one_can(cause: str) -> None:
    with pytest.raises(InvalidInput, match="take one of FlagFile, Hang, Died"):
        skeleton("mine", cause)
