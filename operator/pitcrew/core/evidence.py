"""Evidence: numbered, bounded, redacted items that a diagnosis must cite.

Facts come from the runtime and the probes, templates from the log, events from the runtime's memory. Everything is
cleaned here, once; what leaves this module can be shown anywhere after the escaping of that place.
"""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from pitcrew.core import complaint, lastwords, unexplained, unsettled, withheld
from pitcrew.core.crosscheck import cannot_run, contradicted
from pitcrew.core.dependency import Dependency
from pitcrew.core.deviation import Deviation, DeviationKind
from pitcrew.core.listening import listens_elsewhere, ports_of
from pitcrew.core.logs import records
from pitcrew.core.observation import (
    Absent,
    Blind,
    FileFact,
    LogLine,
    Observation,
    Outcome,
    RuntimeEvent,
    RuntimeFacts,
)
from pitcrew.core.ranking import ranked
from pitcrew.core.resource import Probe, TargetKind
from pitcrew.core.template import Template, templates
from pitcrew.core.untrusted import bound, clean

TEXT_BYTES_MAX = 400
"""Bytes of one item; a template longer than this says nothing a shorter one does not."""
LATELY_MAX = 12
"""Facts kept of each kind of context: probe history, changes, former incidents."""
PROCESSES_MAX = 20
"""Processes listed; a hang shows in the first few."""
EVENTS_MAX = 20
"""Runtime events kept, the latest."""
MORE_MAX = 20
"""Items that one later reading adds, the last of them."""

LOG_BYTES_MAX = 4 << 20
"""Bytes of log kept after redaction, as much as the settings allow to be read."""
LOG_LINES_MAX = 10_000
"""Lines looked at, the last ones, since they tell of the failure; whoever reads a log caps it first."""

YOUNG_S = 10
"""Seconds of life below which a target died young: it did not get as far as its work."""
STARTING_S = 120
"""Seconds of life below which it may have been starting still: large frameworks take a minute, and read their
configuration all along."""

KILLED_EXIT_CODE = 137
"""128 and SIGKILL. The runtime's word about memory is of the run that ended last, and outlives a restart (FAULTS row
7); for a run that ended otherwise it says nothing."""

ELSEWHERE = "dependency.seen"
"""The key of whatever was read of a dependency later; no rule and no signal reads it."""

Value = str | int | bool


class Source(StrEnum):
    """Where an item comes from; a destructive remedy needs one that is not Log (S7)."""

    RUNTIME = "Runtime"
    PROBE = "Probe"
    LOG = "Log"
    EVENT = "Event"
    HISTORY = "History"


@dataclass(frozen=True, kw_only=True, slots=True)
class Evidence:
    """One item. `key` and `value` carry a fact for signals; `text` is what a person reads; `count` is of log lines."""

    id: str
    source: Source
    key: str
    value: Value
    text: str
    count: int = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Fact:
    """What another stage has to say as evidence; it is cleaned and numbered by `gather`."""

    source: Source
    key: str
    value: Value
    text: str


def gather(
    seen: Observation,
    found: Sequence[Deviation],
    logs: Sequence[LogLine],
    events: Sequence[RuntimeEvent],
    missing: Sequence[str] = (),
    processes: Sequence[str] = (),
    *,
    asked: Sequence[tuple[str, Probe]] = (),
    changes: Sequence[Fact] = (),
    history: Sequence[Fact] = (),
    former: Sequence[Fact] = (),
    suspicion: Sequence[Fact] = (),
    dependencies: Sequence[Dependency] = (),
    began_at: datetime | None = None,
) -> tuple[Evidence, ...]:
    """All evidence of one instant, numbered E1, E2, ...; `missing` names what could not be gathered, `asked` are the
    declared probes by their names.

    `dependencies` are all that are declared, as they are now; the deviation began at `began_at`, or only now. In the
    order in which a person would read it: facts of now, what changed, the log by rank, and what went before.
    """
    items = [
        *_runtime_items(seen),
        *_starting_items(seen, history),
        *_probe_items(seen, found),
        *_check_items(seen, found, asked),
        *_told(changes),
        *_told(suspicion),
        *_dependency_items(dependencies),
        *_complaint_items(seen, logs, dependencies, began_at or seen.at),
        *_withheld_items(seen, logs, began_at or seen.at),
        *_unsettled_items(seen, logs, events, processes, began_at or seen.at),
        *_last_words_items(seen, logs),
        *_listening_items(seen, logs, asked),
        *(_fact(Source.RUNTIME, "missing", part, f"could not be gathered: {part}") for part in missing),
        *_log_items(logs, _started_at(seen)),
        *_told(history),
        *_told(former),
        *_event_items(events),
        *_working_items(processes),
        *(_fact(Source.RUNTIME, "process", line, f"process: {line}") for line in processes[:PROCESSES_MAX]),
    ]
    return _numbered(items)


