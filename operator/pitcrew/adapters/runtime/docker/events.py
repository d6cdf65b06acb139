"""What the engine reported of containers lately: a bounded memory, fed by the stream and by replays.

Events are hints. What is read off them here, who ended a container and how often it died by itself, is checked against
the instant that `inspect` gives, so that a forgotten or late event leads to "unknown" and never to a wrong word.
Source of the rules: FAULTS.md, rules 2 and 3, rows 17 and 18.
"""

from collections import OrderedDict, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from threading import Lock

from pitcrew.adapters.runtime.docker.text import printable
from pitcrew.core.observation import EventKind, RuntimeEvent
from pitcrew.core.resource import DockerTarget

CONTAINER_ACTIONS = (
    "create", "start", "die", "kill", "stop", "restart", "oom", "pause", "unpause", "destroy", "rename",
    "health_status",
)  # fmt: skip
NETWORK_ACTIONS = ("connect", "disconnect")
FILTERS: Mapping[str, list[str]] = {
    "type": ["container", "network"],
    "event": [*CONTAINER_ACTIONS, *NETWORK_ACTIONS],
}
"""What is asked for. Without it the exec events of health checks drown everything else."""
EVENTS_PER_CONTAINER_MAX = 64
CONTAINERS_MAX = 512
DEATHS_WINDOW = timedelta(minutes=10)
_SAME_DEATH = timedelta(seconds=5)
"""How far the instants of a `die` event and of `State.FinishedAt` may lie apart; both are taken by the engine."""
_SAME_KILL = timedelta(seconds=2)
"""How far an `oom` event and the `die` it leads to may lie apart; the kernel ends a process at once, and the two reach
the engine on different ways."""
_ENDING_SIGNALS = frozenset({"2", "3", "9", "15"})

