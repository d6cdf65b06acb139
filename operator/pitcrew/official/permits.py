"""The Official of one process: the verdict by its own ledger, and the signature that makes a permit."""

import asyncio
import logging
import secrets
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, TypeVar

from pitcrew.core.action import describe
from pitcrew.core.approval import Approval, ApprovalRequest, Decision, Hearing, OwnUser, asked, with_approval
from pitcrew.core.errors import InvalidInput, JournalError
from pitcrew.core.order import REASON_BYTES_MAX, Person, Suspension
from pitcrew.core.permit import Direction, Permit, PermitRefused
from pitcrew.core.policy import (
    Case,
    CompiledRule,
    Effect,
    Guard,
    Guardrails,
    Ruling,
    Spending,
    Verdict,
    judge,
    suspension,
    tightened,
)
from pitcrew.core.proposal import Plan
from pitcrew.core.record import Entry, Instant, Json, digest
from pitcrew.core.resource import HealthyService, Mode, RemediationPolicy, Rule
from pitcrew.core.review import Matter
from pitcrew.core.untrusted import clean
from pitcrew.keys import SigningKey
from pitcrew.official.asked import Hand, Hands, asked_entry, decided_entry
from pitcrew.official.case import case_of, undeclared, unfit
from pitcrew.official.issued import Lately, names_of, risk_data, to_entry
from pitcrew.official.judgement import Believed, Judgement, Keys, weigh
from pitcrew.official.matters import matters_of
from pitcrew.ports import Ledger, RuleCompiler

T = TypeVar("T")
log = logging.getLogger(__name__)

COMPILED_MAX = 256
"""Policies whose compiled rules are kept; beyond it all are compiled anew, which takes milliseconds."""

PERMITS_PER_PLAN = 5
"""Permits one digest may have in one direction: the first, and one for each crash or expiry before it could be used.
More would be a loop that gets nowhere, and would let the ledger grow without bound."""


def nobody_suspended(service: str) -> Suspension | None:
    """Where no orders are taken."""
    return None


def no_storm() -> str:
    """Where nobody looks at all services together."""
    return ""


def new_serial() -> str:
    """128 random bits in hex; two are never the same."""
    return secrets.token_hex(16)


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """What bounds permits beside the policies of services."""

    permit_ttl_s: int = 30
    """Seconds a permit is good for. Between permit and effect lie one live look and one durable record, seconds even on
    a busy machine; what is older was decided about a world that may be gone."""
    everywhere_max: int = 20
    """Actions on all services together in one window: more at once is not a fault of services but of their host."""
    everywhere_window_s: int = 3600
    """Length of that window in seconds; at most seven days."""


