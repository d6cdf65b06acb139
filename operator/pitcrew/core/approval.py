"""Approvals: a person's recorded decision on one exact plan digest.

A request is bound to the digest and to an expiry. It is decided once; that nobody decided in time is a denial; a plan
that changed has another digest and needs another request. Who may decide is read off the operating system's word for
who asks, never off a field (S13).
"""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from pitcrew.core.order import Person
from pitcrew.core.policy import Effect, Ruling, Verdict
from pitcrew.core.resource import Approvers, Level


class Decision(StrEnum):
    """How a request ended; expiry is a denial that nobody wrote."""

    APPROVE = "Approve"
    DENY = "Deny"
    EXPIRE = "Expire"


@dataclass(frozen=True, kw_only=True, slots=True)
class ApprovalRequest:
    """What is asked: one plan of one incident, its risk, who may decide, and until when."""

    incident: str
    plan_digest: str
    level: Level
    users: tuple[str, ...]
    groups: tuple[str, ...]
    asked_at: datetime
    expires_at: datetime

    @property
    def of_whom(self) -> str:
        """Who is asked, for people."""
        named = [*self.users, *(f"group {group}" for group in self.groups)]
        return ", ".join(named) or "nobody: spec.policy.approvers names no user and no group"


@dataclass(frozen=True, kw_only=True, slots=True)
class Approval:
    """The decision on one plan digest; `uid` is None where time decided."""

    plan_digest: str
    decision: Decision
    by: str
    uid: int | None
    reason: str
    at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class OwnUser:
    """The user PitCrew runs as, and whether the setting lets that user approve below High."""

    uid: int
    may_approve: bool


def asked(
    incident: str, plan_digest: str, level: Level, approvers: Approvers, now: datetime, until: datetime
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
    )


def refusal(
    request: ApprovalRequest, decided: Approval | None, person: Person, own: OwnUser, now: datetime
) -> str | None:
    """Why this person may not decide this request now, or None."""
    if decided is not None:
        return f"this plan was decided already: {decided.decision} by {decided.by} at {decided.at:%H:%M:%S}"
    if now >= request.expires_at:
        return f"the request expired at {request.expires_at:%H:%M:%S}, which is a denial; a new plan asks anew"
    if person.uid == own.uid:
        return _own_user(request, own)
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


def expired(request: ApprovalRequest) -> Approval:
    """The denial that time gave."""
    return Approval(
        plan_digest=request.plan_digest,
        decision=Decision.EXPIRE,
        by="nobody",
        uid=None,
        reason="nobody decided in time, and expiry is a denial",
        at=request.expires_at,
    )


def with_approval(
    verdict: Verdict, request: ApprovalRequest | None, decided: Approval | None, now: datetime
) -> Verdict:
    """The verdict once people spoke: approved, RequireApproval becomes Allow; denied or expired, it becomes Deny.

    Anything stricter stays: a person can only give what the policy left to a person.
    """
    if verdict.effect is not Effect.REQUIRE_APPROVAL or request is None:
        return verdict
    if decided is None:
        if now < request.expires_at:
            return verdict
        decided = expired(request)
    if decided.decision is Decision.APPROVE and now < request.expires_at:
        return _ruled(verdict, Effect.ALLOW, f"approved by {decided.by}: {decided.reason}")
    if decided.decision is Decision.APPROVE:
        return _ruled(verdict, Effect.DENY, f"the approval by {decided.by} expired before it was used")
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
