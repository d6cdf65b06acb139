"""Runbooks: knowledge written by people. The cause one treats, the signals that prove it, the remedies in order.

The text after the front matter is for people (and later for a prompt); only the front matter decides.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from pitcrew.core.diagnosis import Cause, Diagnosis
from pitcrew.core.evidence import Evidence
from pitcrew.core.resource import DnsName
from pitcrew.core.signal import Signal, shown, unread

PIN_CHARS = 12
"""Characters of a digest that people are shown: 48 bits, more than enough to tell texts of a few runbooks apart."""

ID_PATTERN = "[a-z0-9][a-z0-9-]{0,62}"
"""Of a runbook's id."""
FILLED_IN = ("env.blamed", "dependency.down", "dependency.blamed")
"""Facts whose values stand in what a person is asked where the runbook names them in braces."""


class Remedy(BaseModel):
    """One action by its catalogue name; its parameters are bound from the service's declaration and the evidence.

    `command` names a declared command, and goes with runCommand alone; its arguments are the service's to declare.
    `undo` says when it is taken back if it did not help: `at-once`, or `at-end` when the next remedy builds on it and
    only a failed incident takes it back. `not_when` are exclusions of this remedy alone, beside those of its runbook.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=lambda name: name.replace("_", "-"))

    action: Literal["start", "restart", "removeFile", "unpause", "connectNetwork", "runCommand"]
    command: DnsName | None = None
    undo: Literal["at-once", "at-end"] = "at-once"
    not_when: Annotated[tuple[Signal, ...], Field(max_length=16)] = ()

    @model_validator(mode="after")
    def _command_goes_with_run_command(self) -> "Remedy":
        if (self.action == "runCommand") != (self.command is not None):
            raise ValueError("runCommand needs a command, the name of one that the service declares; others have none")
        return self

    def __str__(self) -> str:
        return f"{self.action} {self.command}" if self.command else self.action


class RunbookHead(BaseModel):
    """The front matter of a runbook."""

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=lambda name: name.replace("_", "-"))

    id: Annotated[str, StringConstraints(pattern=rf"^{ID_PATTERN}$")]
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

    `head.ask` is what a person must do when the remedies end or there are none. `digest` is SHA-256 over its bytes,
    head and text, in hexadecimal; a plan is pinned to it.
    """

    head: RunbookHead
    text: str
    origin: str
    digest: str

    @property
    def pin(self) -> str:
        """Its id and the beginning of its digest."""
        return pinned(self.head.id, self.digest)


def pinned(runbook: str, digest: str) -> str:
    """A runbook as it is cited, such as `flag-file@1a2b3c4d5e6f`; its id alone where the digest was not kept."""
    return f"{runbook}@{digest[:PIN_CHARS]}" if digest else runbook


def drift(runbooks: Iterable[Runbook], runbook: str, digest: str) -> str:
    """What became of a runbook since something was pinned to it; empty where it is the same, or was never pinned."""
    found = next((each for each in runbooks if each.head.id == runbook), None)
    if not digest or (found is not None and found.digest == digest):
        return ""
    return f"runbook {pinned(runbook, digest)} is {f'now {found.pin}' if found else 'gone'}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Proof:
    """How a runbook stands to some evidence: the signals that hold, those that do not, the exclusions that do."""

    holds: tuple[Signal, ...]
    lacks: tuple[Signal, ...]
    excludes: tuple[Signal, ...]
    evidence: tuple[str, ...]

    @property
    def applies(self) -> bool:
        """Whether every signal holds and no exclusion does."""
        return not self.lacks and not self.excludes


def prove(runbook: Runbook, evidence: Sequence[Evidence]) -> Proof:
    """An exclusion over a log that could not be read counts as holding: missing evidence is no reason to act (S9)."""
    looked = [(signal, shown(signal, evidence)) for signal in runbook.head.signals]
    exclusions = runbook.head.not_when
    return Proof(
        holds=tuple(signal for signal, found in looked if found.holds),
        lacks=tuple(signal for signal, found in looked if not found.holds),
        excludes=tuple(signal for signal in exclusions if shown(signal, evidence).holds or unread(signal, evidence)),
        evidence=tuple(dict.fromkeys(id_ for _, found in looked for id_ in found.evidence)),
    )


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
    treating = [runbook for runbook in runbooks if runbook.head.cause is diagnosis.cause]
    proven = [(runbook, prove(runbook, evidence)) for runbook in treating]
    found = [Match(runbook=runbook, evidence=proof.evidence) for runbook, proof in proven if proof.applies]
    return tuple(sorted(found, key=lambda match: (-len(match.runbook.head.signals), match.runbook.head.id)))
