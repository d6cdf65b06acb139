"""One story without a kill, then the same story once for each kill, each on a world of its own, some side by side."""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from signal import SIGKILL

from tests.crash import oracle
from tests.crash.child import Bug
from tests.crash.nursery import Nursery
from tests.crash.oracle import Ending, Violation
from tests.crash.points import Kill, Point
from tests.crash.scenes import Scene

DIES_WITHIN_S = 90.0


@dataclass(kw_only=True)
class Tally:
    """What a session of the crash suite came to."""

    points: set[tuple[str, Point]] = field(default_factory=set)
    kills: int = 0
    doubled_effects: int = 0
    lost_incidents: int = 0

    def __str__(self) -> str:
        return (
            f"crash suite: {self.kills} kills at {len(self.points)} points: "
            f"{self.doubled_effects} doubled effects, {self.lost_incidents} lost incidents"
        )


@dataclass(frozen=True, kw_only=True)
class Found:
    """What the oracle says of one kill."""

    kill: Kill
    violations: tuple[str, ...]
    ending: Ending | None

    def __str__(self) -> str:
        return f"killed {self.kill}:\n" + "\n".join(f"  - {each}" for each in self.violations)


@dataclass(frozen=True, kw_only=True)
class Suite:
    """Plays one story on scenes that `stage` makes, with a bug put back if one is named."""

    nursery: Nursery
    stage: Callable[[], Scene]
    at_once: int
    bug: Bug = Bug.NONE

    def without_a_kill(self) -> tuple[Sequence[Point], Ending]:
        """The points of the story, in order, and its ending; the oracle's rules hold for it as well."""
        scene = self.stage()
        try:
            self._live_on(scene, 0, None)
            return tuple(_points(scene.noted)), scene.ending()
        finally:
            scene.close()

    def with_kills(self, kills: Iterable[Kill], expected: Ending) -> Sequence[Found]:
        """Each kill on a fresh world, and what was broken by it."""
        with ThreadPoolExecutor(self.at_once) as side_by_side:
            return list(side_by_side.map(lambda kill: self._with_kill(kill, expected), kills))

    def _with_kill(self, kill: Kill, expected: Ending) -> Found:
        scene = self.stage()
        try:
            self._die(scene, kill)
            ending = self._go_on(scene)
            return Found(kill=kill, violations=tuple(oracle.differences(expected, ending)), ending=ending)
        except Violation as violation:
            return Found(kill=kill, violations=(str(violation),), ending=None)
        finally:
            scene.close()

    def _die(self, scene: Scene, kill: Kill) -> None:
        child = self.nursery.start(scene.job(0, kill, self.bug))
        try:
            code = child.wait(DIES_WITHIN_S)
        except TimeoutError:
            child.kill()
            raise Violation(f"the point was not reached in {DIES_WITHIN_S:g} s:\n{scene.last_words}") from None
        if code != -SIGKILL or scene.noted[-1] != f"killed {kill}":
            raise Violation(f"ended with {code} after {scene.noted[-1]!r} instead of there:\n{scene.last_words}")

    def _go_on(self, scene: Scene) -> Ending:
        """What is left on disk is looked at, then the next operator goes on from it."""
        records, witnessed = scene.records, scene.witnessed()
        _require(oracle.at_death(records, witnessed))
        self._live_on(scene, 1, records[-1].hash if records else None)
        return scene.ending()

    def _live_on(self, scene: Scene, life: int, head: str | None) -> None:
        child = self.nursery.start(scene.job(life, None, self.bug))
        try:
            scene.wait_until_quiet(child)
            if code := child.ask_to_end():
                raise Violation(f"the operator ended with {code}:\n{scene.last_words}")
        finally:
            child.kill()
        _require(oracle.at_the_end(scene.state, head, scene.witnessed()))


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
