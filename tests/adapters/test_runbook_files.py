"""Runbooks on disk: the built-in ones treat every cause, and what a person wrote is taken or refused with its place."""

import os
from pathlib import Path

import pytest

from pitcrew.adapters.runbooks.files import RunbookFiles, built_in
from pitcrew.adapters.runbooks.page import read_page
from pitcrew.core.deviation import Deviation, DeviationKind
from pitcrew.core.diagnosis import Cause, diagnose
from pitcrew.core.errors import InvalidInput
from pitcrew.core.evidence import Evidence
from pitcrew.core.observation import Outcome, ProbeReason, ProbeResult, RuntimeState, StoppedBy
from pitcrew.core.resource import Actions
from pitcrew.core.runbook import retrieve
from tests.core.incidents import BEGIN, PROBE_FAILS, evidence_of, facts, failing

NOT_RUNNING = Deviation(kind=DeviationKind.NOT_RUNNING)
EXITED = {"state": RuntimeState.EXITED, "files": ()}


def only(kind: DeviationKind) -> tuple[Deviation, ...]:
    return (Deviation(kind=kind),)


def broken_check() -> ProbeResult:
    return ProbeResult(probe="health", at=BEGIN, outcome=Outcome.UNKNOWN, reason=ProbeReason.CHECK_BROKEN)


CHOSEN: dict[str, tuple[tuple[Evidence, ...], str]] = {
    "a 500 beside the flag file": (evidence_of(facts(), failing(), found=(PROBE_FAILS,)), "flag-file"),
    "a timeout": (evidence_of(facts(files=()), failing(ProbeReason.TIMEOUT, None), found=(PROBE_FAILS,)), "hang"),
    "a timeout beside the flag file": (
        evidence_of(facts(), failing(ProbeReason.TIMEOUT, None), found=(PROBE_FAILS,)),
        "hang",
    ),
    "processes stopped by a signal": (
        evidence_of(facts(files=(), suspended=True), failing(ProbeReason.REFUSED, None), found=(PROBE_FAILS,)),
        "hang",
    ),
    "a death of its own": (
        evidence_of(facts(**EXITED, stopped_by=StoppedBy.ITSELF, exit_code=137), found=(NOT_RUNNING,)),
        "died",
    ),
    "a command that cannot be run": (
        evidence_of(facts(**EXITED, stopped_by=StoppedBy.ITSELF, exit_code=127), found=(NOT_RUNNING,)),
        "",
    ),
    "created and never started": (
        evidence_of(facts(state=RuntimeState.CREATED, files=(), ever_started=False), found=(NOT_RUNNING,)),
        "not-started",
    ),
    "a port that is taken": (
        evidence_of(
            facts(state=RuntimeState.CREATED, files=(), ever_started=False, error="port is already allocated"),
            found=(NOT_RUNNING,),
        ),
        "start-failed",
    ),
    "deaths again and again": (
        evidence_of(
            facts(**EXITED, stopped_by=StoppedBy.ITSELF, deaths=4),
            found=(NOT_RUNNING, Deviation(kind=DeviationKind.RESTART_LOOP)),
        ),
        "crash-loop",
    ),
    "paused": (evidence_of(facts(state=RuntimeState.PAUSED, files=()), found=only(DeviationKind.PAUSED)), "paused"),
    "ended, nobody knows how": (evidence_of(facts(**EXITED, exit_code=0), found=(NOT_RUNNING,)), "stopped-by-someone"),
    "refused connections": (
        evidence_of(facts(files=()), failing(ProbeReason.REFUSED, None), found=(PROBE_FAILS,)),
        "not-answering",
    ),
    "a 500 and nothing else": (evidence_of(facts(files=()), failing(), found=(PROBE_FAILS,)), "service-errors"),
    "a 500 and a full disk": (
        evidence_of(
            facts(files=()),
            failing(),
            found=(PROBE_FAILS,),
            logs=("OSError: [Errno 28] No space left on device",),
        ),
        "disk-full",
    ),
    "a 500 and a dependency that is away": (
        evidence_of(facts(files=()), failing(), found=(PROBE_FAILS,), logs=("upstream db:5432: Connection refused",)),
        "dependency-blamed",
    ),
    "a check that cannot run": (evidence_of(facts(files=()), broken_check(), found=()), "check-broken"),
    "swings": (
        evidence_of(facts(files=()), failing(), found=(Deviation(kind=DeviationKind.FLAPPING, probe="httpget-0"),)),
        "flapping",
    ),
}


@pytest.mark.parametrize("seen", CHOSEN)
def test_the_evidence_chooses_the_runbook(seen: str) -> None:
    evidence, chosen = CHOSEN[seen]
    matches = retrieve(built_in(), diagnose(evidence)[0], evidence)
    assert [match.runbook.head.id for match in matches[:1]] == ([chosen] if chosen else [])


def test_every_cause_that_can_be_known_has_a_built_in_runbook() -> None:
    treated = {runbook.head.cause for runbook in built_in()}
    assert treated == set(Cause) - {Cause.UNKNOWN}