def more(
    known: Sequence[Evidence],
    facts: Sequence[Fact],
    *,
    logs: Sequence[LogLine] = (),
    events: Sequence[RuntimeEvent] = (),
    seen: Observation | None = None,
    found: Sequence[Deviation] = (),
) -> tuple[Evidence, ...]:
    """What was gathered later and is not known yet, numbered after what is."""
    items = [
        *([*_runtime_items(seen), *_probe_items(seen, found)] if seen else []),
        *(_fact(fact.source, fact.key, fact.value, fact.text) for fact in facts),
        *_log_items(logs, None),
        *_event_items(events, len(events)),
    ]
    said = {_said(item.key, item.value, item.text) for item in known}
    told = {_said(*item[1:4]): item for item in items}
    new = [item for saying, item in told.items() if saying not in said]
    return _numbered(new[-MORE_MAX:], after=len(known))


def _said(key: str, value: Value, text: str) -> tuple[str, Value, str]:
    """What an item says; the times of log lines that are told already say nothing new."""
    return (key, value, "" if key == "log" else text)


def _numbered(items: Sequence["_Item"], *, after: int = 0) -> tuple[Evidence, ...]:
    return tuple(
        Evidence(id=f"E{number}", source=source, key=key, value=value, text=text, count=count)
        for number, (source, key, value, text, count) in enumerate(items, start=after + 1)
    )


_Item = tuple[Source, str, Value, str, int]


def _fact(source: Source, key: str, value: Value, text: str) -> _Item:
    return (source, key, _line(value) if isinstance(value, str) else value, _line(text), 1)


def _told(facts: Sequence[Fact]) -> list[_Item]:
    return [_fact(fact.source, fact.key, fact.value, fact.text) for fact in facts[:LATELY_MAX]]


def _started_at(seen: Observation) -> datetime | None:
    return seen.sight.started_at if isinstance(seen.sight, RuntimeFacts) else None


def _line(text: str) -> str:
    """Outside text as one bounded line; redacted before its lines are joined, since secrets stretch over lines."""
    return " ".join(clean(text, TEXT_BYTES_MAX).split())


def _runtime_items(seen: Observation) -> list[_Item]:
    match seen.sight:
        case Absent(detail=detail):
            return [_fact(Source.RUNTIME, "state", "Missing", f"the runtime knows no such target: {detail}")]
        case Blind(reason=reason, detail=detail):
            return [_fact(Source.RUNTIME, "state", "Unknown", f"the runtime could not be seen: {reason}: {detail}")]
        case RuntimeFacts() as facts:
            return [
                *_state_items(facts),
                *(_file_item(file) for file in facts.files if file.present),
                *_network_items(facts),
            ]


def _network_items(facts: RuntimeFacts) -> list[_Item]:
    gone = [network.name for network in facts.desired if not network.attached]
    unnamed = [network.name for network in facts.desired if network.attached and not network.named]
    return [
        *(_fact(Source.RUNTIME, "network.detached", name, f"not attached to network {name}") for name in gone),
        *(_fact(Source.RUNTIME, "network.unnamed", name, f"without its aliases on network {name}") for name in unnamed),
    ]


def _file_item(file: FileFact) -> _Item:
    return (Source.RUNTIME, "file.present", file.path, _line(f"declared file exists: {file.path}"), 1)


