"""Every limit holds, across restarts and clocks that jump (S10), and nothing is done that no rule allows (S9)."""

from datetime import timedelta
from pathlib import Path

import pytest

from pitcrew.core.action import Action
from pitcrew.core.resource import HealthyService
from pitcrew.settings import Settings
from tests.fakes.engine import FakeTarget
from tests.loop.composed import FLAG, House, manifest
from tests.loop.virtual import run

HIGH = {"autoUpTo": "High"}


def rearming(house: House) -> None:
    """Whatever is done, the flag is back at once."""

    def again(target: FakeTarget, action: Action) -> None:
        house.flag(target.name)

    house.engine.after_effect = again


def budget(actions: int, window: str = "1h", **policy: object) -> HealthyService:
    return manifest(policy={**HIGH, "budget": {"actions": actions, "window": window}, **policy})


def test_remedies_in_one_incident_are_bounded_by_attempts(tmp_path: Path) -> None:
    async def test() -> None:
        actions = {"removeFile": {"paths": [FLAG, "/app/b", "/app/c", "/app/d"]}, "restart": {}}
        house = House(tmp_path, manifest(remediation={"actions": actions, "attempts": 2}, policy=HIGH))
        house.prober.sick.add("victim")
        for path in actions["removeFile"]["paths"]:
            house.engine.write("victim", path, b"")
        async with house.running():
            await house.until(lambda: house.incidents() and house.incident.outcome == "Escalated")
            await house.passes(1800)
        done = [effect for effect in house.effects() if effect != "restoreFile"]
        assert len(done) == 2

    run(test())


def test_a_spent_budget_holds_with_a_time_and_goes_on_then(tmp_path: Path) -> None:
    async def test() -> None:
        house = House(tmp_path, budget(1, "10m"))
        async with house.running():
            house.flag()
            await house.healed()
            acted_at = house.incident.attempt.acted_at
            permitted_at = house.incident.attempt.permit.issued_at  # type: ignore[union-attr]
            house.flag()
            await house.until(lambda: "Held" in {one.phase for one in house.incidents()})
            verdict = house.incident.attempt.verdict
            assert verdict is not None
            assert verdict.until == permitted_at + timedelta(minutes=10)
            assert "1 of 1 actions" in house.status.now["default/victim"].waits_for  # type: ignore[index]
            await house.passes(300)
            assert house.effects() == ["removeFile"]
        async with house.running():
            await house.healed(2)
        assert house.effects() == ["removeFile", "removeFile"]
        assert acted_at is not None
        second = house.incident.attempt.acted_at
        assert second is not None
        assert second - permitted_at >= timedelta(minutes=10)

    run(test())


@pytest.mark.parametrize("change", ["restart", "recreated", "renamed", "wall", "reboot"])
def test_a_cooldown_between_incidents_outlives_what_would_reset_it(change: str, tmp_path: Path) -> None:
    async def test() -> None:
        house = House(tmp_path, manifest(policy={**HIGH, "cooldown": "10m"}))
        async with house.running():
            house.flag()
            await house.healed()
            if change == "recreated":
                await house.manifests.declare()
                await house.passes(5)
                await house.manifests.declare(*house.services)
            if change == "renamed":
                renamed = manifest("victim2", "victim", policy={**HIGH, "cooldown": "10m"})
                await house.manifests.declare(renamed)
            if change == "wall":
                house.wall_ahead = timedelta(days=3)
            if change not in ("restart", "reboot"):
                house.flag()
                await house.passes(300)
        if change == "reboot":
            house.boot = "boot-2"
            house.wall_ahead = timedelta(days=-3)
        house.flag()
        async with house.running():
            await house.passes(200)
            assert house.effects() == ["removeFile"]
            await house.healed(2)
        assert house.effects() == ["removeFile", "removeFile"]

    run(test())


def test_the_budget_for_all_services_holds_the_next_one(tmp_path: Path) -> None:
    async def test() -> None:
        names = ("one", "two", "three")
        settings = Settings(state=tmp_path, actions_everywhere_max=2)
        house = House(tmp_path, *map(manifest, names), settings=settings)
        async with house.running():
            for name in names:
                house.flag(name)
            await house.passes(300)
            assert len(house.engine.asked) == 2
            assert [str(one.phase) for one in house.incidents() if one.open] == ["Held"]
            await house.until(lambda: len(house.engine.asked) == 3, within_s=3700)
            await house.healed(3)

    run(test())


def test_a_rule_that_fails_denies_and_an_edited_policy_is_reconsidered(tmp_path: Path) -> None:
    async def test() -> None:
        rule = {"name": "broken", "expression": "incident.nothing.like.it == 1", "effect": "Hold", "message": "never"}
        house = House(tmp_path, manifest(policy={**HIGH, "rules": [rule]}))
        house.flag()
        async with house.running():
            await house.until(lambda: house.incidents() and house.incident.outcome == "Escalated")
            await house.passes(60)
            assert house.effects() == []
            assert "denies" in house.incident.stuck_because
            assert len(house.reports.texts["victim-1"]) == 1
            await house.manifests.declare(manifest(policy=HIGH))
            await house.healed()
        assert house.effects() == ["removeFile"]
        assert house.incident.outcome == "Recovered"
        assert len(house.reports.texts["victim-1"]) == 2

    run(test())


@pytest.mark.parametrize("mode", ["Shadow", "Observe"])
def test_a_mode_that_never_acts_never_acts(mode: str, tmp_path: Path) -> None:
    async def test() -> None:
        house = House(tmp_path, manifest(policy={**HIGH, "mode": mode}))
        house.flag()
        async with house.running():
            await house.passes(600)
            assert house.condition("NotEnforcing") is not None
        assert house.engine.asked == []
        assert "Judged" in house.story()

    run(test())


@pytest.mark.parametrize("role", ["official", "mechanic"])
def test_a_ledger_that_cannot_be_trusted_lets_nothing_through(role: str, tmp_path: Path) -> None:
    async def test() -> None:
        house = House(tmp_path)
        async with house.running():
            house.flag()
            await house.healed()
        ledger = house.official / "ledger.jsonl" if role == "official" else house.mechanic / "spent.jsonl"
        data = bytearray(ledger.read_bytes())
        data[len(data) // 2] ^= 1
        ledger.write_bytes(bytes(data))
        async with house.running():
            house.flag()
            await house.until(
                lambda: len(house.incidents()) == 2 and house.incident.outcome == "Escalated", within_s=3 * 3600
            )
            await house.passes(300)
        assert house.effects() == ["removeFile"]
        assert house.incident.stuck_because

    run(test())


def test_a_person_who_mends_it_closes_an_escalated_incident(tmp_path: Path) -> None:
    async def test() -> None:
        house = House(tmp_path, separated=True)
        house.prober.sick.add("victim")
        async with house.running():
            await house.until(lambda: house.incidents() and house.incident.outcome == "Escalated")
            await house.passes(300)
            assert "waits for a person" in house.status.now["default/victim"].waits_for  # type: ignore[index]
            house.prober.sick.clear()
            await house.healed()
            await house.passes(300)
        assert house.incident.outcome == "SelfRecovered"
        assert len(house.incidents()) == 1
        assert len(house.reports.texts["victim-1"]) == 2

    run(test())


def test_a_fault_that_always_comes_back_spends_the_budget_and_no_more(tmp_path: Path) -> None:
    async def test() -> None:
        house = House(tmp_path, budget(3))
        rearming(house)
        house.flag()
        async with house.running():
            await house.passes(3500)
        done = [effect for effect in house.effects() if effect != "restoreFile"]
        assert 1 <= len(done) <= 3

    run(test())
