"""The Official of one process: the verdict by its own ledger, and the signature that makes a permit."""

import asyncio
import logging
import secrets
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, TypeVar

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from pitcrew.core.action import describe
from pitcrew.core.errors import InvalidInput, JournalError
from pitcrew.core.permit import Direction, Permit, PermitRefused
from pitcrew.core.policy import Case, CompiledRule, Effect, Ruling, Spending, Verdict, judge, policy_digest
from pitcrew.core.proposal import Plan
from pitcrew.core.record import Instant
from pitcrew.core.resource import HealthyService, Mode
from pitcrew.official.case import case_of, undeclared, unfit
from pitcrew.official.issued import Lately, from_record, names_of, to_entry
from pitcrew.ports import Ledger, RuleCompiler

T = TypeVar("T")
log = logging.getLogger(__name__)

COMPILED_MAX = 256
"""Policies whose compiled rules are kept; beyond it all are compiled anew, which takes milliseconds."""

PERMITS_PER_PLAN = 5
"""Permits one digest may have in one direction: the first, and one for each crash or expiry before it could be used.
More would be a loop that gets nowhere, and would let the ledger grow without bound."""


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

    `mechanic` is the id that permits are made out to; `now` the trusted clock; `stop` whether a person stopped PitCrew.
    """

    key: Ed25519PrivateKey
    ledger: Ledger
    compiler: RuleCompiler
    mechanic: str
    now: Callable[[], Instant]
    stop: Callable[[], bool]
    limits: Limits = field(default_factory=Limits)
    serial: Callable[[], str] = new_serial
    _lately: Lately | None = field(default=None, init=False)
    _compiled: dict[str, tuple[CompiledRule, ...]] = field(default_factory=dict, init=False)
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock, init=False)
    _running: set[asyncio.Task[Any]] = field(default_factory=set, init=False)

    async def judge(self, service: HealthyService, plan: Plan, case: Case) -> Verdict:
        """The verdict by the policy as declared now and the ledger; a ledger that cannot be trusted denies."""
        return await self._to_its_end(self._judge_in_turn(service, plan, case))

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

    async def _judge_in_turn(self, service: HealthyService, plan: Plan, case: Case) -> Verdict:
        async with self._turn:
            return self._verdict(service, plan, case, await self._read())

    async def _permit_in_turn(self, service: HealthyService, plan: Plan, case: Case) -> Permit | PermitRefused:
        async with self._turn:
            lately = await self._read()
            verdict = self._verdict(service, plan, case, lately)
            if verdict.effect is not Effect.ALLOW:
                return PermitRefused(reason=f"{verdict.effect}: {verdict.reason}")
            if plan.policy_digest != verdict.policy_digest:
                return PermitRefused(reason="the policy changed since the plan was made; plan anew")
            return await self._issue(service, plan, Direction.DO, lately)

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
        if service.spec.policy.mode is not Mode.ENFORCE:
            return f"the mode is {service.spec.policy.mode}, which never acts"
        if plan.undo is None:
            return f"there is nothing to undo: {plan.irreversible}"
        if not lately.count(plan.digest, Direction.DO):
            return f"no permit to {describe(plan.action)} was given for this plan lately, so there is nothing to undo"
        return unfit(service, plan)

    async def _read(self) -> Lately | str:
        """The permits of late, read once and again after each failure; or why the ledger cannot be trusted."""
        if self._lately is None:
            try:
                self._lately = Lately(permits=[])
                for record in await asyncio.to_thread(self.ledger.read):
                    self._lately.add(from_record(record))
            except JournalError as error:
                self._lately = None
                log.error("ledger of permits cannot be trusted", extra={"reason": str(error)})
                return f"the ledger of permits cannot be trusted: {error}"
        return self._lately

    def _verdict(self, service: HealthyService, plan: Plan, case: Case, lately: Lately | str) -> Verdict:
        now, found = self.now().at, list(self._guards(service, plan))
        if isinstance(lately, str):
            found.append(Ruling(rule="ledger", effect=Effect.DENY, message=lately))
        rules = self._rules(service)
        if isinstance(rules, str):
            found.append(Ruling(rule="rules", effect=Effect.DENY, message=rules))
            rules = ()
        spending = replace(self._spending(service, plan, lately), stopped=self.stop())
        facts = case_of(service, plan, case, now)
        verdict = judge(service, case.level, case.tries, rules, facts, spending, now)
        if not found:
            return verdict
        return replace(verdict, effect=Effect.DENY, rulings=(*found, *verdict.rulings), until=None)

    def _guards(self, service: HealthyService, plan: Plan) -> tuple[Ruling, ...]:
        """What denies whatever the policy says: a plan that is none for this service."""
        reasons = (("plan", unfit(service, plan)), ("actions", undeclared(service, plan.action)))
        return tuple(Ruling(rule=name, effect=Effect.DENY, message=reason) for name, reason in reasons if reason)

    def _rules(self, service: HealthyService) -> tuple[CompiledRule, ...] | str:
        digest = policy_digest(service)
        if digest not in self._compiled:
            if len(self._compiled) >= COMPILED_MAX:
                self._compiled.clear()
            try:
                self._compiled[digest] = self.compiler.compile(service.spec.policy.rules)
            except InvalidInput as error:
                return str(error)
        return self._compiled[digest]

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
        self, service: HealthyService, plan: Plan, direction: Direction, lately: Lately | str
    ) -> Permit | PermitRefused:
        """Record a permit durably, then sign it; what cannot be recorded is not given."""
        if isinstance(lately, str):
            return PermitRefused(reason=lately)
        if lately.count(plan.digest, direction) >= PERMITS_PER_PLAN:
            return PermitRefused(reason=f"{PERMITS_PER_PLAN} permits were given for this plan, and none led to an end")
        at = self.now()
        permit = self._unsigned(plan, direction, at)
        try:
            record = await asyncio.to_thread(self.ledger.append, to_entry(permit, plan, names_of(service, plan)), at)
        except (JournalError, InvalidInput) as error:
            self._lately = None
            log.error("a permit could not be recorded, so it is not given", extra={"reason": str(error)})
            return PermitRefused(reason=f"the permit could not be recorded: {error}")
        lately.add(from_record(record))
        return replace(permit, signature=self.key.sign(permit.payload).hex())

    def _unsigned(self, plan: Plan, direction: Direction, at: Instant) -> Permit:
        return Permit(
            serial=self.serial(),
            plan_digest=plan.digest,
            direction=direction,
            mechanic=self.mechanic,
            issued_at=at.at,
            expires_at=at.at + timedelta(seconds=self.limits.permit_ttl_s),
        )