def _state_items(facts: RuntimeFacts) -> list[_Item]:
    pairs: list[tuple[str, Value, str]] = [("state", str(facts.state), f"target is {facts.state}")]
    if not facts.running:
        pairs += [
            ("stopped.by", str(facts.stopped_by), f"ended by: {facts.stopped_by}"),
            ("ever.started", facts.ever_started, "it ran before" if facts.ever_started else "it never ran"),
        ]
        if facts.exit_code is not None:
            pairs.append(("exit.code", facts.exit_code, f"exit code {facts.exit_code}"))
    if _died_within(facts, YOUNG_S):
        pairs.append(("died.young", True, f"its last run ended within {YOUNG_S} s of its start"))
    if _died_within(facts, STARTING_S):
        pairs.append(("died.starting", True, f"its last run ended within {STARTING_S} s of its start"))
    if facts.oom_killed and facts.running:
        pairs.append(("oom.killed", True, "the kernel killed its main process for memory in the run before this one"))
    elif facts.oom_killed and facts.exit_code == KILLED_EXIT_CODE:
        pairs.append(("oom.killed", True, "the kernel killed its main process for memory"))
    if facts.error:
        pairs.append(("start.error", facts.error, f"the runtime could not start it: {facts.error}"))
    if facts.suspended:
        pairs.append(("suspended", True, "its processes are stopped by a signal (state T)"))
    if facts.deaths:
        pairs.append(("deaths", facts.deaths, f"died {facts.deaths} times by itself in ten minutes"))
    if facts.running and facts.ooms:
        text = (
            f"the kernel ended a process of it {facts.ooms} times for memory in ten minutes; its main process runs on"
        )
        pairs.append(("ooms", facts.ooms, text))
    if facts.engine_health and facts.engine_health.failing_streak:
        own = facts.engine_health
        pairs.append(
            ("engine.streak", own.failing_streak, f"own health check failed {own.failing_streak} times: {own.output}")
        )
    return [_fact(Source.RUNTIME, *pair) for pair in pairs]


def _starting_items(seen: Observation, history: Sequence[Fact]) -> list[_Item]:
    """Whether it still starts, for all that is known: by a young run or by its engine; it was never good."""
    sight = seen.sight
    if not isinstance(sight, RuntimeFacts) or not sight.running or any(one.key == "probe.last.good" for one in history):
        return []
    young = sight.started_at is not None and seen.at - sight.started_at < timedelta(seconds=STARTING_S)
    by_engine = sight.engine_health is not None and sight.engine_health.status == "starting"
    text = "its run is young, and it was not good in it yet: it may still be starting"
    return [_fact(Source.RUNTIME, "starting", True, text)] if young or by_engine else []


def _died_within(facts: RuntimeFacts, seconds: int) -> bool:
    if facts.running or not facts.started_at or not facts.finished_at or facts.exit_code == 0:
        return False
    return timedelta() <= facts.finished_at - facts.started_at < timedelta(seconds=seconds)


_BY_PROBES = (
    DeviationKind.PROBE_FAILING,
    DeviationKind.FLAPPING,
    DeviationKind.LATENCY_HIGH,
    DeviationKind.ERROR_RATIO_HIGH,
)
_WITNESS = dict.fromkeys(_BY_PROBES, Source.PROBE)


def _probe_items(seen: Observation, found: Sequence[Deviation]) -> list[_Item]:
    failing = {d.probe for d in found if d.kind is DeviationKind.PROBE_FAILING}
    items = [
        _fact(_WITNESS.get(kind, Source.RUNTIME), "deviation", str(kind), f"deviation: {kind}")
        for kind in sorted({d.kind for d in found})
    ]
    for result in seen.probes:
        status = f" {result.status}" if result.status is not None else ""
        text = f"probe {result.probe}: {result.outcome} ({result.reason}{status}) {result.detail}".rstrip()
        key = "probe.good" if result.outcome is Outcome.SUCCESS else "probe.other"
        if result.outcome is Outcome.FAILURE and result.probe in failing:
            key = "probe.failing"
        items.append(_fact(Source.PROBE, key, str(result.reason), text))
        if cannot_run(result):
            items.append(
                _fact(Source.PROBE, "check.broken", result.probe, f"the check {result.probe} itself cannot run")
            )
    return items


