"""Lint: what is wrong with a runbook that can be read, though nobody would notice before an incident.

A signal that no evidence can ever show, signals that contradict each other, an exclusion that always holds: such a
runbook is never used, and an exclusion that never holds protects from nothing. All of it follows from what evidence
can carry, which is told here fact by fact.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pitcrew.core.context import CHANGES
from pitcrew.core.deviation import DeviationKind
from pitcrew.core.diagnosis import Cause
from pitcrew.core.evidence import Value
from pitcrew.core.observation import EventKind, ProbeReason, RuntimeState, StoppedBy
from pitcrew.core.runbook import FILLED_IN, Remedy, Runbook, RunbookHead
from pitcrew.core.signal import Signal
from pitcrew.core.suspicion import Manner
from pitcrew.core.template import always_masked


@dataclass(frozen=True, kw_only=True, slots=True)
class Carried:
    """What a fact can carry: values of one kind, out of a closed list where there is one, and at least `least`.

    `single` says that evidence carries it once at most; `ended` that it is told only of a target that does not run.
    """

    kind: type[str] | type[int] | type[bool]
    words: tuple[Value, ...] = ()
    least: int | None = None
    single: bool = False
    ended: bool = False

    def can_be(self, value: Value) -> bool:
        """Whether evidence could ever carry this value."""
        if type(value) is not self.kind or (self.words and value not in self.words):
            return False
        return self.least is None or int(value) >= self.least

    def __str__(self) -> str:
        if self.words:
            return " or ".join(_spelt(word) for word in self.words)
        return f"a number from {self.least} up" if self.least else {int: "a number", str: "text"}[self.kind]


_NOT_SEEN = ("Missing", "Unknown")
"""States of a target that is not there or cannot be seen; the runtime then tells nothing else of it."""
_FAILING = (
    ProbeReason.STATUS,
    ProbeReason.REFUSED,
    ProbeReason.RESET,
    ProbeReason.TIMEOUT,
    ProbeReason.MALFORMED,
    ProbeReason.EXIT_CODE,
    ProbeReason.ENGINE_UNHEALTHY,
)
_TEXT = Carried(kind=str)
_TRUE = Carried(kind=bool, words=(True,), single=True)
_COUNT = Carried(kind=int, least=1, single=True)

CARRIED: dict[str, Carried] = {
    "state": Carried(kind=str, words=(*map(str, RuntimeState), *_NOT_SEEN), single=True),
    "stopped.by": Carried(kind=str, words=tuple(map(str, StoppedBy)), single=True, ended=True),
    "ever.started": Carried(kind=bool, words=(True, False), single=True, ended=True),
    "exit.code": Carried(kind=int, single=True, ended=True),
    "died.young": Carried(kind=bool, words=(True,), single=True, ended=True),
    "died.starting": Carried(kind=bool, words=(True,), single=True, ended=True),
    "env.blamed": _TEXT,
    "config.blamed": _TRUE,
    "port.taken": _TRUE,
    "listens.elsewhere": _TRUE,
    "oom.killed": _TRUE,
    "start.error": Carried(kind=str, single=True),
    "suspended": _TRUE,
    "deaths": _COUNT,
    "ooms": _COUNT,
    "engine.streak": _COUNT,
    "file.present": _TEXT,
    "network.detached": _TEXT,
    "network.unnamed": _TEXT,
    "deviation": Carried(kind=str, words=tuple(map(str, DeviationKind))),
    "probe.failing": Carried(kind=str, words=tuple(map(str, _FAILING))),
    "probe.good": Carried(kind=str, words=(str(ProbeReason.OK),)),
    "probe.other": Carried(kind=str, words=tuple(map(str, ProbeReason))),
    "check.broken": _TEXT,
    "check.contradicted": _TEXT,
    "dependency.down": _TEXT,
    "dependency.good": _TEXT,
    "dependency.unknown": _TEXT,
    "dependency.blamed": _TEXT,
    "disk.blamed": Carried(kind=bool, words=(True,)),
    "at.work": Carried(kind=bool, words=(True,)),
    "debugged": _TRUE,
    "data.harmed": Carried(kind=bool, words=(True,)),
    "in.hand": Carried(kind=bool, words=(True,)),
    "taken.out": Carried(kind=bool, words=(True,)),
    "outside.blamed": Carried(kind=bool, words=(True,)),
    "uninterruptible": _TRUE,
    "starting": _TRUE,
    "unsettled": Carried(kind=str, words=("now", "end", "file", "network")),
    "asked.to.end": Carried(kind=bool, words=(True,), single=True, ended=True),
    "probe.streak": Carried(kind=int, least=1),
    "probe.last.good": _TEXT,
    "probe.never.good": _TEXT,
    "probe.swings": Carried(kind=int, least=2),
    "changed": Carried(kind=str, words=CHANGES),
    "former": Carried(kind=str, words=tuple(map(str, Cause))),
    "suspicion": Carried(kind=str, words=tuple(map(str, Manner))),
    "event": Carried(kind=str, words=tuple(map(str, EventKind))),
    "process": _TEXT,
    "missing": _TEXT,
}
"""What evidence can carry, by fact (`evidence.gather`)."""
_OF_THE_RUNTIME = frozenset(
    (
        *("start.error", "suspended", "deaths", "oom.killed", "ooms", "engine.streak", "file.present"),
        *("network.detached", "network.unnamed"),
    )
) | {name for name, carried in CARRIED.items() if carried.ended}
"""Facts that the runtime tells of a target that is there and can be seen."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One thing that is wrong, at a field of the front matter (empty: the text), and what to do about it.

    An error makes the runbook, or a part of it, useless; a warning may be meant.
    """

    field: tuple[str | int, ...]
    message: str
    warning: bool = False


def lint(runbook: Runbook) -> tuple[Finding, ...]:
    """All that is wrong with one runbook."""
    head = runbook.head
    findings = [*_of_cause(head), *_of_values(head), *_of_remedies(head.remedies), *_of_ask(head), *_of_text(runbook)]
    if not any(finding.field[:1] in (("signals",), ("not-when",)) for finding in findings):
        findings += [*_contradictions(head.signals), *_exclusions(head)]
    return tuple(findings)


# The cause, the remedies, what people read


def _of_cause(head: RunbookHead) -> Iterator[Finding]:
    if head.cause is Cause.UNKNOWN:
        yield Finding(
            field=("cause",), message="Unknown is never a reason to act, so it is never used; name the cause it treats"
        )


def _of_remedies(remedies: Sequence[Remedy]) -> Iterator[Finding]:
    for number, remedy in enumerate(remedies):
        if remedy.undo == "at-end" and number == len(remedies) - 1:
            yield Finding(
                field=("remedies", number, "undo"),
                message="at-end needs a remedy after it that builds on it; add one, or leave undo out",
            )
        before = [each.model_copy(update={"undo": remedy.undo}) for each in remedies[:number]]
        if remedy.action not in MANY_TARGETS and remedy in before:
            yield Finding(
                field=("remedies", number, "action"),
                message=f"{remedy.action} stands there before, and what did not help is not repeated; remove it",
                warning=True,
            )


MANY_TARGETS = ("removeFile", "connectNetwork")
"""Actions that take another target each time: one file after the other."""


def _of_ask(head: RunbookHead) -> Iterator[Finding]:
    for part in head.ask.split("{")[1:]:
        name = part.partition("}")[0]
        if "}" in part and name not in FILLED_IN:
            known = ", ".join(f"{{{each}}}" for each in FILLED_IN)
            yield Finding(field=("ask",), message=f"nothing fills in {{{name}}}; known are {known}", warning=True)


def _of_text(runbook: Runbook) -> Iterator[Finding]:
    lines = [line for line in runbook.text.splitlines() if line.strip()]
    if not lines or not lines[0].startswith("# "):
        yield Finding(
            field=(),
            message=f"no heading at the beginning; write '# {runbook.head.title}', then what people must know",
        )


# Signals that can never hold


def _of_values(head: RunbookHead) -> Iterator[Finding]:
    for name, signals in (("signals", head.signals), ("not-when", head.not_when)):
        for number, signal in enumerate(signals):
            yield from _of_signal((name, number), signal)


def _of_signal(field: tuple[str | int, ...], signal: Signal) -> Iterator[Finding]:
    if signal.log is not None and not _can_be_logged(signal.log):
        kept = always_masked(signal.log)
        yield Finding(
            field=field, message=f"no log says that, since times, addresses and ids are masked; write {kept!r}"
        )
    if signal.fact is None:
        return
    carried = CARRIED[signal.fact]
    for value in _values(signal):
        if not carried.can_be(value):
            yield Finding(field=field, message=f"{signal.fact} is never {_spelt(value)}; it can be {carried}")


def _can_be_logged(words: str) -> bool:
    """Whether the words can stand in a log template, at the beginning of a word or within one."""
    return any(words.lower() in always_masked(f"{before}{words}").lower() for before in ("", "x"))


def _spelt(value: Value) -> str:
    """A value as YAML spells it; text that looks like something else in quotes."""
    if isinstance(value, bool):
        return str(value).lower()
    quoted = isinstance(value, str) and (not value.isalpha() or value in ("true", "false"))
    return f'"{value}"' if quoted else str(value)


def _values(signal: Signal) -> tuple[Value, ...]:
    if signal.equals is None:
        return ()
    return signal.equals if isinstance(signal.equals, tuple) else (signal.equals,)


# Signals that speak against each other


def _contradictions(signals: Sequence[Signal]) -> Iterator[Finding]:
    for number, signal in enumerate(signals):
        against = next((other for other in signals[:number] if _contradict(signal, other)), None)
        if against is not None:
            yield Finding(
                field=("signals", number),
                message=f"'{signal}' cannot hold beside '{against}', so it never applies; remove one of them",
            )


def _exclusions(head: RunbookHead) -> Iterator[Finding]:
    for number, exclusion in enumerate(head.not_when):
        proof = next((signal for signal in head.signals if _implies(signal, exclusion)), None)
        if proof is not None:
            yield Finding(
                field=("not-when", number),
                message=f"'{exclusion}' holds whenever '{proof}' does, so this never applies; remove one of them",
            )


def _contradict(one: Signal, other: Signal) -> bool:
    """Whether no evidence shows both."""
    match one.absent, other.absent:
        case False, False:
            return _apart(one, other)
        case False, True:
            return _within(one, other)
        case True, False:
            return _within(other, one)
        case _:
            return False


def _implies(one: Signal, other: Signal) -> bool:
    """Whether all evidence that shows the one shows the other."""
    match one.absent, other.absent:
        case False, False:
            return _within(one, other)
        case False, True:
            return _apart(one, other)
        case True, True:
            return _within(other, one)
        case _:
            return False


def _within(one: Signal, other: Signal) -> bool:
    """Whether every item that matches the one matches the other; `absent` is left aside."""
    if one.log is not None and other.log is not None:
        return other.log.lower() in one.log.lower()
    if one.fact is None or one.fact != other.fact:
        return False
    return other.equals is None or (one.equals is not None and _keyed(one) <= _keyed(other))


def _apart(one: Signal, other: Signal) -> bool:
    """Whether evidence never holds items that match the one beside items that match the other; `absent` aside."""
    if one.fact is None or other.fact is None:
        return False
    if one.fact == other.fact:
        both = one.equals is not None and other.equals is not None
        return both and CARRIED[one.fact].single and not _keyed(one) & _keyed(other)
    return _untold(one, other) or _untold(other, one)


def _untold(state: Signal, other: Signal) -> bool:
    """Whether the one names only states in which the fact of the other is not told."""
    if state.fact != "state" or state.equals is None or other.fact is None:
        return False
    silent = set(_NOT_SEEN if other.fact in _OF_THE_RUNTIME else ())
    silent |= {str(RuntimeState.RUNNING)} if CARRIED[other.fact].ended else set()
    return set(map(str, _values(state))) <= silent


def _keyed(signal: Signal) -> set[tuple[type, Value]]:
    """Values with their kind, since 1 is not true here."""
    return {(type(value), value) for value in _values(signal)}
