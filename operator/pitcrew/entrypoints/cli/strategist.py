"""Runbooks as people meet them: listed, read, searched with reasons, checked, begun."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from pitcrew.adapters.runbooks.files import RunbookFiles
from pitcrew.adapters.runbooks.linting import lint_paths
from pitcrew.adapters.runbooks.skeleton import skeleton
from pitcrew.adapters.search.fts5 import Fts5Search
from pitcrew.core.errors import InvalidInput
from pitcrew.core.evidence import Evidence
from pitcrew.core.record import Json
from pitcrew.core.runbook import Runbook
from pitcrew.core.shortlist import Listed, asked_of, shortlist
from pitcrew.entrypoints.cli.output import Output, say, say_data, say_table, shown
from pitcrew.entrypoints.cli.state import one_incident, told_by
from pitcrew.settings import load

SHOWN_MAX = 10
"""Runbooks that a search shows; who finds nothing in ten asks in other words."""


def loaded(directories: Sequence[Path] | None) -> RunbookFiles:
    """The built-in runbooks and those of the directories named or set. Raises InvalidInput."""
    return RunbookFiles.load(load({"runbooks": tuple(directories) if directories else None}).runbooks)


def evidence_of(state: Path, incident: str) -> Sequence[Evidence]:
    """The evidence of an incident as it was gathered last. Raises InvalidInput where there is none."""
    told = told_by(state)
    if told.doubt:
        say(f"warning: the journal does not hold: {told.doubt}", error=True)
    found, _ = one_incident(told, incident)
    if not found.evidence:
        raise InvalidInput(f"{incident} has no evidence yet; search for words instead")
    return found.evidence


def show_runbooks(source: RunbookFiles, output: Output) -> None:
    """Every runbook, by id."""
    found = sorted(source.runbooks(), key=lambda each: each.head.id)
    if output.for_tools:
        items: list[Json] = [_data(each) for each in found]
        say_data({"items": items}, output)
        return
    rows = [[each.pin, each.head.cause, _remedies(each), each.origin, each.head.title] for each in found]
    say_table(["RUNBOOK", "CAUSE", "REMEDIES", "ORIGIN", "TITLE"], rows)


def _remedies(runbook: Runbook) -> str:
    return ", ".join(remedy.action for remedy in runbook.head.remedies) or "none, a person is asked"


def _data(runbook: Runbook) -> dict[str, Json]:
    return {
        "id": runbook.head.id,
        "digest": runbook.digest,
        "cause": str(runbook.head.cause),
        "remedies": [remedy.action for remedy in runbook.head.remedies],
        "origin": runbook.origin,
        "title": shown(runbook.head.title),
    }


def show_runbook(source: RunbookFiles, runbook: str) -> None:
    """One runbook as it stands in its file, control characters as escapes."""
    page = next((each for each in source.pages if each.runbook.head.id == runbook), None)
    if page is None:
        raise InvalidInput(f"no runbook is named {runbook!r}; `pitcrew runbooks list` has them")
    say(page.source.rstrip("\n"))


# Searching


def search_runbooks(source: RunbookFiles, words: str, evidence: Sequence[Evidence], output: Output) -> None:
    """The best runbooks for words and evidence, each with why. Raises InvalidInput where nothing is asked."""
    asked = f"{words} {asked_of(evidence)}".strip()
    if not asked:
        raise InvalidInput("nothing to search for; name words, or --incident INCIDENT")
    search = Fts5Search.over(source.runbooks())
    found = shortlist(source.runbooks(), evidence, search.search(asked))
    if output.for_tools:
        items: list[Json] = [_found_data(one) for one in found[:SHOWN_MAX]]
        say_data({"items": items}, output)
    elif found:
        rows = [[one.runbook.pin, one.runbook.head.cause, _why(one)] for one in found[:SHOWN_MAX]]
        say_table(["RUNBOOK", "CAUSE", "WHY"], rows)
    if len(found) > SHOWN_MAX or not found:
        say(f"{len(found) - SHOWN_MAX} more, worse ones" if found else "no runbook has any of these words", error=True)


def _why(one: Listed) -> str:
    """Why it stands where it stands."""
    words = f"words: {', '.join(one.words)}" if one.words else "no words"
    return f"{_proven(one)}; {words}" if one.proof else words


def _proven(one: Listed) -> str:
    if one.proof is None or one.proof.applies:
        return f"proven by {' '.join(one.proof.evidence)}" if one.proof else ""
    if one.proof.excludes:
        return f"excluded: {', '.join(map(str, one.proof.excludes))}"
    return f"not proven: lacks {', '.join(map(str, one.proof.lacks))}"


def _found_data(one: Listed) -> Mapping[str, Json]:
    proof = one.proof
    return {
        **_data(one.runbook),
        "proven": one.applies,
        "holds": [str(signal) for signal in proof.holds] if proof else [],
        "lacks": [str(signal) for signal in proof.lacks] if proof else [],
        "excludedBy": [str(signal) for signal in proof.excludes] if proof else [],
        "evidence": list(proof.evidence) if proof else [],
        "words": list(one.words),
    }


# Checking and beginning


def lint_runbooks(files: Sequence[Path], *, strict: bool) -> bool:
    """Print every problem; whether there is no error. Raises InvalidInput where a path is not there."""
    paths = tuple(files) or load({}).runbooks
    for path in paths:
        if not os.path.lexists(path):
            raise InvalidInput(f"{path}: no such file or directory; name runbooks or directories of them")
    linted = lint_paths(paths)
    for remark in linted.remarks:
        say(shown(remark))
    warnings = sum(remark.warning for remark in linted.remarks)
    errors = len(linted.remarks) - warnings
    say(f"read: {len(linted.pages)}, errors: {errors}, warnings: {warnings}")
    return errors == 0 and not (strict and warnings)


def begin_runbook(runbook: str, cause: str, into: Path) -> None:
    """Write a runbook to begin with. Raises InvalidInput where the id or cause cannot be used, or the file is there."""
    text = skeleton(runbook, cause)
    path = into / f"{runbook}.md"
    try:
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644), "w") as file:
            file.write(text)
    except FileExistsError:
        raise InvalidInput(f"{path}: is there already and stays as it is; choose another id, or edit it") from None
    except OSError as error:
        raise InvalidInput(f"{path}: cannot be written ({error.strerror}); name a directory with --into") from None
    say(f"{shown(path)} is written; edit it, check it with `pitcrew runbooks lint`, then start PitCrew with --runbooks")
