"""What people may tell a running operator: decide on a plan, stop and go, suspend and resume, look at once.

Who asks is given by whoever authenticated them; nothing here reads an identity out of a message (S13).
"""

import asyncio
import logging
from dataclasses import dataclass
from pathlib import Path

from pitcrew.core import order as orders
from pitcrew.core.action import describe
from pitcrew.core.approval import Decision, progress, request_data, told
from pitcrew.core.assistant import PROPOSALS_MAX
from pitcrew.core.errors import JournalError, Refused
from pitcrew.core.event import DiagnosisProposed
from pitcrew.core.incident import Attempt, Phase
from pitcrew.core.order import REASON_BYTES_MAX, Order, OrderKind, Person, Standing
from pitcrew.core.permit import PermitRefused
from pitcrew.core.record import Json
from pitcrew.core.resource import ServiceKey
from pitcrew.core.untrusted import clean
from pitcrew.loop.desk import Desk
from pitcrew.loop.fleet import Fleet
from pitcrew.loop.inbox import Handed
from pitcrew.ports import Clock, Journal, Official, StopSwitch

PROPOSE_S = 8.0
"""Seconds that a proposal waits for the worker of its service, which may be amid an effect."""
_log = logging.getLogger("pitcrew.loop")


@dataclass(frozen=True, kw_only=True)
class Control:
    """The operator's ear for people. `own_uid` is the user it runs as; `admins` and `proposers` are names, and
    groups as `@group`."""

    fleet: Fleet
    official: Official
    journal: Journal
    clock: Clock
    stop: StopSwitch
    standing: Standing
    own_uid: int
    admins: tuple[str, ...]
    proposers: tuple[str, ...]
    manifests: tuple[Path, ...]

    def question(self, incident: str) -> dict[str, Json]:
        """The plan that an incident asks people about, whole, with its undo, risk and expiry.

        Raises:
            Refused: the incident is unknown, or asks nothing.
        """
        attempt = self._attempt(incident)
        request, plan = attempt.request, attempt.plan
        if request is None:
            raise Refused(f"{incident} asks nobody: its plan is {attempt.verdict.effect if attempt.verdict else 'new'}")
        return {
            "incident": incident,
            "service": plan.service,
            "digest": plan.digest,
            "does": describe(plan.action),
            "undo": describe(plan.undo) if plan.undo else f"none: {plan.irreversible}",
            "why": attempt.proposal.why,
            "runbook": attempt.proposal.pin,
            "risk": {
                "level": str(attempt.risk.level),
                "score": attempt.risk.score,
                "factors": [f"{one.points:>3}  {one.name}: {one.evidence}" for one in attempt.risk.factors],
            },
            "rules": [f"{one.effect} {one.rule}: {one.message}" for one in attempt.verdict.rulings]
            if attempt.verdict
            else [],
            "asked": request.of_whom,
            "expiresAt": request.expires_at.isoformat(timespec="seconds"),
            "decided": told(attempt.approval) if attempt.approval else progress(request, attempt.given) or None,
            "request": request_data(request),
            "plan": plan.data,
        }

    async def decide(
        self, person: Person, incident: str, plan_digest: str, decision: Decision, reason: str, *, signed: str = ""
    ) -> str:
        """Decide on the plan with this digest; what was decided, for people. `signed` is as in the port `Official`.

        Raises:
            Refused: the plan is not the one that is asked about, or this person may not decide on it.
        """
        attempt = self._attempt(incident)
        if attempt.plan.digest != plan_digest:
            now = attempt.plan.digest[:16]
            raise Refused(f"the plan changed: {incident} is about plan {now} now, not {plan_digest[:16]}; look again")
        reason = clean(reason, REASON_BYTES_MAX)
        answer = await self.official.decide(plan_digest, decision, person, reason, signed=signed)
        if isinstance(answer, PermitRefused):
            _log.warning("decision refused", extra={"incident": incident, "text": f"{person}: {answer.reason}"})
            raise Refused(answer.reason)
        self.fleet.wake(ServiceKey(attempt.plan.service))
        hearing = await self.official.decision(plan_digest)
        came = progress(attempt.request, hearing.given) if attempt.request and hearing.final is None else ""
        return f"{incident}: plan {plan_digest[:16]} {told(answer)}{f' ({came})' if came else ''}"

    async def propose(
        self, person: Person, incident: str, cause: str, runbook: str, evidence: tuple[str, ...]
    ) -> dict[str, Json]:
        """Have a diagnosis of an assistant recorded and weighed; what came of it. It decides and approves nothing.

        Raises:
            Refused: this person may not propose, the incident is unknown or over, or something is in no closed list.
        """
        if not (self.may_order(person) or _is_one_of(person, self.proposers)):
            raise Refused(f"{person} may not propose; the settings proposers and admins name who may, beside root")
        desk = self._desk(incident)
        answer: asyncio.Future[DiagnosisProposed] = asyncio.get_running_loop().create_future()
        handed = Handed(incident=incident, by=person, cause=cause, runbook=runbook, evidence=evidence, answer=answer)
        desk.inbox.put(handed)
        desk.nudge.set()
        try:
            event = await asyncio.wait_for(answer, PROPOSE_S)
        except TimeoutError:
            busy = f"the operator is busy with {desk.service.key}"
            raise Refused(f"{busy}; if it was recorded all the same, `pitcrew why {incident}` shows it") from None
        left = PROPOSALS_MAX - next((len(one.proposed) for one in desk.known if one.id == incident), 0)
        return {
            "incident": incident,
            "cause": str(event.opinion.cause),
            "grounded": event.grounded,
            "agrees": event.agrees,
            "late": event.late,
            "note": event.note,
            "proposalsLeft": left,
        }

    async def give(self, order: Order) -> str:
        """Carry out an order of a person and record it; what holds now, for people.

        Raises:
            Refused: this person may not, or the service is not declared.
            JournalError: it could not be recorded; a stop holds all the same.
        """
        self._allow(order)
        order = self._named(order)
        if order.kind is OrderKind.STOP:
            await asyncio.to_thread(self.stop.set, f"{order.by}: {order.reason}")
            self.fleet.wake()
        await self._record(order)
        if order.kind is OrderKind.GO:
            await asyncio.to_thread(self.stop.clear)
        self.standing.obey(order)
        self.fleet.wake(ServiceKey(order.service) if order.service else None)
        return _HOLDS[order.kind].format(service=order.service, until=f" until {order.until}" if order.until else "")

    def may_order(self, person: Person) -> bool:
        """Whether this person gives orders: root, PitCrew's own user, and the admins of the settings."""
        return _is_one_of(person, self.admins) or person.uid in (0, self.own_uid)

    def services(self) -> dict[str, Json]:
        """Each declared service, and each policy as `policy/NAME`, with the place of its declaration."""
        policies = {f"policy/{name}": source for name, source in self.fleet.policies.items()}
        return {**{str(key): desk.source for key, desk in self.fleet.desks.items()}, **policies}

    def _allow(self, order: Order) -> None:
        if self.may_order(order.by) or (order.kind is OrderKind.STOP and self._approves_something(order.by)):
            return
        raise Refused(f"{order.by} may not order {order.kind}; the setting admins names who may, beside root")

    def _approves_something(self, person: Person) -> bool:
        asked = [desk.service.spec.policy.approvers for desk in self.fleet.desks.values()]
        return any(person.name in one.users or set(person.groups) & set(one.groups) for one in asked)

    def _named(self, order: Order) -> Order:
        """The order with the whole key of its service. Raises Refused where it names none, or several."""
        if order.kind in (OrderKind.STOP, OrderKind.GO):
            return order
        keys = [key for key in self.fleet.desks if order.service in (key, key.partition("/")[2])]
        if len(keys) != 1:
            found = ", ".join(sorted(self.fleet.desks)) or "none"
            raise Refused(f"{order.service!r} names {len(keys)} declared services; declared are: {found}")
        return Order(kind=order.kind, by=order.by, reason=order.reason, service=keys[0], until=order.until)

    async def _record(self, order: Order) -> None:
        _log.warning("ordered", extra=dict(orders.told(order)))
        try:
            await self.journal.append(orders.to_entry(order))
        except JournalError:
            if order.kind is not OrderKind.STOP:
                raise
            _log.error("a stop could not be recorded; it holds", extra=dict(orders.told(order)))

    def _attempt(self, incident: str) -> Attempt:
        desk = self._desk(incident)
        found = [one for one in desk.known if one.id == incident]
        if not found[0].attempts or found[0].phase in (Phase.DETECTED, Phase.INVESTIGATED, Phase.DIAGNOSED):
            raise Refused(f"{incident} has no plan to decide on now; it is {found[0].phase}")
        return found[0].attempt

    def _desk(self, incident: str) -> Desk:
        for desk in self.fleet.desks.values():
            if any(one.id == incident for one in desk.known):
                return desk
        raise Refused(f"no incident {incident!r} of a declared service; `pitcrew incidents` lists them")


def _is_one_of(person: Person, names: tuple[str, ...]) -> bool:
    """Whether a person is named, or a group of theirs as `@group`."""
    return person.name in names or any(f"@{group}" in names for group in person.groups)


_HOLDS = {
    OrderKind.STOP: "stopped: nothing new is done; `pitcrew go` takes it back",
    OrderKind.GO: "going on",
    OrderKind.SUSPEND: "{service} is suspended{until}; `pitcrew resume {service}` takes it back",
    OrderKind.RESUME: "{service} goes on",
    OrderKind.RECONCILE: "{service} is looked at now",
}