_KINDS = {
    "create": EventKind.CREATED,
    "start": EventKind.STARTED,
    "die": EventKind.DIED,
    "kill": EventKind.KILLED,
    "stop": EventKind.STOPPED,
    "oom": EventKind.OUT_OF_MEMORY,
    "pause": EventKind.PAUSED,
    "unpause": EventKind.UNPAUSED,
    "destroy": EventKind.DESTROYED,
    "rename": EventKind.RENAMED,
    "health_status": EventKind.HEALTH,
    "connect": EventKind.NETWORK,
    "disconnect": EventKind.NETWORK,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class EngineEvent:
    """One event as the engine sent it, cut to what is used."""

    container_id: str
    at_ns: int
    action: str
    name: str = ""
    project: str = ""
    service: str = ""
    detail: str = ""
    exit_code: int | None = None
    signal: str = ""

    @property
    def at(self) -> datetime:
        """Its instant, UTC."""
        return datetime.fromtimestamp(self.at_ns // 1_000_000_000, UTC) + timedelta(
            microseconds=self.at_ns % 1_000_000_000 // 1000
        )

    def belongs_to(self, target: DockerTarget) -> bool:
        """Whether the container it is about is the one that a service names."""
        if target.container is not None:
            return self.name == target.container
        return (self.project, self.service) == (target.compose_project, target.compose_service)


def parse_event(document: object) -> EngineEvent | None:
    """An event out of the engine's JSON; None for anything that is not about a container."""
    if not isinstance(document, dict):
        return None
    actor = document.get("Actor")
    attributes = actor.get("Attributes") if isinstance(actor, dict) else None
    at_ns, action = document.get("timeNano"), str(document.get("Action", "")).partition(":")
    if not isinstance(actor, dict) or not isinstance(attributes, dict) or not isinstance(at_ns, int):
        return None
    text = {key: value[:256] for key, value in attributes.items() if isinstance(key, str) and isinstance(value, str)}
    is_network = document.get("Type") == "network"
    exit_code = text.get("exitCode", "")
    return EngineEvent(
        container_id=text.get("container", "") if is_network else str(actor.get("ID", ""))[:64],
        at_ns=at_ns,
        action=action[0],
        name="" if is_network else text.get("name", ""),
        project=text.get("com.docker.compose.project", ""),
        service=text.get("com.docker.compose.service", ""),
        detail=printable(_detail(action[0], action[2], text), chars_max=128),
        exit_code=int(exit_code) if exit_code.isdecimal() else None,
        signal=text.get("signal", ""),
    )


def _detail(action: str, suffix: str, text: Mapping[str, str]) -> str:
    match action:
        case "connect" | "disconnect":
            return f"{action} {text.get('name', '')}"
        case "kill":
            return f"signal {text.get('signal', '')}"
        case "rename":
            return f"was {text.get('oldName', '')}"
        case _:
            return suffix


@dataclass(frozen=True, kw_only=True, slots=True)
class Ending:
    """How the run of a container ended, as its events tell it."""

    asked: bool
    """Someone told the engine to end it."""


class EventMemory:
    """The last events of each container, oldest first; safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._events: OrderedDict[str, deque[EngineEvent]] = OrderedDict()
        self._identities: dict[str, EngineEvent] = {}
        self._last_ns = 0

    @property
    def last_ns(self) -> int:
        """Instant of the newest event, nanoseconds since the epoch by the engine's clock; 0 without any."""
        return self._last_ns

    def remember(self, event: EngineEvent) -> EngineEvent | None:
        """Keep an event; gives it back with its container's names, or None when it was known already."""
        with self._lock:
            known = self._events.setdefault(event.container_id, deque(maxlen=EVENTS_PER_CONTAINER_MAX))
            self._events.move_to_end(event.container_id)
            named = self._named(event)
            if named in known:
                return None
            if known and known[-1].at_ns > named.at_ns:
                ordered = sorted([*known, named], key=lambda each: each.at_ns)
                known.clear()
                known.extend(ordered)
            else:
                known.append(named)
            self._last_ns = max(self._last_ns, named.at_ns)
            while len(self._events) > CONTAINERS_MAX:
                forgotten, _ = self._events.popitem(last=False)
                self._identities.pop(forgotten, None)
            return named

    def of_container(self, container_id: str) -> tuple[EngineEvent, ...]:
        """What is remembered of one container."""
        with self._lock:
            return tuple(self._events.get(container_id, ()))

    def of_target(self, target: DockerTarget) -> tuple[RuntimeEvent, ...]:
        """What is remembered of the containers that a service names, also of earlier ones under the same name."""
        with self._lock:
            ids = [each for each, events in self._events.items() if any(e.belongs_to(target) for e in events)]
            events = sorted((e for each in ids for e in self._events[each]), key=lambda e: e.at_ns)
        return tuple(_runtime_event(e) for e in events if e.action in _KINDS)[-EVENTS_PER_CONTAINER_MAX:]

    def _named(self, event: EngineEvent) -> EngineEvent:
        if event.name:
            self._identities[event.container_id] = event
            return event
        identity = self._identities.get(event.container_id)
        if identity is None:
            return event
        return EngineEvent(
            container_id=event.container_id, at_ns=event.at_ns, action=event.action, name=identity.name,
            project=identity.project, service=identity.service, detail=event.detail,
        )  # fmt: skip


def _runtime_event(event: EngineEvent) -> RuntimeEvent:
    return RuntimeEvent(at=event.at, kind=_KINDS[event.action], detail=event.detail, exit_code=event.exit_code)


def ending_at(events: Iterable[EngineEvent], finished_at: datetime | None) -> Ending | None:
    """How the run that ended at `finished_at` ended; None when its end is not remembered."""
    asked, found = False, None
    for event in events:
        match event.action:
            case "start":
                asked, found = False, None
            case "kill":
                asked = asked or event.signal in _ENDING_SIGNALS
            case "die" if finished_at is not None and abs(event.at - finished_at) <= _SAME_DEATH:
                found = Ending(asked=asked)
            case "stop" if found is not None:
                found = Ending(asked=True)
            case _:
                pass
    return found


def for_memory(events: Iterable[EngineEvent], finished_at: datetime | None) -> bool | None:
    """Whether memory was short when the run ended that ended at `finished_at`; None when its end is not remembered."""
    for run in reversed(_runs(events)):
        for event in reversed(run):
            if event.action == "die" and finished_at is not None and abs(event.at - finished_at) <= _SAME_DEATH:
                return any(each.action == "oom" and abs(each.at - event.at) <= _SAME_KILL for each in run)
    return None


def _runs(events: Iterable[EngineEvent]) -> list[list[EngineEvent]]:
    """The events by the run they belong to, each run beginning with its start."""
    runs: list[list[EngineEvent]] = [[]]
    for event in events:
        if event.action == "start":
            runs.append([])
        runs[-1].append(event)
    return runs


def own_deaths(events: Iterable[EngineEvent], now: datetime) -> int:
    """How often a container died by itself, nobody having asked, in the last ten minutes before `now`."""
    asked, deaths = False, 0
    for event in events:
        match event.action:
            case "start":
                asked = False
            case "kill":
                asked = asked or event.signal in _ENDING_SIGNALS
            case "die" if not asked and now - event.at <= DEATHS_WINDOW:
                deaths += 1
            case _:
                pass
    return deaths


def ooms(events: Iterable[EngineEvent], now: datetime) -> int:
    """How often the kernel ended a process of the present run for memory, in the last ten minutes before `now`.

    The last moment is left out: a main process that went that way is seen ended after it, and is no child.
    """
    run = _runs(events)[-1]
    if any(event.action == "die" for event in run):
        return 0
    return sum(event.action == "oom" and _SAME_KILL <= now - event.at <= DEATHS_WINDOW for event in run)
