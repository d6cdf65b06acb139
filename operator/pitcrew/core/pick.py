"""Picks: the further evidence that a model may ask for, by closed names without parameters, and what came of each.

A name says which read-only tool is used and on what; nothing that a model writes reaches a tool (S6).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from pitcrew.core.deviation import Deviation
from pitcrew.core.evidence import Evidence, Fact, Source, more, values
from pitcrew.core.observation import LogLine, Observation, RuntimeEvent, RuntimeFacts, RuntimeState
from pitcrew.core.suspicion import suspicion

LINES_MAX = 20
"""Lines kept of what one tool tells; what tells causes apart stands in the first."""


class Pick(StrEnum):
    """What a model may pick."""

    EARLIER_LOGS = "EarlierLogs"
    STATS = "Stats"
    PROCESSES = "Processes"
    EVENTS = "Events"
    PROBE_AGAIN = "ProbeAgain"
    MAKEUP = "Makeup"


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """What a tool gave for one pick, raw; `trouble` says why it gave nothing."""

    pick: Pick
    facts: tuple[Fact, ...] = ()
    logs: tuple[LogLine, ...] = ()
    events: tuple[RuntimeEvent, ...] = ()
    seen: Observation | None = None
    trouble: str = ""


def worth(evidence: Sequence[Evidence], taken: Sequence[Pick]) -> tuple[Pick, ...]:
    """The picks that were not taken and could show something new beside this evidence."""
    known = values(evidence)
    states = {item.value for item in known.get("state", ())}
    running = str(RuntimeState.RUNNING) in states
    could = {
        Pick.EARLIER_LOGS: "log" in known,
        Pick.STATS: running,
        Pick.PROCESSES: running and "process" not in known,
        Pick.EVENTS: True,
        Pick.PROBE_AGAIN: True,
        Pick.MAKEUP: bool(states & set(map(str, RuntimeState))),
    }
    return tuple(pick for pick in Pick if could[pick] and pick not in taken)


def told(pick: Pick, key: str, lines: Sequence[str]) -> Reading:
    """The lines that the runtime tells, as facts of it."""
    facts = (Fact(source=Source.RUNTIME, key=key, value=line, text=f"{key}: {line}") for line in lines[:LINES_MAX])
    return Reading(pick=pick, facts=tuple(facts))


def earlier(lines: Sequence[LogLine], *, lines_max: int, bytes_max: int) -> tuple[LogLine, ...]:
    """The lines before those that were read at first, which were the last within these bounds."""
    kept, size = 0, 0
    for line in reversed(lines[-lines_max:]):
        size += len(line.text.encode("utf-8", "replace"))
        if size > bytes_max:
            break
        kept += 1
    return tuple(lines[: len(lines) - kept])


def added(
    known: Sequence[Evidence], readings: Sequence[Reading], found: Sequence[Deviation] = ()
) -> tuple[Evidence, ...]:
    """What the readings add to the evidence, cleaned and numbered on. What failed is said to be missing; what was known
    already is not said again."""
    new: list[Evidence] = []
    for reading in readings:
        lacking = f"{reading.pick}: {reading.trouble}"
        missing = Fact(source=Source.RUNTIME, key="missing", value=lacking, text=f"could not be gathered: {lacking}")
        new += more(
            (*known, *new),
            (*_suspicion(reading), *((missing,) if reading.trouble else reading.facts)),
            logs=reading.logs,
            events=reading.events,
            seen=reading.seen,
            found=found if reading.seen else (),
        )
    return tuple(new)


def _suspicion(reading: Reading) -> tuple[Fact, ...]:
    """What in a reading speaks to its reader, as in what was gathered at first."""
    lines = [fact.text for fact in reading.facts]
    return suspicion(reading.seen, reading.logs, reading.events, (), (reading.trouble,), lines)


def changed(known: Sequence[Evidence], readings: Sequence[Reading]) -> str:
    """How a fresh look contradicts what the evidence is about, for people; empty where it does not.

    Facts of two states side by side would mislead whoever reads them, so that all is gathered anew.
    """
    before = [item.value for item in known if item.key == "state"]
    looks = [reading.seen.sight for reading in readings if reading.seen is not None]
    now = [str(sight.state) if isinstance(sight, RuntimeFacts) else "Missing" for sight in looks]
    return f"the target is {now[-1]} now" if now and before != now[-1:] else ""
