"""What the core and the loop need of the world. Protocols only; each docstring is the contract its tests check."""

from collections.abc import AsyncIterator, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from pitcrew.core.action import Action, Seen, Trace
from pitcrew.core.approval import Approval, ApprovalRequest, Decision, Hearing, Signer, Unverified
from pitcrew.core.caller import Caller
from pitcrew.core.conditions import ServiceStatus
from pitcrew.core.cost import Usage
from pitcrew.core.event import Event
from pitcrew.core.incident import Incident
from pitcrew.core.observation import LogLine, Observation, ProbeResult, RuntimeEvent, RuntimeFacts, Sight
from pitcrew.core.order import Person
from pitcrew.core.permit import Permit, PermitRefused
from pitcrew.core.policy import Case, CompiledRule, Guardrails, Unread, Verdict
from pitcrew.core.prompt import Question
from pitcrew.core.proposal import Plan
from pitcrew.core.record import Entry, Head, Instant, Record
from pitcrew.core.resource import (
    Egress,
    HealthyService,
    HttpGet,
    RemediationPolicy,
    Rule,
    ServiceKey,
    TargetKind,
    TcpSocket,
)
from pitcrew.core.runbook import Runbook
from pitcrew.core.shortlist import Hit
from pitcrew.core.transcript import Transcript


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

    async def processes(self, service: HealthyService, facts: RuntimeFacts, *, lines_max: int) -> Sequence[str]:
        """One line per process of a running target: pid, state, where it waits in the kernel, name; no arguments.

        What a restart destroys and a person who looks for the cause of a hang asks for first.

        Raises:
            Unavailable: the engine does not give them, or the target does not run.
            TargetAbsent: the target is gone.
        """

    async def stats(self, service: HealthyService, facts: RuntimeFacts) -> Sequence[str]:
        """What a running target uses, a line each and at most a dozen: memory and its limit, processor, processes.

        Raises:
            Unavailable: the engine does not give it, or the target does not run.
            TargetAbsent: the target is gone.
        """

    async def makeup(self, service: HealthyService, facts: RuntimeFacts) -> Sequence[str]:
        """How the target was made, a line each and bounded: command, limits, mounts, names of its environment. No value
        of the environment is among it; arguments are not redacted.

        Raises:
            Unavailable: the engine does not give it.
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
        directory with mode 0600; a `restoreFile` finds them there by target and path. A `runCommand` is made known,
        unbegun, so that its notes name the one run of it that can come.

        Raises:
            Refused: the precondition does not hold (with the reason), or the path is not declared,
                or the command is not declared like this.
            TargetAbsent, TargetAmbiguous, Unavailable: it could not be checked.
        """

    async def apply(self, service: HealthyService, action: Action, trace: Trace) -> None:
        """Carry out a prepared action, once.

        Raises:
            EffectFailed: the target was asked and answered that it did not; of a command, that it ended with another
                code than 0 or was ended at its timeout, with the beginning of what it said, bounded and redacted.
            OutcomeUnknown: the answer was lost or late; `seen` must tell.
            Unavailable: it was certainly not asked.
            Refused: it was not asked, because what `prepare` found is not so any more.
        """

    async def seen(self, service: HealthyService, action: Action, trace: Trace) -> Seen:
        """Read off the target whether the effect with this trace happened. Changes nothing, but that a command past its
        timeout is ended.

        Waits, bounded, until an operation that may still be under way has ended one way or the other. `NotDone` is
        only said when it can no longer happen by itself; when in doubt, `Unknown`. A command that ended was done,
        whatever its exit code.
        """

    async def close(self) -> None:
        """Let go of everything held; targets stay as they are."""


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

    async def connect(self, name: str, tcp: TcpSocket, *, address: str | None, timeout_s: float) -> ProbeResult:
        """One connection, opened and closed at once; that it is taken is a Success. The rest is as in `get`."""


class Observer(Protocol):
    """The eyes: whole looks, the runtime and the probes together, so that nobody has to be believed on either half."""

    async def look(self, service: HealthyService, due: Collection[str] | None = None) -> Observation:
        """The target as it is now, and the probes named in `due` (all when None), asked side by side.

        Never raises for the world's sake: what our side could not carry out is Blind or Unknown (S5). Where the one who
        looked is another process, the observation carries its seal.
        """


