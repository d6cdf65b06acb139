"""The Mechanic of one process: verify, spend, act, settle; and look back after a crash."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, TypeVar

from pitcrew.core.action import Action, Seen, Trace, is_all_or_nothing, takes_s
from pitcrew.core.errors import EffectFailed, InvalidInput, JournalError, OutcomeUnknown, Refused, Unavailable
from pitcrew.core.permit import Direction, Permit
from pitcrew.core.policy import target_digest
from pitcrew.core.proposal import Plan
from pitcrew.core.record import Entry, Instant
from pitcrew.core.resource import HealthyService, TargetKind
from pitcrew.mechanic.spent import End, Use, Uses, settled, spent
from pitcrew.mechanic.verify import Keys, action_of, is_signed, uncovered
from pitcrew.ports import Actuator, Ledger

T = TypeVar("T")
log = logging.getLogger(__name__)

_END_OF_SEEN = {Seen.DONE: End.DONE, Seen.NOT_DONE: End.NOT_DONE}
_SEEN_OF_END = {End.DONE: Seen.DONE, End.NOT_DONE: Seen.NOT_DONE, End.FAILED: Seen.NOT_DONE}


@dataclass(frozen=True, kw_only=True, slots=True)
class Deadlines:
    """Seconds that a call to an actuator may take at most; the actuators' own deadlines are shorter."""

    prepare_s: int = 60
    """Looking at the target and keeping one file for the undo."""
    act_s: int = 120
    """The effect, on top of the grace of a restart or the time that a command is given."""
    look_s: int = 120
    """Reading off an outcome, on top of the time that an effect that may still be under way is given."""


