"""What is known of one incident and of each attempt in it, as frozen values."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from pitcrew.core.action import Action, Seen, Trace
from pitcrew.core.approval import Approval, ApprovalRequest
from pitcrew.core.assistant import Proposed, speaker
from pitcrew.core.cost import NO_USAGE, Cost, Usage
from pitcrew.core.deviation import Deviation
from pitcrew.core.diagnosis import Cause, Diagnosis
from pitcrew.core.evidence import Evidence
from pitcrew.core.incident.machine import Phase
from pitcrew.core.opinion import Opinion
from pitcrew.core.permit import Permit
from pitcrew.core.pick import Pick
from pitcrew.core.policy import Verdict
from pitcrew.core.prompt import evidence_digest
from pitcrew.core.proposal import Plan, Proposal
from pitcrew.core.resource import Level
from pitcrew.core.risk import Risk


class Recovery(StrEnum):
    """How a service came back."""

    REMEDY = "Remedy"
    ITSELF = "Itself"


UNDO_TRIES_MAX = 2
"""Undos of one attempt that may be found not done; after that a person looks (S10)."""


class UndoStand(StrEnum):
    """Where the undo of an attempt stands."""

    NONE = "None"
    PENDING = "Pending"
    UNDER_WAY = "UnderWay"
    DONE = "Done"
    UNCERTAIN = "Uncertain"
    TURNED = "Turned"


@dataclass(frozen=True, kw_only=True, slots=True)
class Advice:
    """One question to a model and what came of it, as `Advised` tells it. Until `answered_at` nothing came, and
    `tokens` and `microdollars` are those set aside. `model` is empty where nobody was asked; `failure` says why."""

    model: str
    prompt_digest: str
    evidence_digest: str
    asked_at: datetime
    tokens: int
    microdollars: int = 0
    usage: Usage = NO_USAGE
    answered_at: datetime | None = None
    opinion: Opinion | None = None
    failure: str = ""
    late: bool = False
    agrees: bool | None = None
    note: str = ""
    way: str = ""
    repaired: str = ""
    unkept: str = ""

    @property
    def cost(self) -> Cost:
        """What it cost, or what is set aside for it."""
        return Cost(tokens=self.tokens, microdollars=self.microdollars)


@dataclass(frozen=True, kw_only=True, slots=True)
class Round:
    """One round of further evidence that a model picked; `ended_at` is None while it is being read."""

    picks: tuple[Pick, ...]
    began_at: datetime
    ended_at: datetime | None = None
    evidence: tuple[Evidence, ...] = ()
    missing: tuple[Pick, ...] = ()
    took_ms: int = 0
    changed: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Attempt:
    """One plan and all that came of it. `effective` is None until a verification or a failure said so."""

    plan: Plan
    proposal: Proposal
    risk: Risk
    planned_at: datetime
    leading: Diagnosis | None = None
    doubt: str = ""
    verdict: Verdict | None = None
    request: ApprovalRequest | None = None
    given: tuple[Approval, ...] = ()
    """The approvals of people that were not enough by themselves, oldest first; `approval` ended the request."""
    approval: Approval | None = None
    permit: Permit | None = None
    trace: Trace | None = None
    intended_at: datetime | None = None
    seen: Seen | None = None
    acted_at: datetime | None = None
    turned: str = ""
    effective: bool | None = None
    verified: str = ""
    undo: UndoStand = UndoStand.NONE
    undo_permit: Permit | None = None
    undo_trace: Trace | None = None
    undo_detail: str = ""
    undo_tries: int = 0
    beside: tuple[str, ...] = ()
    """The dependencies that were down when it was planned: that it did not help may be for them."""

    @property
    def people(self) -> tuple[Approval, ...]:
        """Every decision that was heard on the plan, oldest first."""
        return (*self.given, *((self.approval,) if self.approval else ()))

    @property
    def touched(self) -> bool:
        """Whether the target may have been changed."""
        return self.seen in (Seen.DONE, Seen.UNKNOWN)


@dataclass(frozen=True, kw_only=True, slots=True)
class Incident:
    """Everything that is known of one incident, by its events alone."""

    id: str
    service: str
    target: str
    severity: Level
    deviations: tuple[Deviation, ...]
    detected_from: datetime
    opened_at: datetime
    phase: Phase
    changed_at: datetime
    evidence: tuple[Evidence, ...] = ()
    considered: tuple[tuple[Deviation, ...], ...] = ()
    diagnoses: tuple[Diagnosis, ...] = ()
    advice: tuple[Advice, ...] = ()
    proposed: tuple[Proposed, ...] = ()
    rounds: tuple[Round, ...] = ()
    attempts: tuple[Attempt, ...] = ()
    stuck_because: str = ""
    ask: str = ""
    nothing_left: bool = False
    """Whether it is stuck since no remedy is left, and not since one was denied."""
    escalated_at: datetime | None = None
    escalated_under: str = ""
    recovery: Recovery | None = None
    recovered_at: datetime | None = None
    abandoned: str = ""
    report: str = ""
    reported_events: int = 0
    events: int = 0

    @property
    def attempt(self) -> Attempt:
        """The attempt under way, or the last one."""
        return self.attempts[-1]

    @property
    def cause(self) -> Cause:
        """The leading cause so far: the rules', or that which the last plan was made by."""
        found = self.diagnoses[0].cause if self.diagnoses else Cause.UNKNOWN
        led = self.attempts[-1].leading if self.attempts else None
        return led.cause if found is Cause.UNKNOWN and led is not None else found

    @property
    def advised(self) -> Advice | None:
        """The last that a model was asked about the evidence as it is now."""
        asked = evidence_digest(self.evidence)
        return next((one for one in reversed(self.advice) if one.evidence_digest == asked), None)

    @property
    def proposed_since(self) -> str:
        """What an assistant named since a person was asked because nothing was left to try, for people; empty where
        none did, or its cause is that of the rules."""
        since, lead = self.escalated_at, self.diagnoses[0].cause if self.diagnoses else Cause.UNKNOWN
        if since is None or not self.nothing_left:
            return ""
        named = [one for one in self.proposed if one.grounded and one.at > since and one.opinion.cause is not lead]
        return f"{speaker(named[-1].by)} names another cause: {named[-1].opinion.cause}" if named else ""

    @property
    def picked(self) -> tuple[Pick, ...]:
        """All further evidence that was picked, whatever came of it."""
        return tuple(pick for each in self.rounds for pick in each.picks)

    @property
    def reading(self) -> tuple[Pick, ...]:
        """What was picked last."""
        return self.rounds[-1].picks if self.rounds else ()

    @property
    def cost(self) -> Cost:
        """What asking models cost in this incident, what is set aside for open questions included."""
        return sum((one.cost for one in self.advice), Cost())

    @property
    def usage(self) -> Usage:
        """Tokens of the prompts and answers of this incident, as far as they are known apart."""
        return sum((one.usage for one in self.advice), NO_USAGE)

    @property
    def down(self) -> tuple[str, ...]:
        """The dependencies that were down when evidence was gathered last."""
        return tuple(str(item.value) for item in self.evidence if item.key == "dependency.down")

    @property
    def waits_on(self) -> tuple[str, ...]:
        """The dependencies that are to come back before it is looked at anew: one is the cause, or hindered a try."""
        hindered = any(attempt.effective is False and attempt.beside for attempt in self.attempts)
        return self.down if hindered or self.cause is Cause.DEPENDENCY_DOWN else ()

    @property
    def ineffective(self) -> tuple[Action, ...]:
        """Actions that were tried here and did not help. What was tried beside a dependency that was down, and that is
        down no longer, was no try of its own."""
        failed = [attempt for attempt in self.attempts if attempt.effective is False]
        return tuple(one.plan.action for one in failed if not one.beside or set(one.beside) & set(self.down))

    @property
    def effects(self) -> int:
        """Attempts that may have changed the target."""
        return sum(attempt.trace is not None and attempt.seen is not Seen.NOT_DONE for attempt in self.attempts)

    @property
    def to_undo(self) -> Attempt | None:
        """The latest attempt whose undo is still to come."""
        return next((a for a in reversed(self.attempts) if a.undo in (UndoStand.PENDING, UndoStand.UNDER_WAY)), None)

    @property
    def open(self) -> bool:
        """Whether it still needs the loop."""
        return self.phase is not Phase.CLOSED

    @property
    def outcome(self) -> str:
        """How it ended, or that it has not."""
        if self.abandoned:
            return "Abandoned"
        if self.recovery is Recovery.REMEDY:
            return "Recovered"
        if self.recovery is Recovery.ITSELF:
            return "SelfRecovered"
        return "Escalated" if self.phase is Phase.ESCALATED else "Open"
