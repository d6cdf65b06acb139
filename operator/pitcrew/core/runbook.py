"""Runbooks: knowledge written by people. The cause one treats, the signals that prove it, the remedies in order.

The text after the front matter is for people (and later for a prompt); only the front matter decides.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from pitcrew.core.diagnosis import Cause, Diagnosis
from pitcrew.core.evidence import Evidence
from pitcrew.core.signal import Signal, all_shown, shown, unread


class Remedy(BaseModel):
    """One action by its catalogue name; its parameters are bound from the service's declaration and the evidence.

    `undo` says when it is taken back if it did not help: `at-once`, or `at-end` when the next remedy builds on it and
    only a failed incident takes it back. `not_when` are exclusions of this remedy alone, beside those of its runbook.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=lambda name: name.replace("_", "-"))

    action: Literal["start", "restart", "removeFile", "unpause", "connectNetwork"]
    undo: Literal["at-once", "at-end"] = "at-once"
    not_when: Annotated[tuple[Signal, ...], Field(max_length=16)] = ()


class RunbookHead(BaseModel):
    """The front matter of a runbook."""

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=lambda name: name.replace("_", "-"))

    id: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
    title: Annotated[str, StringConstraints(min_length=3, max_length=120)]
    cause: Cause
    signals: Annotated[tuple[Signal, ...], Field(min_length=1, max_length=16)]
    remedies: Annotated[tuple[Remedy, ...], Field(max_length=8)] = ()
    not_when: Annotated[tuple[Signal, ...], Field(max_length=16)] = ()
    ask: Annotated[str, StringConstraints(min_length=3, max_length=300)]
    verify: Annotated[str, StringConstraints(min_length=3, max_length=300)]


@dataclass(frozen=True, kw_only=True, slots=True)
class Runbook:
    """A runbook: what decides (`head`), what people read (`text`), and where it came from.

    `head.ask` is what a person must do when the remedies end or there are none.
    """

    head: RunbookHead
    text: str
    origin: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Match:
    """A runbook that applies to a diagnosis, with the evidence that proves it."""

    runbook: Runbook
    evidence: tuple[str, ...]


def excluded(exclusions: Iterable[Signal], evidence: Sequence[Evidence]) -> Signal | None:
    """The first exclusion that holds.

    One over a log that could not be read counts as holding: missing evidence is no reason to act (S9).
    """
    return next((one for one in exclusions if shown(one, evidence).holds or unread(one, evidence)), None)


def retrieve(runbooks: Iterable[Runbook], diagnosis: Diagnosis, evidence: Sequence[Evidence]) -> tuple[Match, ...]:
    """The runbooks for a cause whose signals hold and whose exclusions do not, the most specific first."""
    found = []
    for runbook in runbooks:
        proof = all_shown(runbook.head.signals, evidence)
        fits = proof.holds and excluded(runbook.head.not_when, evidence) is None
        if runbook.head.cause is diagnosis.cause and fits:
            found.append(Match(runbook=runbook, evidence=proof.evidence))
    return tuple(sorted(found, key=lambda match: (-len(match.runbook.head.signals), match.runbook.head.id)))