@dataclass(kw_only=True, slots=True)
class VerifyingMechanic:
    """Acts with a permit, once (port `Mechanic`). `id` is the name that permits are made out to, `skew` how far the
    Official's clock may run ahead of ours."""

    id: str
    keys: Keys
    ledger: Ledger
    actuators: Mapping[TargetKind, Actuator]
    now: Callable[[], Instant]
    stop: Callable[[], bool]
    suspended: Callable[[HealthyService], str]
    deadlines: Deadlines = field(default_factory=Deadlines)
    skew: timedelta = timedelta()
    _uses: Uses | None = field(default=None, init=False)
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock, init=False)
    _busy: set[str] = field(default_factory=set, init=False)
    _running: set[asyncio.Task[Any]] = field(default_factory=set, init=False)
    _prepared: dict[str, tuple[Permit, Trace]] = field(default_factory=dict, init=False)

    async def prepare(self, permit: Permit, plan: Plan, service: HealthyService) -> Trace:
        """Check permit and precondition, and keep what an undo needs; spends nothing."""
        action = await self._covered(permit, plan, service)
        actuator = self._actuator(service)
        try:
            async with asyncio.timeout(self.deadlines.prepare_s):
                trace = await actuator.prepare(service, action, target_id=plan.target_id, op=permit.serial)
        except TimeoutError:
            raise Unavailable(f"the target was not looked at within {self.deadlines.prepare_s} s; try later") from None
        self._refuse_other_run(permit, plan, trace)
        self._remember(permit, trace)
        return trace

    async def execute(self, permit: Permit, plan: Plan, service: HealthyService, trace: Trace) -> None:
        """Spend the permit durably, then act, once; goes on to its end when whoever waits is cancelled."""
        await self._to_its_end(self._execute(permit, plan, service, trace))

    async def look_back(self, permit: Permit, plan: Plan, service: HealthyService, trace: Trace) -> Seen:
        """Whether an intended effect happened; the permit can never be used afterwards.

        What was kept when the permit was spent is believed before the `trace` that is handed in.
        """
        return await self._to_its_end(self._look_back(permit, plan, service))

    async def finish(self) -> None:
        """Wait for what is under way, such as an effect whose asker went away."""
        await asyncio.gather(*self._running, return_exceptions=True)

    async def _to_its_end(self, work: Coroutine[Any, Any, T]) -> T:
        task = asyncio.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return await asyncio.shield(task)

    # Acting

    async def _execute(self, permit: Permit, plan: Plan, service: HealthyService, trace: Trace) -> None:
        async with self._alone(plan, Refused):
            await self._covered(permit, plan, service)
            self._refuse_unprepared(permit, trace)
            self._refuse_other_run(permit, plan, trace)
            actuator = self._actuator(service)
            await self._spend(permit, plan, trace)
            action = await self._still_covered(permit, plan, service)
            await self._act(actuator, action, permit, plan, service, trace)

    async def _spend(self, permit: Permit, plan: Plan, trace: Trace) -> None:
        try:
            await self._record(spent(permit, plan, trace))
        except (JournalError, InvalidInput) as error:
            raise Refused(f"the permit could not be spent durably, so nothing was done: {error}") from None

    async def _still_covered(self, permit: Permit, plan: Plan, service: HealthyService) -> Action:
        """The action, if no stop and no expiry came while the disk was written (S15)."""
        reason = self._objection(permit, plan, service)
        action = action_of(plan, permit.direction)
        if reason or action is None:
            await self._settle(permit, plan, End.NOT_DONE)
            raise Refused(reason or "the plan has no undo")
        return action

    async def _act(
        self, actuator: Actuator, action: Action, permit: Permit, plan: Plan, service: HealthyService, trace: Trace
    ) -> None:
        limit_s = self.deadlines.act_s + takes_s(action)
        try:
            async with asyncio.timeout(limit_s):
                await actuator.apply(service, action, trace)
        except TimeoutError:
            raise OutcomeUnknown(f"no answer within {limit_s} s; the target must be looked at") from None
        except Unavailable:
            await self._settle(permit, plan, End.NOT_DONE)
            raise
        except EffectFailed:
            await self._settle(permit, plan, End.FAILED)
            raise
        await self._settle(permit, plan, End.DONE)

    async def _settle(self, permit: Permit, plan: Plan, end: End) -> None:
        """Record how it ended. Where that fails, the record that it was spent stands, and a look back settles it."""
        try:
            await self._record(settled(permit, plan, end))
        except JournalError as error:
            log.error(
                "the end of a permit could not be recorded", extra={"serial": permit.serial, "reason": str(error)}
            )

    # Looking back

    async def _look_back(self, permit: Permit, plan: Plan, service: HealthyService) -> Seen:
        async with self._alone(plan, Unavailable):
            try:
                use = (await self._known()).by_serial.get(permit.serial)
                if use is None:
                    return await self._burn(permit, plan)
                if (use.plan, use.direction) != (plan.digest, permit.direction):
                    raise Refused("the permit was used for another plan")
                return _seen(use.end, use, plan) if use.end else await self._look(use, permit, plan, service)
            except JournalError as error:
                raise Unavailable(f"the ledger of spent permits does not serve: {error}") from None

    async def _burn(self, permit: Permit, plan: Plan) -> Seen:
        """Make a permit that never was spent useless; one without a signature already is."""
        try:
            signed = is_signed(permit, self.keys())
        except Refused as error:
            raise Unavailable(str(error)) from None
        if signed:
            await self._record(settled(permit, plan, End.NOT_DONE))
        return Seen.NOT_DONE

    async def _look(self, use: Use, permit: Permit, plan: Plan, service: HealthyService) -> Seen:
        action = action_of(plan, use.direction)
        if use.trace is None or action is None or plan.target_digest != target_digest(service):
            return Seen.UNKNOWN
        limit_s = self.deadlines.look_s + takes_s(action)
        try:
            async with asyncio.timeout(limit_s):
                seen = await self._actuator(service).seen(service, action, use.trace)
        except TimeoutError:
            raise Unavailable(f"the target was not looked at within {limit_s} s; try later") from None
        if seen in _END_OF_SEEN:
            await self._record(settled(permit, plan, _END_OF_SEEN[seen]))
        return seen

    # Guards

    async def _covered(self, permit: Permit, plan: Plan, service: HealthyService) -> Action:
        """The action that the permit allows now."""
        try:
            uses = await self._known()
        except JournalError as error:
            raise Refused(f"the ledger of spent permits cannot be trusted: {error}") from None
        reason = self._objection(permit, plan, service) or uses.objection(permit)
        if reason:
            raise Refused(reason)
        action = action_of(plan, permit.direction)
        if action is None:
            raise Refused(f"the plan has no undo: {plan.irreversible}")
        return action

    def _objection(self, permit: Permit, plan: Plan, service: HealthyService) -> str | None:
        if self.stop():
            return "a person stopped PitCrew; remove the STOP file to go on"
        held = self.suspended(service)
        if held:
            return held
        try:
            keys = self.keys()
        except Refused as error:
            return str(error)
        return uncovered(permit, plan, service, keys=keys, mechanic=self.id, now=self.now().at, skew=self.skew)

    def _remember(self, permit: Permit, trace: Trace) -> None:
        """Keep what was prepared until the permit expires."""
        now = self.now().at
        kept = {serial: one for serial, one in self._prepared.items() if one[0].expires_at > now}
        self._prepared = {**kept, permit.serial: (permit, trace)}

    def _refuse_unprepared(self, permit: Permit, trace: Trace) -> None:
        """A trace names networks, commands and files that the permit does not, so it must be the one given out here."""
        if self._prepared.get(permit.serial) != (permit, trace):
            raise Refused("the trace is not the one that was prepared here with this permit; prepare it and try again")

    def _refuse_other_run(self, permit: Permit, plan: Plan, trace: Trace) -> None:
        if permit.direction is Direction.DO and trace.instance != plan.instance:
            raise Refused("the target was started anew since the plan was made")

    def _actuator(self, service: HealthyService) -> Actuator:
        kind = service.spec.target.kind
        if kind not in self.actuators:
            raise Refused(f"this mechanic has no hands for {kind} targets")
        return self.actuators[kind]

    @asynccontextmanager
    async def _alone(self, plan: Plan, busy: type[Refused] | type[Unavailable]) -> AsyncIterator[None]:
        """One at a time on one target (S3); who comes second does not wait, since the world will have changed."""
        if plan.target_id in self._busy:
            raise busy("an action on this target is under way; try later")
        self._busy.add(plan.target_id)
        try:
            yield
        finally:
            self._busy.discard(plan.target_id)

    # The ledger

    async def _known(self) -> Uses:
        """Every use so far, read once, and again after a failure.

        Raises:
            JournalError: the ledger cannot be trusted.
        """
        async with self._turn:
            if self._uses is None:
                self._uses = await asyncio.to_thread(_read, self.ledger)
            return self._uses

    async def _record(self, entry: Entry) -> None:
        async with self._turn:
            uses = self._uses if self._uses is not None else await asyncio.to_thread(_read, self.ledger)
            self._uses = None
            record = await asyncio.to_thread(self.ledger.append, entry, self.now())
            uses.add(record)
            self._uses = uses


def _read(ledger: Ledger) -> Uses:
    uses = Uses()
    for record in ledger.read():
        uses.add(record)
    return uses


def _seen(end: End, use: Use, plan: Plan) -> Seen:
    """What an end on record says of the target; what failed halfway has changed it."""
    action = action_of(plan, use.direction)
    is_halfway = end is End.FAILED and action is not None and not is_all_or_nothing(action)
    return Seen.DONE if is_halfway else _SEEN_OF_END[end]
