"""What was seen of a target at one instant: probe results and runtime facts.

S5 lives in the shape: a probe that was carried out is a Success or a Failure; what our side could not carry out is
Unknown and never a statement about the service.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from pitcrew.core.resource import ServiceKey, TargetKind


class Outcome(StrEnum):
    """What one probe said."""

    UNKNOWN = "Unknown"
    SUCCESS = "Success"
    FAILURE = "Failure"


class ProbeReason(StrEnum):
    """Why a probe ended as it did; the first block are answers of the service, the second is our side."""

    OK = "Ok"
    STATUS = "Status"
    REFUSED = "Refused"
    RESET = "Reset"
    TIMEOUT = "Timeout"
    MALFORMED = "Malformed"
    EXIT_CODE = "ExitCode"
    ENGINE_UNHEALTHY = "EngineUnhealthy"

    UNREACHABLE = "Unreachable"
    NO_ADDRESS = "NoAddress"
    NAME_NOT_RESOLVED = "NameNotResolved"
    ADDRESS_FORBIDDEN = "AddressForbidden"
    ENGINE_AWAY = "EngineAway"
    NOT_RUNNING = "NotRunning"
    NOT_REPORTED = "NotReported"
    STARTING = "Starting"
    OUR_LIMITS = "OurLimits"
    CHECK_BROKEN = "CheckBroken"


@dataclass(frozen=True, kw_only=True, slots=True)
class ProbeResult:
    """One answer to one probe.

    `detail` is bounded, redacted and printable; `status` is an HTTP status or an exit code.
    """

    probe: str
    at: datetime
    outcome: Outcome
    reason: ProbeReason
    detail: str = ""
    status: int | None = None
    latency_ms: int | None = None


class RuntimeState(StrEnum):
    """Where a target stands in its life."""

    RUNNING = "Running"
    PAUSED = "Paused"
    RESTARTING = "Restarting"
    EXITED = "Exited"
    CREATED = "Created"
    DEAD = "Dead"


class StoppedBy(StrEnum):
    """Who ended a target that does not run, as far as the runtime can tell."""

    UNKNOWN = "Unknown"
    ITSELF = "Itself"
    PERSON = "Person"


class EventKind(StrEnum):
    """What a runtime reported about a target."""

    STARTED = "Started"
    DIED = "Died"
    KILLED = "Killed"
    STOPPED = "Stopped"
    PAUSED = "Paused"
    UNPAUSED = "Unpaused"
    OUT_OF_MEMORY = "OutOfMemory"
    CREATED = "Created"
    DESTROYED = "Destroyed"
    HEALTH = "Health"
    NETWORK = "Network"
    RENAMED = "Renamed"


@dataclass(frozen=True, kw_only=True, slots=True)
class RuntimeEvent:
    """One event of a target; a hint, polling is the truth. `detail` is bounded and printable."""

    at: datetime
    kind: EventKind
    detail: str = ""
    exit_code: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class EngineHealth:
    """The container's own HEALTHCHECK as the engine reports it; `output` is bounded and redacted."""

    status: str
    failing_streak: int
    exit_code: int | None = None
    output: str = ""
    checked_at: datetime | None = None
    """When its last check ended; None where that is not known."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FileFact:
    """Whether a declared file exists; None when it could not be seen. `size` in bytes."""

    path: str
    present: bool | None
    size: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class NetworkFact:
    """A declared network: whether the target is attached, and under all declared aliases."""

    name: str
    attached: bool
    named: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class RuntimeFacts:
    """What the runtime says of a target.

    `target_id` never changes in the life of a container or a declared process; `instance` names one run of it (start
    stamp of the container; pid, start time and boot id of the process) and changes with every start.
    `restarts_by_itself` says that the engine brings it back after a death; `deaths` counts its own deaths (no kill,
    no stop before) that the runtime remembers of the last ten minutes, and `ooms` how often the kernel ended one of its
    processes for memory in that time while its main process ran on.
    """

    kind: TargetKind
    target_id: str
    instance: str
    name: str
    state: RuntimeState
    started_at: datetime | None = None
    finished_at: datetime | None = None
    exit_code: int | None = None
    error: str = ""
    oom_killed: bool = False
    stopped_by: StoppedBy = StoppedBy.UNKNOWN
    ever_started: bool = True
    restarts_by_itself: bool = False
    deaths: int = 0
    ooms: int = 0
    suspended: bool = False
    engine_health: EngineHealth | None = None
    address: str | None = None
    published: tuple[tuple[int, str, int], ...] = ()
    networks: tuple[str, ...] = ()
    image: str = ""
    env_names: tuple[str, ...] = ()
    files: tuple[FileFact, ...] = ()
    desired: tuple[NetworkFact, ...] = ()

    @property
    def running(self) -> bool:
        """Whether its code can run at this moment."""
        return self.state is RuntimeState.RUNNING


@dataclass(frozen=True, kw_only=True, slots=True)
class Blind:
    """The runtime could not be looked at, or the target could not be told; a reason, never a fact about health."""

    reason: str
    detail: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Absent:
    """The runtime answered: there is no such target."""

    detail: str


Sight = RuntimeFacts | Absent | Blind
"""What one look at the runtime gave."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LogLine:
    """One line of a target's log; `text` is decoded, and not yet redacted."""

    at: datetime | None
    stream: str
    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Seal:
    """Who looked, at which declaration of the target, and the signature over what was seen (Ed25519, in hex)."""

    mechanic: str
    target_digest: str
    signature: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Observation:
    """A look at the runtime and the probe results of the same instant.

    `seal` is there where another process looked, so that nobody in between has to be believed.
    """

    service: ServiceKey
    at: datetime
    sight: Sight
    probes: tuple[ProbeResult, ...] = ()
    seal: Seal | None = None
