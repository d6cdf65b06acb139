"""A user's runbook chooses a declared command: it heals, its arguments arrive as written, and what fails is told."""

from typing import Any

import pytest

from tests.other_user import needs_root, pitcrew_as
from tests.scenarios.conftest import Build
from tests.scenarios.operator import Operator, last_number, number
from tests.scenarios.stage import Stage

BOOK = """---
id: sick
title: The service is sick, which its owner knows how to cure
cause: ServiceErrors
signals:
  - {fact: state, equals: Running}
  - {fact: probe.failing, equals: Status}
  - {log: error unhealthy}
remedies:
  - {action: runCommand, command: cure}
ask: find out what makes it sick
verify: the failing probe stays good over the verification window
---
Written by whoever owns the service.
"""
ARGUMENTS = ["; touch injected", "$(touch injected)", "-rf", "a  b"]
CURE = 'printf "%s\\n" "$@" > told && rm -- sick'
WORSE = 'touch worse; echo "password=hunter2hunter2" >&2; exit 3'


def declare(stage: Stage, *commands: dict[str, Any], **policy: Any) -> None:
    (stage.books / "sick.md").write_text(BOOK)
    asks = {"approvers": {"users": ["daemon"]}, **policy}
    stage.declare(actions={"start": {}, "runCommand": {"commands": list(commands)}}, policy=asks)


def approve(operator: Operator, after: int) -> None:
    """A person says yes, as one has to where a command is of risk High and all roles are one process."""
    seen = operator.wait_for(
        lambda seen: (
            seen["incident"]
            and number(seen["incident"]) > after
            and seen["incident"]["phase"] == "AwaitingApproval"
            and "approval by daemon" in seen["incident"]["waitsFor"]
        ),
        "the question",
    )
    said = pitcrew_as("daemon", "approve", seen["incident"]["id"], "--reason", "mine", state=operator.state)
    assert said.returncode == 0, said.output


@pytest.fixture
def stage(build: Build) -> Stage:
    """A stage with a workload that can be made sick, and a state directory that a second user reaches."""
    made = build(own_workload=True)
    made.root.chmod(0o711)
    return made


@needs_root
def test_a_declared_command_heals_and_its_arguments_arrive_as_they_are_written(stage: Stage) -> None:
    declare(stage, {"name": "cure", "argv": ["sh", "-c", CURE, "cure", *ARGUMENTS]})
    operator = stage.operator()
    before = last_number(operator.wait_until_quiet())
    life = stage.life()
    stage.put("sick", b"")
    approve(operator, before)
    healed = operator.wait_until_healed(after=before)
    told = stage.file("told")
    assert told is not None
    assert told[0].decode().splitlines() == ARGUMENTS
    assert stage.file("injected") is None
    assert stage.life() == life, "it was restarted"
    why = operator.why(healed["lastIncidents"][0]["id"])
    assert "run cure (sh -c" in why
    assert "only its owner knows" in why
    assert stage.answer() == 200


@needs_root
def test_a_command_that_fails_is_told_without_secrets_and_its_undo_is_run(stage: Stage) -> None:
    declare(
        stage,
        {"name": "cure", "argv": ["sh", "-c", WORSE], "undo": "better"},
        {"name": "better", "argv": ["rm", "--", "worse"]},
    )
    operator = stage.operator()
    before = last_number(operator.wait_until_quiet())
    stage.put("sick", b"")
    approve(operator, before)
    seen = operator.wait_until_escalated(after=before)
    assert stage.file("worse") is None, "the undo was not run"
    report = operator.pitcrew("report", seen["incident"]["id"]).stdout
    assert "cure ended with 3" in report
    for text in (report, operator.why(seen["incident"]["id"]), operator.log):
        assert "hunter2" not in text


def test_by_default_a_person_is_asked_first(stage: Stage) -> None:
    declare(
        stage, {"name": "cure", "argv": ["sh", "-c", CURE, "cure"]}, autoUpTo="Low", approvers={"users": ["daemon"]}
    )
    operator = stage.operator()
    operator.wait_until_quiet()
    acts = stage.acts()
    stage.put("sick", b"")
    seen = operator.wait_for(
        lambda seen: seen["incident"] and seen["incident"]["phase"] == "AwaitingApproval", "the question"
    )
    assert seen["incident"]["risk"]["level"] == "High"
    assert "run cure (sh -c" in operator.why(seen["incident"]["id"])
    assert stage.acts() == acts
    assert stage.file("sick") is not None
