"""The Mechanic through its port: nothing without a permit, nothing twice, and the truth after a crash."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Event
from typing import Any
from uuid import uuid4

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from pitcrew.adapters.ledger.files import LedgerFile
from pitcrew.adapters.stop.files import StopFile
from pitcrew.core.action import Action, RemoveFile, Restart, Seen, Trace
from pitcrew.core.errors import EffectFailed, OutcomeUnknown, PitCrewError, Refused, Unavailable
from pitcrew.core.event import (
    Permitted,
    from_record,
    to_entry,
)
from pitcrew.core.permit import Direction, Permit
from pitcrew.core.proposal import Plan
from pitcrew.core.record import Head, parse, seal
from pitcrew.core.resource import HealthyService, TargetKind
from pitcrew.mechanic.acting import Deadlines, VerifyingMechanic
from pitcrew.mechanic.verify import OfficialKeys
from pitcrew.ports import Mechanic
from tests.mechanic.garage import WAIT_S, Garage, apart, parts
from tests.official.world import Desk, case, plan_for, service


class Crash(BaseException):
    """The process dies here."""


@dataclass(kw_only=True)
class Hands:
    """An actuator over a world that is a list of what was done to it; `during` is played inside each effect."""

    done: list[tuple[str, str]] = field(default_factory=list)
    instance: str = "run-1"
    before: Callable[[], None] = lambda: None
    after: Callable[[], None] = lambda: None
    hold: Event | None = None
    blind: bool = False

    async def prepare(self, service: HealthyService, action: Action, *, target_id: str, op: str) -> Trace:
        return Trace(op=op, target_id=target_id, instance=self.instance, notes={"kept": "yes"})

    async def apply(self, service: HealthyService, action: Action, trace: Trace) -> None:
        if self.hold is not None:
            await asyncio.to_thread(self.hold.wait, WAIT_S)
        self.before()
        self.done.append((trace.op, action.name))
        self.after()

    async def close(self) -> None:
        return

    async def seen(self, service: HealthyService, action: Action, trace: Trace) -> Seen:
        if self.blind:
            return Seen.UNKNOWN
        return Seen.DONE if (trace.op, action.name) in self.done else Seen.NOT_DONE


@dataclass(kw_only=True)
class Pit:
    """A Mechanic and the Official it trusts, over one state directory."""

    desk: Desk
    hands: Hands = field(default_factory=Hands)
    deadlines: Deadlines = field(default_factory=Deadlines)
    serve: Callable[[VerifyingMechanic], Mechanic] = lambda mechanic: mechanic

    def opened(self, name: str = "default", **changes: Any) -> Mechanic:
        return self.serve(self.made(name, **changes))

    def made(self, name: str = "default", **changes: Any) -> VerifyingMechanic:
        return VerifyingMechanic(
            id=name,
            keys=OfficialKeys(path=self.desk.state / "official" / "key.pub"),
            ledger=changes.pop("ledger", LedgerFile(path=self.desk.state / "mechanic" / "spent.jsonl")),
            actuators=changes.pop("actuators", {TargetKind.DOCKER: self.hands}),
            now=self.desk.time.now,
            stop=changes.pop("stop", StopFile(state=self.desk.state)),
            suspended=changes.pop("suspended", lambda service: ""),
            deadlines=self.deadlines,
        )

    def permit(self, plan: Plan, declared: HealthyService | None = None) -> Permit:
        permit = asyncio.run(self.desk.opened().permit(declared or service(), plan, case()))
        assert isinstance(permit, Permit)
        return permit

    def permit_undo(self, plan: Plan) -> Permit:
        permit = asyncio.run(self.desk.opened().permit_undo(service(), plan))
        assert isinstance(permit, Permit)
        return permit

    @property
    def spent(self) -> Path:
        return self.desk.state / "mechanic" / "spent.jsonl"


@dataclass(kw_only=True)
class OverMcp:
    """A Mechanic behind a real port, whose manifests declare the service of the call."""

    garage: Garage
    declare: Callable[..., None]

    async def prepare(self, permit: Permit, plan: Plan, service: HealthyService) -> Trace:
        async with self._asked(service) as there:
            return await there.prepare(permit, plan, service)

    async def execute(self, permit: Permit, plan: Plan, service: HealthyService, trace: Trace) -> None:
        async with self._asked(service) as there:
            await there.execute(permit, plan, service, trace)

    async def look_back(self, permit: Permit, plan: Plan, service: HealthyService, trace: Trace) -> Seen:
        async with self._asked(service) as there:
            return await there.look_back(permit, plan, service, trace)

    @asynccontextmanager
    async def _asked(self, service: HealthyService) -> AsyncIterator[Mechanic]:
        await asyncio.to_thread(self.declare, service)
        mechanics = self.garage.connected()
        try:
            yield mechanics.mechanic
        finally:
            await mechanics.close()


@pytest.fixture(params=["here", "over MCP"])
def pit(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Pit]:
    pit = Pit(desk=Desk(state=tmp_path))
    with ExitStack() as lives:

        def serve(mechanic: VerifyingMechanic) -> Mechanic:
            made = parts(tmp_path / f"life-{uuid4().hex}", runtimes={}, mechanic=mechanic)
            garage, declare = lives.enter_context(apart(made))
            return OverMcp(garage=garage, declare=declare)

        if request.param == "over MCP":
            pit.serve = serve
        yield pit


PLAN = plan_for(service())


async def carry_out(mechanic: Mechanic, permit: Permit, plan: Plan = PLAN) -> None:
    trace = await mechanic.prepare(permit, plan, service())
    await mechanic.execute(permit, plan, service(), trace)


def trace_of(permit: Permit) -> Trace:
    return Trace(op=permit.serial, target_id="c0ffee", instance="run-1", notes={})


def look_back(pit: Pit, permit: Permit) -> Seen:
    return asyncio.run(pit.opened().look_back(permit, PLAN, service(), trace_of(permit)))


def test_a_permitted_plan_is_carried_out_once_and_then_settled(pit: Pit) -> None:
    permit = pit.permit(PLAN)
    asyncio.run(carry_out(pit.opened(), permit))
    assert pit.hands.done == [(permit.serial, "removeFile")]
    with pytest.raises(Refused, match="used already"):
        asyncio.run(carry_out(pit.opened(), permit))
    with pytest.raises(Refused, match="not repeated"):
        asyncio.run(carry_out(pit.opened(), pit.permit(PLAN)))
    assert look_back(pit, permit) is Seen.DONE
    assert len(pit.hands.done) == 1


def test_the_permit_still_verifies_after_a_journey_through_the_journal(pit: Pit) -> None:
    permit = pit.permit(PLAN)
    line = seal(to_entry("victim-1", "default/victim", Permitted(permit=permit)), pit.desk.time.now(), Head())
    event = from_record(parse(line))
    assert isinstance(event, Permitted)
    asyncio.run(carry_out(pit.opened(), event.permit))
    assert len(pit.hands.done) == 1


def forged(permit: Permit) -> Permit:
    return replace(permit, signature=Ed25519PrivateKey.generate().sign(permit.payload).hex())


WRONG: dict[str, Callable[[Permit], Permit]] = {
    "forged": forged,
    "unsigned": lambda permit: replace(permit, signature=""),
    "not hex": lambda permit: replace(permit, signature="zz"),
    "longer": lambda permit: replace(permit, expires_at=permit.expires_at.replace(year=2030)),
    "other direction": lambda permit: replace(permit, direction=Direction.UNDO),
    "other plan": lambda permit: replace(permit, plan_digest="0" * 64),
    "other serial": lambda permit: replace(permit, serial="0" * 32),
    "other mechanic": lambda permit: replace(permit, mechanic="remote"),
}


@pytest.mark.parametrize("change", WRONG.values(), ids=WRONG)
def test_a_permit_that_was_changed_opens_nothing(pit: Pit, change: Callable[[Permit], Permit]) -> None:
    wrong = change(pit.permit(PLAN))
    with pytest.raises(Refused):
        asyncio.run(pit.opened().prepare(wrong, PLAN, service()))
    with pytest.raises(Refused):
        asyncio.run(pit.opened().execute(wrong, PLAN, service(), trace_of(wrong)))
    assert pit.hands.done == []
    assert not pit.spent.exists()


@pytest.mark.parametrize("seconds", [30, 86400, -1])
def test_an_expired_or_future_permit_opens_nothing(pit: Pit, seconds: int) -> None:
    permit = pit.permit(PLAN)
    pit.desk.time.move(seconds)
    with pytest.raises(Refused, match=r"expired|future"):
        asyncio.run(pit.opened().execute(permit, PLAN, service(), trace_of(permit)))
    assert pit.hands.done == []


def test_a_permit_for_another_mechanic_opens_nothing(pit: Pit) -> None:
    permit = pit.permit(PLAN)
    with pytest.raises(Refused, match=r"(?i)mechanic"):
        asyncio.run(carry_out(pit.opened("elsewhere"), permit))
    assert pit.hands.done == []


def test_a_stop_refuses_permits_that_are_out_already(pit: Pit) -> None:
    permit, mechanic = pit.permit(PLAN), pit.opened()
    trace = asyncio.run(mechanic.prepare(permit, PLAN, service()))
    (pit.desk.state / "STOP").touch()
    with pytest.raises(Refused, match="stopped"):
        asyncio.run(mechanic.execute(permit, PLAN, service(), trace))
    assert pit.hands.done == []


def test_a_stop_while_the_permit_is_being_spent_still_stops(pit: Pit) -> None:
    permit, answers = pit.permit(PLAN), iter([False, False, True])
    mechanic = pit.opened(stop=lambda: next(answers, True))
    with pytest.raises(Refused, match="stopped"):
        asyncio.run(carry_out(mechanic, permit))
    assert pit.spent.exists()
    assert pit.hands.done == []
    assert look_back(pit, permit) is Seen.NOT_DONE


@pytest.mark.parametrize(
    ("plan", "declared"),
    [
        (replace(PLAN, action=RemoveFile(path="/etc/passwd")), service()),
        (PLAN, service("other")),
        (PLAN, service(container="other")),
    ],
    ids=["another action", "another service", "another target"],
)
def test_a_permit_covers_its_own_plan_and_declaration_only(pit: Pit, plan: Plan, declared: HealthyService) -> None:
    permit = pit.permit(PLAN)
    with pytest.raises(Refused):
        asyncio.run(pit.opened().prepare(permit, plan, declared))


def test_a_target_started_anew_since_the_plan_is_left_alone(pit: Pit) -> None:
    permit = pit.permit(PLAN)
    pit.hands.instance = "run-2"
    with pytest.raises(Refused, match="started anew"):
        asyncio.run(carry_out(pit.opened(), permit))
    assert pit.hands.done == []


TRACES: dict[str, Callable[[Trace], Trace]] = {
    "op": lambda trace: replace(trace, op="else"),
    "target_id": lambda trace: replace(trace, target_id="c0ffee2"),
    "instance": lambda trace: replace(trace, instance="run-0"),
    "notes": lambda trace: replace(trace, notes={"kept": "yes", "network": "of somebody else"}),
}


@pytest.mark.parametrize("name", Trace.__dataclass_fields__)
def test_a_trace_that_was_altered_since_it_was_prepared_is_refused(pit: Pit, name: str) -> None:
    permit, mechanic = pit.permit(PLAN), pit.opened()
    trace = asyncio.run(mechanic.prepare(permit, PLAN, service()))
    with pytest.raises(Refused, match="trace"):
        asyncio.run(mechanic.execute(permit, PLAN, service(), TRACES[name](trace)))
    assert pit.hands.done == []
    asyncio.run(mechanic.execute(permit, PLAN, service(), trace))
    assert pit.hands.done == [(permit.serial, "removeFile")]


def test_a_trace_that_was_not_prepared_in_this_life_is_refused_and_spends_nothing(pit: Pit) -> None:
    permit = pit.permit(PLAN)
    trace = asyncio.run(pit.opened().prepare(permit, PLAN, service()))
    with pytest.raises(Refused, match="prepare it and try again"):
        asyncio.run(pit.opened().execute(permit, PLAN, service(), trace))
    assert not pit.spent.exists()
    asyncio.run(carry_out(pit.opened(), permit))
    assert pit.hands.done == [(permit.serial, "removeFile")]


def test_a_kind_of_target_without_an_actuator_is_refused(pit: Pit) -> None:
    permit = pit.permit(PLAN)
    with pytest.raises(Refused, match="docker"):
        asyncio.run(pit.opened(actuators={}).prepare(permit, PLAN, service()))


def crash() -> None:
    raise Crash


CRASHED = (Crash, OutcomeUnknown)
"""What one sees of a crash: in the same process all of it, from another one that the answer was lost."""


@pytest.mark.parametrize(("at", "seen"), [("before", Seen.NOT_DONE), ("after", Seen.DONE)])
def test_a_crash_around_the_effect_is_told_by_looking_back(pit: Pit, at: str, seen: Seen) -> None:
    permit = pit.permit(PLAN)
    setattr(pit.hands, at, crash)
    with pytest.raises(CRASHED):
        asyncio.run(carry_out(pit.opened(), permit))
    with pytest.raises(Refused):
        asyncio.run(carry_out(pit.opened(), pit.permit(PLAN)))
    assert look_back(pit, permit) is seen
    assert look_back(pit, permit) is seen
    setattr(pit.hands, at, lambda: None)
    again = pit.permit(PLAN)
    if seen is Seen.NOT_DONE:
        asyncio.run(carry_out(pit.opened(), again))
    else:
        with pytest.raises(Refused):
            asyncio.run(carry_out(pit.opened(), again))
    assert len(pit.hands.done) == 1


def test_what_cannot_be_told_stays_open(pit: Pit) -> None:
    permit = pit.permit(PLAN)
    pit.hands.after = crash
    with pytest.raises(CRASHED):
        asyncio.run(carry_out(pit.opened(), permit))
    pit.hands.blind = True
    assert look_back(pit, permit) is Seen.UNKNOWN
    pit.hands.blind = False
    assert look_back(pit, permit) is Seen.DONE


def test_a_permit_that_was_never_spent_is_burnt_by_looking_back(pit: Pit) -> None:
    permit = pit.permit(PLAN)
    assert look_back(pit, permit) is Seen.NOT_DONE
    with pytest.raises(Refused, match="used already"):
        asyncio.run(carry_out(pit.opened(), permit))
    asyncio.run(carry_out(pit.opened(), pit.permit(PLAN)))
    assert len(pit.hands.done) == 1


def test_looking_back_with_a_forged_permit_writes_nothing(pit: Pit) -> None:
    wrong = forged(pit.permit(PLAN))
    assert look_back(pit, wrong) is Seen.NOT_DONE
    assert not pit.spent.exists()


def raising(error: PitCrewError) -> Callable[[], None]:
    def play() -> None:
        raise error

    return play


@pytest.mark.parametrize(
    ("error", "seen", "again"),
    [
        (EffectFailed("it said no"), Seen.NOT_DONE, False),
        (Unavailable("nobody was asked"), Seen.NOT_DONE, True),
        (OutcomeUnknown("no answer"), Seen.NOT_DONE, True),
    ],
    ids=["failed", "not asked", "answer lost"],
)
def test_each_answer_is_settled_for_what_it_says(pit: Pit, error: PitCrewError, seen: Seen, again: bool) -> None:
    permit = pit.permit(PLAN)
    pit.hands.before = raising(error)
    with pytest.raises(type(error)):
        asyncio.run(carry_out(pit.opened(), permit))
    assert look_back(pit, permit) is seen
    pit.hands.before = lambda: None
    if again:
        asyncio.run(carry_out(pit.opened(), pit.permit(PLAN)))
    else:
        with pytest.raises(Refused):
            asyncio.run(carry_out(pit.opened(), pit.permit(PLAN)))
    assert len(pit.hands.done) == int(again)


def test_an_undo_follows_only_what_was_done_here_and_happens_once(pit: Pit) -> None:
    permit = pit.permit(PLAN)
    with pytest.raises(Refused, match="nothing to undo"):
        asyncio.run(carry_out(pit.opened(), pit.permit_undo(PLAN)))
    asyncio.run(carry_out(pit.opened(), permit))
    pit.hands.instance = "run-2"
    asyncio.run(carry_out(pit.opened(), pit.permit_undo(PLAN)))
    assert [name for _, name in pit.hands.done] == ["removeFile", "restoreFile"]
    with pytest.raises(Refused, match="not repeated"):
        asyncio.run(carry_out(pit.opened(), pit.permit_undo(PLAN)))


def test_one_target_sees_one_action_at_a_time(pit: Pit) -> None:
    other = plan_for(service(), "victim-2", action=Restart(grace_s=10))
    first, second = pit.permit(PLAN), pit.permit(other)
    mechanic = pit.opened()

    async def both() -> None:
        pit.hands.hold = Event()
        trace = await mechanic.prepare(first, PLAN, service())
        running = asyncio.create_task(mechanic.execute(first, PLAN, service(), trace))
        while not pit.spent.exists():
            await asyncio.sleep(0)
        with pytest.raises(Refused, match="under way"):
            await mechanic.execute(second, other, service(), trace_of(second))
        with pytest.raises(Unavailable, match="under way"):
            await mechanic.look_back(first, PLAN, service(), trace_of(first))
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        pit.hands.hold.set()
        while not pit.hands.done:
            await asyncio.sleep(0)

    asyncio.run(both())
    assert pit.hands.done == [(first.serial, "removeFile")]
    assert look_back(pit, first) is Seen.DONE


def test_a_hung_effect_ends_as_unknown(pit: Pit) -> None:
    permit = pit.permit(PLAN)
    pit.deadlines = Deadlines(act_s=0)

    async def hung() -> None:
        pit.hands.hold = Event()
        await carry_out(pit.opened(), permit)

    with pytest.raises(OutcomeUnknown):
        asyncio.run(hung())
    pit.hands.hold = None
    assert look_back(pit, permit) is Seen.NOT_DONE


def test_a_damaged_ledger_of_spent_permits_refuses_and_cannot_look_back(pit: Pit) -> None:
    permit = pit.permit(PLAN)
    asyncio.run(carry_out(pit.opened(), permit))
    pit.spent.write_bytes(b"".join(reversed(pit.spent.read_bytes().splitlines(keepends=True))))
    with pytest.raises(Refused, match="ledger"):
        asyncio.run(carry_out(pit.opened(), pit.permit(PLAN)))
    with pytest.raises(Unavailable, match="ledger"):
        look_back(pit, permit)
    assert len(pit.hands.done) == 1


def test_a_permit_that_cannot_be_spent_durably_does_nothing(pit: Pit) -> None:
    def full(descriptor: int, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    permit = pit.permit(PLAN)
    mechanic = pit.opened(ledger=LedgerFile(path=pit.spent, write=full))
    with pytest.raises(Refused, match="No space"):
        asyncio.run(carry_out(mechanic, permit))
    assert pit.hands.done == []


STEPS = st.lists(
    st.sampled_from(["prepare", "execute", "fresh", "crash before", "crash after", "lost", "look back", "restart"]),
    max_size=12,
)


@settings(max_examples=40, deadline=None)
@given(steps=STEPS)
def test_no_order_of_calls_and_crashes_carries_a_plan_out_twice(
    tmp_path_factory: pytest.TempPathFactory, steps: list[str]
) -> None:
    pit = Pit(desk=Desk(state=tmp_path_factory.mktemp("state")))
    permits, mechanic = [pit.permit(PLAN)], pit.opened()
    for step in steps:
        permit = permits[-1]
        pit.hands.before = {"crash before": crash, "lost": raising(OutcomeUnknown("lost"))}.get(step, lambda: None)
        pit.hands.after = crash if step == "crash after" else lambda: None
        try:
            match step:
                case "restart":
                    mechanic = pit.opened()
                case "fresh" if len(permits) < 5:
                    permits.append(pit.permit(PLAN))
                case "prepare":
                    asyncio.run(mechanic.prepare(permit, PLAN, service()))
                case "look back":
                    for one in permits:
                        asyncio.run(mechanic.look_back(one, PLAN, service(), trace_of(one)))
                case _:
                    asyncio.run(carry_out(mechanic, permit))
        except (Crash, PitCrewError):
            mechanic = pit.opened()
        assert len(pit.hands.done) <= 1
