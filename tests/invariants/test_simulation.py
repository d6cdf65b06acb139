"""The composed operator in a world that does as it likes: faults, outages, lost answers, restarts, crashes.

Each effect is judged at its instant (S1, S2, S4, S15); afterwards the faults stop, and all must come to rest (L1).
"""

from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import Phase, given, note, settings
from hypothesis import strategies as st

from pitcrew.core.action import Action, Trace
from pitcrew.core.chain import verify
from pitcrew.core.errors import JournalUnwritable
from pitcrew.core.event import (
    Intended,
    Judged,
    Permitted,
    Planned,
    UndoIntended,
    UndoPermitted,
    from_record,
)
from pitcrew.core.observation import Outcome, RuntimeState
from pitcrew.core.policy import Effect
from pitcrew.core.resource import HealthyService
from pitcrew.settings import Settings
from tests.fakes.engine import Away, FakeEngine, FakeTarget, Mishap
from tests.fakes.prober import BLIND
from tests.fakes.runtime import FakeActuator
from tests.loop.composed import FLAG, House, manifest
from tests.loop.virtual import run

NAMES = ("one", "two")
BUDGET = 3
WINDOW = timedelta(minutes=10)
POLICY = {"autoUpTo": "High", "budget": {"actions": BUDGET, "window": "10m"}}


class Witness(FakeActuator):
    """Stands at the engine's door and judges each effect before it happens."""

    def __init__(self, engine: FakeEngine, house: House) -> None:
        super().__init__(engine)
        self.house = house
        self.spent: set[str] = set()
        self.violations: list[str] = []
        self.acted: list[tuple[str, str, datetime]] = []

    async def apply(self, service: HealthyService, action: Action, trace: Trace) -> None:
        target = self.house.engine.targets[service.metadata.name]
        healthy = self.house.prober.answer(target).outcome is Outcome.SUCCESS
        self._refute(self.house.stopped, "acted while stopped (S15)")
        self._refute(healthy and not self.house.engine.away, f"{action} on a healthy service (S4)")
        self._refute(trace.op in self.spent, "a permit was used twice (S2)")
        self._refute(not self._permitted(trace), "an effect without intent, permit and verdict (S1)")
        self.spent.add(trace.op)
        self.acted.append((service.key, action.name, self.house.now()))
        await super().apply(service, action, trace)

    def _refute(self, wrong: bool, what: str) -> None:
        """Kept for the end, since an assertion here would only be one more bug that the loop survives."""
        if wrong:
            self.violations.append(f"{what} at {self.house.now()}; {self.house.story()}")

    def _permitted(self, trace: Trace) -> bool:
        allowed: set[str] = set()
        permitted: set[str] = set()
        planned: dict[str, str] = {}
        last = self.house.records()[-1]
        for record in self.house.records():
            match from_record(record):
                case Planned(plan=plan):
                    planned[record.incident] = plan.digest
                case Judged(verdict=verdict) if verdict.effect is Effect.ALLOW:
                    allowed.add(planned[record.incident])
                case Permitted(permit=permit) | UndoPermitted(permit=permit) if permit.plan_digest in allowed:
                    permitted.add(permit.serial)
                case Intended(trace=intended) | UndoIntended(trace=intended):
                    last = record if intended.op == trace.op else last
                case _:
                    pass
        event = from_record(last)
        return isinstance(event, Intended | UndoIntended) and event.trace.op == trace.op and trace.op in permitted


World = Callable[[House, str], None]


def _flag(house: House, name: str) -> None:
    house.flag(name)


def _unflag(house: House, name: str) -> None:
    house.engine.targets[name].files.pop(FLAG, None)


def _dies(house: House, name: str) -> None:
    if house.engine.targets[name].state is RuntimeState.RUNNING:
        house.engine.die(name)


def _hangs(house: House, name: str) -> None:
    house.engine.targets[name].suspended = True


def _sickens(house: House, name: str) -> None:
    house.prober.sick.add(name)


def _recovers(house: House, name: str) -> None:
    house.prober.sick.discard(name)
    house.prober.says.pop(name, None)


def _blinds(house: House, name: str) -> None:
    house.prober.says[name] = BLIND


def _engine_away(house: House, name: str) -> None:
    house.engine.away = Away.GONE


def _engine_back(house: House, name: str) -> None:
    house.engine.away = None


