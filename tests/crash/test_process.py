"""A kill at every write and every effect, on a local process, changes nothing but the time it takes."""

from functools import partial

import pytest

from tests.crash import oracle
from tests.crash.child import Bug
from tests.crash.nursery import Nursery
from tests.crash.points import Kill, Point, Position
from tests.crash.scenes import HEALING, STARTING, STORIES, UNDOING, ProcessScene, Story
from tests.crash.suite import Suite, Tally, every_kill

AT_ONCE = 8
"""Stories side by side: mostly they wait, for probes and windows."""


def suite(nursery: Nursery, story: Story, bug: Bug = Bug.NONE) -> Suite:
    return Suite(nursery=nursery, stage=partial(ProcessScene, story), at_once=AT_ONCE, bug=bug)


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.name)
def test_a_kill_at_any_point_leaves_the_same_ending_with_each_effect_once(
    nursery: Nursery, tally: Tally, story: Story
) -> None:
    played = suite(nursery, story)
    points, expected = played.without_a_kill()
    found = played.with_kills(every_kill(points), expected)
    tally.points |= {(story.name, point) for point in points}
    tally.kills += len(found)
    endings = [each.ending for each in found if each.ending]
    tally.doubled_effects += sum(oracle.doubled(expected, ending) for ending in endings)
    tally.lost_incidents += sum(oracle.lost(expected, ending) for ending in endings) + len(found) - len(endings)
    wrong = [str(each) for each in found if each.violations]
    assert not wrong, f"{len(wrong)} of {len(found)} kills:\n" + "\n".join(wrong)


ENDINGS = {
    STARTING: (200, ("victim-1 Recovered Closed",), (("started", 1),)),
    HEALING: (200, ("victim-1 Recovered Closed",), (("removed broken.flag", 1),)),
    UNDOING: (500, ("victim-1 Escalated Escalated",), (("removed broken.flag", 1), ("restored broken.flag", 1))),
}


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.name)
def test_without_a_kill_each_story_ends_as_it_should(nursery: Nursery, story: Story) -> None:
    _, ending = suite(nursery, story).without_a_kill()
    assert (ending.answer, ending.incidents, ending.effects) == ENDINGS[story]


@pytest.mark.parametrize(
    ("story", "bug", "place"),
    [
        (HEALING, Bug.LATE_INTENTS, "effect:removeFile"),
        (HEALING, Bug.FORGETFUL_LEDGER, "effect:removeFile"),
        (UNDOING, Bug.FORGETFUL_LEDGER, "effect:removeFile"),
    ],
    ids=lambda value: value if isinstance(value, str) else value.name,
)
def test_a_bug_put_back_is_found(nursery: Nursery, story: Story, bug: Bug, place: str) -> None:
    _, expected = suite(nursery, story).without_a_kill()
    kill = Kill(point=Point(place=place, number=1), position=Position.AFTER)
    (found,) = suite(nursery, story, bug).with_kills([kill], expected)
    assert found.violations
