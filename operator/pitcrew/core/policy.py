"""Policy: the verdict on one plan. Ladders allow; everything else can only tighten; the strictest wins.

Every rule that spoke is part of the verdict. What no rule allows is not done; a rule that fails to answer with true or
false denies (S9). Rules in CEL arrive here compiled, as plain callables.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from pitcrew.core.observation import Observation
from pitcrew.core.order import Suspension
from pitcrew.core.record import Json, digest
from pitcrew.core.resource import (
    DEFAULT_MECHANIC,
    Budget,
    HealthyService,
    Level,
    Mode,
    RemediationPolicy,
    RuleEffect,
    Selector,
    reaches,
)

HOLD_RECHECK_S = 30
"""Seconds until a held plan is judged again when no exact time is known."""


STOP_RECHECK_S = 5
"""Seconds until a plan held by a person's stop is judged again; who takes the stop back is looking."""
LOOK = "look"
"""The rule that speaks where the look that came with a plan does not bear it out."""
PLANS_PER_ATTEMPT = 3
"""Plans per permitted attempt; a world that changes under each plan is a person's business after that."""


class Effect(StrEnum):
    """What a verdict says, the harmless one first."""

    DENY = "Deny"
    HOLD = "Hold"
    REQUIRE_APPROVAL = "RequireApproval"
    ALLOW = "Allow"


_STRICTNESS = {effect: rank for rank, effect in enumerate(Effect)}


@dataclass(frozen=True, kw_only=True, slots=True)
class Ruling:
    """One rule that spoke: its name, its effect, why, and for a hold until when."""

    rule: str
    effect: Effect
    message: str
    until: datetime | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """The strictest effect, with all the rulings that led to it and the digest of the policy they came from."""

    effect: Effect
    rulings: tuple[Ruling, ...]
    policy_digest: str
    until: datetime | None = None

    @property
    def reason(self) -> str:
        """The decisive rulings in one line."""
        return "; ".join(f"{r.rule}: {r.message}" for r in self.rulings if r.effect is self.effect)


@dataclass(frozen=True, kw_only=True, slots=True)
class CompiledRule:
    """A named guard as a callable over the case; what it gives must be a bool, anything else denies."""

    name: str
    effect: RuleEffect
    message: str
    evaluate: Callable[[Mapping[str, object]], object]


@dataclass(frozen=True, kw_only=True, slots=True)
class Tries:
    """What one incident already saw: effects that may have changed the target, and plans made, this one included."""

    effects: int
    plans: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """What is judged beside the plan: the risk level, the tries so far, and the facts that rules in CEL see.

    `facts` has the keys incident, diagnosis, risk and history; service, action and now are added by the Official,
    which knows them itself.
    """

    level: Level
    tries: Tries
    facts: Mapping[str, Mapping[str, object]]
    doubt: str = ""
    """Why a person must decide, whatever the ladder allows: two opinions that differ, or one that no rule shares."""
    seen: Observation | None = None
    """The newest look at the service, from which the Official can tell for itself."""
    proposer: str = ""
    """The name of the assistant whose diagnosis led to the plan; empty where the operator itself proposed it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Spending:
    """What the Official's ledger says: permits of the window for this target and for all, and the last one's time.

    `last_at` is the last permit for another incident of this target.
    """

    target: int
    target_free_at: datetime | None
    everywhere: int
    everywhere_max: int
    everywhere_free_at: datetime | None
    last_at: datetime | None
    stopped: bool
    suspended: Suspension | None = None
    storm: str = ""
    """Why nothing is acted on while many services fail at once, for people; empty while it is not so."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Unread:
    """A policy that is declared and cannot be read, without a version of before: where and what, for people.

    `selector` tells which services it could bind; None: it may be any. `name` is empty where it cannot be told.
    """

    place: str
    name: str = ""
    selector: Selector | None = None

    def binds(self, service: HealthyService) -> bool:
        """Whether it could bind a service."""
        return self.selector is None or _selects(self.selector, service)