@pytest.mark.parametrize("runbook", built_in(), ids=lambda runbook: runbook.head.id)
def test_a_built_in_runbook_has_remedies_of_the_catalogue_and_text_for_people(runbook) -> None:  # type: ignore[no-untyped-def]
    names = {field.alias or name for name, field in Actions.model_fields.items()}
    assert {remedy.action for remedy in runbook.head.remedies} <= names
    assert runbook.text.startswith(f"# {runbook.head.title}\n")
    for part in ("**What it is.**", "**How to see it.**", "**Verified by**"):
        assert part in runbook.text


MINE = """---
id: hang
title: Our own way with hangs
cause: Hang
signals:
  - {fact: state, equals: Running}
ask: call us
verify: by hand
---
Text.
"""


def written(directory: Path, text: str, name: str = "mine.md") -> Path:
    directory.mkdir(exist_ok=True)
    directory.chmod(0o755)
    path = directory / name
    path.write_text(text)
    path.chmod(0o644)
    return path


def test_a_runbook_of_people_replaces_the_built_in_one_with_its_id(tmp_path: Path) -> None:
    path = written(tmp_path / "books", MINE)
    found = {one.head.id: one for one in RunbookFiles.load([tmp_path / "books"]).runbooks()}
    assert found["hang"].origin == str(path)
    assert found["hang"].head.remedies == ()
    assert found["died"].origin == "built-in"


def refusal(*directories: Path) -> str:
    with pytest.raises(InvalidInput) as refused:
        RunbookFiles.load(directories)
    return str(refused.value)


BROKEN = {
    "an unknown fact": ("fact: state", "fact: mood", ":6: signals.0: ", "no evidence carries the fact 'mood'"),
    "an unknown cause": ("cause: Hang", "cause: Gremlins", ":4: cause: ", "'Hang'"),
    "an unknown field": ("ask: call us", "ask: call us\ncommand: rm -rf /", ":8: command: ", "not permitted"),
    "a missing field": ("ask: call us\n", "", ": ask: ", "required"),
    "an action that is not in the catalogue": (
        "ask: call us",
        "remedies: [{action: reboot}]\nask: call us",
        ":7: remedies.0.action: ",
        "removeFile",
    ),
    "a field named twice": ("ask: call us", "ask: call us\nask: call me", ":8: ask: ", "named twice"),
    "an anchor": ("ask: call us", "ask: &a call us", ":7: ", "anchors"),
    "an alias": ("verify: by hand", "verify: *a", ":8: ", "aliases"),
    "a tag": ("ask: call us", "ask: !!python/name:os.system x", ":7: ", "tags"),
    "no YAML": ("ask: call us", "ask: [", ":", "expected"),
    "no front matter": ("---\nid", "id", ":1: ", "no front matter"),
    "too deep": ("ask: call us", "ask: " + "[" * 40 + "]" * 40, ":7: ", "nested deeper"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_runbook_is_refused_with_its_place(tmp_path: Path, name: str) -> None:
    before, after, place, fact = BROKEN[name]
    path = written(tmp_path / "books", MINE.replace(before, after, 1))
    message = refusal(tmp_path / "books")
    assert message.startswith(str(path))
    assert place in message
    assert fact in message


def test_every_broken_runbook_is_named_at_once(tmp_path: Path) -> None:
    written(tmp_path / "books", "nothing", "a.md")
    written(tmp_path / "books", MINE.replace("Hang", "Gremlins"), "b.md")
    assert [line.split(":")[0] for line in refusal(tmp_path / "books").splitlines()] == [
        str(tmp_path / "books" / name) for name in ("a.md", "b.md")
    ]


def test_what_others_can_write_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "books", MINE)
    path.chmod(0o666)
    assert "others can write it (mode 0666); chmod go-w it" in refusal(tmp_path / "books")
    path.chmod(0o644)
    path.parent.chmod(0o777)
    assert "others can write it (mode 0777)" in refusal(tmp_path / "books")


def test_links_and_pipes_are_refused(tmp_path: Path) -> None:
    elsewhere = written(tmp_path / "elsewhere", MINE)
    written(tmp_path / "books", MINE)
    (tmp_path / "books" / "link.md").symlink_to(elsewhere)
    os.mkfifo(tmp_path / "books" / "pipe.md", 0o600)
    message = refusal(tmp_path / "books")
    assert "link.md: cannot be read" in message
    assert "pipe.md: not a regular file" in message
    (tmp_path / "other").symlink_to(tmp_path / "elsewhere")
    assert "not a directory" in refusal(tmp_path / "other")


def test_a_directory_that_is_not_there_is_told(tmp_path: Path) -> None:
    assert refusal(tmp_path / "nowhere") == f"{tmp_path}/nowhere: No such file or directory"


def test_a_page_beyond_its_size_is_refused() -> None:
    with pytest.raises(InvalidInput, match="above 65536 for a runbook"):
        read_page("big.md", MINE.encode() + b"x" * 65536, "test")


def test_control_characters_in_the_text_are_shown_as_escapes() -> None:
    assert read_page("p", MINE.encode() + b"\x1b[2J", "test").runbook.text == "Text.\n\\x1b[2J"
