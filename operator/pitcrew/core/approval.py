"""Approvals: people's recorded decisions on one exact plan digest.

A request is bound to the digest and to an expiry. One denial ends it, and so does the approval that makes its quorum
full; that nobody decided in time is a denial; a plan that changed has another digest and needs another request. Who
decides is whom somebody authenticated: the operating system, a token, or the key of a signature; never a field (S13).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum

from pydantic import TypeAdapter

from pitcrew.core.order import Person
from pitcrew.core.policy import Effect, Ruling, Verdict
from pitcrew.core.record import Json, canonical
from pitcrew.core.resource import Approvers, Level

CRITICAL_QUORUM = 2
"""Distinct people who must approve a plan of Critical risk. One may be mistaken, tired or taken over; a third is rarely
awake. It is no setting: one person alone on Critical is what it is there to prevent."""
SIGNATURE_BYTES_MAX = 8 * 1024
"""Bytes of one armored signature; one by an RSA key of 16384 bits with its armor has 6 KiB."""
SIGNATURE_NAMESPACE = "pitcrew-decision@pitcrew.dev"
"""What `ssh-keygen -Y sign -n` is given: a signature made for git, or for a file, is none of a decision."""
_STATEMENT = "pitcrew.dev/decision/v1"


class Decision(StrEnum):
    """How a request ended; expiry is a denial that nobody wrote."""

    APPROVE = "Approve"
    DENY = "Deny"
    EXPIRE = "Expire"


@dataclass(frozen=True, kw_only=True, slots=True)
class ApprovalRequest:
    """What is asked: one plan of one incident, its risk, who may decide, until when, and who proposed it.

    `proposer` is the name of an assistant or of the operator's own user; empty in requests of earlier releases.
    """

    incident: str
    plan_digest: str
    level: Level
    users: tuple[str, ...]
    groups: tuple[str, ...]
    asked_at: datetime
    expires_at: datetime
    proposer: str = ""

    @property
    def quorum(self) -> int:
        """How many distinct people must approve."""
        return CRITICAL_QUORUM if self.level is Level.CRITICAL else 1

    @property
    def of_whom(self) -> str:
        """Who is asked, for people."""
        named = [*self.users, *(f"group {group}" for group in self.groups)]
        some = f"{self.quorum} of: " if self.quorum > 1 else ""
        return some + (", ".join(named) or "nobody: spec.policy.approvers names no user and no group")


@dataclass(frozen=True, kw_only=True, slots=True)
class Signer:
    """Whose key a signature is by: the principal of `allowed_signers`, and the fingerprint such as `SHA256:...`."""

    principal: str
    fingerprint: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Unverified:
    """Why a signature proves nothing, for people."""

    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Signed:
    """A signature as it is kept: what was signed, the armored signature over it, and whose key it was by."""

    signer: Signer
    statement: str
    signature: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Approval:
    """One person's decision on one plan digest, or time's.

    `by` is for people, `name` the bare name that approvers list; `uid` is None but where the kernel vouched.
    `carried_by` is who brought a signed decision, and decided nothing.
    """

    plan_digest: str
    decision: Decision
    by: str
    uid: int | None
    reason: str
    at: datetime
    name: str = ""
    signed: Signed | None = None
    carried_by: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Hearing:
    """What was heard on one request: each person's decision, oldest first, and what ended it; None while it is open."""

    given: tuple[Approval, ...] = ()
    final: Approval | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class OwnUser:
    """The user PitCrew runs as, and whether the setting lets that user approve below High."""

    uid: int
    may_approve: bool
    name: str = ""


_REQUEST: TypeAdapter[ApprovalRequest] = TypeAdapter(ApprovalRequest)


def request_data(request: ApprovalRequest) -> dict[str, Json]:
    """A request as JSON data."""
    data: dict[str, Json] = _REQUEST.dump_python(request, mode="json")
    return data


def request_from(data: object) -> ApprovalRequest:
    """The request that `request_data` gave. Raises ValueError where it is none."""
    return _REQUEST.validate_python(data)


def asked(
    incident: str,
    plan_digest: str,
    level: Level,
    approvers: Approvers,
    now: datetime,
    until: datetime,
    proposer: str = "",
) -> ApprovalRequest:
    """A request for one plan, open from now on."""
    return ApprovalRequest(
        incident=incident,
        plan_digest=plan_digest,
        level=level,
        users=tuple(approvers.users),
        groups=tuple(approvers.groups),
        asked_at=now,
        expires_at=until,
        proposer=proposer,
    )


def statement(request: ApprovalRequest, decision: Decision, reason: str) -> str:
    """What a signature is over: canonical JSON that binds the decision to one request, and to nothing else."""
    spelt = canonical(
        {
            "statement": _STATEMENT,
            "decision": str(decision),
            "plan": request.plan_digest,
            "incident": request.incident,
            "risk": str(request.level),
            "reason": reason,
            "asked_at": _stamp(request.asked_at),
            "expires_at": _stamp(request.expires_at),
        }
    )
    return spelt.decode()


def _stamp(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="microseconds")


def same_name(one: str, other: str) -> bool:
    """Whether two names may be one person's: `alice`, `Alice@example.org` and `CORP\\alice` are.

    What is before the `@` decides, so that a person who is known in two ways counts once. That two people who share
    it count once too costs a second signature; the other way about would cost the quorum.
    """
    return _bare(one) == _bare(other) != ""


def _bare(name: str) -> str:
    return name.rpartition("\\")[2].partition("@")[0].casefold()