class Clock(Protocol):
    """The trusted clock: never behind the last record, never backwards, whatever happens to the wall clock."""

    def now(self) -> Instant:
        """One reading. Cheap, from any thread."""
        ...


class Journal(Protocol):
    """The append-only chain of everything that was seen, decided and done: audit trail and recovery log in one."""

    async def append(self, entry: Entry) -> Record:
        """Add one record; it is durable when this returns.

        Records appended at once share one write. A waiter that is cancelled takes nothing back: its record is kept.

        Raises
            InvalidInput: the entry cannot be spelt as JSON without floats, or is too large; nothing was written.
            JournalUnwritable: it could not be made durable. Later appends try anew.
            JournalDamaged: the chain does not hold; a person must seal it first.
        """
        ...

    def read(self, incident: str | None = None) -> Iterator[Record]:
        """Every durable record in order, or those of one incident; of a damaged journal, the good beginning."""
        ...

    @property
    def head(self) -> Head:
        """The last durable record."""
        ...


class JournalStore(Protocol):
    """What keeps a journal, for whoever opened it."""

    @property
    def damage(self) -> str:
        """Why nothing is appended until a person seals the journal; empty when all is well."""
        ...

    async def archive(self) -> Sequence[int]:
        """Set aside what is old enough; the numbers of the segments that moved. The chain is carried over.

        Raises:
            JournalUnwritable: they could not be moved; nothing is lost.
        """
        ...

    def close(self) -> None:
        """Let go of the files; what is durable stays."""


class Official(Protocol):
    """Judges and permits. It holds policies, the signing key and its own ledger; without its permit nothing acts."""

    async def judge(self, service: HealthyService, plan: Plan, case: Case) -> Verdict:
        """The verdict on a plan, by the service's policy as declared now and the Official's own ledger.

        Never raises for the policy's sake: a rule that fails denies (S9).
        """

    async def ask(self, service: HealthyService, plan: Plan, case: Case) -> ApprovalRequest | PermitRefused:
        """Ask people for a decision on exactly this plan, durably; asked again it is the same request."""

    async def decide(
        self, plan_digest: str, decision: Decision, person: Person, reason: str, *, signed: str = ""
    ) -> Approval | PermitRefused:
        """One person's decision on a plan that was asked about, durable before it is returned, and never changed.

        `person` is whom the way in authenticated. `signed`, where it is given, is an armored SSH signature over the
        core's `statement` of exactly this decision: then the principal of its key decides, and `person` only brought
        it. Refused, with the reason, where this person may not, or there is nothing to decide any more."""

    async def decision(self, plan_digest: str) -> Hearing:
        """What people decided on a plan that was asked about, and what people or time made of it in the end."""

    async def permit(self, service: HealthyService, plan: Plan, case: Case) -> Permit | PermitRefused:
        """A permit to do exactly this plan, issued only where judging it again, now, allows it. Counted in the budgets
        once per plan digest, durably, before it is returned."""

    async def permit_undo(self, service: HealthyService, plan: Plan) -> Permit | PermitRefused:
        """A permit to undo a plan that was permitted before; costs no budget. Refused where PitCrew was stopped, the
        mode no longer acts, or no permit to do was ever issued for this digest."""


class Tokens(Protocol):
    """The bearer tokens of callers over the network."""

    def who(self, token: str) -> Caller | None:
        """Whom a token stands for now; None where it is nobody's, was revoked or expired. Cheap, from any thread.

        Raises:
            Unavailable: it cannot be told now; nobody may be let in.
        """


class Signatures(Protocol):
    """Tells whose key a signature is by. It holds public keys only: what verifies can never forge."""

    async def verify(self, statement: str, signature: str, at: datetime) -> Signer | Unverified:
        """The one principal whose key, valid at `at` and for decisions, signed exactly this statement.

        Never raises, and ends within seconds, whatever the signature is: what cannot be verified is `Unverified`, with
        the reason in it, and so is a key that stands for several principals, or for one that cannot be typed.
        """


class StopSwitch(Protocol):
    """A person's stop of everything (S15)."""

    def __call__(self) -> bool:
        """Whether PitCrew is stopped; what cannot be told counts as stopped (S9)."""

    def set(self, text: str) -> None:
        """Stop; holds before it returns, whoever else is down. Raises OSError where it cannot be kept."""

    def clear(self) -> None:
        """Go on. Raises OSError where the stop cannot be taken back."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What a model said: its text as it came, what its endpoint tells of tokens, true or not, and the way of asking."""

    text: str
    usage: Usage | None
    way: str


