"""Where PitCrew can be killed, and the ports that do it. They wrap the adapters of a `World`; the product has no part.

A point is a write of the journal, a write of a ledger, or an effect. Around a write the kill comes before it, with half
of its bytes on disk, or right after it is durable. Around an effect it comes before it, while it is carried out, or
after it and before its record; "after its record" is the point of that record.
"""

import asyncio
import os
import signal
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import NoReturn

from pitcrew.core.action import Action, Seen, Trace
from pitcrew.core.record import Entry, Head, Instant, Record, parse, seal
from pitcrew.core.resource import HealthyService
from pitcrew.ports import Actuator, Clock, Journal, Ledger

INTENTS = ("Intended", "UndoIntended")


class Position(StrEnum):
    """When, around a point."""

    BEFORE = "before"
    TORN = "torn"
    DURING = "during"
    AFTER = "after"


@dataclass(frozen=True, order=True, kw_only=True, slots=True)
class Point:
    """A place, such as `journal:Opened` or `effect:removeFile`, and the how manieth of its kind in one run, from 1."""

    place: str
    number: int

    @property
    def positions(self) -> tuple[Position, ...]:
        """The positions that make sense here."""
        middle = Position.DURING if self.place.startswith("effect:") else Position.TORN
        return Position.BEFORE, middle, Position.AFTER

    def __str__(self) -> str:
        return f"{self.place}#{self.number}"


@dataclass(frozen=True, order=True, kw_only=True, slots=True)
class Kill:
    """One death."""

    point: Point
    position: Position

    def __str__(self) -> str:
        return f"{self.position} {self.point}"


class Points:
    """Counts the points of one run into the file `notes`, and ends the process at the chosen one."""

    def __init__(self, notes: Path, kill: Kill | None) -> None:
        self._notes = notes
        self._kill = kill
        self._passed: Counter[str] = Counter()

    def come_to(self, place: str) -> Point:
        """The next point of this place."""
        self._passed[place] += 1
        point = Point(place=place, number=self._passed[place])
        self._note(f"{point}")
        return point

    def is_due(self, point: Point, position: Position) -> bool:
        """Whether the kill is to come here."""
        return self._kill == Kill(point=point, position=position)

    def die_if_due(self, point: Point, position: Position) -> None:
        """End this process as the kernel would, if it is to end here."""
        if self.is_due(point, position):
            self.die()

    def die(self) -> NoReturn:
        """End this process as the kernel would."""
        self._note(f"killed {self._kill}")
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError("a process does not outlive SIGKILL")

    def _note(self, text: str) -> None:
        append(self._notes, f"{text}\n".encode())


def append(path: Path, data: bytes) -> None:
    """Add bytes to a file as one write."""
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(descriptor, data)
    finally:
        os.close(descriptor)


class KillableJournal:
    """A journal whose every write is a point."""

    def __init__(self, inner: Journal, *, directory: Path, clock: Clock, points: Points) -> None:
        self._inner = inner
        self._directory = directory
        self._clock = clock
        self._points = points

    async def append(self, entry: Entry) -> Record:
        point = self._points.come_to(f"journal:{entry.type}")
        self._points.die_if_due(point, Position.BEFORE)
        if self._points.is_due(point, Position.TORN):
            self._tear(entry)
        record = await self._inner.append(entry)
        self._points.die_if_due(point, Position.AFTER)
        return record

    def read(self, incident: str | None = None) -> Iterator[Record]:
        return self._inner.read(incident)

    @property
    def head(self) -> Head:
        return self._inner.head

    def _tear(self, entry: Entry) -> NoReturn:
        newest = max(self._directory.glob("*.jsonl"), default=self._directory / "000001.jsonl")
        append(newest, half(seal(entry, self._clock.now(), self.head)))
        self._points.die()


class KillableLedger:
    """A ledger whose every write is a point."""

    def __init__(self, inner: Ledger, *, path: Path, points: Points) -> None:
        self._inner = inner
        self._path = path
        self._points = points
        self._head = Head()

    def read(self) -> Sequence[Record]:
        records = self._inner.read()
        self._head = records[-1].head if records else Head()
        return records

    def append(self, entry: Entry, at: Instant) -> Record:
        point = self._points.come_to(f"{self._path.stem}:{entry.type}")
        self._points.die_if_due(point, Position.BEFORE)
        if self._points.is_due(point, Position.TORN):
            append(self._path, half(seal(entry, at, self._head)))
            self._points.die()
        record = self._inner.append(entry, at)
        self._head = record.head
        self._points.die_if_due(point, Position.AFTER)
        return record


class KillableActuator:
    """An actuator whose every effect is a point."""

    def __init__(self, inner: Actuator, *, points: Points) -> None:
        self._inner = inner
        self._points = points

    async def prepare(self, service: HealthyService, action: Action, *, target_id: str, op: str) -> Trace:
        return await self._inner.prepare(service, action, target_id=target_id, op=op)

    async def apply(self, service: HealthyService, action: Action, trace: Trace) -> None:
        point = self._points.come_to(f"effect:{action.name}")
        self._points.die_if_due(point, Position.BEFORE)
        effect = asyncio.ensure_future(self._inner.apply(service, action, trace))
        if self._points.is_due(point, Position.DURING):
            # One turn of the loop: the work is handed to its thread, and how far that gets is the kernel's dice.
            await asyncio.sleep(0)
            self._points.die()
        await effect
        self._points.die_if_due(point, Position.AFTER)

    async def seen(self, service: HealthyService, action: Action, trace: Trace) -> Seen:
        return await self._inner.seen(service, action, trace)

    async def close(self) -> None:
        await self._inner.close()


def half(line: bytes) -> bytes:
    """What a power cut in the middle of a write leaves."""
    return line[: len(line) // 2]


# Bugs, put back by hand: what the oracle must find


class LateIntents:
    """The bug "record after effect": an intent reaches the disk with the record that follows it."""

    def __init__(self, inner: Journal, clock: Clock) -> None:
        self._inner = inner
        self._clock = clock
        self._held: Entry | None = None

    async def append(self, entry: Entry) -> Record:
        if entry.type in INTENTS:
            self._held = entry
            return parse(seal(entry, self._clock.now(), self.head))
        held, self._held = self._held, None
        if held is not None:
            await self._inner.append(held)
        return await self._inner.append(entry)

    def read(self, incident: str | None = None) -> Iterator[Record]:
        return self._inner.read(incident)

    @property
    def head(self) -> Head:
        return self._inner.head


class ForgetfulLedger:
    """The bug "ledger not consulted": it is written and never believed."""

    def __init__(self, inner: Ledger) -> None:
        self._inner = inner

    def read(self) -> Sequence[Record]:
        self._inner.read()
        return ()

    def append(self, entry: Entry, at: Instant) -> Record:
        return self._inner.append(entry, at)
