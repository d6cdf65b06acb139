"""The Official through its port: what it permits, what it never does, and what it remembers."""

import asyncio
import errno
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pitcrew.adapters.ledger.files import LedgerFile
from pitcrew.adapters.stop.files import StopFile
from pitcrew.core.action import RemoveFile, Restart, RestoreFile
from pitcrew.core.errors import InvalidInput
from pitcrew.core.permit import Direction, Permit, PermitRefused
from pitcrew.core.policy import Effect
from pitcrew.core.resource import HealthyService, Level
from pitcrew.keys import public_keys
from pitcrew.mechanic.verify import is_signed
from pitcrew.official.key import signing_key
from pitcrew.official.permits import PERMITS_PER_PLAN, Limits
from tests.official.split import RemoteDesk
from tests.official.world import Desk, case, plan_for, service


@pytest.fixture(params=[Desk, RemoteDesk], ids=["direct", "over http"])
def desk(request: pytest.FixtureRequest, tmp_path: Path) -> Desk:
    made: Desk = request.param(state=tmp_path)
    return made


def permit(desk: Desk, declared: HealthyService, **changes: Any) -> Permit | PermitRefused:
    return asyncio.run(desk.opened().permit(declared, plan_for(declared, **changes), case()))


def test_an_allowed_plan_gets_a_permit_that_the_public_key_confirms(desk: Desk) -> None:
    declared = service()
    given = permit(desk, declared)
    assert isinstance(given, Permit)
    assert given.plan_digest == plan_for(declared).digest
    assert given.direction is Direction.DO
    assert is_signed(given, public_keys(desk.state / "official" / "key.pub", "the Official's"))
    assert (given.expires_at - given.issued_at).total_seconds() == desk.limits.permit_ttl_s


REFUSALS: dict[str, tuple[dict[str, Any], Level]] = {
    "above auto": ({}, Level.MEDIUM),
    "above approve": ({}, Level.CRITICAL),
    "shadow": ({"mode": "Shadow"}, Level.LOW),
    "observe": ({"mode": "Observe"}, Level.LOW),
    "no budget": ({"budget": {"actions": 0}}, Level.LOW),
    "a rule denies": (
        {"rules": [{"name": "no", "expression": "service.name == 'victim'", "effect": "Deny", "message": "never"}]},
        Level.LOW,
    ),
    "a rule fails": (
        {"rules": [{"name": "no", "expression": "risk.nothing > 1", "effect": "Hold", "message": "never"}]},
        Level.LOW,
    ),
    "a rule does not compile": (
        {"rules": [{"name": "no", "expression": "1 +", "effect": "Hold", "message": "never"}]},
        Level.LOW,
    ),
}


@pytest.mark.parametrize(("policy", "level"), REFUSALS.values(), ids=REFUSALS)
def test_no_permit_without_the_verdict_allow(desk: Desk, policy: dict[str, Any], level: Level) -> None:
    declared = service(**policy)
    official = desk.opened()
    verdict = asyncio.run(official.judge(declared, plan_for(declared), case(level)))
    given = asyncio.run(official.permit(declared, plan_for(declared), case(level)))
    assert verdict.effect is not Effect.ALLOW
    assert isinstance(given, PermitRefused)
    assert not desk.ledger.exists()


def test_stop_gives_no_permit_and_refuses_the_undo_as_well(desk: Desk) -> None:
    declared = service()
    assert isinstance(permit(desk, declared), Permit)
    (desk.state / "STOP").touch()
    assert isinstance(permit(desk, declared, incident="victim-2"), PermitRefused)
    undo = asyncio.run(desk.opened().permit_undo(declared, plan_for(declared)))
    assert isinstance(undo, PermitRefused)


def test_a_stop_that_cannot_be_told_counts_as_stopped(tmp_path: Path) -> None:
    assert not StopFile(state=tmp_path)()
    (tmp_path / "STOP").symlink_to("nowhere")
    assert StopFile(state=tmp_path)()
    assert StopFile(state=tmp_path / "gone")()
    (tmp_path / "file").touch()
    assert StopFile(state=tmp_path / "file")()


@pytest.mark.parametrize(
    "lie",
    [
        {"service": "default/other"},
        {"target_digest": "0" * 64},
        {"action": RemoveFile(path="/etc/passwd"), "undo": RestoreFile(path="/etc/passwd")},
        {"action": Restart(grace_s=0), "undo": None},
        {"action": RestoreFile(path="/app/broken.flag"), "undo": None},
        {"undo": RestoreFile(path="/etc/shadow")},
        {"policy_digest": "0" * 64},
    ],
    ids=["service", "target", "path", "grace", "an undo to do", "undo", "policy"],
)
def test_a_plan_that_is_none_for_this_service_gets_no_permit(desk: Desk, lie: dict[str, Any]) -> None:
    declared = service()
    given = asyncio.run(desk.opened().permit(declared, replace(plan_for(declared), **lie), case()))
    assert isinstance(given, PermitRefused)
    assert not desk.ledger.exists()


