"""What people were asked and what they decided, as the ledger tells it: write-once, and bound to a plan digest."""

from dataclasses import dataclass, field
from datetime import datetime

from pydantic import TypeAdapter

from pitcrew.core.approval import Approval, ApprovalRequest, OwnUser, expired, refusal
from pitcrew.core.errors import JournalDamaged
from pitcrew.core.order import Person
from pitcrew.core.record import Entry, Json, Record

ASKED = "ApprovalRequest"
DECIDED = "Approval"
TYPES = frozenset({ASKED, DECIDED})
_REQUEST: TypeAdapter[ApprovalRequest] = TypeAdapter(ApprovalRequest)
_APPROVAL: TypeAdapter[Approval] = TypeAdapter(Approval)


def asked_entry(request: ApprovalRequest, service: str) -> Entry:
    """The ledger's line for a request."""
    data: dict[str, Json] = _REQUEST.dump_python(request, mode="json")
    return Entry(type=ASKED, data=data, service=service, incident=request.incident)


def decided_entry(approval: Approval, request: ApprovalRequest) -> Entry:
    """The ledger's line for a decision."""
    data: dict[str, Json] = _APPROVAL.dump_python(approval, mode="json")
    return Entry(type=DECIDED, data=data, incident=request.incident)


@dataclass(kw_only=True, slots=True)
class Questions:
    """Requests and decisions by plan digest, and the newest request of each incident."""

    requests: dict[str, ApprovalRequest] = field(default_factory=dict)
    decisions: dict[str, Approval] = field(default_factory=dict)
    newest: dict[str, str] = field(default_factory=dict)

    def add(self, record: Record) -> None:
        """Take one durable line in; the first decision on a digest stands.

        Raises:
            JournalDamaged: it holds neither a request nor a decision.
        """
        try:
            if record.type == ASKED:
                request = _REQUEST.validate_python(dict(record.data))
                self.requests[request.plan_digest] = request
                self.newest[request.incident] = request.plan_digest
            else:
                approval = _APPROVAL.validate_python(dict(record.data))
                self.decisions.setdefault(approval.plan_digest, approval)
        except ValueError:
            raise JournalDamaged(f"ledger record {record.seq} is no {record.type}; restore the file") from None

    def refusal(self, plan_digest: str, person: Person, own: OwnUser, now: datetime) -> str | None:
        """Why this person may not decide on this plan now, or None."""
        request = self.requests.get(plan_digest)
        if request is None:
            return "nobody was asked about this plan"
        if self.newest[request.incident] != plan_digest:
            return "the plan changed since, and the new one is asked about anew"
        return refusal(request, self.decisions.get(plan_digest), person, own, now)

    def decision(self, plan_digest: str, now: datetime) -> Approval | None:
        """What was decided, by people or by time; None while the request is open, or where there is none."""
        request = self.requests.get(plan_digest)
        if request is None or plan_digest in self.decisions:
            return self.decisions.get(plan_digest)
        return expired(request) if now >= request.expires_at else None