def _full(house: House, name: str) -> None:
    house.journal.refuse_with = JournalUnwritable("full")


def _room(house: House, name: str) -> None:
    house.journal.refuse_with = None


def _stop(house: House, name: str) -> None:
    house.stopped = True


def _go(house: House, name: str) -> None:
    house.stopped = False


def _rearm(house: House, name: str) -> None:
    def again(target: FakeTarget, action: Action) -> None:
        if target.name == name:
            house.flag(name)

    house.engine.after_effect = again


def _mishap(mishap: Mishap) -> World:
    def happens(house: House, name: str) -> None:
        house.engine.mishaps.append(mishap)

    happens.__name__ = str(mishap)
    return happens


HAPPENINGS: list[World] = [
    _flag, _flag, _flag, _unflag, _dies, _dies, _hangs, _sickens, _recovers, _blinds, _engine_away, _engine_back,
    _engine_back, _full, _room, _stop, _go, _go, _rearm, *map(_mishap, Mishap),
]  # fmt: skip
LIVES = ["Opened", "Judged", "Permitted", "Checked", "Intended", "Acted", "Verified", "UndoPermitted", "UndoIntended"]
MOMENT = st.tuples(st.sampled_from(HAPPENINGS), st.sampled_from(NAMES), st.sampled_from([0.3, 1.7, 7.3, 31.9, 400.1]))
LIFE = st.tuples(st.lists(MOMENT, min_size=1, max_size=8), st.booleans(), st.sampled_from(["", *LIVES]))


def _mend(house: House) -> None:
    for name in NAMES:
        _unflag(house, name)
        _recovers(house, name)
        house.engine.targets[name].suspended = False
        if house.engine.targets[name].state is not RuntimeState.RUNNING:
            house.engine.start(name)
    house.engine.after_effect = None
    house.engine.mishaps.clear()
    _engine_back(house, "")
    _room(house, "")
    _go(house, "")


def _bounded(witness: Witness) -> None:
    for key in {key for key, _, _ in witness.acted}:
        times = [at for each, action, at in witness.acted if each == key and action != "restoreFile"]
        for first in times:
            assert sum(first <= at < first + WINDOW for at in times) <= BUDGET, "more effects than the budget (S10)"


async def _live(house: House, moments: list[tuple[World, str, float]], crash: bool, record: str) -> None:
    if crash and record:
        house.journal.after[record] = house.freezes
    async with house.crashing() if crash else house.running():
        for happens, name, seconds in moments:
            happens(house, name)
            await house.passes(seconds)
    house.journal.after.clear()


@settings(max_examples=10, phases=[Phase.explicit, Phase.generate])
@given(st.lists(LIFE, min_size=1, max_size=4))
def test_whatever_happens_each_effect_is_permitted_needed_and_single_and_all_comes_to_rest(
    lives: list[tuple[list[tuple[World, str, float]], bool, str]],
) -> None:
    async def test(state: Path) -> None:
        limits = Settings(state=state, look_interval_s=10, actions_everywhere_max=1000)
        house = House(state, *(manifest(name, policy=POLICY) for name in NAMES), settings=limits)
        witness = Witness(house.engine, house)
        house.actuator_of = lambda engine: witness
        for moments, crash, record in lives:
            await _live(house, moments, crash, record)
        _mend(house)
        async with house.running():
            await house.until(
                lambda: not any(one.open for one in house.incidents()), within_s=1200, what="rest after the last fault"
            )
            effects = len(house.engine.asked)
            await house.passes(300)
            assert len(house.engine.asked) == effects, "a healthy world was touched (L1)"
            for name in NAMES:
                ready = house.condition("Ready", f"default/{name}")
                assert ready is not None
                assert ready.status == "True"
            await house.passes(601)
            house.flag("one")
            await house.until(lambda: FLAG not in house.engine.targets["one"].files)
        assert witness.violations == []
        _bounded(witness)
        assert verify(("memory", line) for line in house.journal.lines).head == house.journal.head
        ids = Counter(one.id for one in house.incidents())
        assert set(ids.values()) <= {1}

    with TemporaryDirectory() as directory:
        note(repr([(["/".join((h.__name__, n, str(s))) for h, n, s in m], c, r) for m, c, r in lives]))
        run(test(Path(directory)))
