"""Commands: declared by the owner, chosen by name, bound with their exact arguments, read by people without doubt."""

from dataclasses import replace
from typing import Any

import pytest
from pydantic import ValidationError

from pitcrew.core.action import Irreversible, RunCommand, declared_command, describe, to_data, undo_of
from pitcrew.core.diagnosis import Cause, Diagnoser, Diagnosis
from pitcrew.core.evidence import gather
from pitcrew.core.policy import policy_digest
from pitcrew.core.proposal import NoRemedy, Proposal, propose
from pitcrew.core.resource import Actions, HealthyService
from pitcrew.core.runbook import Match, Remedy, Runbook, RunbookHead
from tests.core.scene import BAD, answer, declared, facts, seen
from tests.core.test_proposal import FAILING, PLAN

FLUSH = {"name": "flush-cache", "argv": ["/app/bin/flush", "--all"], "undo": "refill-cache"}
REFILL = {"name": "refill-cache", "argv": ["/app/bin/fill"], "timeoutSeconds": 5}


def commands(*declared_: dict[str, Any]) -> Actions:
    return Actions.model_validate({"runCommand": {"commands": list(declared_)}})


def service(*declared_: dict[str, Any]) -> HealthyService:
    return declared(remediation={"actions": {"runCommand": {"commands": list(declared_)}}})


def book(*remedies: dict[str, str]) -> Runbook:
    head = {
        "id": "stale-cache",
        "title": "The cache is stale",
        "cause": "ServiceErrors",
        "signals": [{"fact": "state", "equals": "Running"}],
        "remedies": list(remedies),
        "ask": "look at the cache",
        "verify": "the probe stays good",
    }
    return Runbook(head=RunbookHead.model_validate(head), text="", origin="a test", digest="0" * 64)


def proposed(of: HealthyService, *remedies: dict[str, str], tried: tuple[RunCommand, ...] = ()) -> Proposal | NoRemedy:
    evidence = gather(seen(answer(BAD)), (FAILING,), (), ())
    state = next(item.id for item in evidence if item.key == "state")
    leading = Diagnosis(cause=Cause.SERVICE_ERRORS, confidence=85, evidence=(state,), by=Diagnoser.RULES, summary="s")
    return propose(of, (leading,), (Match(runbook=book(*remedies), evidence=()),), evidence, facts(), tried)


RUN = {"action": "runCommand", "command": "flush-cache"}


def test_a_remedy_is_bound_to_the_declared_arguments_and_the_declared_undo() -> None:
    found = proposed(service(FLUSH, REFILL), RUN)
    assert isinstance(found, Proposal)
    assert found.action == RunCommand(command="flush-cache", argv=("/app/bin/flush", "--all"), timeout_s=30)
    assert found.undo == RunCommand(command="refill-cache", argv=("/app/bin/fill",), timeout_s=5)


def test_a_command_without_an_undo_is_irreversible_and_says_so() -> None:
    found = proposed(service(REFILL), {**RUN, "command": "refill-cache"})
    assert isinstance(found, Proposal)
    assert found.undo == Irreversible(reason="the service declares no command that takes refill-cache back")


@pytest.mark.parametrize("of", [service(REFILL), declared()], ids=["another command", "no commands"])
def test_a_command_that_is_not_declared_falls_out_with_its_reason(of: HealthyService) -> None:
    found = proposed(of, RUN)
    assert isinstance(found, NoRemedy)
    assert found.reasons == ("stale-cache: runCommand flush-cache: the service declares no command of this name",)


def test_a_command_that_did_not_help_is_not_repeated_and_the_next_one_is() -> None:
    of = service(FLUSH, REFILL)
    flush = declared_command(of.spec.remediation.actions, "flush-cache")
    assert flush is not None
    found = proposed(of, RUN, {**RUN, "command": "refill-cache"}, tried=(flush,))
    assert isinstance(found, Proposal)
    assert isinstance(found.action, RunCommand)
    assert found.action.command == "refill-cache"


