"""What the loop sees of one service, and the steps it may take: a closed union; `perform` carries each out.

`Wait` and `Close` end a turn of the loop.
"""

from dataclasses import dataclass
from datetime import datetime

from pitcrew.core.asking import Counsel
from pitcrew.core.dependency import Dependency
from pitcrew.core.deviation import Deviation
from pitcrew.core.incident import Attempt
from pitcrew.core.permit import Permit
from pitcrew.core.pick import Pick


@dataclass(frozen=True, kw_only=True, slots=True)
class Situation:
    """What the loop sees now: whether the service deviates (None: cannot be told), and how."""

    deviates: bool | None
    policy_digest: str
    found: tuple[Deviation, ...] = ()
    run: tuple[str, str] | None = None
    """The target's immutable id and its run, as seen last; None where it cannot be seen."""
    counsel: Counsel | None = None
    """The model beside the rules; None where none is configured."""
    drift: str = ""
    """What became of the runbook that the last plan was made by; empty while it is the same."""
    dependencies: tuple[Dependency, ...] = ()
    """The services that it is declared to depend on, as they are now."""


@dataclass(frozen=True, kw_only=True, slots=True)
class GatherEvidence:
    """Save facts, probe results, log templates and events, before anything acts."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Diagnose:
    """Ask the diagnosers."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Consult:
    """Ask a model for a second opinion, without waiting for it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LeaveUnasked:
    """Record why no model is asked about this evidence."""

    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class BeginInvestigating:
    """Follow the picks of a model, where neither it nor the rules are sure."""

    picks: tuple[Pick, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Investigate:
    """Read the further evidence that was picked."""

    picks: tuple[Pick, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class MakePlan:
    """Find a runbook, propose, assess the risk."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Judge:
    """Ask the Official for a verdict."""

    attempt: Attempt


@dataclass(frozen=True, kw_only=True, slots=True)
class AskApproval:
    """Have the Official ask people for a decision on the plan."""

    attempt: Attempt


@dataclass(frozen=True, kw_only=True, slots=True)
class HearDecision:
    """Ask the Official whether people, or time, decided on the plan."""

    attempt: Attempt


@dataclass(frozen=True, kw_only=True, slots=True)
class AskPermit:
    """Ask the Official for a permit to do."""

    attempt: Attempt


@dataclass(frozen=True, kw_only=True, slots=True)
class TurnAway:
    """Give up a plan that nothing was done about, since what it rests on is no more; all is looked at anew."""

    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckLive:
    """Look at the live target right before acting."""

    attempt: Attempt


@dataclass(frozen=True, kw_only=True, slots=True)
class Act:
    """Record the intent, then have the Mechanic act."""

    attempt: Attempt
    permit: Permit


@dataclass(frozen=True, kw_only=True, slots=True)
class LookBack:
    """After a crash: read the outcome of an intended effect off the target."""

    attempt: Attempt


@dataclass(frozen=True, kw_only=True, slots=True)
class Verify:
    """Watch the target over the sustained window."""

    attempt: Attempt


@dataclass(frozen=True, kw_only=True, slots=True)
class Keep:
    """Leave an ineffective remedy in place, and say why; `builds` when the next remedy of its runbook builds on it."""

    reason: str
    builds: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class AskUndo:
    """Ask the Official for a permit to undo."""

    attempt: Attempt


@dataclass(frozen=True, kw_only=True, slots=True)
class Undo:
    """Record the intent, then have the Mechanic undo."""

    attempt: Attempt
    permit: Permit


@dataclass(frozen=True, kw_only=True, slots=True)
class LookBackUndo:
    """After a crash: read the outcome of an intended undo off the target."""

    attempt: Attempt


@dataclass(frozen=True, kw_only=True, slots=True)
class Escalate:
    """Hand over to a person."""

    reason: str
    ask: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Reconsider:
    """Look at it anew, since what it waited on changed."""

    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class JudgeAgain:
    """Ask the Official whether a held plan is still held; only another answer is recorded."""

    attempt: Attempt


@dataclass(frozen=True, kw_only=True, slots=True)
class NoteHealed:
    """Record that the deviation is gone."""


@dataclass(frozen=True, kw_only=True, slots=True)
class WriteReport:
    """Write the postmortem."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Wait:
    """Nothing to do before `until`, or before something changes."""

    reason: str
    until: datetime | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Close:
    """The incident has ended."""


Step = (
    GatherEvidence
    | Diagnose
    | Consult
    | LeaveUnasked
    | BeginInvestigating
    | Investigate
    | MakePlan
    | Judge
    | AskApproval
    | HearDecision
    | AskPermit
    | TurnAway
    | CheckLive
    | Act
    | LookBack
    | Verify
    | Keep
    | AskUndo
    | Undo
    | LookBackUndo
    | Escalate
    | Reconsider
    | JudgeAgain
    | NoteHealed
    | WriteReport
    | Wait
    | Close
)