@dataclass(kw_only=True, slots=True)
class SigningOfficial:
    """Judges, permits, and keeps the ledger of permits (port `Official`).

    `now` is the trusted clock; `stop` whether a person stopped PitCrew;
    `suspended` what a person ordered for one service; `own` the user PitCrew runs as; `guardrails` the policies of the
    platform as declared now; `storm` why nothing is acted on while many services fail at once, empty while none do;
    `hands` how decisions are proven; `separated` whether the loop and the Mechanic are processes of their own, whose
    looks are believed by the public keys of `mechanics`.
    """

    key: SigningKey
    ledger: Ledger
    compiler: RuleCompiler
    now: Callable[[], Instant]
    stop: Callable[[], bool]
    own: OwnUser
    guardrails: Callable[[], Guardrails]
    limits: Limits = field(default_factory=Limits)
    suspended: Callable[[str], Suspension | None] = nobody_suspended
    storm: Callable[[], str] = no_storm
    hands: Hands = field(default_factory=Hands)
    separated: bool = False
    mechanics: Mapping[str, Keys] = field(default_factory=dict)
    serial: Callable[[], str] = new_serial
    unwritten: str = field(default="", init=False)
    """Why a line could not be written when it was tried last; empty where it could."""
    _lately: Lately | None = field(default=None, init=False)
    _compiled: dict[str, tuple[CompiledRule, ...]] = field(default_factory=dict, init=False)
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock, init=False)
    _running: set[asyncio.Task[Any]] = field(default_factory=set, init=False)

    async def judge(self, service: HealthyService, plan: Plan, case: Case) -> Verdict:
        """The verdict by the policy as declared now and the ledger; a ledger that cannot be trusted denies."""
        return (await self.review(service, plan, case))[0]

    async def review(self, service: HealthyService, plan: Plan, case: Case) -> tuple[Verdict, Judgement]:
        """The verdict, and what it is over: the own judgement beside what was told."""
        return await self._to_its_end(self._judge_in_turn(service, plan, case))

    async def ask(self, service: HealthyService, plan: Plan, case: Case) -> ApprovalRequest | PermitRefused:
        """Ask people about exactly this plan; asked again it is the same request."""
        return await self._to_its_end(self._ask_in_turn(service, plan, case))

    async def decide(
        self, plan_digest: str, decision: Decision, person: Person, reason: str, *, signed: str = ""
    ) -> Approval | PermitRefused:
        """One person's decision, durable before it is returned. A signature is verified outside of the turn, so that
        nobody waits for it."""
        reason = clean(reason, REASON_BYTES_MAX)
        async with self._turn:
            lately = await self._read()
        request = PermitRefused(reason=lately) if isinstance(lately, str) else lately.questions.open(plan_digest)
        if isinstance(request, PermitRefused):
            return request
        hand = await self.hands.of(request, decision, person, reason, signed, lambda: self.now().at)
        if isinstance(hand, PermitRefused):
            return hand
        return await self._to_its_end(self._decide_in_turn(plan_digest, decision, hand, reason))

    async def decision(self, plan_digest: str) -> Hearing:
        """What was heard so far; nothing where the ledger cannot be trusted."""
        async with self._turn:
            lately = await self._read()
            return Hearing() if isinstance(lately, str) else lately.questions.hearing(plan_digest, self.now().at)

    async def matters(self) -> tuple[Matter, ...] | PermitRefused:
        """Everything that people were ever asked about, oldest first, as the ledger tells it."""
        async with self._turn:
            lately = await self._read()
        return PermitRefused(reason=lately) if isinstance(lately, str) else matters_of(lately, self.now().at)

    async def permit(self, service: HealthyService, plan: Plan, case: Case) -> Permit | PermitRefused:
        """A permit to do this plan, where judging it again, now, says Allow."""
        return await self._to_its_end(self._permit_in_turn(service, plan, case))

    async def permit_undo(self, service: HealthyService, plan: Plan) -> Permit | PermitRefused:
        """A permit to undo a plan that was permitted within the last seven days."""
        return await self._to_its_end(self._permit_undo_in_turn(service, plan))

    async def _to_its_end(self, work: Coroutine[Any, Any, T]) -> T:
        """Carry on to the end, also when whoever waits is cancelled: a half-made ledger line helps nobody."""
        task = asyncio.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return await asyncio.shield(task)

    async def _judge_in_turn(self, service: HealthyService, plan: Plan, case: Case) -> tuple[Verdict, Judgement]:
        async with self._turn:
            lately = await self._read()
            judgement = self._weighed(service, plan, case, lately)
            return self._verdict(service, plan, judgement, lately), judgement

    async def _ask_in_turn(self, service: HealthyService, plan: Plan, case: Case) -> ApprovalRequest | PermitRefused:
        async with self._turn:
            lately = await self._read()
            if isinstance(lately, str):
                return PermitRefused(reason=lately)
            if plan.digest in lately.questions.requests:
                return lately.questions.requests[plan.digest]
            judgement = self._weighed(service, plan, case, lately)
            verdict, case = self._verdict(service, plan, judgement, lately), judgement.case
            if verdict.effect is not Effect.REQUIRE_APPROVAL:
                return PermitRefused(reason=f"{verdict.effect}: {verdict.reason}")
            policy, now = service.spec.policy, self.now().at
            until = now + timedelta(seconds=policy.approve_within)
            proposer = case.proposer or self.own.name
            request = asked(plan.incident, plan.digest, case.level, policy.approvers, now, until, proposer)
            about = _about(plan, verdict, judgement)
            refused = await self._keep(asked_entry(request, service.key, about), lately)
            return PermitRefused(reason=refused) if refused else request

    async def _decide_in_turn(
        self, plan_digest: str, decision: Decision, hand: Hand, reason: str
    ) -> Approval | PermitRefused:
        async with self._turn:
            lately = await self._read()
            if isinstance(lately, str):
                return PermitRefused(reason=lately)
            approval, questions = hand.decided(plan_digest, decision, reason, self.now().at), lately.questions
            refused = questions.refusal(approval, hand.person, self.own)
            if refused or decision is Decision.EXPIRE:
                return PermitRefused(reason=refused or "only time lets a request expire")
            refused = await self._keep(decided_entry(approval, questions.requests[plan_digest]), lately)
            return PermitRefused(reason=refused) if refused else approval

    async def _keep(self, entry: Entry, lately: Lately) -> str | None:
        """Write one line into the ledger and take it in; why that could not be, or None."""
        try:
            lately.take(await asyncio.to_thread(self.ledger.append, entry, self.now()))
        except (JournalError, InvalidInput) as error:
            self._lately, self.unwritten = None, str(error)
            log.error("the ledger of the Official could not be written", extra={"reason": str(error)})
            return f"it could not be recorded: {error}"
        self.unwritten = ""
        return None

    async def _permit_in_turn(self, service: HealthyService, plan: Plan, case: Case) -> Permit | PermitRefused:
        async with self._turn:
            lately = await self._read()
            judgement = self._weighed(service, plan, case, lately)
            verdict = self._verdict(service, plan, judgement, lately)
            if verdict.effect is not Effect.ALLOW:
                return PermitRefused(reason=f"{verdict.effect}: {verdict.reason}")
            if plan.policy_digest != verdict.policy_digest:
                return PermitRefused(reason="the policy changed since the plan was made; plan anew")
            return await self._issue(service, plan, Direction.DO, lately, judgement)

    async def _permit_undo_in_turn(self, service: HealthyService, plan: Plan) -> Permit | PermitRefused:
        async with self._turn:
            lately = await self._read()
            reason = self._no_undo(service, plan, lately)
            return PermitRefused(reason=reason) if reason else await self._issue(service, plan, Direction.UNDO, lately)

    def _no_undo(self, service: HealthyService, plan: Plan, lately: Lately | str) -> str | None:
        if isinstance(lately, str):
            return lately
        if self.stop():
            return "a person stopped PitCrew; remove the STOP file to go on"
        held = suspension(service, self.suspended(service.key), self.now().at)
        if held is not None:
            return str(held)
        if service.spec.policy.mode is not Mode.ENFORCE:
            return f"the mode is {service.spec.policy.mode}, which never acts"
        guarded = self._no_undo_by_guardrails(self.guardrails().binding(service))
        if guarded or self.storm():
            return guarded or self.storm()
        if plan.undo is None:
            return f"there is nothing to undo: {plan.irreversible}"
        if not lately.count(plan.digest, Direction.DO):
            return f"no permit to {describe(plan.action)} was given for this plan lately, so there is nothing to undo"
        return unfit(service, plan)

    def _no_undo_by_guardrails(self, bound: Guardrails) -> str:
        for unread in bound.unread:
            return f"a policy cannot be read: {unread.place}"
        for policy in bound.policies:
            if policy.spec.mode not in (None, Mode.ENFORCE):
                return f"policy {policy.name} says {policy.spec.mode}, which never acts"
        return ""

    async def _read(self) -> Lately | str:
        """The permits of late, read once and again after each failure; or why the ledger cannot be trusted."""
        if self._lately is None:
            try:
                self._lately = Lately(permits=[])
                for record in await asyncio.to_thread(self.ledger.read):
                    self._lately.take(record)
            except JournalError as error:
                self._lately = None
                log.error("ledger of permits cannot be trusted", extra={"reason": str(error)})
                return f"the ledger of permits cannot be trusted: {error}"
        return self._lately

    def _weighed(self, service: HealthyService, plan: Plan, case: Case, lately: Lately | str) -> Judgement:
        known = lately if isinstance(lately, Lately) else Lately(permits=[])
        believed = Believed(mechanics=self.mechanics, separated=self.separated)
        return weigh(service, plan, case, known, believed, self.now().at)

    def _verdict(self, service: HealthyService, plan: Plan, judgement: Judgement, lately: Lately | str) -> Verdict:
        case, now, found = judgement.case, self.now().at, list(self._guards(service, plan))
        if isinstance(lately, str):
            found.append(Ruling(rule="ledger", effect=Effect.DENY, message=lately))
        rules = self._rules(service.spec.policy.rules)
        if isinstance(rules, str):
            found.append(Ruling(rule="rules", effect=Effect.DENY, message=rules))
            rules = ()
        spending = self._spending(service, plan, lately)
        suspended = self.suspended(service.key)
        spending = replace(spending, stopped=self.stop(), suspended=suspended, storm=self.storm())
        bound = self.guardrails().binding(service)
        guards = [self._guard(policy, service, plan, lately) for policy in bound.policies]
        facts = case_of(service, plan, case, now)
        verdict = judge(
            service,
            case.level,
            case.tries,
            rules,
            facts,
            spending,
            now,
            guards,
            bound.unread,
            plan.action.name,
            case.doubt,
            self.separated,
        )
        if isinstance(lately, Lately):
            request, given = lately.questions.requests.get(plan.digest), lately.questions.given(plan.digest)
            verdict = with_approval(verdict, request, given, case.level, now)
        verdict = tightened(verdict, judgement.rulings)
        if not found:
            return verdict
        return replace(verdict, effect=Effect.DENY, rulings=(*found, *verdict.rulings), until=None)

    def _guards(self, service: HealthyService, plan: Plan) -> tuple[Ruling, ...]:
        """What denies whatever the policy says: a plan that is none for this service."""
        reasons = (("plan", unfit(service, plan)), ("actions", undeclared(service, plan.action)))
        return tuple(Ruling(rule=name, effect=Effect.DENY, message=reason) for name, reason in reasons if reason)

    def _guard(self, policy: RemediationPolicy, service: HealthyService, plan: Plan, lately: Lately | str) -> Guard:
        """A policy that binds the service, with what is known of it here."""
        rules = self._rules(policy.spec.rules)
        broken, rules = (rules, ()) if isinstance(rules, str) else ("", rules)
        known = lately if isinstance(lately, Lately) else Lately(permits=[])
        budget = policy.spec.budget
        spent, free_at = known.spent(service, plan, budget, self.now().at) if budget is not None else (0, None)
        return Guard(policy=policy, rules=rules, spent=spent, free_at=free_at, broken=broken)

    def _rules(self, rules: Sequence[Rule]) -> tuple[CompiledRule, ...] | str:
        key = digest([rule.model_dump(mode="json") for rule in rules])
        if key not in self._compiled:
            if len(self._compiled) >= COMPILED_MAX:
                self._compiled.clear()
            try:
                self._compiled[key] = self.compiler.compile(rules)
            except InvalidInput as error:
                return str(error)
        return self._compiled[key]

    def _spending(self, service: HealthyService, plan: Plan, lately: Lately | str) -> Spending:
        known = lately if isinstance(lately, Lately) else Lately(permits=[])
        return known.spending(
            service,
            plan,
            self.now().at,
            everywhere_max=self.limits.everywhere_max,
            everywhere_window_s=self.limits.everywhere_window_s,
        )

    async def _issue(
        self,
        service: HealthyService,
        plan: Plan,
        direction: Direction,
        lately: Lately | str,
        judgement: Judgement | None = None,
    ) -> Permit | PermitRefused:
        """Record a permit durably, then sign it; what cannot be recorded is not given."""
        if isinstance(lately, str):
            return PermitRefused(reason=lately)
        if lately.count(plan.digest, direction) >= PERMITS_PER_PLAN:
            return PermitRefused(reason=f"{PERMITS_PER_PLAN} permits were given for this plan, and none led to an end")
        at = self.now()
        permit = self._unsigned(service, plan, direction, at)
        risk, found = (judgement.risk, judgement.found) if judgement else (None, None)
        refused = await self._keep(to_entry(permit, plan, names_of(service, plan), risk, found), lately)
        if refused:
            return PermitRefused(reason=f"the permit is not given: {refused}")
        return replace(permit, signature=self.key.sign(permit.payload).hex())

    def _unsigned(self, service: HealthyService, plan: Plan, direction: Direction, at: Instant) -> Permit:
        return Permit(
            serial=self.serial(),
            plan_digest=plan.digest,
            direction=direction,
            mechanic=service.spec.target.mechanic,
            issued_at=at.at,
            expires_at=at.at + timedelta(seconds=self.limits.permit_ttl_s),
        )


def _about(plan: Plan, verdict: Verdict, judgement: Judgement) -> Mapping[str, Json]:
    """What a request is about, as people are shown it from the ledger."""
    rules: list[Json] = [f"{one.effect} {one.rule}: {one.message}" for one in verdict.rulings]
    return {"plan_data": plan.data, "risk": risk_data(judgement.risk), "rules": rules}
