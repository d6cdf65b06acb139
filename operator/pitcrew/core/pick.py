"""Picks: the further evidence that a model may ask for, by closed names without parameters, and what came of each.

A name says which read-only tool is used and on what; nothing that a model writes reaches a tool (S6).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from pitcrew.core.deviation import Deviation
from pitcrew.core.evidence import ELSEWHERE, Evidence, Fact, Source, more, values
from pitcrew.core.observation import LogLine, Observation, RuntimeEvent, RuntimeFacts, RuntimeState
from pitcrew.core.resource import ServiceKey
from pitcrew.core.suspicion import suspicion

PICKS_MAX = 6
"""Picks in one incident; a person who looks for a cause seldom asks for more before acting or calling somebody."""
LINES_MAX = 20
"""Lines kept of what one tool tells; what tells causes apart stands in the first."""


NEIGHBOURS_MAX = 2
"""Dependencies of which more can be picked; a list of many names costs tokens, and few are ever to blame."""


class Tool(StrEnum):
    """What is read."""

    LOGS = "Logs"
    EARLIER_LOGS = "EarlierLogs"
    STATS = "Stats"
    PROCESSES = "Processes"
    EVENTS = "Events"
    PROBE_AGAIN = "ProbeAgain"
    MAKEUP = "Makeup"


OF_OTHERS = tuple(tool for tool in Tool if tool is not Tool.EARLIER_LOGS)
"""What can be read of a dependency, of which nothing was gathered at first."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Pick:
    """One tool, used on the target itself, or on that of a dependency: `of` is its key."""

    tool: Tool
    of: str = ""

    def __str__(self) -> str:
        """Its name: `Stats`, or `Stats/default/db`."""
        return f"{self.tool}/{self.of}" if self.of else str(self.tool)


def named(name: str) -> Pick:
    """The pick of a name. Raises ValueError where there is no such tool."""
    tool, _, of = name.partition("/")
    return Pick(tool=Tool(tool), of=of)


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """What a tool gave for one pick, raw; `trouble` says why it gave nothing."""

    pick: Pick
    facts: tuple[Fact, ...] = ()
    logs: tuple[LogLine, ...] = ()
    events: tuple[RuntimeEvent, ...] = ()
    seen: Observation | None = None
    trouble: str = ""


def worth(
    evidence: Sequence[Evidence], taken: Sequence[Pick], neighbours: Sequence[ServiceKey] = ()
) -> tuple[Pick, ...]:
    """The picks that were not taken and could show something new beside this evidence; `neighbours` are the
    dependencies that may be looked at."""
    own = [Pick(tool=tool) for tool in _own(evidence)]
    others = [Pick(tool=tool, of=of) for of in neighbours[:NEIGHBOURS_MAX] for tool in OF_OTHERS]
    return tuple(pick for pick in (*own, *others) if pick not in taken)


def _own(evidence: Sequence[Evidence]) -> tuple[Tool, ...]:
    """The tools that could show something new of the target itself."""
    known = values(evidence)
    states = {item.value for item in known.get("state", ())}
    running = str(RuntimeState.RUNNING) in states
    could = {
        Tool.LOGS: False,
        Tool.EARLIER_LOGS: "log" in known,
        Tool.STATS: running,
        Tool.PROCESSES: running and "process" not in known,
        Tool.EVENTS: True,
        Tool.PROBE_AGAIN: True,
        Tool.MAKEUP: bool(states & set(map(str, RuntimeState))),
    }
    return tuple(tool for tool in Tool if could[tool])


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
        facts = (*_suspicion(reading), *((missing,) if reading.trouble else ()))
        if reading.pick.of:
            facts = (*facts, *_elsewhere(reading))
            new += more((*known, *new), facts)
        else:
            new += more(
                (*known, *new),
                (*facts, *reading.facts),
                logs=reading.logs,
                events=reading.events,
                seen=reading.seen,
                found=found,
            )
    return tuple(new)


def _elsewhere(reading: Reading) -> Sequence[Fact]:
    """What was read of a dependency, under one key of its own, so that no rule takes it for facts of the target."""
    items = more((), reading.facts, logs=reading.logs, events=reading.events, seen=reading.seen)
    of = reading.pick.of
    return [Fact(source=item.source, key=ELSEWHERE, value=of, text=f"of {of}: {item.text}") for item in items]


def _suspicion(reading: Reading) -> tuple[Fact, ...]:
    """What in a reading speaks to its reader, as in what was gathered at first."""
    lines = [fact.text for fact in reading.facts]
    return suspicion(reading.seen, reading.logs, reading.events, (), (reading.trouble,), lines)


def changed(known: Sequence[Evidence], readings: Sequence[Reading]) -> str:
    """How a fresh look contradicts what the evidence is about, for people; empty where it does not.

    Facts of two states side by side would mislead whoever reads them, so that all is gathered anew.
    """
    before = [item.value for item in known if item.key == "state"]
    looks = [one.seen.sight for one in readings if one.seen is not None and not one.pick.of]
    now = [str(sight.state) if isinstance(sight, RuntimeFacts) else "Missing" for sight in looks]
    return f"the target is {now[-1]} now" if now and before != now[-1:] else ""
