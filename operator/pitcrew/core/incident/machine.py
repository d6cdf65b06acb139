"""The machine of an incident, as data: phases, and which event leads from which to which. What is absent is refused.

The diagram in `docs/` is drawn from this table.
"""

from collections.abc import Mapping
from enum import StrEnum

from pitcrew.core.errors import PitCrewError


class Phase(StrEnum):
    """Where an incident stands."""

    DETECTED = "Detected"
    INVESTIGATED = "Investigated"
    INVESTIGATING = "Investigating"
    DIAGNOSED = "Diagnosed"
    PLANNED = "Planned"
    HELD = "Held"
    ASKING = "Asking"
    AWAITING_APPROVAL = "AwaitingApproval"
    ALLOWED = "Allowed"
    PERMITTED = "Permitted"
    CHECKED = "Checked"
    ACTING = "Acting"
    VERIFYING = "Verifying"
    INEFFECTIVE = "Ineffective"
    STUCK = "Stuck"
    UNDO_PERMITTED = "UndoPermitted"
    UNDOING = "Undoing"
    ESCALATED = "Escalated"
    RECOVERED = "Recovered"
    CLOSED = "Closed"


P = Phase
_WITHDRAWN: Mapping[tuple[Phase | None, str], Phase] = {
    (phase, "Abandoned"): P.CLOSED for phase in P if phase not in (P.CLOSED, P.RECOVERED)
}
_HEALED: Mapping[tuple[Phase | None, str], Phase] = {
    (phase, "Healed"): P.RECOVERED
    for phase in (P.DETECTED, P.HELD, P.AWAITING_APPROVAL, P.STUCK, P.ESCALATED, P.INEFFECTIVE)
}
_ADVICE: Mapping[tuple[Phase | None, str], Phase] = {
    (phase, event): phase
    for phase in P
    for event in ("ModelAsked", "Advised")
    if (phase, event) != (P.CLOSED, "ModelAsked")
}
"""What a model says is recorded whenever it comes, also after the end, and moves nothing."""
_PROPOSED: Mapping[tuple[Phase | None, str], Phase] = {
    (phase, "DiagnosisProposed"): phase for phase in P if phase not in (P.RECOVERED, P.CLOSED)
}
"""What an assistant proposes is recorded until the service is back, and moves nothing."""
TRANSITIONS: Mapping[tuple[Phase | None, str], Phase] = {
    (None, "Opened"): P.DETECTED,
    (P.DETECTED, "EvidenceGathered"): P.INVESTIGATED,
    (P.INVESTIGATED, "Diagnosed"): P.DIAGNOSED,
    (P.DIAGNOSED, "NotAsked"): P.DIAGNOSED,
    (P.DIAGNOSED, "Picked"): P.INVESTIGATING,
    (P.INVESTIGATING, "EvidenceAdded/Same"): P.INVESTIGATED,
    (P.INVESTIGATING, "EvidenceAdded/Changed"): P.DETECTED,
    (P.DIAGNOSED, "Planned"): P.PLANNED,
    (P.DIAGNOSED, "NothingToTry"): P.STUCK,
    (P.PLANNED, "Judged/Allow"): P.ALLOWED,
    (P.PLANNED, "Judged/Hold"): P.HELD,
    (P.PLANNED, "Judged/RequireApproval"): P.ASKING,
    (P.PLANNED, "Judged/Deny"): P.STUCK,
    (P.PLANNED, "Turned"): P.DETECTED,
    (P.HELD, "Reconsidered"): P.DETECTED,
    (P.ASKING, "ApprovalAsked"): P.AWAITING_APPROVAL,
    (P.ASKING, "Turned"): P.DETECTED,
    (P.AWAITING_APPROVAL, "ApprovalGiven"): P.AWAITING_APPROVAL,
    (P.AWAITING_APPROVAL, "Decided/Approve"): P.ALLOWED,
    (P.AWAITING_APPROVAL, "Decided/Deny"): P.STUCK,
    (P.AWAITING_APPROVAL, "Decided/Expire"): P.STUCK,
    (P.AWAITING_APPROVAL, "Reconsidered"): P.DETECTED,
    (P.ALLOWED, "Permitted"): P.PERMITTED,
    (P.ALLOWED, "Turned"): P.DETECTED,
    (P.PERMITTED, "Checked/Deviates"): P.CHECKED,
    (P.PERMITTED, "Checked/Healthy"): P.RECOVERED,
    (P.PERMITTED, "Checked/Changed"): P.DETECTED,
    (P.PERMITTED, "Turned"): P.DETECTED,
    (P.CHECKED, "Intended"): P.ACTING,
    (P.CHECKED, "Turned"): P.DETECTED,
    (P.CHECKED, "Escalated"): P.ESCALATED,
    (P.ACTING, "Acted/Done"): P.VERIFYING,
    (P.ACTING, "Acted/Unknown"): P.VERIFYING,
    (P.ACTING, "Acted/NotDone"): P.DETECTED,
    (P.ACTING, "Turned"): P.DETECTED,
    (P.ACTING, "Failed"): P.INEFFECTIVE,
    (P.VERIFYING, "Verified/True"): P.RECOVERED,
    (P.VERIFYING, "Verified/False"): P.INEFFECTIVE,
    (P.INEFFECTIVE, "Kept/False"): P.DETECTED,
    (P.INEFFECTIVE, "Kept/True"): P.DIAGNOSED,
    (P.INEFFECTIVE, "UndoPermitted"): P.UNDO_PERMITTED,
    (P.INEFFECTIVE, "UndoTurned"): P.DETECTED,
    (P.STUCK, "UndoPermitted"): P.UNDO_PERMITTED,
    (P.STUCK, "UndoTurned"): P.STUCK,
    (P.STUCK, "Escalated"): P.ESCALATED,
    (P.UNDO_PERMITTED, "UndoIntended"): P.UNDOING,
    (P.UNDO_PERMITTED, "UndoTurned"): P.DETECTED,
    (P.UNDO_PERMITTED, "Escalated"): P.ESCALATED,
    (P.UNDOING, "Undone/Done"): P.DETECTED,
    (P.UNDOING, "Undone/Unknown"): P.DETECTED,
    (P.UNDOING, "Undone/NotDone"): P.DETECTED,
    (P.UNDOING, "UndoTurned"): P.DETECTED,
    (P.UNDOING, "Escalated"): P.ESCALATED,
    (P.ESCALATED, "Reconsidered"): P.DETECTED,
    (P.ESCALATED, "Reported"): P.ESCALATED,
    (P.RECOVERED, "Reported"): P.CLOSED,
    **_ADVICE,
    **_PROPOSED,
    **_HEALED,
    **_WITHDRAWN,
}
"""The machine. A key is a phase and an event, with what it says where that decides."""


class Impossible(PitCrewError):
    """An event that the machine does not know in this phase: the refusal."""
