"""One story without a kill, then the same story once for each kill, each on a world of its own, some side by side."""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from signal import SIGKILL
from typing import TypeAlias

from tests.crash import oracle
from tests.crash.child import Bug
from tests.crash.nursery import Nursery
from tests.crash.oracle import Ending, Violation
from tests.crash.points import Kill, Point, Position
from tests.crash.scenes import Scene, Story

DIES_WITHIN_S = 90.0

Kills: TypeAlias = tuple[Kill, ...]
"""One death for each life but the last."""


@dataclass(frozen=True, kw_only=True)
class Told:
    """A story: the points of its last life, in order, and its ending, or what was broken."""

    kills: Kills = ()
    points: tuple[Point, ...] = ()
    ending: Ending | None = None
    violations: tuple[str, ...] = ()

    def __str__(self) -> str:
        broken = "\n".join(f"  - {each}" for each in self.violations)
        return f"killed {', then '.join(map(str, self.kills)) or 'never'}:\n{broken}"

    def must_end(self) -> Ending:
        """Its ending. Raises: Violation when there is none."""
        if self.ending is None:
            raise Violation(str(self))
        return self.ending


@dataclass(kw_only=True)
class Tally:
    """What a session of the crash suite came to."""

    points: set[tuple[str, Point]] = field(default_factory=set)
    kills: int = 0
    doubled_effects: int = 0
    lost_incidents: int = 0

    def add(self, story: Story, on: str, expected: Ending, told: Iterable[Told]) -> None:
        """Count the kills of one story; a story without an ending has lost what it should have ended with."""
        for one in told:
            self.kills += len(one.kills)
            self.points |= {(f"{on} {story.name}", kill.point) for kill in one.kills[:1]}
            self.doubled_effects += oracle.doubled(expected, one.ending) if one.ending else 0
            self.lost_incidents += oracle.lost(expected, one.ending) if one.ending else len(expected.incidents)

    def __str__(self) -> str:
        return (
            f"crash suite: {self.kills} kills at {len(self.points)} points: "
            f"{self.doubled_effects} doubled effects, {self.lost_incidents} lost incidents"
        )


@dataclass(frozen=True, kw_only=True)
class Suite:
    """Plays a story on scenes that `stage` makes, with a bug put back if one is named."""

    nursery: Nursery
    stage: Callable[[], Scene]
    side_by_side: ThreadPoolExecutor
    bug: Bug = Bug.NONE

    def with_bug(self, bug: Bug) -> "Suite":
        """The same story on an operator with this bug put back."""
        return replace(self, bug=bug)

    def without_a_kill(self) -> Told:
        """The story as it goes by itself."""
        return self.side_by_side.submit(self._tell, (), None).result()

    def with_kills(self, kills: Iterable[Kills], expected: Ending) -> Sequence[Told]:
        """The story once for each of the kills, on worlds of their own, compared with how it ends without."""
        return list(self.side_by_side.map(lambda each: self._tell(each, expected), kills))

    def _tell(self, kills: Kills, expected: Ending | None) -> Told:
        scene = self.stage()
        try:
            head = None
            for life, kill in enumerate(kills):
                head = self._die(scene, life, kill) or head
            self._live_on(scene, kills, head)
            ending, points = scene.ending(), tuple(_points(scene.noted(len(kills))))
        except Violation as violation:
            return Told(kills=kills, violations=(str(violation),))
        finally:
            scene.close()
        broken = tuple(oracle.differences(expected, ending)) if expected else ()
        return Told(kills=kills, points=points, ending=ending, violations=broken)

    def _die(self, scene: Scene, life: int, kill: Kill) -> str | None:
        """One life up to its kill; the hash of the last record on the disk then."""
        child = self.nursery.start(scene.job(life, kill, self.bug))
        try:
            code = child.wait(DIES_WITHIN_S)
        except TimeoutError:
            child.kill()
            raise Violation(f"{kill} was not reached in {DIES_WITHIN_S:g} s:\n{scene.last_words}") from None
        if code != -SIGKILL or scene.noted(life)[-1:] != [f"killed {kill}"]:
            raise Violation(f"ended with {code} instead of by the kill {kill}:\n{scene.last_words}")
        records = scene.records
        _require(oracle.at_death(records, scene.witnessed()))
        return records[-1].hash if records else None

    def _live_on(self, scene: Scene, kills: Kills, head: str | None) -> None:
        child = self.nursery.start(scene.job(len(kills), None, self.bug))
        try:
            scene.wait_until_quiet(child)
            if code := child.ask_to_end():
                raise Violation(f"the operator ended with {code}:\n{scene.last_words}")
        finally:
            child.kill()
        torn = sum(kill.position is Position.TORN and kill.point.place.startswith("journal:") for kill in kills)
        _require(oracle.at_the_end(scene.state, head, torn, scene.witnessed()))


def _require(violations: Iterable[str]) -> None:
    if found := list(violations):
        raise Violation("; ".join(found))


def _points(noted: Sequence[str]) -> Iterable[Point]:
    for line in noted:
        place, _, number = line.rpartition("#")
        yield Point(place=place, number=int(number))


def every_kill(points: Sequence[Point]) -> list[Kill]:
    """Every position of every point."""
    return [Kill(point=point, position=position) for point in points for position in point.positions]
