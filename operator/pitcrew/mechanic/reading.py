"""What a Mechanic reads of its targets for others: bounded and redacted here, before it leaves the machine (S8)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher

from pitcrew.core.errors import Refused, TargetAbsent, Unavailable
from pitcrew.core.observation import Absent, Blind, LogLine, Observation, RuntimeEvent, RuntimeFacts, Sight
from pitcrew.core.resource import HealthyService, ServiceKey, TargetKind
from pitcrew.core.untrusted import clean, printable, redact
from pitcrew.mechanic.claims import Claims
from pitcrew.mechanic.roster import Roster
from pitcrew.mechanic.sealing import Sealer
from pitcrew.mechanic.wakes import Wakes
from pitcrew.ports import Observer, Runtime

LOG_LINES_MAX = 2000
LOG_BYTES_MAX = 512 * 1024
"""The largest reading of a log that evidence asks for: twice what is read at first."""
PROCESSES_MAX = 100
MAKEUP_MAX = 100
EVENTS_MAX = 64
LINE_BYTES_MAX = 512
TEXT_BYTES_MAX = 1024


@dataclass(frozen=True, kw_only=True, slots=True)
class Readings:
    """Reads of the services on the roster, and of nothing else. Each call raises Refused for any other name."""

    roster: Roster
    runtimes: Mapping[TargetKind, Runtime]
    observer: Observer
    sealer: Sealer
    claims: Claims
    heard: Wakes

    async def inspect(self, name: str) -> Sight:
        """The target as it is now."""
        service = self.roster.service(name)
        return _cleaned(await self._look(service))

    async def logs(self, name: str, *, lines_max: int, bytes_max: int) -> Sequence[LogLine]:
        """The last lines, oldest first. Raises Unavailable, TargetAbsent."""
        service, facts = await self._there(name)
        lines = await self.runtimes[facts.kind].logs(
            service, facts, lines_max=min(lines_max, LOG_LINES_MAX), bytes_max=min(bytes_max, LOG_BYTES_MAX)
        )
        return redacted(lines)

    async def processes(self, name: str, *, lines_max: int) -> Sequence[str]:
        """One line per process. Raises Unavailable, TargetAbsent."""
        service, facts = await self._there(name)
        bound = min(lines_max, PROCESSES_MAX)
        return _lines(await self.runtimes[facts.kind].processes(service, facts, lines_max=bound), bound)

    async def stats(self, name: str) -> Sequence[str]:
        """What the target uses. Raises Unavailable, TargetAbsent."""
        service, facts = await self._there(name)
        return _lines(await self.runtimes[facts.kind].stats(service, facts), MAKEUP_MAX)

    async def makeup(self, name: str) -> Sequence[str]:
        """How the target was made. Raises Unavailable, TargetAbsent."""
        service, facts = await self._there(name)
        return _lines(await self.runtimes[facts.kind].makeup(service, facts), MAKEUP_MAX)

    async def probe(self, name: str, probes: Sequence[str] | None) -> Observation:
        """A whole look, sealed: the runtime, and the named probes, all where None."""
        service = self.roster.service(name)
        unknown = sorted(set(probes or ()) - {probe for probe, _ in service.probes})
        if unknown:
            declared = ", ".join(probe for probe, _ in service.probes) or "none"
            raise Refused(f"{clean(repr(unknown[0]), 100)} is no probe of {service.key}; declared are {declared}")
        seen = await self.observer.look(service, None if probes is None else set(probes))
        self.claims.note(service.key, seen.sight)
        return self.sealer.seal(service, replace(seen, sight=_cleaned(seen.sight)))

    async def events(
        self, name: str, cursor: str, wait_s: float
    ) -> tuple[Mapping[ServiceKey, Sequence[RuntimeEvent]], str]:
        """The last events of each service that had one after a cursor, and the cursor to go on with."""
        key = self.roster.service(name).key if name else None
        due, cursor = await self.heard.after(cursor, key, wait_s)
        services = [self.roster.declared[key].service for key in due if key in self.roster.declared]
        return {service.key: self._events(service) for service in services}, cursor

    def _events(self, service: HealthyService) -> Sequence[RuntimeEvent]:
        events = self.runtimes[service.spec.target.kind].events(service)[-EVENTS_MAX:]
        return [replace(event, detail=clean(event.detail, LINE_BYTES_MAX)) for event in events]

    async def _look(self, service: HealthyService) -> Sight:
        sight = await self.runtimes[service.spec.target.kind].look(service)
        self.claims.note(service.key, sight)
        return sight

    async def _there(self, name: str) -> tuple[HealthyService, RuntimeFacts]:
        service = self.roster.service(name)
        match await self._look(service):
            case RuntimeFacts() as facts:
                return service, facts
            case Absent(detail=detail):
                raise TargetAbsent(detail)
            case Blind(reason=reason, detail=detail):
                raise Unavailable(f"{reason}: {detail}")


def redacted(lines: Sequence[LogLine]) -> Sequence[LogLine]:
    """Log lines without secrets, those that go over several lines included; tabs stay, other controls are escaped."""
    if not lines:
        return ()
    texts = [line.text for line in lines]
    whole = redact("\n".join(texts)).split("\n")
    if len(whole) == len(texts):
        return [replace(line, text=printable(text)) for line, text in zip(lines, whole, strict=True)]
    return [replace(lines[place], text=printable(text)) for place, text in _placed(texts, whole)]


def _placed(before: Sequence[str], after: Sequence[str]) -> Sequence[tuple[int, str]]:
    """Each line after a redaction that took lines away, with the number of the line that it was or stands for."""
    placed: list[tuple[int, str]] = []
    for _, begin, end, first, last in SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        placed += [(min(begin + n, max(begin, end - 1)), after[first + n]) for n in range(last - first)]
    return [(min(place, len(before) - 1), text) for place, text in placed]


def _lines(lines: Sequence[str], lines_max: int) -> Sequence[str]:
    return [printable(clean(line, LINE_BYTES_MAX), lines=False) for line in lines[:lines_max]]


def _cleaned(sight: Sight) -> Sight:
    """A sight whose free texts are bounded and redacted; what identifies the target stays as it is."""
    match sight:
        case RuntimeFacts(engine_health=health):
            told = replace(health, output=clean(health.output, TEXT_BYTES_MAX)) if health else None
            return replace(sight, error=clean(sight.error, TEXT_BYTES_MAX), engine_health=told)
        case Absent(detail=detail):
            return Absent(detail=clean(detail, TEXT_BYTES_MAX))
        case Blind(reason=reason, detail=detail):
            return Blind(reason=reason, detail=clean(detail, TEXT_BYTES_MAX))