def _check_items(seen: Observation, found: Sequence[Deviation], asked: Sequence[tuple[str, Probe]]) -> list[_Item]:
    """Checks from inside that what is seen from outside contradicts."""
    failing = {d.probe for d in found if d.kind is DeviationKind.PROBE_FAILING}
    return [
        _fact(Source.PROBE, "check.contradicted", name, f"the check {name} gets no answer, and those outside get one")
        for name in contradicted(seen.probes, failing, asked)
    ]


def _dependency_items(dependencies: Sequence[Dependency]) -> list[_Item]:
    return [_fact(Source.RUNTIME, _key_of(one), one.service, f"dependency {one}") for one in dependencies]


def _key_of(dependency: Dependency) -> str:
    if dependency.down:
        return "dependency.down"
    return "dependency.good" if dependency.good else "dependency.unknown"


def _complaint_items(
    seen: Observation, logs: Sequence[LogLine], dependencies: Sequence[Dependency], began_at: datetime
) -> list[_Item]:
    """What fresh lines of the log blame, and the runtime where it could not start the target."""
    sight = seen.sight
    if not isinstance(sight, RuntimeFacts):
        return []
    what = complaint.blamed_dependencies(logs, sight, dependencies, began_at)
    items = [_fact(Source.LOG, "dependency.blamed", one, f"the log blames a dependency: {one}") for one in what]
    if complaint.blames_disk(logs, sight, began_at):
        items.append(_fact(Source.LOG, "disk.blamed", True, "the log says that a disk is full"))
    if complaint.speaks_of_disk(sight.error):
        items.append(_fact(Source.RUNTIME, "disk.blamed", True, "the runtime says that a disk is full"))
    return items


def _withheld_items(seen: Observation, logs: Sequence[LogLine], began_at: datetime) -> list[_Item]:
    """What shows that to act at once would come between, by its log and by its answers."""
    sight = seen.sight
    if not isinstance(sight, RuntimeFacts):
        return []
    said = withheld.in_log(logs, sight, began_at, seen.at)
    answered = withheld.in_answers(seen.probes)
    return [
        *(_fact(Source.LOG, key, True, f"the log says {withheld.SAYS[key]}") for key in said),
        *(_fact(Source.PROBE, key, True, f"its answer says {withheld.SAYS[key]}") for key in answered),
    ]


def _unsettled_items(
    seen: Observation,
    logs: Sequence[LogLine],
    events: Sequence[RuntimeEvent],
    processes: Sequence[str],
    began_at: datetime,
) -> list[_Item]:
    """What a person should settle before something is done, by what it is about."""
    sight = seen.sight
    if not isinstance(sight, RuntimeFacts):
        return []
    items: list[_Item] = []
    if sight.running and unexplained.now(logs, sight, began_at):
        items.append(_fact(Source.LOG, "unsettled", "now", "the log says something new that no rule understands"))
    if sight.running and (why := unsettled.before_restart(sight, events, processes[:PROCESSES_MAX], began_at)):
        items.append(_fact(Source.RUNTIME, "unsettled", "now", why))
    if unexplained.at_the_end(logs, sight):
        items.append(
            _fact(Source.LOG, "unsettled", "end", "no mere crash ended it, by its exit code or its last words")
        )
    if why := unsettled.before_start(sight, events, seen.at):
        items.append(_fact(Source.EVENT, "unsettled", "end", why))
    if any(unexplained.of_file(logs, file.path, began_at) for file in sight.files if file.present):
        text = "the log says more of a declared file than that it is there"
        items.append(_fact(Source.LOG, "unsettled", "file", text))
    if why := unsettled.before_attaching(sight, events, began_at):
        items.append(_fact(Source.RUNTIME, "unsettled", "network", why))
    return items


def _working_items(processes: Sequence[str]) -> list[_Item]:
    shown = withheld.in_processes(processes[:PROCESSES_MAX])
    return [_fact(Source.RUNTIME, key, True, text) for key, text in shown.items()]


