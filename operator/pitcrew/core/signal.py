"""Signals: the conditions over evidence that diagnoses and runbooks are written in.

A signal over facts compares a value; one over log templates looks for words. It holds when an item of evidence shows
it, and then names that item, so that whoever relies on it can cite it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from pitcrew.core.evidence import ELSEWHERE, Evidence, Source, Value

FACTS: tuple[str, ...] = (
    "state",
    "stopped.by",
    "ever.started",
    "exit.code",
    "died.young",
    "died.starting",
    "env.blamed",
    "config.blamed",
    "port.taken",
    "listens.elsewhere",
    "dependency.down",
    "dependency.good",
    "dependency.unknown",
    "dependency.blamed",
    "disk.blamed",
    "at.work",
    "debugged",
    "data.harmed",
    "in.hand",
    "taken.out",
    "outside.blamed",
    "uninterruptible",
    "starting",
    "unsettled",
    "asked.to.end",
    "oom.killed",
    "start.error",
    "suspended",
    "deaths",
    "ooms",
    "engine.streak",
    "file.present",
    "network.detached",
    "network.unnamed",
    "deviation",
    "probe.failing",
    "probe.good",
    "probe.other",
    "check.broken",
    "check.contradicted",
    "probe.streak",
    "probe.last.good",
    "probe.never.good",
    "probe.swings",
    "changed",
    "former",
    "suspicion",
    "event",
    "process",
    "missing",
)
"""Every key that gathering gives; a signal over any other could never hold, or only where a model had picked it, and is
refused."""
OUT_OF_LOGS: frozenset[str] = frozenset({"env.blamed", "dependency.blamed", "disk.blamed"})
"""Facts that are read out of the log; that one is absent needs the log to have been read."""


class Signal(BaseModel):
    """One condition: a fact that equals one of some values (or merely is there), or words in a log template."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    fact: str | None = None
    equals: tuple[str | int | bool, ...] | str | int | bool | None = None
    log: Annotated[str, StringConstraints(min_length=3, max_length=128)] | None = None
    absent: bool = Field(default=False)

    @model_validator(mode="after")
    def _one_kind(self) -> "Signal":
        if (self.fact is None) == (self.log is None):
            raise ValueError("a signal names either fact or log")
        if self.fact is not None and self.fact not in FACTS:
            raise ValueError(f"no evidence carries the fact {self.fact!r}; known are {', '.join(FACTS)}")
        if self.log is not None and self.equals is not None:
            raise ValueError("equals goes with fact")
        if self.equals == ():
            raise ValueError("equals needs at least one value")
        return self

    def __str__(self) -> str:
        values = self.equals if isinstance(self.equals, tuple) else (self.equals,)
        equals = f" = {' or '.join(map(str, values))}" if self.equals is not None else ""
        name = f"log has {self.log!r}" if self.log else f"{self.fact}{equals}"
        return f"no {name}" if self.absent else name


@dataclass(frozen=True, kw_only=True, slots=True)
class Shown:
    """Whether a signal holds, and the ids of the evidence that shows it."""

    holds: bool
    evidence: tuple[str, ...] = ()


def fact(key: str, *equals: Value, absent: bool = False) -> Signal:
    """A signal over a fact, written short for the rules in code."""
    return Signal(fact=key, equals=equals or None, absent=absent)


def shown(signal: Signal, evidence: Sequence[Evidence]) -> Shown:
    """Whether a signal holds over the evidence. That a log does not say something needs the log to have been read."""
    found = tuple(item.id for item in evidence if _matches(signal, item))
    if signal.absent:
        return Shown(holds=not found and not unread(signal, evidence))
    return Shown(holds=bool(found), evidence=found)


def unread(signal: Signal, evidence: Sequence[Evidence]) -> bool:
    """Whether a signal is about a log that could not be gathered."""
    return (signal.log is not None or signal.fact in OUT_OF_LOGS) and any(
        item.key == "missing" and isinstance(item.value, str) and item.value.startswith("logs") for item in evidence
    )


def all_shown(signals: Sequence[Signal], evidence: Sequence[Evidence]) -> Shown:
    """Whether every signal holds, with all the evidence that shows it."""
    results = [shown(signal, evidence) for signal in signals]
    ids = dict.fromkeys(id_ for result in results for id_ in result.evidence)
    return Shown(holds=all(result.holds for result in results), evidence=tuple(ids))


def _matches(signal: Signal, item: Evidence) -> bool:
    if signal.log is not None:
        return item.source is Source.LOG and item.key != ELSEWHERE and signal.log.lower() in item.text.lower()
    if item.key != signal.fact:
        return False
    wanted = signal.equals if isinstance(signal.equals, tuple) else (signal.equals,)
    return signal.equals is None or any(type(item.value) is type(want) and item.value == want for want in wanted)