@dataclass(frozen=True, kw_only=True, slots=True)
class Guardrails:
    """The policies of the platform as declared now. `stale` are pairs of a name and why its last good version holds."""

    policies: tuple[RemediationPolicy, ...] = ()
    unread: tuple[Unread, ...] = ()
    stale: tuple[tuple[str, str], ...] = ()

    def binding(self, service: HealthyService) -> "Guardrails":
        """Those that bind, or could bind, a service; in the order of their names."""
        policies = sorted((one for one in self.policies if _selects(one.spec.selector, service)), key=lambda p: p.name)
        names = {one.name for one in policies}
        return Guardrails(
            policies=tuple(policies),
            unread=tuple(one for one in self.unread if one.binds(service)),
            stale=tuple(pair for pair in self.stale if pair[0] in names),
        )


NO_GUARDRAILS = Guardrails()


def _selects(selector: Selector, service: HealthyService) -> bool:
    return selector.selects(service.metadata.namespace, service.metadata.labels)


@dataclass(frozen=True, kw_only=True, slots=True)
class Guard:
    """A policy that binds the service, its rules compiled, and what the target spent of its budget."""

    policy: RemediationPolicy
    rules: tuple[CompiledRule, ...] = ()
    spent: int = 0
    free_at: datetime | None = None
    broken: str = ""
    """Why its rules cannot be used, which denies."""


_NO_VERDICT = {"selector", "diagnosis"}
"""Parts of a guardrail that no verdict rests on: whom it binds, and what a model may be asked."""


def policy_digest(service: HealthyService, guardrails: Guardrails = NO_GUARDRAILS) -> str:
    """Digest of everything declared that a verdict rests on: the service's own policy, and the guardrails over it."""
    spec = service.spec
    parts: dict[str, Json] = {
        "policy": spec.policy.model_dump(mode="json", by_alias=True),
        "remediation": spec.remediation.model_dump(mode="json", by_alias=True),
        "criticality": str(spec.criticality),
        "suspend": spec.suspend.model_dump(mode="json", by_alias=True) if spec.suspend else None,
    }
    bound = guardrails.binding(service)
    if bound.policies:
        parts["guardrails"] = {
            one.name: one.spec.model_dump(mode="json", by_alias=True, exclude=_NO_VERDICT) for one in bound.policies
        }
    if bound.unread:
        parts["unread"] = True
    return digest(parts)


def target_digest(service: HealthyService) -> str:
    """Digest of the declaration of the target. A host that is not named is no part of it, so that plans of
    before there were hosts still fit."""
    no_host = {"docker": {"host"}} if service.spec.target.mechanic == DEFAULT_MECHANIC else None
    return digest(service.spec.target.model_dump(mode="json", by_alias=True, exclude=no_host))


def judge(
    service: HealthyService,
    level: Level,
    tries: Tries,
    rules: Sequence[CompiledRule],
    case: Mapping[str, object],
    spending: Spending,
    now: datetime,
    guards: Sequence[Guard] = (),
    unread: tuple[Unread, ...] = (),
    action: str = "",
    doubt: str = "",
    separated: bool = False,
) -> Verdict:
    """The verdict on a plan of this risk level; `case` is what the rules in CEL see.

    `guards` are the policies that bind the service, `unread` those that could; `action` is the name of what is planned;
    `doubt` asks a person; `separated` tells whether Driver, Official and Mechanic are processes of their own.
    """
    rulings = (
        *_stop(spending, now),
        *_storm(spending, now),
        *_unread(unread, now),
        *_suspended(service, spending, now),
        *_mode(service.spec.policy.mode),
        *_ladders(service, level),
        *_second_opinion(doubt),
        *_separation(level, separated=separated),
        *_attempts(service, tries),
        *_budgets(service, spending, now),
        *_cooldown(service.spec.policy.cooldown, spending, now),
        *(ruling for rule in rules for ruling in _speak(rule, case, now)),
        *(ruling for guard in guards for ruling in _guarded(guard, level, action, case, spending, now)),
    )
    effect = min((ruling.effect for ruling in rulings), key=_STRICTNESS.__getitem__, default=Effect.DENY)
    holds = [ruling.until for ruling in rulings if ruling.effect is Effect.HOLD and ruling.until]
    until = max(holds, default=None) if effect is Effect.HOLD else None
    found = Guardrails(policies=tuple(guard.policy for guard in guards), unread=unread)
    return Verdict(effect=effect, rulings=rulings, policy_digest=policy_digest(service, found), until=until)