def same_person(one: Approval, other: Approval) -> bool:
    """Whether two decisions may be one person's: by name, by user of the machine, or by key."""
    if one.uid is not None and one.uid == other.uid:
        return True
    if one.signed and other.signed and one.signed.signer.fingerprint == other.signed.signer.fingerprint:
        return True
    return same_name(one.name, other.name)


def counted(request: ApprovalRequest, given: Sequence[Approval]) -> tuple[Approval, ...]:
    """The approvals of distinct people that were given while the request was open, oldest first."""
    found: list[Approval] = []
    for one in given:
        in_time = request.asked_at <= one.at < request.expires_at
        if in_time and one.decision is Decision.APPROVE and not any(same_person(one, other) for other in found):
            found.append(one)
    return tuple(found)


def settled(request: ApprovalRequest, given: Sequence[Approval]) -> Approval | None:
    """What ended the request: the first denial, or the approval that made the quorum full; None while it is open."""
    for number, one in enumerate(given, 1):
        if one.decision is not Decision.APPROVE or len(counted(request, given[:number])) >= request.quorum:
            return one
    return None


def refusal(
    request: ApprovalRequest, given: Sequence[Approval], decided: Approval, person: Person, own: OwnUser
) -> str | None:
    """Why this decision of this person may not be taken, or None."""
    final = settled(request, given)
    if final is not None:
        return f"this plan was decided already: {final.decision} by {final.by} at {final.at:%H:%M:%S}"
    if decided.at >= request.expires_at:
        return f"the request expired at {request.expires_at:%H:%M:%S}, which is a denial; a new plan asks anew"
    return _nobody(request, person, own) or _twice(request, given, decided)


def _nobody(request: ApprovalRequest, person: Person, own: OwnUser) -> str | None:
    """Why this person decides nothing here: the proposer, the operator's own user, or somebody who is not listed."""
    if person.uid == own.uid:
        return _own_user(request, own)
    if same_name(person.name, own.name) and (refused := _own_user(request, own)):
        return refused
    if same_name(person.name, request.proposer) and not same_name(request.proposer, own.name):
        return f"{request.proposer} proposed this plan, and whoever proposes never decides; another person must"
    if person.name in request.users or set(person.groups) & set(request.groups):
        return None
    return f"{person} is no approver of this service; asked are: {request.of_whom}"


def _own_user(request: ApprovalRequest, own: OwnUser) -> str | None:
    """The operator's own user is the proposer's too: it approves only where a setting says so, and never High."""
    if request.level.rank >= Level.HIGH.rank:
        return f"the user PitCrew runs as never approves risk {request.level}; another person must"
    if not own.may_approve:
        return "the user PitCrew runs as may not approve; another approver must, or set own_user_may_approve"
    return None


def _twice(request: ApprovalRequest, given: Sequence[Approval], decided: Approval) -> str | None:
    """One person counts once. Who approved may still deny, since a denial only ever makes less happen."""
    if decided.decision is not Decision.APPROVE:
        return None
    for one in given:
        if same_person(one, decided):
            return f"{decided.by} approved already, as {one.by}, and counts once; {progress(request, given)}"
    return None


def progress(request: ApprovalRequest, given: Sequence[Approval]) -> str:
    """How far a request with a quorum has come: `1 of 2: alice (uid 1001); waits for another`; else empty."""
    if request.quorum < 2:
        return ""
    found = counted(request, given)
    names = ", ".join(one.by for one in found) or "nobody yet"
    waits = "; waits for another" if found else ""
    return f"{len(found)} of {request.quorum}: {names}{waits}"


def expired(request: ApprovalRequest) -> Approval:
    """The denial that time gave."""
    return Approval(
        plan_digest=request.plan_digest,
        decision=Decision.EXPIRE,
        by="nobody",
        uid=None,
        reason="nobody decided in time, and expiry is a denial"
        if request.quorum < 2
        else f"fewer than {request.quorum} people approved in time, and expiry is a denial",
        at=request.expires_at,
    )


def with_approval(
    verdict: Verdict, request: ApprovalRequest | None, given: Sequence[Approval], level: Level, now: datetime
) -> Verdict:
    """The verdict once people spoke: approved, RequireApproval becomes Allow; denied or expired, it becomes Deny.

    Anything stricter stays: a person can only give what the policy left to a person. `level` is the risk as judged now;
    what people said of a lower one does not hold for it.
    """
    if verdict.effect is not Effect.REQUIRE_APPROVAL or request is None:
        return verdict
    if level.rank > request.level.rank:
        rose = f"people were asked about risk {request.level}, and it is {level} now; a new plan asks anew"
        return _ruled(verdict, Effect.DENY, rose)
    decided = settled(request, given)
    if decided is None:
        return verdict if now < request.expires_at else _ruled(verdict, Effect.DENY, told(expired(request)))
    if decided.decision is Decision.APPROVE and now >= request.expires_at:
        return _ruled(verdict, Effect.DENY, f"the approval by {decided.by} expired before it was used")
    if decided.decision is Decision.APPROVE:
        return _ruled(verdict, Effect.ALLOW, "; ".join(map(told, counted(request, given))))
    return _ruled(verdict, Effect.DENY, told(decided))


def _ruled(verdict: Verdict, effect: Effect, message: str) -> Verdict:
    ruling = Ruling(rule="approval", effect=effect, message=message)
    return replace(verdict, effect=effect, rulings=(*verdict.rulings, ruling), until=None)


def told(decided: Approval) -> str:
    """A decision in a few words."""
    match decided.decision:
        case Decision.APPROVE:
            return f"approved by {decided.by}: {decided.reason}"
        case Decision.DENY:
            return f"denied by {decided.by}: {decided.reason}"
        case Decision.EXPIRE:
            return decided.reason
