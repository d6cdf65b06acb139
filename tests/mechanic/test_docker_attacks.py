"""Attacks on the Mechanic over a real engine, one of every kind: a witness at the Docker socket sees no effect."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from pitcrew.adapters.mechanic.wire import spell
from pitcrew.core.action import Action, RemoveFile, Trace
from pitcrew.core.errors import Refused, Unavailable
from pitcrew.core.permit import Direction, Permit
from pitcrew.core.proposal import Plan
from pitcrew.keys import private_key
from tests.mechanic.attacks import CHANGES, FIELDS, OPEN, attacked, injected, planned
from tests.mechanic.docker_lane import FLAG, DockerLane, docker_lane
from tests.mechanic.lane import SLOW
from tests.waiting import eventually

pytestmark = pytest.mark.docker


@dataclass(kw_only=True)
class Track:
    """A lane, the permit that was spent on it, and the kinds of attacks that were tried."""

    lane: DockerLane
    root: Path
    spent: Permit
    spent_plan: Plan
    kinds: list[str] = field(default_factory=list)


def act(lane: DockerLane) -> tuple[Permit, Plan]:
    """Carry out an honest permit: the witness sees one restart, and the engine another run of this container alone."""
    before, runs = lane.effects, lane.runs
    plan = planned(lane)
    permit = lane.permit(plan)
    asyncio.run(lane.carry_out(permit, plan))
    (seen,) = lane.proxy.witnessed[before:]
    assert seen.method == "POST"
    assert seen.path.endswith(f"/containers/{lane.containers['alpha'].id}/restart")
    assert [was == now for was, now in zip(runs, lane.runs, strict=True)] == [False, True]
    return permit, plan


@pytest.fixture(scope="module")
def track(tmp_path_factory: pytest.TempPathFactory, tell_at_end: Callable[[str], None]) -> Iterator[Track]:
    """One Mechanic for all attacks. Before and after them an honest permit shows that the witness sees effects."""
    root = tmp_path_factory.mktemp("track")
    with docker_lane(root) as lane:
        lane.start()
        permit, plan = act(lane)
        track = Track(lane=lane, root=root, spent=permit, spent_plan=plan)
        permitted, runs = lane.effects, lane.runs
        yield track
        effects = lane.effects - permitted
        tell_at_end(
            f"attacks on the Mechanic at the Docker socket: {len(track.kinds)} kinds, {lane.attacks} tried, "
            f"{effects} requests that change anything"
        )
        assert effects == 0
        assert lane.runs == runs
        act(lane)


# Permits


def somebody_elses_signature(track: Track) -> None:
    lane, plan = track.lane, planned(track.lane)
    attacked(lane, lane.permit(plan, by=private_key(track.root / "mine")), plan, "signature")
    attacked(lane, replace(lane.permit(plan), signature=""), plan, "signature")


def a_field_of_the_permit_altered(track: Track) -> None:
    lane, plan = track.lane, planned(track.lane)
    for change in FIELDS.values():
        attacked(lane, change(lane.permit(plan)), plan, "signature")


def out_of_its_time(track: Track) -> None:
    lane, plan = track.lane, planned(track.lane)
    attacked(lane, lane.permit(plan, age_s=61), plan, "expired")
    attacked(lane, lane.permit(plan, age_s=-60), plan, "future")


def another_target(track: Track) -> None:
    lane = track.lane
    attacked(lane, lane.permit(planned(lane, "beta")), planned(lane), "another plan")


def another_incident(track: Track) -> None:
    lane, plan = track.lane, planned(track.lane)
    attacked(lane, lane.permit(replace(plan, incident="alpha-other")), plan, "another plan")


def another_digest(track: Track) -> None:
    lane, plan = track.lane, planned(track.lane)
    attacked(lane, lane.permit(plan, plan_digest=OPEN), plan, "another plan")


def another_direction(track: Track) -> None:
    lane, plan = track.lane, planned(track.lane)
    attacked(lane, lane.permit(plan, direction=Direction.UNDO), plan, "nothing to undo|no undo")


def spent_twice(track: Track) -> None:
    attacked(track.lane, track.spent, track.spent_plan, "used already")
    attacked(track.lane, track.lane.permit(track.spent_plan), track.spent_plan, "carried out once")


def spent_again_after_a_crash(track: Track) -> None:
    track.lane.kill()
    track.lane.start()
    spent_twice(track)


def replayed_to_another_mechanic(track: Track) -> None:
    """One of another name declares the same containers, and one of the same name has a ledger of its own."""
    with beside(track, id="web2", host="web2") as other:
        attacked(other, track.spent, track.spent_plan, "declaration of the target changed")
        plan = planned(track.lane)
        attacked(other, track.lane.permit(plan), plan, "declaration of the target changed")
        there = planned(other)
        attacked(other, track.lane.permit(there), there, "for the mechanic default")
    with beside(track) as twin:
        attacked(twin, track.spent, track.spent_plan, "started anew since|not the one that was prepared")


def signed_by_a_retired_key(track: Track) -> None:
    lane, plan = track.lane, planned(track.lane)
    lane.trust(lane.key)
    try:
        attacked(lane, lane.permit(plan, by=lane.retired), plan, "signature")
    finally:
        lane.trust(lane.key, lane.retired)


@contextmanager
def beside(track: Track, *, id: str = "default", host: str = "") -> Iterator[DockerLane]:
    """Another Mechanic on the same engine, with a state of its own, that trusts the same Official."""
    root = track.root / f"beside-{id}"
    root.mkdir()
    other = DockerLane(root=root, id=id, host=host, proxy=track.lane.proxy, containers=track.lane.containers)
    other.trust(track.lane.key)
    other.start()
    try:
        yield other
    finally:
        other.close()
        track.lane.attacks += other.attacks


# Plans


def a_field_of_the_plan_altered(track: Track) -> None:
    lane, plan = track.lane, planned(track.lane)
    for name, value in CHANGES.items():
        attacked(lane, lane.permit(plan), replace(plan, **{name: value}))


def another_action(track: Track) -> None:
    """Declared ones, which take a file away or run a command in the container."""
    lane, plan = track.lane, planned(track.lane)
    actions: tuple[Action, ...] = (RemoveFile(path=FLAG), SLOW)
    for action in actions:
        attacked(lane, lane.permit(plan), replace(plan, action=action), "another plan")


def an_action_that_is_not_declared(track: Track) -> None:
    """Even with a permit for exactly that."""
    lane, plan = track.lane, planned(track.lane)
    for action in (RemoveFile(path="/app/app.py"), replace(SLOW, argv=("sh", "-c", "rm -rf /app"))):
        other = replace(plan, action=action)
        attacked(lane, lane.permit(other), other, "not declared|not the one that was prepared")


# Who calls, and with what


def execute_straight(track: Track) -> None:
    lane, plan = track.lane, planned(track.lane)
    permit = lane.permit(plan)
    made = Trace(op=permit.serial, target_id=plan.target_id, instance=plan.instance, notes={})
    good = {"permit": spell(permit), "plan": spell(plan), "trace": spell(made)}
    for who in ("reader", "operator"):
        lane.attacks += 1
        assert asyncio.run(lane.call("execute", good, who)) == (True, f"{who} lacks the role driver for execute")
    for missing in good:
        lane.attacks += 1
        assert asyncio.run(lane.call("execute", {name: good[name] for name in good if name != missing}))[0]
    for token in (None, "nobody"):
        lane.attacks += 1
        with pytest.raises(Unavailable, match="401"):
            asyncio.run(lane.execute(permit, plan, who=token))


def a_trace_of_ones_own(track: Track) -> None:
    """With a permit that counts: one that was made up, and one that was prepared and says more since."""
    lane, plan = track.lane, planned(track.lane)
    permit = lane.permit(plan)
    trace = asyncio.run(prepared(lane, permit, plan))
    made_up = Trace(op=permit.serial, target_id=plan.target_id, instance=plan.instance, notes={})
    for wrong in (made_up, replace(trace, notes={**trace.notes, "exec": OPEN, "network": OPEN})):
        lane.attacks += 1
        with pytest.raises(Refused, match="not the one that was prepared"):
            asyncio.run(lane.execute(permit, plan, wrong))


async def prepared(lane: DockerLane, permit: Permit, plan: Plan) -> Trace:
    mechanics = lane.connected()
    try:
        return await mechanics.mechanic.prepare(permit, plan, lane.service())
    finally:
        await mechanics.close()


def injection(track: Track) -> None:
    track.lane.attacks += asyncio.run(injected(track.lane))


# Containers of somebody else, and a stop


def a_container_that_another_service_has(track: Track) -> None:
    lane, honest = track.lane, planned(track.lane)
    file = lane.declare("thief")
    try:
        eventually(lambda: "default/thief" in listed(lane), what="the thief's manifest")
        theft = planned(lane, "thief")
        assert theft.target_id == honest.target_id
        attacked(lane, lane.permit(theft), theft, "two services on one target are refused")
        attacked(lane, lane.permit(honest), honest, "two services on one target are refused")
    finally:
        file.unlink()
        eventually(lambda: "default/thief" not in listed(lane), what="the thief's end")


def a_container_that_no_manifest_names(track: Track) -> None:
    """The plan of a service that is not declared, and that of a declared one with the container of another."""
    lane, plan, other = track.lane, planned(track.lane), planned(track.lane, "beta")
    unknown = replace(plan, service="prod/database")
    attacked(lane, lane.permit(unknown), unknown, "not declared in the manifests")
    foreign = replace(plan, target_id=other.target_id, instance=other.instance)
    attacked(lane, lane.permit(foreign), foreign, "is that of default/beta too")


def listed(lane: DockerLane) -> str:
    return asyncio.run(lane.call("list_targets", {}))[1]


def stopped_while_permits_are_out(track: Track) -> None:
    lane, plan = track.lane, planned(track.lane)
    permit, stop = lane.permit(plan, ttl_s=300), lane.state / "STOP"
    stop.touch()
    try:
        attacked(lane, permit, plan, "stopped")
    finally:
        stop.unlink()


KINDS: tuple[Callable[[Track], None], ...] = (
    somebody_elses_signature,
    a_field_of_the_permit_altered,
    out_of_its_time,
    another_target,
    another_incident,
    another_digest,
    another_direction,
    spent_twice,
    spent_again_after_a_crash,
    replayed_to_another_mechanic,
    signed_by_a_retired_key,
    a_field_of_the_plan_altered,
    another_action,
    an_action_that_is_not_declared,
    execute_straight,
    a_trace_of_ones_own,
    injection,
    a_container_that_another_service_has,
    a_container_that_no_manifest_names,
    stopped_while_permits_are_out,
)


@pytest.mark.parametrize("attack", KINDS, ids=lambda attack: attack.__name__)
def test_no_attack_reaches_the_engine_with_a_request_that_changes_anything(
    track: Track, attack: Callable[[Track], None]
) -> None:
    before, tried = track.lane.proxy.witnessed, track.lane.attacks
    attack(track)
    assert track.lane.attacks > tried
    assert track.lane.proxy.witnessed == before
    track.kinds.append(attack.__name__)
