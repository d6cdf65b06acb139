"""What the demo sees: the journal as it grows, a line per stage; and what others than PitCrew saw."""

import json
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

from pitcrew.core.conditions import notice
from pitcrew.core.event import EVENT_TYPES, from_record
from pitcrew.core.incident import Incident, Phase, advance
from pitcrew.core.record import Record, parse
from tools.demo_world import STATE, Stage, docker, pitcrew, say, until

HEAL_S = 240
"""Seconds that an incident has, a small model's answer included."""
CREW = {
    "Opened": "Driver",
    "EvidenceGathered": "Driver",
    "Diagnosed": "Driver",
    "ModelAsked": "Driver",
    "Advised": "Driver",
    "DiagnosisProposed": "Person",
    "NotAsked": "Driver",
    "Picked": "Driver",
    "EvidenceAdded": "Mechanic",
    "Planned": "Strategist",
    "NothingToTry": "Strategist",
    "Judged": "Official",
    "ApprovalAsked": "Official",
    "Decided": "Person",
    "Permitted": "Official",
    "Checked": "Driver",
    "Intended": "Driver",
    "Acted": "Mechanic",
    "Verified": "Driver",
    "Reported": "Reporter",
}


class Follower:
    """Reads a journal as it grows and prints a line per stage; `read` gives every whole record of it so far."""

    def __init__(self, read: Callable[[], Iterable[Record]] | None = None) -> None:
        self._read = read or records
        self._at = 0
        self._incidents: dict[str, Incident] = {}

    def polled(self) -> bool:
        """Print what is new; always true, to stand in a condition."""
        self.poll()
        return True

    def poll(self) -> None:
        """Print what is new."""
        for record in list(self._read())[self._at :]:
            self._at += 1
            if record.type in EVENT_TYPES:
                self._tell(record)

    def _tell(self, record: Record) -> None:
        event = from_record(record)
        incident = advance(self._incidents.get(record.incident), event, record.at)
        self._incidents[record.incident] = incident
        who = CREW.get(record.type, "Driver")
        if record.type == "Planned":
            say("Risk", f"{incident.attempt.risk.level} ({incident.attempt.risk.score} of 100)")
        say(who, f"{record.incident} {record.type}: {notice(event, incident, record.at).message}")

    def settle(self) -> set[str]:
        """Wait until no incident is open; the ids so far."""
        until(lambda: self.polled() and not any(i.open for i in self._incidents.values()), HEAL_S, "a quiet start")
        return set(self._incidents)

    def follow_to(self, after: set[str], there: Callable[[Incident], bool], what: str) -> Incident:
        """The next incident, once it is there."""

        def reached() -> Incident | None:
            self.poll()
            return next((one for id_, one in self._incidents.items() if id_ not in after and there(one)), None)

        return until(reached, HEAL_S, what)

    def follow_one(self, after: set[str]) -> Incident:
        """The next incident, until it is closed or waits for a person, with its report written."""
        return self.follow_to(
            after, lambda one: one.phase in (Phase.CLOSED, Phase.ESCALATED) and bool(one.report), "the incident to end"
        )


def records() -> Iterator[Record]:
    """Every whole record on disk."""
    for segment in sorted((STATE / "journal").glob("*.jsonl")):
        for line in segment.read_bytes().splitlines(keepends=True):
            if line.endswith(b"\n"):
                yield parse(line.rstrip(b"\n"))


def watched(stage: Stage) -> bool:
    """Whether PitCrew itself says that the service is healthy."""
    shown = pitcrew("get", "-o", "json")
    return shown.returncode == 0 and '"Healthy"' in shown.stdout


def witness(stage: Stage) -> Iterator[str]:
    """What others than PitCrew saw."""
    if stage.on == "docker":
        yield from container_witness(stage)
        return
    history = STATE.glob("process/*/record.json")
    for path in history:
        runs = json.loads(path.read_text()).get("runs", [])
        yield f"the supervisor's record: {len(runs)} start(s) of the process"


def container_witness(stage: Stage) -> Iterator[str]:
    """The engine's events and the container's own log."""
    since, id_ = str(int(time.time()) - 600), docker("inspect", "--format", "{{.Id}}", stage.name).stdout.strip()
    told = docker("events", "--since", since, "--until", str(int(time.time())), *_of_container(id_))
    yield from seen_of(stage, told.stdout.splitlines())


@contextmanager
def following(stage: Stage) -> Iterator[Callable[[], list[str]]]:
    """The engine's events of the container while the block runs; an engine that has much to tell forgets them soon."""
    id_ = docker("inspect", "--format", "{{.Id}}", stage.name).stdout.strip()
    with tempfile.TemporaryFile("w+") as told:
        process = subprocess.Popen(["docker", "events", *_of_container(id_)], stdout=told, stderr=subprocess.DEVNULL)

        def so_far() -> list[str]:
            told.seek(0)
            return told.read().splitlines()

        try:
            yield so_far
        finally:
            process.terminate()
            process.wait(10)


def _of_container(id_: str) -> tuple[str, ...]:
    return "--filter", f"container={id_}", "--format", "{{.Action}}"


def seen_of(stage: Stage, events: Sequence[str]) -> Iterator[str]:
    """What the engine's events and the container's log say of it."""
    acts = [event for event in events if stage.flag in event and event.startswith("exec_start")]
    yield (
        f"docker events: {len(acts)} exec of {acts[0].partition(': ')[2] if acts else 'nothing'}; "
        f"{sum(event in ('restart', 'kill', 'die') for event in events)} restart, kill or die"
    )
    logs = docker("logs", stage.name).stdout
    yield f"container log: {logs.count('the flag file')} lines name the flag file"