@pytest.mark.parametrize(
    "edit", [{"argv": ["/app/bin/flush"]}, {"argv": ["/app/bin/flush --all"]}, {"timeoutSeconds": 31}], ids=str
)
def test_an_edit_of_a_command_makes_another_plan_under_another_policy(edit: dict[str, Any]) -> None:
    before, after = service(FLUSH, REFILL), service({**FLUSH, **edit}, REFILL)
    plans = [
        replace(PLAN, action=declared_command(of.spec.remediation.actions, "flush-cache"))  # type: ignore[arg-type]
        for of in (before, after)
    ]
    assert plans[0].digest != plans[1].digest
    assert policy_digest(before) != policy_digest(after)


def test_the_undo_is_as_it_is_declared_now() -> None:
    of = commands(FLUSH, REFILL)
    flush = declared_command(of, "flush-cache")
    assert flush is not None
    edited = commands(FLUSH, {**REFILL, "argv": ["/app/bin/fill", "--slowly"]})
    assert undo_of(flush, edited) == RunCommand(command="refill-cache", argv=("/app/bin/fill", "--slowly"), timeout_s=5)


READ: dict[str, tuple[tuple[str, ...], str]] = {
    "plain": (("/app/bin/flush", "--all"), "/app/bin/flush --all"),
    "a space": (("sh", "-c", "rm -f /tmp/*; true"), 'sh -c "rm -f /tmp/*; true"'),
    "quotes": (('say "hi"',), '"say \\"hi\\""'),
    "control and invisible characters": (
        ("a\x1b[2Jb", "x\u202ey", "one\ntwo"),
        '"a\\u001b[2Jb" "x\\u202ey" "one\\ntwo"',
    ),
    "what nobody should have written there": (("--password", "hunter2hunter2"), "--password [redacted:password]"),
    "other scripts": (("größe",), '"größe"'),
}


@pytest.mark.parametrize(("argv", "reads"), READ.values(), ids=READ.keys())
def test_people_see_where_each_argument_begins_and_ends(argv: tuple[str, ...], reads: str) -> None:
    command = RunCommand(command="c", argv=argv, timeout_s=30)
    assert describe(command) == f"run c ({reads}; at most 30 s)"
    assert to_data(command)["argv"] == list(argv)


REFUSED: dict[str, tuple[list[dict[str, Any]], str]] = {
    "none": ([], "at least 1 item"),
    "a name twice": ([REFILL, REFILL], "each command needs a name of its own"),
    "an undo that is not there": (
        [FLUSH],
        "undo of flush-cache: no command is named refill-cache; declared: flush-cache",
    ),
    "an undo of itself": ([{**REFILL, "undo": "refill-cache"}], "undo of refill-cache: leads back to refill-cache"),
    "a circle": ([FLUSH, {**REFILL, "undo": "flush-cache"}], "undo of flush-cache: leads back to flush-cache"),
    "no arguments": ([{**REFILL, "argv": []}], "at least 1 item"),
    "an empty argument": ([{**REFILL, "argv": [""]}], "at least 1 character"),
    "a NUL": ([{**REFILL, "argv": ["a\0b"]}], "should match pattern"),
    "too much to be shown": ([{**REFILL, "argv": ["a" * 2000] * 3}], "has 6000 characters in all"),
    "too short a time": ([{**REFILL, "timeoutSeconds": 0}], "greater than or equal to 1"),
    "too long a time": ([{**REFILL, "timeoutSeconds": 301}], "less than or equal to 300"),
    "a shell line": ([{**REFILL, "argv": "flush --all"}], "valid list"),
}


@pytest.mark.parametrize(("declared_", "says"), REFUSED.values(), ids=REFUSED.keys())
def test_a_declaration_that_cannot_work_is_refused(declared_: list[dict[str, Any]], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        commands(*declared_)


def test_an_undo_may_have_an_undo_of_its_own() -> None:
    third = {"name": "third", "argv": ["true"]}
    assert commands(FLUSH, {**REFILL, "undo": "third"}, third).run_command


@pytest.mark.parametrize(
    "remedy",
    [
        {"action": "runCommand"},
        {"action": "restart", "command": "flush-cache"},
        {"action": "runCommand", "command": "flush cache"},
        {"action": "runCommand", "command": "flush-cache", "argv": ["true"]},
    ],
    ids=str,
)
def test_a_runbook_names_a_command_with_run_command_alone_and_never_its_arguments(remedy: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Remedy.model_validate(remedy)