def tightened(verdict: Verdict, rulings: Sequence[Ruling]) -> Verdict:
    """The verdict once more rules spoke; the strictest of all decides."""
    if not rulings:
        return verdict
    effect = min((verdict.effect, *(one.effect for one in rulings)), key=_STRICTNESS.__getitem__)
    held = [one.until for one in (*rulings, *verdict.rulings) if one.effect is Effect.HOLD and one.until]
    until = max(held, default=None) if effect is Effect.HOLD else None
    return replace(verdict, effect=effect, rulings=(*rulings, *verdict.rulings), until=until)


def _stop(spending: Spending, now: datetime) -> tuple[Ruling, ...]:
    if not spending.stopped:
        return ()
    message = "a person stopped PitCrew; it goes on when the file STOP is removed"
    return (Ruling(rule="stop", effect=Effect.HOLD, message=message, until=now + timedelta(seconds=STOP_RECHECK_S)),)


def _storm(spending: Spending, now: datetime) -> tuple[Ruling, ...]:
    if not spending.storm:
        return ()
    until = now + timedelta(seconds=STOP_RECHECK_S)
    return (Ruling(rule="storm", effect=Effect.HOLD, message=spending.storm, until=until),)


def _unread(unread: Sequence[Unread], now: datetime) -> tuple[Ruling, ...]:
    """What a policy says that cannot be read is not known, so that nothing is done until a person mended it (S9)."""
    until = now + timedelta(seconds=HOLD_RECHECK_S)
    return tuple(
        Ruling(rule="policy-unread", effect=Effect.HOLD, message=f"a policy cannot be read: {one.place}", until=until)
        for one in unread
    )


def _guarded(
    guard: Guard, level: Level, action: str, case: Mapping[str, object], spending: Spending, now: datetime
) -> tuple[Ruling, ...]:
    """What one guardrail says, under its name; it never allows."""
    spec = guard.policy.spec
    found = [*_mode(spec.mode or Mode.ENFORCE)]
    if spec.approve_up_to is not None and not reaches(spec.approve_up_to, level):
        found.append(_above("deny", Effect.DENY, level, f"approveUpTo {spec.approve_up_to}"))
    elif spec.auto_up_to is not None and not reaches(spec.auto_up_to, level):
        found.append(_above("approve", Effect.REQUIRE_APPROVAL, level, f"autoUpTo {spec.auto_up_to}"))
    if spec.actions is not None and action not in spec.actions:
        allowed = ", ".join(spec.actions) or "none"
        found.append(Ruling(rule="actions", effect=Effect.DENY, message=f"{action} is not among: {allowed}"))
    if spec.budget is not None:
        found += _budget(spec.budget, guard.spent, guard.free_at, now)
    found += _cooldown(spec.cooldown or 0, spending, now)
    if guard.broken:
        found.append(Ruling(rule="rules", effect=Effect.DENY, message=guard.broken))
    found += [ruling for rule in guard.rules for ruling in _speak(rule, case, now)]
    return tuple(replace(ruling, rule=f"policy/{guard.policy.name}/{ruling.rule}") for ruling in found)


def _above(step: str, effect: Effect, level: Level, ladder: str) -> Ruling:
    return Ruling(rule=f"ladder/{step}", effect=effect, message=f"risk {level} is above {ladder}")


def suspension(service: HealthyService, ordered: Suspension | None, now: datetime) -> Suspension | None:
    """Why effects on a service are held by a person, declared or ordered; None where they are not."""
    declared = service.spec.suspend
    if declared is not None:
        found = Suspension(reason=declared.reason, by="spec.suspend", until=declared.until)
        if found.stands(now):
            return found
    return ordered if ordered is not None and ordered.stands(now) else None


def _suspended(service: HealthyService, spending: Spending, now: datetime) -> tuple[Ruling, ...]:
    found = suspension(service, spending.suspended, now)
    if found is None:
        return ()
    until = now + timedelta(seconds=STOP_RECHECK_S)
    return (Ruling(rule="suspend", effect=Effect.HOLD, message=str(found), until=until),)


def _mode(mode: Mode) -> tuple[Ruling, ...]:
    match mode:
        case Mode.ENFORCE:
            return ()
        case Mode.SHADOW:
            return (
                Ruling(rule="mode/shadow", effect=Effect.DENY, message="Shadow decides and records, and never acts"),
            )
        case Mode.OBSERVE:
            return (Ruling(rule="mode/observe", effect=Effect.DENY, message="Observe only watches"),)