class Consultant(Protocol):
    """A model that is asked for a second opinion. Its text is data for the core to read."""

    model: str

    async def ask(self, question: Question, egress: Egress, *, within_s: float | None = None) -> Answer:
        """Its answer, whatever its endpoint does, within the deadline it was built with, or `within_s` seconds where
        that is sooner; cancelled, it ends at once. A question that names a way is asked in that way only.

        Nothing of the question goes farther than `egress`: under Local no connection is made but to this machine's
        loopback, whatever a name resolves to, and under None none at all.

        Raises:
            ModelUnreachable: no request reached it, so nothing was spent.
            Unavailable: it gave no answer that can be read.
        """

    async def close(self) -> None:
        """Let go of its connections."""


class Transcripts(Protocol):
    """Keeps what models were sent and what they answered, for people. Nothing is decided by it."""

    async def keep(self, transcript: Transcript) -> None:
        """Keep it in place of an earlier one of the same question in the same incident.

        Raises:
            Unavailable: it cannot be kept.
        """

    async def prune(self, before: datetime) -> int:
        """Remove those of questions asked before an instant; how many.

        Raises:
            Unavailable: they cannot be removed.
        """


class Mechanic(Protocol):
    """Acts, and never decides. Each call verifies the permit: signature, plan digest, direction, expiry, unspent."""

    async def prepare(self, permit: Permit, plan: Plan, service: HealthyService) -> Trace:
        """Check that the permit covers the plan and that the precondition holds at the live target; keep what an undo
        needs. Changes nothing and spends nothing.

        Raises:
            Refused, TargetAbsent, TargetAmbiguous, Unavailable: nothing may be done now, and why.
        """

    async def execute(self, permit: Permit, plan: Plan, service: HealthyService, trace: Trace) -> None:
        """Spend the permit durably, then act, once; `trace` is what `prepare` gave for it in this life of the Mechanic.

        Raises:
            Refused: the permit does not cover this, was spent, or a person stopped PitCrew; nothing was done.
            Unavailable: certainly nothing was done.
            EffectFailed: the target answered that it did not.
            OutcomeUnknown: the answer was lost; `look_back` must tell.
        """

    async def look_back(self, permit: Permit, plan: Plan, service: HealthyService, trace: Trace) -> Seen:
        """Whether an intended effect happened, by the ledger of spent permits and the live target; settles the permit,
        so that it can never be used afterwards. A permit that was never spent is `NotDone`.

        Raises:
            Unavailable, TargetAbsent: it cannot be told now; ask again later.
        """


class RuleCompiler(Protocol):
    """Turns the rules of a policy into callables."""

    def compile(self, rules: Sequence[Rule]) -> tuple[CompiledRule, ...]:
        """One callable per rule, in order. A callable raises ValueError where its expression cannot be evaluated.

        Raises:
            InvalidInput: an expression does not parse, is too large, or is too costly; the text names the rule.
        """


class Ledger(Protocol):
    """A short append-only list of what one role gave away or used up; it decides what may still be done.

    Both calls block, and belong into a worker thread. One process at a time holds a ledger.
    """

    def read(self) -> Sequence[Record]:
        """Every record, in order; a last write that a crash cut short is set aside first.

        Raises:
            JournalDamaged: it is not what was written; nothing may rest on it.
            JournalUnwritable: it cannot be read, or a cut write cannot be set aside.
        """

    def append(self, entry: Entry, at: Instant) -> Record:
        """Add one record; it is durable when this returns, and leaves no trace when this raises, where the disk lets.

        Raises:
            InvalidInput: the entry cannot be spelt.
            JournalUnwritable: it could not be made durable.
            JournalDamaged: it was changed by somebody else since it was read, or never was read.
        """


class StatusSink(Protocol):
    """Where the status of a service is written back, beside what people declared, never over it."""

    async def write(self, status: ServiceStatus) -> None:
        """Replace the status of one service, atomically; a failure is logged and changes nothing else."""

    async def forget(self, service: ServiceKey) -> None:
        """Remove the status of a service that is no longer declared."""


class ReportSink(Protocol):
    """Where postmortems go."""

    async def write(self, incident: str, text: str) -> str:
        """Store the postmortem of an incident durably and return its place for people; replaces an earlier one."""


