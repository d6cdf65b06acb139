"""Attacks on the Mechanic at the product's own door: a real process, real targets, effects counted outside of it."""

import asyncio
import json
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from pitcrew.adapters.mechanic.wire import spell
from pitcrew.core.action import Seen, Start, Trace
from pitcrew.core.errors import OutcomeUnknown, Refused, Unavailable
from pitcrew.core.permit import Direction, Permit
from pitcrew.core.proposal import Plan
from pitcrew.keys import private_key
from tests.mechanic.attacks import CHANGES, FIELDS, OPEN, attacked, injected, planned
from tests.mechanic.lane import SLOW, Lane, start_targets
from tests.waiting import eventually


@pytest.fixture(scope="module")
def lane(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Lane]:
    """One Mechanic for all attacks that leave it as it is; at the end its effects are counted."""
    lane = Lane(root=tmp_path_factory.mktemp("lane"))
    lane.start()
    try:
        start_targets(lane)
        permitted = lane.effects
        yield lane
        effects = lane.effects - permitted
        capture = request.config.pluginmanager.get_plugin("capturemanager")
        assert capture is not None
        with capture.global_and_fixture_disabled():
            print(f"\nattacks on the Mechanic: {lane.attacks} tried, {effects} effects")
        assert effects == 0
    finally:
        lane.close()


# Permits


def test_every_field_of_a_permit_has_an_attack() -> None:
    assert set(FIELDS) == set(Permit.__dataclass_fields__)


@pytest.mark.parametrize("change", FIELDS.values(), ids=FIELDS)
def test_a_permit_with_one_field_altered_opens_nothing(lane: Lane, change: Callable[[Permit], Permit]) -> None:
    plan = planned(lane)
    attacked(lane, change(lane.permit(plan)), plan, "signature")


def test_a_permit_that_somebody_else_signed_opens_nothing(lane: Lane, tmp_path: Path) -> None:
    plan = planned(lane)
    attacked(lane, lane.permit(plan, by=private_key(tmp_path / "mine")), plan, "signature")
    attacked(lane, replace(lane.permit(plan), signature=""), plan, "signature")


def test_a_permit_out_of_its_time_opens_nothing(lane: Lane) -> None:
    plan = planned(lane)
    attacked(lane, lane.permit(plan, age_s=61), plan, "expired")
    attacked(lane, lane.permit(plan, age_s=-60), plan, "future")


def test_a_permit_for_another_mechanic_opens_nothing(lane: Lane) -> None:
    plan = planned(lane)
    attacked(lane, lane.permit(plan, mechanic="web2"), plan, "for the mechanic web2")


def test_a_permit_to_undo_what_was_never_done_opens_nothing(lane: Lane) -> None:
    plan = replace(planned(lane), undo=Start(), irreversible="")
    attacked(lane, lane.permit(plan, direction=Direction.UNDO), plan, "nothing to undo")


def test_a_permit_for_another_target_incident_or_digest_opens_nothing(lane: Lane) -> None:
    plan, other = planned(lane), planned(lane, "beta")
    attacked(lane, lane.permit(other), plan, "another plan")
    attacked(lane, lane.permit(replace(plan, incident="alpha-other")), plan, "another plan")
    attacked(lane, lane.permit(plan, plan_digest=OPEN), plan, "another plan")


def test_a_permit_of_a_retired_key_opens_nothing_from_the_moment_it_is_retired(lane: Lane) -> None:
    plan = planned(lane)
    permit = lane.permit(plan, by=lane.retired)
    mechanics = lane.connected()

    async def prepared() -> Trace:
        try:
            return await mechanics.mechanic.prepare(permit, plan, lane.service())
        finally:
            await mechanics.close()

    assert asyncio.run(prepared()).op == permit.serial
    lane.trust(lane.key)
    try:
        attacked(lane, permit, plan, "signature")
        lane.keys.write_bytes(b"")
        attacked(lane, lane.permit(plan), plan, "no permit can be verified")
    finally:
        lane.trust(lane.key, lane.retired)


# Plans


def test_every_field_of_a_plan_has_an_attack() -> None:
    assert set(CHANGES) == set(Plan.__dataclass_fields__)


@pytest.mark.parametrize("name", CHANGES)
def test_a_plan_with_one_field_altered_is_not_what_was_permitted(lane: Lane, name: str) -> None:
    plan = planned(lane)
    attacked(lane, lane.permit(plan), replace(plan, **{name: CHANGES[name]}))