def test_the_budget_survives_a_restart_of_the_official(desk: Desk) -> None:
    declared = service(budget={"actions": 2, "window": "1h"})
    assert isinstance(permit(desk, declared, incident="victim-1"), Permit)
    desk.time.move(600)
    assert isinstance(permit(desk, declared, incident="victim-2"), Permit)
    refused = permit(desk, declared, incident="victim-3")
    assert isinstance(refused, PermitRefused)
    assert "budget/target" in refused.reason
    verdict = asyncio.run(desk.opened().judge(declared, plan_for(declared, incident="victim-3"), case()))
    assert verdict.effect is Effect.HOLD
    assert verdict.until is not None
    assert (verdict.until - desk.time.at).total_seconds() == 3000
    desk.time.at = verdict.until
    assert isinstance(permit(desk, declared, incident="victim-3"), Permit)


@pytest.mark.parametrize(
    ("other", "target_id"),
    [
        (service("victim", "new", budget={"actions": 1}), "new-id"),
        (service("renamed", "victim", budget={"actions": 1}), "new-id"),
        (service("renamed", "new", budget={"actions": 1}), "c0ffee"),
    ],
    ids=["the container was renamed and made anew", "the service was renamed", "both names are new"],
)
def test_renaming_resets_no_budget(desk: Desk, other: HealthyService, target_id: str) -> None:
    assert isinstance(permit(desk, service(budget={"actions": 1})), Permit)
    given = asyncio.run(desk.opened().permit(other, plan_for(other, "victim-2", target_id), case()))
    assert isinstance(given, PermitRefused)


def test_another_target_has_a_budget_of_its_own_and_shares_the_global_one(desk: Desk) -> None:
    desk.limits = Limits(everywhere_max=2)
    one, two, three = (service(name, name, budget={"actions": 1}) for name in ("one", "two", "three"))
    assert isinstance(permit(desk, one, target_id="1"), Permit)
    assert isinstance(permit(desk, two, target_id="2"), Permit)
    refused = permit(desk, three, target_id="3")
    assert isinstance(refused, PermitRefused)
    assert "budget/global" in refused.reason


def test_one_digest_counts_once_and_is_not_permitted_for_ever(desk: Desk) -> None:
    declared = service(budget={"actions": 1})
    for _ in range(PERMITS_PER_PLAN):
        assert isinstance(permit(desk, declared), Permit)
    assert isinstance(permit(desk, declared), PermitRefused)


def test_permits_at_once_do_not_overdraw_the_budget(desk: Desk) -> None:
    declared, official = service(budget={"actions": 2}), desk.opened()

    async def all_at_once() -> list[Permit | PermitRefused]:
        plans = [plan_for(declared, incident=f"victim-{n}") for n in range(6)]
        return await asyncio.gather(*(official.permit(declared, plan, case()) for plan in plans))

    assert sum(isinstance(given, Permit) for given in asyncio.run(all_at_once())) == 2


def test_the_cooldown_holds_another_incident_and_not_the_same(desk: Desk) -> None:
    declared = service(cooldown="10m")
    assert isinstance(permit(desk, declared, incident="victim-1"), Permit)
    again = permit(desk, declared, incident="victim-1", action=Restart(grace_s=10))
    assert isinstance(again, Permit)
    assert isinstance(permit(desk, declared, incident="victim-2"), PermitRefused)
    desk.time.move(600)
    assert isinstance(permit(desk, declared, incident="victim-2"), Permit)


def test_an_undo_needs_an_earlier_permit_and_costs_no_budget(desk: Desk) -> None:
    declared = service(budget={"actions": 2})
    first, second = plan_for(declared, "victim-1"), plan_for(declared, "victim-2")
    official = desk.opened()
    assert isinstance(asyncio.run(official.permit_undo(declared, first)), PermitRefused)
    assert isinstance(permit(desk, declared), Permit)
    undo = asyncio.run(desk.opened().permit_undo(declared, first))
    assert isinstance(undo, Permit)
    assert undo.direction is Direction.UNDO
    assert isinstance(asyncio.run(desk.opened().permit(declared, second, case())), Permit)
    shadow = service(mode="Shadow")
    assert isinstance(asyncio.run(desk.opened().permit_undo(shadow, first)), PermitRefused)


def test_a_torn_last_line_is_set_aside_and_the_rest_counts(desk: Desk) -> None:
    declared = service(budget={"actions": 1})
    assert isinstance(permit(desk, declared), Permit)
    whole = desk.ledger.read_bytes()
    desk.ledger.write_bytes(whole + whole[:100])
    assert isinstance(permit(desk, declared, incident="victim-2"), PermitRefused)
    assert desk.ledger.read_bytes() == whole
    assert [file.read_bytes() for file in desk.ledger.parent.glob("ledger.jsonl.fragment-*")] == [whole[:100]]