class RunbookSource(Protocol):
    """Where runbooks come from."""

    def runbooks(self) -> Sequence[Runbook]:
        """Every usable runbook, the built-in ones first; those of people win over a built-in one with the same id."""


class RunbookSearch(Protocol):
    """Text search over the runbooks it was built with. It ranks what is shown and offered, and decides nothing."""

    def search(self, asked: str) -> Sequence[Hit]:
        """The runbooks that have any of the words asked for, or another form of one, the best first; each once.

        What is asked for may come from anybody: it is never a query, only words, of which a bounded number counts, and
        neither its size nor what it holds raises or takes long. Words in title and cause weigh more than in signals,
        and those more than in the text. The same words find the same in the same order. May be called in any thread.
        """


# Manifests


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """Something in a manifest that a person must mend. `line` and `column` count from 1; `field` may be empty."""

    file: str
    line: int
    column: int
    field: str
    message: str

    def __str__(self) -> str:
        """`file:line:column: field: what is wrong, what is allowed`."""
        place = f"{self.file}:{self.line}:{self.column}: "
        return f"{place}{self.field}: {self.message}" if self.field else f"{place}{self.message}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Declared:
    """A service as a person declared it, and where.

    `digest` is SHA-256 over the canonical JSON of the service with its defaults, in hexadecimal: comments and layout do
    not change it. `stale` says, when not empty, why this is the last good version and not what the file says now.
    """

    service: HealthyService
    file: str
    line: int
    digest: str
    stale: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class DeclaredPolicy:
    """A policy of the platform as a person declared it, and where; `digest` and `stale` are as of `Declared`."""

    policy: RemediationPolicy
    file: str
    line: int
    digest: str
    stale: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Loaded:
    """Everything declared at one moment, and everything wrong with it. `policies` are by name."""

    services: Mapping[ServiceKey, Declared]
    problems: tuple[Problem, ...] = ()
    policies: Mapping[str, DeclaredPolicy] = field(default_factory=dict)
    unread: tuple[Unread, ...] = ()
    """What is, or may be, a policy that cannot be read and has no version of before."""

    @property
    def guardrails(self) -> Guardrails:
        """The policies as the core reads them."""
        declared = [self.policies[name] for name in sorted(self.policies)]
        return Guardrails(
            policies=tuple(one.policy for one in declared),
            unread=self.unread,
            stale=tuple((one.policy.name, one.stale) for one in declared if one.stale),
        )


class ManifestSource(Protocol):
    """Where declared services come from. Nothing that people own is ever written."""

    def changes(self) -> AsyncIterator[Loaded]:
        """What is declared now, at once, and again after every change, for ever.

        A file that became bad keeps its last good version, marked stale. Only a file that is certainly gone takes its
        services along: a directory that cannot be read, is unsafe or has vanished removes nothing.
        """

    def guardrails(self) -> Guardrails:
        """The policies of the newest look, for the Official, which takes them from nobody else.

        Before the first look there is one that cannot be read, so that nothing is done.
        """


# Being told


@dataclass(frozen=True, kw_only=True, slots=True)
class Pulse:
    """A sign of life of the loop, about once a second, out of the loop itself.

    `quiet_s`: seconds since the service that was looked at longest ago was looked at. `journal_lag_s`: seconds that the
    oldest record under way has waited to be durable. `unwritten`: why a record could not be kept when it was tried
    last, empty where none waits. `phases`: open incidents by phase.
    """

    at: datetime
    services: int = 0
    quiet_s: float = 0.0
    journal_lag_s: float = 0.0
    unwritten: str = ""
    phases: Mapping[str, int] = field(default_factory=dict)


class Witness(Protocol):
    """Is told what the loop sees and records, and tells somebody outside. It changes nothing.

    Every call but `close` returns at once: it never waits for a network, a disk or another thread. What cannot be
    passed on is dropped, counted and said in the log. Only what happens while PitCrew runs is told; nothing is told
    anew after a restart. All calls come from the loop's own thread.
    """

    def observed(self, service: HealthyService, seen: Observation) -> None:
        """One look at a service: its target, and the probes that were due."""

    def recorded(self, event: Event, incident: Incident, at: datetime, took_s: float) -> None:
        """An event is durable: the event, its incident as it is after it, the record's time, and the seconds that the
        journal took."""

    def alive(self, pulse: Pulse) -> None:
        """The loop turns."""

    async def close(self) -> None:
        """Pass on what is left, for a few seconds at most, and let go of everything; may be called twice."""