TEXTS: dict[str, Callable[[str], str]] = {
    "a field twice": lambda text: text.replace('"attempt":1', '"attempt":2,"attempt":1'),
    "a further field": lambda text: text.replace('"attempt":1', '"attempt":1,"force":true'),
    "a number as text": lambda text: text.replace('"attempt":1', '"attempt":"1"'),
    "a number as truth": lambda text: text.replace('"attempt":1', '"attempt":true'),
    "a fraction": lambda text: text.replace('"attempt":1', '"attempt":1.0'),
    "an action with more": lambda text: text.replace('"grace_s":1', '"grace_s":1,"signal":9'),
    "another action": lambda text: text.replace('"name":"restart"', '"name":"deleteVolume"'),
    "no object": lambda text: f"[{text}]",
    "deep": lambda text: "[" * 50_000,
    "empty": lambda text: "",
}


@pytest.mark.parametrize("change", TEXTS.values(), ids=TEXTS)
def test_a_plan_that_is_spelt_in_another_way_is_refused(lane: Lane, change: Callable[[str], str]) -> None:
    plan = planned(lane)
    permit, text = spell(lane.permit(plan)), change(spell(plan))
    assert text != spell(plan)
    trace = spell(Trace(op="x", target_id=plan.target_id, instance=plan.instance, notes={}))
    before = lane.effects
    for tool, more in (("prepare", {}), ("look_back", {}), ("execute", {"trace": trace})):
        lane.attacks += 1
        failed, answer = asyncio.run(lane.call(tool, {"permit": permit, "plan": text, **more}))
        assert failed
        assert "Refused: plan: is not the JSON of a Plan" in answer
    assert lane.effects == before


def test_a_trace_that_was_made_up_is_refused(lane: Lane) -> None:
    plan = planned(lane)
    permit = lane.permit(plan)
    good = Trace(op=permit.serial, target_id=plan.target_id, instance=plan.instance, notes={})
    for wrong in (replace(good, op="x"), replace(good, target_id="x"), replace(good, instance="1:1:1")):
        lane.attacks += 1
        with pytest.raises(Refused):
            asyncio.run(lane.execute(permit, plan, wrong))


# Who calls


def test_execute_without_a_permit_or_without_the_role_does_nothing(lane: Lane) -> None:
    plan = planned(lane)
    permit = lane.permit(plan)
    good = {
        "permit": spell(permit),
        "plan": spell(plan),
        "trace": spell(Trace(op=permit.serial, target_id=plan.target_id, instance=plan.instance, notes={})),
    }
    before = lane.effects
    for who in ("reader", "operator"):
        lane.attacks += 1
        assert asyncio.run(lane.call("execute", good, who)) == (True, f"{who} lacks the role driver for execute")
    for missing in good:
        lane.attacks += 1
        failed, _ = asyncio.run(lane.call("execute", {name: text for name, text in good.items() if name != missing}))
        assert failed
    for token in (None, "nobody"):
        lane.attacks += 1
        with pytest.raises(Unavailable, match="401"):
            asyncio.run(lane.execute(permit, plan, who=token))
    assert lane.effects == before


def test_there_is_no_tool_that_approves_permits_runs_a_command_or_goes_on(lane: Lane) -> None:
    for tool in ("approve", "permit", "policy", "run", "shell", "exec", "go", "resume", "set_policy"):
        lane.attacks += 1
        for who in ("driver", "operator"):
            assert asyncio.run(lane.call(tool, {}, who)) == (True, f"{who} lacks the role nobody for {tool}")


def test_what_is_written_into_any_parameter_of_any_tool_is_only_text(lane: Lane) -> None:
    before = lane.effects
    lane.attacks += asyncio.run(injected(lane))
    assert lane.effects == before
    assert not list(lane.root.rglob("injected*"))


def test_a_service_that_is_not_in_its_manifests_is_refused_with_what_there_is(lane: Lane) -> None:
    for tool in ("inspect", "logs", "stats", "makeup", "processes", "events", "probe"):
        lane.attacks += 1
        failed, answer = asyncio.run(lane.call(tool, {"service": "prod/database"}))
        assert failed
        assert "not declared in the manifests of this Mechanic; it serves default/alpha, default/beta" in answer
    plan = replace(planned(lane), service="prod/database")
    attacked(lane, lane.permit(plan), plan, "not declared in the manifests")


