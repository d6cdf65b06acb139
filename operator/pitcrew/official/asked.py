"""What people were asked and what they decided, as the ledger tells it: write-once, and bound to a plan digest."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from pydantic import TypeAdapter

from pitcrew.core.approval import (
    SIGNATURE_BYTES_MAX,
    Approval,
    ApprovalRequest,
    Decision,
    Hearing,
    OwnUser,
    Signed,
    Unverified,
    expired,
    refusal,
    request_data,
    request_from,
    settled,
    statement,
)
from pitcrew.core.errors import JournalDamaged
from pitcrew.core.order import Person
from pitcrew.core.permit import PermitRefused
from pitcrew.core.record import Entry, Json, Record
from pitcrew.ports import Signatures

ASKED = "ApprovalRequest"
DECIDED = "Approval"
TYPES = frozenset({ASKED, DECIDED})
NOTHING: Mapping[str, Json] = {}
_APPROVAL: TypeAdapter[Approval] = TypeAdapter(Approval)


def asked_entry(request: ApprovalRequest, service: str, about: Mapping[str, Json] = NOTHING) -> Entry:
    """The ledger's line for a request, with what it is `about`: the plan, its risk, and the rules that spoke."""
    data = {**about, **request_data(request)}
    return Entry(type=ASKED, data=data, service=service, incident=request.incident)


def decided_entry(approval: Approval, request: ApprovalRequest) -> Entry:
    """The ledger's line for a decision."""
    data: dict[str, Json] = _APPROVAL.dump_python(approval, mode="json")
    return Entry(type=DECIDED, data=data, incident=request.incident)


@dataclass(frozen=True, kw_only=True, slots=True)
class Hand:
    """Whose decision it is, and what proves it: the signer of a signature, else whom the way in authenticated."""

    person: Person
    signed: Signed | None = None
    carried_by: str = ""

    def decided(self, plan_digest: str, decision: Decision, reason: str, at: datetime) -> Approval:
        """The decision of this hand."""
        return Approval(
            plan_digest=plan_digest,
            decision=decision,
            by=str(self.person),
            uid=self.person.uid,
            reason=reason,
            at=at,
            name=self.person.name,
            signed=self.signed,
            carried_by=self.carried_by,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Hands:
    """How decisions are proven: `signatures` verifies them, and `only_signed` takes no other."""

    signatures: Signatures | None = None
    only_signed: bool = False

    async def of(
        self,
        request: ApprovalRequest,
        decision: Decision,
        person: Person,
        reason: str,
        signed: str,
        now: Callable[[], datetime],
    ) -> Hand | PermitRefused:
        """Whose decision this is. The statement is spelt here, from the request that was asked, never taken over."""
        if not signed:
            if self.only_signed:
                return PermitRefused(reason="only signed decisions are taken here; sign it: `pitcrew approve --sign`")
            return Hand(person=person)
        if self.signatures is None:
            return PermitRefused(reason="no signature can be verified here: the setting allowed_signers names no file")
        if len(signed) > SIGNATURE_BYTES_MAX:
            return PermitRefused(reason=f"the signature is longer than {SIGNATURE_BYTES_MAX} bytes")
        spelt = statement(request, decision, reason)
        found = await self.signatures.verify(spelt, signed, now())
        if isinstance(found, Unverified):
            return PermitRefused(reason=f"the signature proves nothing: {found.reason}")
        signer = Person(uid=None, name=found.principal, known_by=f"ssh {found.fingerprint}")
        proof = Signed(signer=found, statement=spelt, signature=signed)
        return Hand(person=signer, signed=proof, carried_by=str(person))


@dataclass(kw_only=True, slots=True)
class Questions:
    """Requests and decisions by plan digest, and the newest request of each incident."""

    requests: dict[str, ApprovalRequest] = field(default_factory=dict)
    decisions: dict[str, tuple[Approval, ...]] = field(default_factory=dict)
    newest: dict[str, str] = field(default_factory=dict)

    def add(self, record: Record) -> None:
        """Take one durable line in; the first request on a digest stands, and decisions keep their order.

        Raises:
            JournalDamaged: it holds neither a request nor a decision.
        """
        try:
            if record.type == ASKED:
                request = request_from(dict(record.data))
                self.requests.setdefault(request.plan_digest, request)
                self.newest[request.incident] = request.plan_digest
            else:
                approval = _APPROVAL.validate_python(dict(record.data))
                self.decisions[approval.plan_digest] = (*self.given(approval.plan_digest), approval)
        except ValueError:
            raise JournalDamaged(f"ledger record {record.seq} is no {record.type}; restore the file") from None

    def given(self, plan_digest: str) -> tuple[Approval, ...]:
        """What people decided on a plan so far, oldest first."""
        return self.decisions.get(plan_digest, ())

    def open(self, plan_digest: str) -> ApprovalRequest | PermitRefused:
        """The request to decide on, or why there is none."""
        request = self.requests.get(plan_digest)
        if request is None:
            return PermitRefused(reason="nobody was asked about this plan")
        if not self.is_newest(request):
            return PermitRefused(reason="the plan changed since, and the new one is asked about anew")
        return request

    def is_newest(self, request: ApprovalRequest) -> bool:
        """Whether nothing newer was asked about in its incident."""
        return self.newest[request.incident] == request.plan_digest

    def refusal(self, decided: Approval, person: Person, own: OwnUser) -> str | None:
        """Why this decision may not be taken now, or None."""
        request = self.open(decided.plan_digest)
        if isinstance(request, PermitRefused):
            return request.reason
        return refusal(request, self.given(decided.plan_digest), decided, person, own)

    def hearing(self, plan_digest: str, now: datetime) -> Hearing:
        """What was decided, by people or by time; empty where nobody was asked."""
        request, given = self.requests.get(plan_digest), self.given(plan_digest)
        if request is None:
            return Hearing()
        final = settled(request, given)
        if final is None and now >= request.expires_at:
            final = expired(request)
        return Hearing(given=given, final=final)
