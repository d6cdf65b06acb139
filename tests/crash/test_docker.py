"""The same kills on real containers: a sample in each test run, every point in a whole campaign."""

import uuid
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import docker
import pytest

from tests.campaign import campaign
from tests.crash.container import ContainerScene
from tests.crash.nursery import Nursery
from tests.crash.points import Kill, Point, Position
from tests.crash.scenes import APPROVING, COMMANDING, HEALING, RESTARTING, STARTING, UNDOING, Story
from tests.crash.suite import Suite, Tally, Told, every_kill

pytestmark = [pytest.mark.docker, pytest.mark.campaign, pytest.mark.ssh]

AT_ONCE = 5
CAMPAIGN = campaign()
SAMPLE = {
    STARTING: [("effect:start", Position.AFTER)],
    HEALING: [
        ("journal:Intended", Position.AFTER),
        ("spent:Spent", Position.TORN),
        ("effect:removeFile", Position.BEFORE),
        ("effect:removeFile", Position.AFTER),
    ],
    COMMANDING: [
        ("journal:Intended", Position.AFTER),
        ("effect:runCommand", Position.BEFORE),
        ("effect:runCommand", Position.AFTER),
    ],
    APPROVING: [("ledger:ApprovalRequest", Position.AFTER), ("ledger:Approval", Position.AFTER)],
    RESTARTING: [("effect:restart", Position.BEFORE), ("effect:restart", Position.AFTER)],
    UNDOING: [("effect:restoreFile", Position.BEFORE), ("effect:restoreFile", Position.AFTER)],
}
ENDINGS = {
    STARTING: (200, "Healthy", ("victim-1 Recovered Closed",), (("started", 1),)),
    HEALING: (200, "Healthy", ("victim-1 Recovered Closed",), (("ran a command in it", 1),)),
    APPROVING: (200, "Healthy", ("victim-1 Recovered Closed",), (("ran a command in it", 1),)),
    COMMANDING: (200, "Healthy", ("victim-1 Recovered Closed",), (("ran a command in it", 1),)),
    RESTARTING: (200, "Healthy", ("victim-1 Recovered Closed",), (("restarted", 1),)),
    UNDOING: (
        500,
        "Unhealthy",
        ("victim-1 Escalated Escalated",),
        (("put a file into it", 1), ("ran a command in it", 1)),
    ),
}


@dataclass(frozen=True, kw_only=True)
class Played:
    """All that was played of one story."""

    untouched: Told
    killed: Sequence[Told]


@pytest.fixture(scope="session")
def client() -> Iterator[Any]:
    opened = docker.from_env(timeout=60)
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def network(client: Any) -> Iterator[str]:
    """A network of this session; the default bridge is not always there."""
    made = client.networks.create(f"crash-{uuid.uuid4().hex[:12]}")
    yield made.name
    made.remove()


@pytest.fixture(scope="session")
def played(
    nursery: Nursery, client: Any, network: str, victim_image: str
) -> Iterator[Mapping[Story, "Future[Played]"]]:
    """Every story, all at once; a test waits for its own."""
    with ThreadPoolExecutor(AT_ONCE) as side_by_side, ThreadPoolExecutor(len(SAMPLE)) as stories:

        def play(story: Story) -> Played:
            stage = partial(ContainerScene, story, client=client, image=victim_image, network=network)
            suite = Suite(nursery=nursery, stage=stage, side_by_side=side_by_side)
            untouched = suite.without_a_kill()
            kills = [(kill,) for kill in _kills(story, untouched)]
            return Played(untouched=untouched, killed=suite.with_kills(kills, untouched.must_end()))

        yield {story: stories.submit(play, story) for story in SAMPLE}


@pytest.mark.parametrize("story", SAMPLE, ids=str)
def test_a_kill_leaves_the_same_ending_with_each_effect_once(
    played: Mapping[Story, "Future[Played]"], tally: Tally, story: Story
) -> None:
    told = played[story].result()
    expected = told.untouched.must_end()
    assert (expected.answer, expected.health, expected.incidents, expected.effects) == ENDINGS[story]
    tally.add(story, "docker", expected, told.killed)
    broken = [str(one) for one in told.killed if one.violations]
    assert not broken, f"{len(broken)} of {len(told.killed)}:\n" + "\n".join(broken)


def _kills(story: Story, untouched: Told) -> list[Kill]:
    """The sample, or every kill but those during an effect: a request that is cut on its way is seen by the witness,
    and whether the engine carried it out is not."""
    if CAMPAIGN.whole:
        return [kill for kill in every_kill(untouched.points) if kill.position is not Position.DURING]
    return [Kill(point=Point(place=place, number=1), position=position) for place, position in SAMPLE[story]]
