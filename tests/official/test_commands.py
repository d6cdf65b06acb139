"""The Official and declared commands: exactly as declared now, in both directions, and rules see which one it is."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pitcrew.core.action import RunCommand
from pitcrew.core.permit import Permit, PermitRefused
from pitcrew.core.policy import Effect
from pitcrew.core.resource import HealthyService
from tests.official.split import RemoteDesk
from tests.official.world import Desk, case, plan_for, service

FLUSH: dict[str, Any] = {"name": "flush", "argv": ["flush", "--all"], "undo": "refill"}
REFILL: dict[str, Any] = {"name": "refill", "argv": ["refill"]}
RUN = RunCommand(command="flush", argv=("flush", "--all"), timeout_s=30)


def declared(*commands: dict[str, Any], **policy: Any) -> HealthyService:
    document = service(**{"autoUpTo": "Medium", **policy}).model_dump(mode="json", by_alias=True, exclude_none=True)
    document["spec"]["remediation"]["actions"]["runCommand"] = {"commands": list(commands)}
    return HealthyService.model_validate(document)


@pytest.fixture(params=[Desk, RemoteDesk], ids=["direct", "over http"])
def desk(request: pytest.FixtureRequest, tmp_path: Path) -> Desk:
    made: Desk = request.param(state=tmp_path)
    return made


def test_a_command_is_permitted_exactly_as_it_is_declared(desk: Desk) -> None:
    of = declared(FLUSH, REFILL)
    assert isinstance(asyncio.run(desk.opened().permit(of, plan_for(of, action=RUN), case())), Permit)


@pytest.mark.parametrize(
    "lie",
    [
        {"action": replace(RUN, argv=("flush", "--all", "--force"))},
        {"action": replace(RUN, timeout_s=300)},
        {"action": replace(RUN, command="other"), "undo": None},
        {"undo": None},
        {"undo": replace(RUN, command="refill", argv=("rm", "-rf", "/"))},
    ],
    ids=["arguments", "timeout", "name", "no undo", "another undo"],
)
def test_a_plan_with_another_command_or_another_undo_gets_no_permit(desk: Desk, lie: dict[str, Any]) -> None:
    of = declared(FLUSH, REFILL)
    plan = replace(plan_for(of, action=RUN), **lie)
    assert isinstance(asyncio.run(desk.opened().permit(of, plan, case())), PermitRefused)


def test_an_undo_that_is_not_declared_any_more_gets_no_permit(desk: Desk) -> None:
    of, official = declared(FLUSH, REFILL), desk.opened()
    plan = plan_for(of, action=RUN)
    assert isinstance(asyncio.run(official.permit(of, plan, case())), Permit)
    edited = declared(FLUSH, {**REFILL, "argv": ["refill", "--slowly"]})
    refused = asyncio.run(official.permit_undo(edited, plan))
    assert isinstance(refused, PermitRefused)
    assert "undo is not the one of its action" in refused.reason
    assert isinstance(asyncio.run(official.permit_undo(of, plan)), Permit)


def test_a_rule_can_name_a_command(desk: Desk) -> None:
    rule = {"name": "no-flush", "effect": "Deny", "message": "not now"}
    of = declared(FLUSH, REFILL, rules=[{**rule, "expression": 'has(action.command) && action.command == "flush"'}])
    verdict = asyncio.run(desk.opened().judge(of, plan_for(of, action=RUN), case()))
    assert verdict.effect is Effect.DENY
    assert "not now" in verdict.reason