def test_a_manifest_that_changed_since_the_plan_refuses_its_permit(lane: Lane) -> None:
    plan = planned(lane)
    file = lane.manifests / "alpha.yaml"
    text = file.read_text()
    file.write_text(text.replace("sleep 100000", "sleep 99999"))

    def seen() -> bool:
        _, answer = asyncio.run(lane.call("list_targets", {}))
        return plan.target_digest not in {one["target_digest"] for one in json.loads(answer)["targets"]}

    try:
        eventually(seen, what="the new manifest")
        attacked(lane, lane.permit(plan), plan, "declaration of the target changed")
    finally:
        file.write_text(text)
        eventually(lambda: not seen(), what="the old manifest")


# Lives of the Mechanic: each with one of its own


@pytest.fixture
def life(tmp_path: Path) -> Iterator[Lane]:
    lane = Lane(root=tmp_path, services=("alpha",))
    lane.start()
    try:
        start_targets(lane)
        yield lane
    finally:
        lane.close()


def test_a_permit_is_spent_once_on_both_sides_of_a_crash_and_at_no_other_mechanic(life: Lane, tmp_path: Path) -> None:
    plan = planned(life)
    permit = life.permit(plan)
    before = life.effects
    asyncio.run(life.carry_out(permit, plan))
    eventually(lambda: life.effects == before + 1, what="the restart")
    attacked(life, permit, plan, "used already")
    attacked(life, life.permit(plan), plan, "carried out once")
    life.kill()
    life.start()
    attacked(life, permit, plan, "used already")
    attacked(life, life.permit(plan), plan, "carried out once")
    (tmp_path / "other").mkdir()
    other = Lane(root=tmp_path / "other", services=("alpha",))
    other.trust(life.key)
    other.start()
    try:
        attacked(other, permit, plan)
        assert other.effects == 0
    finally:
        other.close()
    assert life.effects == before + 1


def test_a_mechanic_that_dies_in_the_middle_of_a_call_leaves_a_question_that_looking_back_answers(life: Lane) -> None:
    plan = asyncio.run(life.plan(action=SLOW))
    permit = life.permit(plan)
    before = life.effects

    async def cut_off() -> None:
        acting = asyncio.create_task(life.carry_out(permit, plan))
        await asyncio.to_thread(eventually, lambda: life.effects == before + 1, what="the command")
        life.kill()
        with pytest.raises(OutcomeUnknown):
            await acting

    asyncio.run(cut_off())
    with pytest.raises(Unavailable):
        asyncio.run(life.carry_out(life.permit(plan), plan))
    life.start()
    attacked(life, permit, plan, "used already")
    attacked(life, life.permit(plan), plan, "carried out once")

    async def looked_back() -> Seen:
        mechanics = life.connected()
        nothing = Trace(op="", target_id="", instance="", notes={})
        try:
            return await mechanics.mechanic.look_back(permit, plan, life.service(), nothing)
        finally:
            await mechanics.close()

    assert asyncio.run(looked_back()) is Seen.DONE
    assert life.effects == before + 1


def test_a_stop_by_file_by_signal_or_by_an_operators_call_refuses_permits_that_are_out(life: Lane) -> None:
    assert life.process is not None
    plan = planned(life)
    permit, stop = life.permit(plan, ttl_s=300), life.state / "STOP"
    before = life.effects
    stop.touch()
    attacked(life, permit, plan, "stopped")
    stop.unlink()
    life.process.send_signal(signal.SIGUSR1)
    eventually(stop.exists, what="the stop")
    attacked(life, permit, plan, "stopped")
    stop.unlink()
    for who in ("driver", "reader"):
        answer = asyncio.run(life.call("stop", {"reason": "mine"}, who))
        assert answer == (True, f"{who} lacks the role operator for stop")
        assert not stop.exists()
    failed, _ = asyncio.run(life.call("stop", {"reason": "look\nat\x1b[31m it"}, "operator"))
    assert not failed
    assert stop.read_text() == "stopped by operator over MCP: look\\x0aat\\x1b[31m it\n"
    attacked(life, permit, plan, "stopped")
    stop.unlink()
    assert life.effects == before
    asyncio.run(life.carry_out(permit, plan))
    eventually(lambda: life.effects == before + 1, what="the restart that the stop had refused")
