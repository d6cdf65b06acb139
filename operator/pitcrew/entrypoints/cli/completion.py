"""Shell completion: commands by typer, names of services, incidents and runbooks out of files.

What is offered is read without a journal and without a socket, so that it is there at once; a name that is no plain
word is never offered to a shell.
"""

import os
import re
from collections.abc import Iterator, Mapping
from enum import StrEnum
from pathlib import Path

import typer

PROGRAM = "pitcrew"
VARIABLE = "_PITCREW_COMPLETE"
"""Set by the script in the shell: which completion is asked for."""
OFFERED_MAX = 200
"""The newest so many; a longer list helps nobody."""
_STATE = Path(".pitcrew/state")
_WORD = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?")
_ID = re.compile(r"^    id: ([a-z0-9-]{1,80}-[0-9]{1,9})$", re.MULTILINE)
_RUNBOOK = re.compile(r"\A---\r?\n(?:.*\n)*?id: ([a-z0-9][a-z0-9-]{0,62})\r?$", re.MULTILINE)
_BUILT_IN = Path(__file__).parent.parent.parent / "runbooks"
_STATUS_BYTES_MAX = 1 << 20


class Shell(StrEnum):
    """A shell that can complete."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


def script(shell: Shell) -> str:
    """What a shell has to read once."""
    from typer._completion_shared import get_completion_script

    return get_completion_script(prog_name=PROGRAM, complete_var=VARIABLE, shell=shell.value)


def complete_if_asked() -> None:
    """Make typer's classes known where a shell asks; otherwise they are not needed."""
    if VARIABLE in os.environ:
        from typer._completion_classes import completion_init

        completion_init()


def service_names(context: typer.Context, incomplete: str) -> list[str]:
    """Services that the operator has seen, with their namespace where it is typed or needed."""
    keys = [tuple(path.stem.split(".")) for path in _files(context, "status", "*.yaml")]
    plain = [key for key in keys if len(key) == 2 and all(map(_WORD.fullmatch, key))]
    names = [name for _, name in plain]
    offered = [name if names.count(name) == 1 and "/" not in incomplete else f"{space}/{name}" for space, name in plain]
    return sorted(offered)[:OFFERED_MAX]


def incident_ids(context: typer.Context, incomplete: str) -> list[str]:
    """Incidents that have a report or are in a status, the newest first."""
    found = {path.stem for path in _files(context, "reports", "*.md")}
    for path in _files(context, "status", "*.yaml"):
        found |= set(_ID.findall(_text(path)))
    return sorted(filter(_WORD.fullmatch, found), key=_number, reverse=True)[:OFFERED_MAX]


def runbook_ids(context: typer.Context, incomplete: str) -> list[str]:
    """Runbooks: the built-in ones, and those of the directories that are named or set."""
    named: Mapping[str, object] = context.params
    given = named.get("runbooks") or os.environ.get("PITCREW_RUNBOOKS", "").split(os.pathsep)
    directories = [_BUILT_IN, *(Path(str(each)) for each in (given if isinstance(given, list | tuple) else ()) if each)]
    found = {id_ for each in directories for page in _pages(each) for id_ in _RUNBOOK.findall(_text(page))[:1]}
    return sorted(found)[:OFFERED_MAX]


def causes(context: typer.Context, incomplete: str) -> list[str]:
    """Every cause that a runbook can treat."""
    from pitcrew.core.diagnosis import Cause

    return [str(cause) for cause in Cause if cause is not Cause.UNKNOWN]


def _pages(directory: Path) -> list[Path]:
    try:
        return [path for path in directory.glob("*.md") if path.is_file()]
    except OSError:
        return []


def _number(incident: str) -> tuple[int, str]:
    name, _, number = incident.rpartition("-")
    return (int(number) if number.isdigit() else 0, name)


def _files(context: typer.Context, folder: str, pattern: str) -> Iterator[Path]:
    params: Mapping[str, object] = context.params
    state = params.get("state") or os.environ.get("PITCREW_STATE") or _STATE
    try:
        yield from (Path(str(state)) / folder).glob(pattern)
    except OSError:
        return


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(_STATUS_BYTES_MAX).decode("utf-8", "replace")
    except OSError:
        return ""
