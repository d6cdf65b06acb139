"""A kill at every write and every effect, on a local process, changes nothing but the time it takes."""

from collections.abc import Callable, Sequence
from functools import cache, partial

import pytest

from tests.crash.child import Bug
from tests.crash.nursery import Nursery
from tests.crash.points import Kill, Point, Position
from tests.crash.scenes import HEALING, RESTARTING, STARTING, STORIES, UNDOING, ProcessScene, Story
from tests.crash.suite import Suite, Tally, Told, every_kill

AT_ONCE = 14
"""Stories side by side: mostly they wait, for probes and windows."""
FIRST_OF_RECOVERY = 2
"""Points right after a restart at which an operator that looks back is killed again: its ledger, then its journal."""

Telling = Callable[[Story], Told]
one_story_each = pytest.mark.parametrize("story", STORIES, ids=lambda story: story.name)


def suite(nursery: Nursery, story: Story, bug: Bug = Bug.NONE) -> Suite:
    return Suite(nursery=nursery, stage=partial(ProcessScene, story), at_once=AT_ONCE, bug=bug)


@pytest.fixture(scope="session")
def untouched(nursery: Nursery) -> Telling:
    """Each story without a kill, told once a session."""
    return cache(lambda story: suite(nursery, story).without_a_kill())


ENDINGS = {
    STARTING: (200, "Healthy", ("victim-1 Recovered Closed",), (("started", 1),)),
    HEALING: (200, "Healthy", ("victim-1 Recovered Closed",), (("removed broken.flag", 1),)),
    RESTARTING: (200, "Healthy", ("victim-1 Recovered Closed",), (("started", 1),)),
    UNDOING: (
        500,
        "Unhealthy",
        ("victim-1 Escalated Escalated",),
        (("removed broken.flag", 1), ("restored broken.flag", 1)),
    ),
}


@one_story_each
def test_without_a_kill_each_story_ends_as_it_should(untouched: Telling, story: Story) -> None:
    ending = untouched(story).must_end()
    assert (ending.answer, ending.health, ending.incidents, ending.effects) == ENDINGS[story]


@one_story_each
def test_a_kill_at_any_point_leaves_the_same_ending_with_each_effect_once(
    nursery: Nursery, untouched: Telling, tally: Tally, story: Story
) -> None:
    expected = untouched(story).must_end()
    kills = every_kill(untouched(story).points)
    told = suite(nursery, story).with_kills([(kill,) for kill in kills], expected)
    tally.add(story, "process", expected, told)
    assert_unbroken(told)


@pytest.mark.parametrize(
    ("story", "effect"),
    [(HEALING, "removeFile"), (RESTARTING, "restart"), (UNDOING, "restoreFile")],
    ids=lambda value: value if isinstance(value, str) else value.name,
)
def test_a_second_kill_while_it_looks_back_changes_nothing_either(
    nursery: Nursery, untouched: Telling, tally: Tally, story: Story, effect: str
) -> None:
    expected, played = untouched(story).must_end(), suite(nursery, story)
    first = after(f"effect:{effect}")
    (once,) = played.with_kills([(first,)], expected)
    seconds = every_kill(once.points[:FIRST_OF_RECOVERY])
    told = played.with_kills([(first, second) for second in seconds], expected)
    tally.add(story, "process", expected, told)
    assert len(told) == 3 * FIRST_OF_RECOVERY
    assert_unbroken([once, *told])


@pytest.mark.parametrize(
    ("story", "bug", "effect", "finding"),
    [
        (HEALING, Bug.LATE_INTENTS, "removeFile", "happened with 0 intents in the journal"),
        (RESTARTING, Bug.LATE_INTENTS, "restart", "spent without an earlier intent"),
        (HEALING, Bug.FORGETFUL_LEDGER, "removeFile", "permits are settled as done"),
        (UNDOING, Bug.FORGETFUL_LEDGER, "removeFile", "permits are settled as done"),
    ],
    ids=lambda value: value if isinstance(value, str) else value.name,
)
def test_a_bug_put_back_is_found(
    nursery: Nursery, untouched: Telling, story: Story, bug: Bug, effect: str, finding: str
) -> None:
    expected = untouched(story).must_end()
    (told,) = suite(nursery, story, bug).with_kills([(after(f"effect:{effect}"),)], expected)
    assert any(finding in violation for violation in told.violations), str(told)


def after(place: str) -> Kill:
    return Kill(point=Point(place=place, number=1), position=Position.AFTER)


def assert_unbroken(told: Sequence[Told]) -> None:
    broken = [str(one) for one in told if one.violations]
    assert not broken, f"{len(broken)} of {len(told)}:\n" + "\n".join(broken)