@pytest.mark.parametrize(
    "damage",
    [
        lambda lines: [lines[0].replace(b"victim-1", b"victim-7"), *lines[1:]],
        lambda lines: lines[1:],
        lambda lines: [lines[1], lines[0]],
        lambda lines: [*lines, b"{}\n"],
        lambda lines: [lines[0], lines[0], lines[1]],
    ],
    ids=["edited", "removed", "swapped", "foreign", "doubled"],
)
def test_a_damaged_ledger_denies(desk: Desk, damage: Any) -> None:
    declared = service()
    permit(desk, declared, incident="victim-1")
    permit(desk, declared, incident="victim-2")
    desk.ledger.write_bytes(b"".join(damage(desk.ledger.read_bytes().splitlines(keepends=True))))
    official, plan = desk.opened(), plan_for(declared, "victim-3")
    verdict = asyncio.run(official.judge(declared, plan, case()))
    assert verdict.effect is Effect.DENY
    assert "ledger" in [ruling.rule for ruling in verdict.rulings]
    assert isinstance(asyncio.run(official.permit(declared, plan, case())), PermitRefused)
    assert isinstance(asyncio.run(official.permit_undo(declared, plan_for(declared, "victim-1"))), PermitRefused)


def test_a_ledger_removed_under_the_running_official_refuses(desk: Desk) -> None:
    declared, official = service(budget={"actions": 9}), desk.opened()
    assert isinstance(asyncio.run(official.permit(declared, plan_for(declared), case())), Permit)
    desk.ledger.unlink()
    assert isinstance(asyncio.run(official.permit(declared, plan_for(declared, "victim-2"), case())), PermitRefused)


def test_a_full_disk_gives_no_permit_and_a_freed_one_does(desk: Desk) -> None:
    full = [True]

    def write(descriptor: int, data: bytes) -> int:
        if full[0] and len(data) <= 300:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return os.write(descriptor, data[:300])

    official = desk.opened(LedgerFile(path=desk.ledger, write=write))
    declared = service()
    refused = asyncio.run(official.permit(declared, plan_for(declared), case()))
    assert isinstance(refused, PermitRefused)
    assert "No space left" in refused.reason
    assert desk.ledger.read_bytes() == b""
    full[0] = False
    assert isinstance(asyncio.run(official.permit(declared, plan_for(declared), case())), Permit)
    assert len(desk.ledger.read_bytes().splitlines()) == 1


def test_a_failing_fsync_gives_no_permit(desk: Desk) -> None:
    def sync(descriptor: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    declared, official = service(), desk.opened(LedgerFile(path=desk.ledger, sync=sync))
    assert isinstance(asyncio.run(official.permit(declared, plan_for(declared), case())), PermitRefused)


@pytest.mark.parametrize(("name", "mode"), [("key", 0o640), ("key", 0o604), ("", 0o750)])
def test_a_key_that_others_can_use_is_refused(tmp_path: Path, name: str, mode: int) -> None:
    signing_key(tmp_path / "official")
    (tmp_path / "official" / name).chmod(mode)
    with pytest.raises(InvalidInput, match="chmod"):
        signing_key(tmp_path / "official")


def test_the_key_is_made_once_and_private(tmp_path: Path) -> None:
    first = signing_key(tmp_path / "official").private_bytes_raw()
    assert signing_key(tmp_path / "official").private_bytes_raw() == first
    assert (tmp_path / "official" / "key").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "official").stat().st_mode & 0o777 == 0o700
    assert sorted(path.name for path in (tmp_path / "official").iterdir()) == ["key", "key.pub"]


def test_a_file_that_holds_no_key_is_refused(tmp_path: Path) -> None:
    signing_key(tmp_path / "official")
    (tmp_path / "official" / "key").write_bytes(b"nothing")
    with pytest.raises(InvalidInput, match="no Ed25519"):
        signing_key(tmp_path / "official")


def test_editing_the_policy_changes_the_next_verdict_of_the_same_official(desk: Desk) -> None:
    official = desk.opened()
    before, after = service(), service(autoUpTo="None")
    assert asyncio.run(official.judge(before, plan_for(before), case())).effect is Effect.ALLOW
    assert asyncio.run(official.judge(after, plan_for(after), case())).effect is Effect.REQUIRE_APPROVAL


def test_rules_see_what_the_official_knows_before_what_it_was_told(desk: Desk) -> None:
    expression = (
        "service.target.kind == 'docker' && action.reversible && action.path == '/app/broken.flag' && risk.score < 50"
    )
    rule = {"name": "told", "expression": expression, "effect": "Deny", "message": "as told"}
    declared = service(rules=[rule])
    facts: dict[str, Any] = {"risk": {"score": 3}, "service": {"target": {"kind": "process"}}}
    verdict = asyncio.run(desk.opened().judge(declared, plan_for(declared), case(facts=facts)))
    assert [ruling.message for ruling in verdict.rulings if ruling.effect is Effect.DENY] == ["as told"]
