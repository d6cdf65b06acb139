"""What the core and the loop need of the world. Protocols only; each docstring is the contract its tests check."""

from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from pitcrew.core.action import Action, Seen, Trace
from pitcrew.core.observation import LogLine, ProbeResult, RuntimeEvent, RuntimeFacts, Sight
from pitcrew.core.resource import HealthyService, HttpGet, ServiceKey, TargetKind


@dataclass(frozen=True, kw_only=True, slots=True)
class ExecAnswer:
    """What a command inside a target did; `exit_code` is None when it timed out. `output` is bounded, not redacted."""

    exit_code: int | None
    output: str


class Runtime(Protocol):
    """The reading half of a workload runtime. Nothing here changes a target.

    Every call ends within the deadline it was built with, whatever the engine does, and a hung target does not delay
    calls for other targets (L3).
    """

    kind: TargetKind

    async def look(self, service: HealthyService) -> Sight:
        """The target as it is now, with a FileFact for each path that `removeFile` declares.

        Never raises for the engine's sake: an engine that is away, slow or forbidden, and a selector that finds more
        than one target, is `Blind`; an engine that answers "no such target" is `Absent`.
        """

    async def logs(
        self, service: HealthyService, facts: RuntimeFacts, *, lines_max: int, bytes_max: int
    ) -> Sequence[LogLine]:
        """The last lines, oldest first; works for exited and paused targets.

        Raises:
            Unavailable: the engine does not give them.
            TargetAbsent: the target is gone.
        """

    def events(self, service: HealthyService) -> Sequence[RuntimeEvent]:
        """What the runtime reported of the target lately, oldest first, bounded; hints, never the truth."""

    async def run(
        self, service: HealthyService, facts: RuntimeFacts, argv: Sequence[str], *, timeout_s: float, bytes_max: int
    ) -> ExecAnswer:
        """Run an argument list inside the target, without a shell, and end it at the timeout.

        Raises:
            Unavailable: the engine did not carry it out (S5: no statement about the service).
            Refused: the target does not run, so that nothing can run in it.
        """

    def wakes(self) -> AsyncIterator[ServiceKey]:
        """Services whose target just had an event worth a look, for ever; survives the engine being away."""

    def declare(self, services: Iterable[HealthyService]) -> None:
        """Say which services exist now, so that events can be told apart."""

    async def close(self) -> None:
        """Let go of everything held; targets stay as they are."""


class Actuator(Protocol):
    """The changing half of a workload runtime. Only the Mechanic may hold one."""

    async def prepare(self, service: HealthyService, action: Action, *, target_id: str, op: str) -> Trace:
        """Check the precondition at the live target and keep durably what the undo needs. Changes nothing.

        `target_id` must still be the live target's. A `removeFile` keeps bytes, owner and mode under the state
        directory with mode 0600; a `restoreFile` finds them there by target and path.

        Raises:
            Refused: the precondition does not hold (with the reason), or the path is not declared.
            TargetAbsent, TargetAmbiguous, Unavailable: it could not be checked.
        """

    async def apply(self, service: HealthyService, action: Action, trace: Trace) -> None:
        """Carry out a prepared action, once.

        Raises:
            EffectFailed: the target was asked and answered that it did not.
            OutcomeUnknown: the answer was lost or late; `seen` must tell.
            Unavailable: it was certainly not asked.
            Refused: it was not asked, because what `prepare` found is not so any more.
        """

    async def seen(self, service: HealthyService, action: Action, trace: Trace) -> Seen:
        """Read off the target whether the effect with this trace happened. Changes nothing.

        Waits, bounded, until an operation that may still be under way has ended one way or the other. `NotDone` is
        only said when it can no longer happen by itself; when in doubt, `Unknown`.
        """


class TargetLock(Protocol):
    """Keeps two operators on one machine from acting on one target (S3)."""

    def acquire(self, engine_id: str, target_id: str) -> bool:
        """Take the lock of a target and keep it until `close`, also when it is held by us already.

        Raises:
            Refused: the lock cannot be kept at all, with the reason.
        """

    def holder(self, engine_id: str, target_id: str) -> str:
        """Who holds a lock that could not be taken, for people; bounded and printable."""

    def close(self) -> None:
        """Let go of every lock."""


class HttpProber(Protocol):
    """Asks over HTTP as the kubelet does: a new connection per probe, redirects not followed."""

    async def get(self, name: str, http_get: HttpGet, *, address: str | None, timeout_s: float) -> ProbeResult:
        """One probe. Never raises for the network's sake; S5 is exact.

        `address` is the target's own and is used when `http_get.host` is absent; without both the result is
        Unknown/NoAddress. Link-local, metadata, multicast and unspecified addresses are Unknown/AddressForbidden.
        A refused, reset, timed-out, malformed or non-2xx/3xx answer is a Failure; our DNS, descriptors and routes are
        Unknown. The detail is bounded, redacted and printable; the body is capped and never echoed beyond 256 bytes.
        """