def _last_words_items(seen: Observation, logs: Sequence[LogLine]) -> list[_Item]:
    """What the last run complained of. Names of variables only; a value may be a secret."""
    if not isinstance(seen.sight, RuntimeFacts):
        return []
    lines = lastwords.of_last_run(logs, seen.sight)
    items = [
        _fact(Source.LOG, "env.blamed", name, f"the log complains and names the environment variable {name}")
        for name in lastwords.blamed_variables(lines, seen.sight.env_names, ended=not seen.sight.running)
    ]
    if lastwords.blames_configuration(lines):
        items.append(_fact(Source.LOG, "config.blamed", True, "the log says that its configuration is wrong"))
    if not seen.sight.running and lastwords.asks_to_end(lines):
        items.append(_fact(Source.LOG, "asked.to.end", True, "its last words are that it was asked to end"))
    if lastwords.blames_taken_port(lines):
        items.append(_fact(Source.LOG, "port.taken", True, "the log says that somebody else has its port"))
    return items


def _listening_items(seen: Observation, logs: Sequence[LogLine], asked: Sequence[tuple[str, Probe]]) -> list[_Item]:
    if not isinstance(seen.sight, RuntimeFacts) or not seen.sight.running:
        return []
    lines, in_container = lastwords.of_last_run(logs, seen.sight), seen.sight.kind is TargetKind.DOCKER
    elsewhere = listens_elsewhere(lines, ports_of(asked), own_loopback=in_container)
    item = _fact(Source.LOG, "listens.elsewhere", True, "by its log it listens where no probe asks")
    return [item] if elsewhere else []


def _event_items(events: Sequence[RuntimeEvent], most: int = EVENTS_MAX) -> list[_Item]:
    """What the runtime reported, the same again counted once, by when it was last."""
    alike: dict[tuple[str, str], list[RuntimeEvent]] = {}
    for event in events:
        alike.setdefault((str(event.kind), event.detail), []).append(event)
    last = sorted(alike.items(), key=lambda pair: pair[1][-1].at)[-most:] if most else []
    return [_event_item(kind, detail, found) for (kind, detail), found in last]


def _event_item(kind: str, detail: str, found: Sequence[RuntimeEvent]) -> _Item:
    when = _times(found[0].at, found[-1].at)
    return (Source.EVENT, "event", kind, _line(" ".join([*when, kind, detail])), len(found))


def _log_items(logs: Sequence[LogLine], started_at: datetime | None) -> list[_Item]:
    """The log as ranked templates; redacted before it is taken apart, since a mask could hide a secret's name."""
    found = templates(_cleaned(logs))
    kept = ranked(found, started_at)
    return [(Source.LOG, "log", bound(one.text, TEXT_BYTES_MAX), _dated(one), one.count) for one in kept]


def _cleaned(logs: Sequence[LogLine]) -> list[LogLine]:
    """The last records of a log, one line each, redacted as one text, since secrets stretch over lines. Where a secret
    took lines with it, which time belongs to which line is no longer known."""
    raw = deque(
        (replace(line, text=text) for line in logs[-LOG_LINES_MAX:] for text in _split(line.text)), LOG_LINES_MAX
    )
    said = deque(records(raw), LOG_LINES_MAX)
    texts = clean("\n".join(record.text for record in said), LOG_BYTES_MAX).split("\n")
    times = [record.at for record in said] if len(texts) == len(said) else [None] * len(texts)
    return [LogLine(at=at, stream="", text=text) for at, text in zip(times, texts, strict=True) if text.strip()]


def _split(text: str) -> list[str]:
    return text.replace("\r\n", "\n").split("\n")


def _dated(one: Template) -> str:
    """A template as it is read, after the time of its first line and of its last."""
    return _line(" ".join([*_times(one.first_at, one.last_at), one.text]))


def _times(first: datetime | None, last: datetime | None) -> list[str]:
    if first is None or last is None:
        return []
    form = "%H:%M:%S" if first.date() == last.date() else "%m-%d %H:%M:%S"
    begin, end = f"{first:{form}}", f"{last:{form}}"
    return [begin] if begin == end else [f"{begin} to {end}:"]


def values(evidence: Iterable[Evidence]) -> Mapping[str, tuple[Evidence, ...]]:
    """Evidence by key, in order; a key may have several items."""
    found: dict[str, tuple[Evidence, ...]] = {}
    for item in evidence:
        found[item.key] = (*found.get(item.key, ()), item)
    return found
