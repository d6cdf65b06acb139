"""Guardrails and storms through the production composition: what services are kept from, and what goes on after."""

from pathlib import Path
from typing import Any

import pytest

from pitcrew.core.incident import Phase
from pitcrew.core.policy import Unread
from pitcrew.core.resource import RemediationPolicy, Selector
from pitcrew.core.storm import STORM_BEGAN, STORM_ENDED
from tests.loop.composed import House, manifest
from tests.loop.virtual import run


def guardrail(name: str = "platform", **spec: Any) -> RemediationPolicy:
    base = {"apiVersion": "pitcrew.dev/v1alpha1", "kind": "RemediationPolicy", "metadata": {"name": name}}
    return RemediationPolicy.model_validate({**base, "spec": {"selector": {}, **spec}})


@pytest.mark.parametrize(
    ("spec", "phase", "said"),
    [
        pytest.param({"approveUpTo": "None"}, Phase.ESCALATED, "policy/platform/ladder/deny", id="a ladder denies"),
        pytest.param({"mode": "Shadow"}, Phase.ESCALATED, "policy/platform/mode/shadow", id="a mode denies"),
        pytest.param({"actions": ["start"]}, Phase.ESCALATED, "policy/platform/actions", id="an action is not listed"),
        pytest.param({"autoUpTo": "None"}, Phase.AWAITING_APPROVAL, "policy/platform/ladder/approve", id="asks"),
        pytest.param({"budget": {"actions": 0}}, Phase.HELD, "policy/platform/budget/target", id="no budget"),
    ],
)
def test_a_guardrail_keeps_a_service_from_being_acted_on_and_once_it_is_gone_it_is_healed(
    spec: dict[str, Any], phase: Phase, said: str, tmp_path: Path
) -> None:
    async def test() -> None:
        house = House(tmp_path)
        await house.manifests.declare(*house.services, policies=[guardrail(**spec)])
        async with house.running():
            await house.until(lambda: house.condition("Ready"))
            house.flag()
            await house.until(lambda: house.incidents() and house.incident.phase is phase)
            await house.passes(120)
            assert house.effects() == []
            verdict = house.incident.attempt.verdict
            assert verdict is not None
            assert said in verdict.reason
            assert house.status.now["default/victim"].policies == ("platform",)  # type: ignore[index]
            await house.manifests.declare(*house.services)
            await house.healed()
        assert house.effects() == ["removeFile"]

    run(test())


def test_a_guardrail_that_selects_others_says_nothing(tmp_path: Path) -> None:
    async def test() -> None:
        house = House(tmp_path)
        elsewhere = guardrail(selector={"matchLabels": {"team": "other"}}, mode="Observe")
        await house.manifests.declare(*house.services, policies=[elsewhere])
        async with house.running():
            house.flag()
            await house.healed()
        assert house.effects() == ["removeFile"]

    run(test())


@pytest.mark.parametrize("selector", [None, {}, {"namespaces": ["default"]}], ids=["unknown", "all", "its namespace"])
def test_a_policy_that_cannot_be_read_holds_every_effect_visibly_until_it_is_mended(
    selector: dict[str, Any] | None, tmp_path: Path
) -> None:
    async def test() -> None:
        house = House(tmp_path)
        known = None if selector is None else Selector.model_validate(selector)
        unread = Unread(place="p.yaml:4:3: spec.mode: 'Off' is not allowed", selector=known)
        await house.manifests.declare(*house.services, unread=[unread])
        async with house.running():
            house.flag()
            await house.until(lambda: house.incidents() and house.incident.phase is Phase.HELD)
            await house.passes(300)
            assert house.effects() == []
            told = house.condition("PolicyUnread")
            assert told is not None
            assert "p.yaml:4:3" in told.message
            await house.manifests.declare(*house.services)
            await house.healed()
        assert house.effects() == ["removeFile"]
        assert house.condition("PolicyUnread") is None

    run(test())


NAMES = ("one", "two", "three", "four")


def storms(house: House) -> list[str]:
    return [record.type for record in house.journal.read() if record.type in (STORM_BEGAN, STORM_ENDED)]


async def _well(house: House) -> None:
    await house.until(
        lambda: all((c := house.condition("Ready", f"default/{n}")) and c.status == "True" for n in NAMES)
    )


def test_a_mass_failure_is_one_storm_in_which_nothing_is_acted_on(tmp_path: Path) -> None:
    async def test() -> None:
        house = House(tmp_path, *map(manifest, NAMES))
        async with house.running():
            await _well(house)
            house.prober.sick.update(NAMES)
            await house.until(lambda: all(house.condition("Storm", f"default/{name}") for name in NAMES))
            opened = len(house.incidents())
            await house.passes(1800)
            assert house.engine.asked == []
            assert len(house.incidents()) == opened < 3
            assert storms(house) == [STORM_BEGAN]
            told = house.condition("Storm", "default/four")
            assert told is not None
            assert "4 of 4 services deviate: default/four" in told.message
            assert "look at what they share" in told.message
            assert "StormBegan" in {one.reason for one in house.status.now["default/one"].notices}  # type: ignore[index]
            house.prober.sick.clear()
            await house.until(lambda: not any(house.condition("Storm", f"default/{name}") for name in NAMES))
            await house.until(lambda: not any(one.open for one in house.incidents()))
        assert storms(house) == [STORM_BEGAN, STORM_ENDED]
        assert house.engine.asked == []

    run(test())


def test_what_still_deviates_after_a_storm_gets_its_own_incident_and_is_healed(tmp_path: Path) -> None:
    async def test() -> None:
        house = House(tmp_path, *map(manifest, NAMES))
        async with house.running():
            await _well(house)
            house.flag("four")
            house.prober.sick.update(NAMES)
            await house.until(lambda: house.condition("Storm", "default/four"))
            await house.passes(600)
            assert house.effects("four") == []
            house.prober.sick.clear()
            await house.until(lambda: house.effects("four") == ["removeFile"])
            await house.until(lambda: not any(one.open for one in house.incidents()))
        assert [name for name in NAMES if house.effects(name)] == ["four"]

    run(test())


def test_a_storm_outlives_a_crash_and_is_recorded_once(tmp_path: Path) -> None:
    async def test() -> None:
        house = House(tmp_path, *map(manifest, NAMES))
        async with house.crashing():
            await _well(house)
            house.prober.sick.update(NAMES)
            await house.until(lambda: house.condition("Storm", "default/one"))
        async with house.running():
            await house.passes(600)
            assert storms(house) == [STORM_BEGAN]
            assert house.engine.asked == []
            house.prober.sick.clear()
            await house.until(lambda: storms(house) == [STORM_BEGAN, STORM_ENDED])

    run(test())


def test_services_that_fail_one_after_another_are_no_storm(tmp_path: Path) -> None:
    async def test() -> None:
        house = House(tmp_path, *map(manifest, NAMES))
        async with house.running():
            await _well(house)
            for count, name in enumerate(NAMES, 1):
                house.flag(name)
                await house.healed(count)
        assert storms(house) == []
        assert {name: house.effects(name) for name in NAMES} == {name: ["removeFile"] for name in NAMES}

    run(test())


def test_what_was_never_seen_well_is_started_and_not_a_storm(tmp_path: Path) -> None:
    async def test() -> None:
        house = House(tmp_path, *map(manifest, NAMES))
        for name in NAMES:
            house.engine.die(name)
        async with house.running():
            await house.healed(len(NAMES))
        assert storms(house) == []

    run(test())
