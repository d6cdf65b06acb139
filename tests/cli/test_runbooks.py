"""Runbooks at the command line: found with reasons, checked with places, begun without harm."""

import asyncio
import json
import os
import re
from pathlib import Path

import pytest
import yaml

from pitcrew.adapters.runbooks.files import built_in
from tests.adapters.test_runbook_files import MINE, written
from tests.adapters.test_runbook_linting import BAD, GOOD
from tests.cli.test_cli import GOLDEN, ROOT, journalled, pitcrew
from tests.cli.test_completion import completed
from tests.core import incidents


def as_golden(name: str, text: str) -> None:
    path = GOLDEN / name
    if os.environ.get("PITCREW_GOLDEN") == "write":
        path.write_text(text)
    assert text == path.read_text()


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A state directory with the journal of one incident whose evidence an attacker wrote."""
    (tmp_path / "state").mkdir(mode=0o755)
    asyncio.run(journalled(tmp_path / "state", [incidents.hostile()]))
    return tmp_path / "state"


def test_every_runbook_is_listed_with_its_pin_and_origin(tmp_path: Path) -> None:
    path = written(tmp_path / "books", GOOD)
    done = pitcrew("runbooks", "list", "--runbooks", tmp_path / "books")
    lines = done.stdout.splitlines()
    assert (done.returncode, lines[0].split()) == (0, ["RUNBOOK", "CAUSE", "REMEDIES", "ORIGIN", "TITLE"])
    assert len(lines) == 2 + len(built_in())
    (mine,) = [line for line in lines if line.startswith("mine@")]
    assert str(path) in mine
    assert "none, a person is asked" in mine
    (item,) = [
        one for one in json.loads(pitcrew("runbooks", "list", "-o", "json").stdout)["items"] if one["id"] == "flag-file"
    ]
    assert (item["cause"], item["remedies"], item["origin"]) == ("FlagFile", ["removeFile", "restart"], "built-in")
    assert re.fullmatch("[0-9a-f]{64}", item["digest"])


def test_the_directories_may_come_from_the_environment(tmp_path: Path) -> None:
    written(tmp_path / "books", GOOD)
    assert "mine@" in pitcrew("runbooks", "list", PITCREW_RUNBOOKS=str(tmp_path / "books")).stdout


def test_a_runbook_is_shown_as_it_stands_in_its_file(tmp_path: Path) -> None:
    shipped = (ROOT / "operator" / "pitcrew" / "runbooks" / "hang.md").read_text()
    assert pitcrew("runbooks", "show", "hang").stdout == shipped
    written(tmp_path / "books", GOOD + "\x1b[2J \u202egnp.exe\n")
    mine = pitcrew("runbooks", "show", "mine", "--runbooks", tmp_path / "books").stdout
    assert mine == GOOD + "\\x1b[2J \\u202egnp.exe\n"


def test_a_runbook_that_is_not_there_is_3() -> None:
    done = pitcrew("runbooks", "show", "hnag")
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr == "pitcrew: no runbook is named 'hnag'; `pitcrew runbooks list` has them\n"


# Searching


def test_words_find_runbooks_with_reasons() -> None:
    done = pitcrew("runbooks", "search", "killed", "memory")
    assert (done.returncode, done.stderr) == (0, "")
    as_golden("runbooks-search.txt", done.stdout)


def test_the_evidence_of_an_incident_ranks_and_proves(state: Path) -> None:
    done = pitcrew("runbooks", "search", "--incident", "victim-1", "--state", state)
    assert done.returncode == 0
    as_golden("runbooks-search-incident.txt", done.stdout)
    items = json.loads(pitcrew("runbooks", "search", "--incident", "victim-1", "--state", state, "-o", "json").stdout)
    first = items["items"][0]
    assert (first["id"], first["proven"], first["lacks"]) == ("flag-file", True, [])
    assert [one["proven"] for one in items["items"]] == sorted((one["proven"] for one in items["items"]), reverse=True)


@pytest.mark.parametrize("words", ["zebra", '" OR * NEAR( -', "x" * 100_000, "-- '; DROP TABLE books"], ids=len)
def test_words_that_nobody_wrote_find_nothing_and_do_no_harm(words: str) -> None:
    done = pitcrew("runbooks", "search", "--", words)
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == "no runbook has any of these words\n"


def test_asking_for_nothing_or_an_incident_that_is_not_there_is_3(state: Path) -> None:
    nothing = pitcrew("runbooks", "search")
    assert (nothing.returncode, nothing.stderr) == (
        3,
        "pitcrew: nothing to search for; name words, or --incident INCIDENT\n",
    )
    assert pitcrew("runbooks", "search", "--incident", "victim-9", "--state", state).returncode == 3


# Checking


def test_lint_names_each_problem_and_is_1_where_there_are_errors(tmp_path: Path) -> None:
    path = written(tmp_path / "books", BAD.format(id="bad"), "bad.md")
    done = pitcrew("runbooks", "lint", tmp_path / "books")
    assert done.returncode == 1
    assert f"{path}:6: signals.0: state is never Runing; it can be Running or " in done.stdout
    assert done.stdout.splitlines()[-1] == "read: 1, errors: 5, warnings: 1"


def test_warnings_are_0_and_1_where_they_are_taken_for_errors(tmp_path: Path) -> None:
    written(tmp_path / "books", GOOD.replace("id: mine", "id: hang"))
    done = pitcrew("runbooks", "lint", tmp_path / "books")
    assert done.returncode == 0
    assert ":2: id: warning: it replaces the built-in runbook hang; choose another id unless" in done.stdout
    assert pitcrew("runbooks", "lint", "--strict", tmp_path / "books").returncode == 1


def test_lint_of_nothing_named_reads_what_is_set_or_built_in(tmp_path: Path) -> None:
    written(tmp_path / "books", GOOD)
    alone = pitcrew("runbooks", "lint", "--strict")
    assert (alone.returncode, alone.stdout) == (0, f"read: {len(built_in())}, errors: 0, warnings: 0\n")
    assert pitcrew("runbooks", "lint", PITCREW_RUNBOOKS=str(tmp_path / "books")).stdout.startswith("read: 1,")


def test_a_path_that_is_not_there_is_3(tmp_path: Path) -> None:
    done = pitcrew("runbooks", "lint", tmp_path / "nowhere")
    assert done.returncode == 3
    assert "no such file or directory; name runbooks or directories of them" in done.stderr


# Beginning


def test_a_runbook_that_is_begun_passes_lint_and_is_never_written_over(tmp_path: Path) -> None:
    done = pitcrew("runbooks", "new", "our-hang", "--cause", "Hang", "--into", tmp_path)
    assert done.returncode == 0
    path = tmp_path / "our-hang.md"
    tmp_path.chmod(0o755)
    assert pitcrew("runbooks", "lint", "--strict", path).returncode == 0
    path.write_text("mine")
    again = pitcrew("runbooks", "new", "our-hang", "--cause", "Hang", "--into", tmp_path)
    assert (again.returncode, path.read_text()) == (3, "mine")
    assert again.stderr == f"pitcrew: {path}: is there already and stays as it is; choose another id, or edit it\n"


def test_a_link_that_lies_there_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "our-hang.md").symlink_to(tmp_path / "elsewhere")
    assert pitcrew("runbooks", "new", "our-hang", "--cause", "Hang", "--into", tmp_path).returncode == 3
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize(
    ("id_", "cause", "told"),
    [("../mine", "Hang", "take small letters"), ("mine", "Gremlins", "take one of FlagFile, Hang")],
    ids=["a path", "no cause"],
)
def test_what_cannot_be_begun_is_3_and_nothing_is_written(tmp_path: Path, id_: str, cause: str, told: str) -> None:
    done = pitcrew("runbooks", "new", id_, "--cause", cause, "--into", tmp_path / "books")
    assert done.returncode == 3
    assert told in done.stderr
    assert list(tmp_path.iterdir()) == []


# Completion and docs


def test_ids_and_causes_are_completed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(tmp_path / "books", GOOD)
    written(tmp_path / "books", MINE.replace("id: hang", "id: $(reboot)"), "evil.md")
    assert completed(tmp_path, "pitcrew", "runbooks", "show", "out") == [
        *("out-of-memory", "out-of-memory-again", "out-of-memory-worker")
    ]
    named = ("pitcrew", "runbooks", "show", f"--runbooks={tmp_path / 'books'}")
    assert completed(tmp_path, *named, "mi") == ["mine"]
    assert completed(tmp_path, *named, "$") == []
    assert completed(tmp_path, "pitcrew", "runbooks", "new", "x", "--cause", "Out") == ["OutOfMemory"]
    assert completed(tmp_path, "pitcrew", "runbooks", "l") == ["list", "lint"]


def test_the_example_of_the_how_to_passes_lint_and_is_found_by_its_words(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "how-to" / "write-a-runbook.md").read_text()
    (example,) = re.findall(r"````markdown\n(.*?)````\n", page, re.S)
    head = yaml.safe_load(example.split("---")[1])
    path = written(tmp_path / "books", example, f"{head['id']}.md")
    assert pitcrew("runbooks", "lint", "--strict", path).returncode == 0
    found = pitcrew("runbooks", "search", *head["title"].split(), "--runbooks", tmp_path / "books").stdout
    assert found.splitlines()[1].startswith(f"{head['id']}@")