def _ladders(service: HealthyService, level: Level) -> tuple[Ruling, ...]:
    policy = service.spec.policy
    if reaches(policy.auto_up_to, level) and reaches(policy.approve_up_to, level):
        return (
            Ruling(
                rule="ladder/auto", effect=Effect.ALLOW, message=f"risk {level} is within autoUpTo {policy.auto_up_to}"
            ),
        )
    if reaches(policy.approve_up_to, level):
        message = f"risk {level} is above autoUpTo {policy.auto_up_to}"
        return (Ruling(rule="ladder/approve", effect=Effect.REQUIRE_APPROVAL, message=message),)
    message = f"risk {level} is above approveUpTo {policy.approve_up_to}"
    return (Ruling(rule="ladder/deny", effect=Effect.DENY, message=message),)


def _second_opinion(doubt: str) -> tuple[Ruling, ...]:
    return (Ruling(rule="second-opinion", effect=Effect.REQUIRE_APPROVAL, message=doubt),) if doubt else ()


def _separation(level: Level, *, separated: bool) -> tuple[Ruling, ...]:
    """In one process a permit stops bugs and lying models, and no process that was taken over; a person does."""
    if separated or level.rank < Level.HIGH.rank:
        return ()
    message = f"risk {level} never runs without a person while Driver, Official and Mechanic are one process"
    return (Ruling(rule="separation", effect=Effect.REQUIRE_APPROVAL, message=message),)


def _attempts(service: HealthyService, tries: Tries) -> tuple[Ruling, ...]:
    most = service.spec.remediation.attempts
    if tries.effects >= most:
        message = f"{tries.effects} of at most {most} remedies were tried in this incident"
        return (Ruling(rule="attempts", effect=Effect.DENY, message=message),)
    if tries.plans > PLANS_PER_ATTEMPT * most:
        message = f"{tries.plans} plans were turned away before they could act"
        return (Ruling(rule="attempts", effect=Effect.DENY, message=message),)
    return ()


def _budgets(service: HealthyService, spending: Spending, now: datetime) -> tuple[Ruling, ...]:
    recheck = now + timedelta(seconds=HOLD_RECHECK_S)
    found = _budget(service.spec.policy.budget, spending.target, spending.target_free_at, now)
    if spending.everywhere >= spending.everywhere_max:
        message = f"{spending.everywhere} of {spending.everywhere_max} actions spent on all services"
        until = spending.everywhere_free_at or recheck
        found.append(Ruling(rule="budget/global", effect=Effect.HOLD, message=message, until=until))
    return tuple(found)


def _budget(budget: Budget, spent: int, free_at: datetime | None, now: datetime) -> list[Ruling]:
    if spent < budget.actions:
        return []
    message = f"{spent} of {budget.actions} actions spent in the window"
    until = free_at or now + timedelta(seconds=HOLD_RECHECK_S)
    return [Ruling(rule="budget/target", effect=Effect.HOLD, message=message, until=until)]


def _cooldown(cooldown_s: int, spending: Spending, now: datetime) -> tuple[Ruling, ...]:
    if spending.last_at is None:
        return ()
    until = spending.last_at + timedelta(seconds=cooldown_s)
    if until <= now:
        return ()
    return (Ruling(rule="cooldown", effect=Effect.HOLD, message="the last action was a moment ago", until=until),)


def _speak(rule: CompiledRule, case: Mapping[str, object], now: datetime) -> tuple[Ruling, ...]:
    name = f"rule/{rule.name}"
    try:
        answer = rule.evaluate(case)
    except ValueError as error:
        return (Ruling(rule=name, effect=Effect.DENY, message=f"the rule failed, so it denies: {error}"),)
    if not isinstance(answer, bool):
        return (Ruling(rule=name, effect=Effect.DENY, message="the rule gave neither true nor false, so it denies"),)
    if not answer:
        return ()
    until = now + timedelta(seconds=HOLD_RECHECK_S) if rule.effect is RuleEffect.HOLD else None
    return (Ruling(rule=name, effect=Effect(str(rule.effect)), message=rule.message, until=until),)
