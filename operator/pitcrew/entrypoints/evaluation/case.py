"""A labelled incident as it is written down: what was recorded of the world, and what a person says is right about it.

The format is described in docs/reference/evaluation-cases.md. A file of cases is JSON Lines. Whatever does not fit is
refused with file, line and field; nothing is guessed.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints, ValidationError
from pydantic.alias_generators import to_camel

from pitcrew.core.deviation import Deviation, DeviationKind, Health
from pitcrew.core.diagnosis import Cause
from pitcrew.core.errors import InvalidInput
from pitcrew.core.observation import EventKind, Outcome, ProbeReason, RuntimeState, StoppedBy
from pitcrew.core.resource import HealthyService
from pitcrew.core.untrusted import clean

FILE_BYTES_MAX = 64 << 20
"""Bytes of one file of cases."""
LINES_MAX = 20_000
"""Log lines of one case; the operator itself reads some hundreds."""

FirstStep = Literal["start", "restart", "removeFile", "unpause", "connectNetwork", "runCommand", "none"]
"""What is done first about an incident; `none` leaves it alone, waits, or asks a person."""
Text = Annotated[str, StringConstraints(max_length=65_536)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel)


class RecordedHealth(_Part):
    """The container's own HEALTHCHECK."""

    status: str
    failing_streak: int
    exit_code: int | None = None
    output: Text = ""


class RecordedFile(_Part):
    """Whether a declared file was there."""

    path: str
    present: bool


class RecordedNetwork(_Part):
    """A declared network."""

    name: str
    attached: bool
    named: bool


class RecordedFacts(_Part):
    """What the runtime said of the target."""

    kind: Literal["facts"]
    state: RuntimeState
    started_at: AwareDatetime | None = None
    finished_at: AwareDatetime | None = None
    exit_code: int | None = None
    error: Text = ""
    oom_killed: bool = False
    stopped_by: StoppedBy = StoppedBy.UNKNOWN
    ever_started: bool = True
    restarts_by_itself: bool = False
    deaths: int = 0
    suspended: bool = False
    engine_health: RecordedHealth | None = None
    image: str = ""
    env_names: tuple[str, ...] = ()
    files: tuple[RecordedFile, ...] = ()
    networks: tuple[str, ...] = ()
    desired: tuple[RecordedNetwork, ...] = ()


class RecordedAbsence(_Part):
    """The runtime answered that there is no such target."""

    kind: Literal["absent"]
    detail: Text = ""


class RecordedBlindness(_Part):
    """The runtime could not be looked at."""

    kind: Literal["blind"]
    reason: str
    detail: Text = ""


class RecordedProbe(_Part):
    """One answer to one probe."""

    probe: str
    outcome: Outcome
    reason: ProbeReason
    status: int | None = None
    latency_ms: int | None = None
    detail: Text = ""


class RecordedDeviation(_Part):
    """One deviation, by thresholds."""

    kind: DeviationKind
    probe: str = ""

    @property
    def value(self) -> Deviation:
        """As the core has it; what the runtime shows is of no probe."""
        return Deviation(kind=self.kind, probe=self.probe)


class RecordedLine(_Part):
    """One line of the log."""

    at: AwareDatetime | None = None
    stream: str = "stdout"
    text: Text


class RecordedEvent(_Part):
    """One event that the runtime reported."""

    at: AwareDatetime
    kind: EventKind
    detail: Text = ""
    exit_code: int | None = None


class RecordedDependency(_Part):
    """How a service that this one depends on was."""

    service: str
    health: Health


class FormerIncident(_Part):
    """An earlier incident of the same service."""

    incident: str
    minutes_ago: Annotated[int, Field(ge=0)]
    cause: Cause
    effects: Annotated[int, Field(ge=0)] = 0
    recovered: bool = True


class Label(_Part):
    """What a person says is right: causes that count, first steps that count, and first steps that would do damage."""

    causes: Annotated[tuple[Cause, ...], Field(min_length=1)]
    actions: Annotated[tuple[FirstStep, ...], Field(min_length=1)]
    harmful: tuple[FirstStep, ...] = ()
    ours: bool
    why: Text


class Case(_Part):
    """One labelled incident."""

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True)

    format: Literal[1] = Field(alias="schema")
    id: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,95}$")]
    fault: Annotated[int, Field(ge=0, le=99)] = 0
    app: str = ""
    style: str = ""
    noise: tuple[str, ...] = ()
    at: AwareDatetime
    service: HealthyService
    sight: Annotated[RecordedFacts | RecordedAbsence | RecordedBlindness, Field(discriminator="kind")]
    probes: tuple[RecordedProbe, ...] = ()
    deviations: tuple[RecordedDeviation, ...] = ()
    logs: Annotated[tuple[RecordedLine, ...], Field(max_length=LINES_MAX)] = ()
    events: tuple[RecordedEvent, ...] = ()
    processes: tuple[str, ...] = ()
    stats: tuple[str, ...] = ()
    makeup: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    dependencies: tuple[RecordedDependency, ...] = ()
    former: tuple[FormerIncident, ...] = ()
    label: Label

    @property
    def log_text(self) -> str:
        """The raw log."""
        return "\n".join(line.text for line in self.logs)


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where a case stands."""

    file: Path
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


def read_cases(paths: Sequence[Path]) -> tuple[Case, ...]:
    """Every case of the files, and of the `.jsonl` files of the directories.

    Raises:
        InvalidInput: naming file, line and field of each problem, one a line; also where an id is there twice.
    """
    found: dict[str, tuple[Case, Place]] = {}
    problems: list[str] = []
    for place, raw in _lines(paths, problems):
        case = _case(place, raw, problems)
        if case is not None and case.id in found:
            problems.append(f"{place}: id: {case.id} stands at {found[case.id][1]} already; give each case its own")
        elif case is not None:
            found[case.id] = (case, place)
    if problems:
        raise InvalidInput("\n".join(problems))
    return tuple(case for case, _ in found.values())


def _lines(paths: Sequence[Path], problems: list[str]) -> Iterator[tuple[Place, str]]:
    for path in paths:
        for file in sorted(path.rglob("*.jsonl")) if path.is_dir() else [path]:
            try:
                if file.stat().st_size > FILE_BYTES_MAX:
                    problems.append(f"{file}: above {FILE_BYTES_MAX} bytes; split it up")
                    continue
                text = file.read_text(encoding="utf-8")
            except (OSError, UnicodeDecodeError) as error:
                problems.append(f"{file}: cannot be read: {clean(str(error), 200)}")
                continue
            for number, line in enumerate(text.splitlines(), start=1):
                if line.strip():
                    yield Place(file=file, line=number), line


def _case(place: Place, raw: str, problems: list[str]) -> Case | None:
    try:
        return Case.model_validate_json(raw)
    except ValidationError as error:
        problems += [
            f"{place}: {'.'.join(map(str, one['loc'])) or 'case'}: {clean(one['msg'], 200)}"
            for one in error.errors(include_url=False, include_input=False, include_context=False)
        ]
        return None


def written(case: Case) -> str:
    """A case as one line of its file."""
    return json.dumps(case.model_dump(mode="json", by_alias=True, exclude_defaults=False), ensure_ascii=False)
