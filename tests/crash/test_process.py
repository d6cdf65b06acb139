"""A kill at every write and every effect, on a local process, changes nothing but the time it takes.

A whole campaign plays all of these kills, a part those around the last effect and a chosen few of the others.
"""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import pytest

from tests.campaign import campaign
from tests.crash.child import Bug
from tests.crash.nursery import Nursery
from tests.crash.points import Kill, Point, Position
from tests.crash.scenes import (
    APPROVING,
    COMMANDING,
    HEALING,
    RESTARTING,
    SECOND,
    STARTING,
    STORIES,
    UNDOING,
    ProcessScene,
    Story,
)
from tests.crash.suite import Suite, Tally, Told, every_kill

pytestmark = [pytest.mark.campaign, pytest.mark.ssh]

CAMPAIGN = campaign()
AT_ONCE = 16
"""Stories side by side: mostly they wait, for probes and windows."""
FIRST_OF_RECOVERY = 2
"""Points right after a restart at which an operator that looks back is killed again: its ledger, then its journal."""

LAST_EFFECT = {
    STARTING: "start",
    HEALING: "removeFile",
    RESTARTING: "restart",
    UNDOING: "restoreFile",
    SECOND: "restart",
    APPROVING: "removeFile",
    COMMANDING: "runCommand",
}
BEGINS_AT = {
    SECOND: Point(place="journal:Kept", number=1),
    APPROVING: Point(place="ledger:ApprovalRequest", number=1),
    COMMANDING: Point(place="journal:Intended", number=1),
}
"""Where a story begins to differ from the others; up to there its points are theirs."""
ENDINGS = {
    STARTING: (200, "Healthy", ("victim-1 Recovered Closed",), (("started", 1),)),
    HEALING: (200, "Healthy", ("victim-1 Recovered Closed",), (("removed broken.flag", 1),)),
    RESTARTING: (200, "Healthy", ("victim-1 Recovered Closed",), (("started", 1),)),
    APPROVING: (200, "Healthy", ("victim-1 Recovered Closed",), (("removed broken.flag", 1),)),
    COMMANDING: (200, "Healthy", ("victim-1 Recovered Closed",), (("removed broken.flag", 1),)),
    SECOND: (200, "Healthy", ("victim-1 Recovered Closed",), (("removed broken.flag", 1), ("started", 1))),
    UNDOING: (
        500,
        "Unhealthy",
        ("victim-1 Escalated Escalated",),
        (("removed broken.flag", 1), ("restored broken.flag", 1)),
    ),
}
FINDINGS = {
    (HEALING, Bug.LATE_INTENTS): "happened with 0 intents in the journal",
    (RESTARTING, Bug.LATE_INTENTS): "intent",
    (HEALING, Bug.FORGETFUL_LEDGER): "permits are settled as done",
    (UNDOING, Bug.FORGETFUL_LEDGER): "permits are settled as done",
}
"""What the oracle says of a bug put back by hand, when the operator is killed right after the first effect."""
FIRST_EFFECT = {HEALING: "removeFile", RESTARTING: "restart", UNDOING: "removeFile"}


@dataclass(frozen=True, kw_only=True)
class Played:
    """All that was played of one story."""

    untouched: Told
    killed: Sequence[Told]
    killed_twice: Sequence[Told]
    with_bugs: Mapping[Bug, Told]


def play(nursery: Nursery, side_by_side: ThreadPoolExecutor, story: Story) -> Played:
    """A story without a kill, with each, with a second one while it looks back, and with bugs."""
    suite = Suite(nursery=nursery, stage=partial(ProcessScene, story), side_by_side=side_by_side)
    untouched = suite.without_a_kill()
    expected = untouched.must_end()
    begin = untouched.points.index(BEGINS_AT[story]) if story in BEGINS_AT else 0
    killed = suite.with_kills([(kill,) for kill in _played_of(story, untouched.points[begin:])], expected)
    first = _after(LAST_EFFECT[story])
    (once,) = (one for one in killed if one.kills == (first,))
    seconds = CAMPAIGN.part(f"second kills of {story.name}", every_kill(once.points[:FIRST_OF_RECOVERY]))
    return Played(
        untouched=untouched,
        killed=killed,
        killed_twice=suite.with_kills([(first, second) for second in seconds], expected),
        with_bugs={
            bug: suite.with_bug(bug).with_kills([(_after(FIRST_EFFECT[story]),)], expected)[0]
            for where, bug in FINDINGS
            if where is story
        },
    )


def _played_of(story: Story, points: Sequence[Point]) -> Sequence[Kill]:
    """Kills at these points, in their order: always those around the last effect and the spending of its permit."""
    every = every_kill(points)
    always = [kill for kill in every if kill.point.place in (f"effect:{LAST_EFFECT[story]}", "spent:Spent")]
    chosen = CAMPAIGN.part(f"kills of {story.name}", [kill for kill in every if kill not in always])
    return [kill for kill in every if kill in always or kill in chosen]


@pytest.fixture(scope="session")
def played(nursery: Nursery) -> Iterator[Mapping[Story, "Future[Played]"]]:
    """Every story, all at once; a test waits for its own."""
    with ThreadPoolExecutor(AT_ONCE) as side_by_side, ThreadPoolExecutor(len(STORIES)) as stories:
        yield {story: stories.submit(play, nursery, side_by_side, story) for story in STORIES}


@pytest.mark.parametrize("story", STORIES, ids=str)
def test_without_a_kill_each_story_ends_as_it_should(played: Mapping[Story, "Future[Played]"], story: Story) -> None:
    ending = played[story].result().untouched.must_end()
    assert (ending.answer, ending.health, ending.incidents, ending.effects) == ENDINGS[story]


@pytest.mark.parametrize("story", STORIES, ids=str)
def test_a_kill_at_any_point_leaves_the_same_ending_with_each_effect_once(
    played: Mapping[Story, "Future[Played]"], tally: Tally, story: Story
) -> None:
    told = played[story].result()
    tally.add(story, "process", told.untouched.must_end(), told.killed)
    assert {one.kills[0].point.place for one in told.killed} >= {f"effect:{LAST_EFFECT[story]}", "spent:Spent"}
    _assert_unbroken(told.killed)


@pytest.mark.parametrize("story", STORIES, ids=str)
def test_a_second_kill_while_it_looks_back_changes_nothing_either(
    played: Mapping[Story, "Future[Played]"], tally: Tally, story: Story
) -> None:
    told = played[story].result()
    tally.add(story, "process", told.untouched.must_end(), told.killed_twice)
    assert 1 <= len(told.killed_twice) <= 3 * FIRST_OF_RECOVERY
    assert len(told.killed_twice) == 3 * FIRST_OF_RECOVERY or not CAMPAIGN.whole
    _assert_unbroken(told.killed_twice)


@pytest.mark.parametrize(("story", "bug"), FINDINGS, ids=str)
def test_a_bug_put_back_is_found(played: Mapping[Story, "Future[Played]"], story: Story, bug: Bug) -> None:
    told = played[story].result().with_bugs[bug]
    assert any(FINDINGS[story, bug] in violation for violation in told.violations), str(told)


def _after(effect: str) -> Kill:
    return Kill(point=Point(place=f"effect:{effect}", number=1), position=Position.AFTER)


def _assert_unbroken(told: Sequence[Told]) -> None:
    broken = [str(one) for one in told if one.violations]
    assert not broken, f"{len(broken)} of {len(told)}:\n" + "\n".join(broken)
