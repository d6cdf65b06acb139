"""Policy asks for a person: a second user of this machine decides through the socket, and nothing acts meanwhile."""

import os
import pwd
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.other_user import needs_root, pitcrew_as
from tests.scenarios.conftest import KINDS, stage_of
from tests.scenarios.operator import Operator, Status, last_number, number
from tests.scenarios.stage import Stage

ALICE, EVE = "daemon", "nobody"
"""Users that every Debian has; the first is listed, the second is not."""
ASKS = {"autoUpTo": "None", "approvers": {"users": [ALICE]}}

pytestmark = needs_root


@pytest.fixture(params=KINDS)
def stage(request: pytest.FixtureRequest) -> Iterator[Stage]:
    made = stage_of(str(request.param), request)
    made.root.chmod(0o711)
    made.declare()
    yield made
    made.close()


@pytest.fixture
def operator(stage: Stage) -> Operator:
    """Running, with the policy edited to ask for each act."""
    started = stage.operator()
    started.wait_until_quiet()
    edit(stage, started, **ASKS)
    return started


def edit(stage: Stage, operator: Operator, **policy: object) -> None:
    """Write the policy into the file, until the operator says that it read it."""
    read = operator.log.count("declaration changed")
    stage.declare(policy=policy)
    operator.wait_for(lambda _: operator.log.count("declaration changed") > read, "the edit to be read")


def waiting(operator: Operator, after: int) -> Status:
    return operator.wait_for(
        lambda seen: (
            seen["incident"]
            and number(seen["incident"]) > after
            and seen["incident"]["phase"] == "AwaitingApproval"
            and "approval by" in seen["incident"]["waitsFor"]
        ),
        "an incident that waits for approval",
    )


def approve(operator: Operator, incident: str, user: str = ALICE, *words: str) -> tuple[int, str]:
    done = pitcrew_as(user, "approve", incident, "--reason", "looked at it", *words, state=operator.state)
    return done.returncode, done.output


def test_an_edited_policy_asks_and_the_listed_second_user_decides(stage: Stage, operator: Operator) -> None:
    before = last_number(operator.wait_until_quiet())
    life, acts = stage.life(), stage.acts()
    stage.chaos("break", "flag")
    incident = waiting(operator, before)["incident"]["id"]
    uid = pwd.getpwnam(ALICE).pw_uid

    code, said = approve(operator, incident, EVE)
    assert (code, "is no approver of this service" in said) == (1, True), said
    code, said = approve(operator, incident, pwd.getpwuid(os.geteuid()).pw_name)
    assert (code, "the user PitCrew runs as may not approve" in said) == (1, True), said
    code, said = approve(operator, incident, ALICE, "--plan", "0123456789")
    assert (code, "the plan that is asked about is" in said) == (3, True), said
    assert stage.flagged
    assert (stage.life(), stage.acts()) == (life, acts)

    code, said = approve(operator, incident)
    assert code == 0, said
    assert said.index(f"remove {stage.flag}") < said.index("approved by"), "the plan was not shown first"
    for shown in ("undo", "risk", "expires", "policy_digest", f"approved by {ALICE} (uid {uid}): looked at it"):
        assert shown in said
    healed = operator.wait_until_healed(after=before)
    assert healed["lastIncidents"][0]["id"] == incident
    assert stage.acts()[len(acts) :] == ["remove"]
    assert stage.life() == life
    assert f"approved by {ALICE} (uid {uid}): looked at it" in operator.why(incident)
    code, said = approve(operator, incident)
    assert (code, "decided already" in said) == (1, True), said


def test_a_denial_and_an_expiry_go_to_a_person_and_nothing_was_done(stage: Stage, operator: Operator) -> None:
    before, acts = last_number(operator.wait_until_quiet()), stage.acts()
    stage.chaos("break", "flag")
    incident = waiting(operator, before)["incident"]["id"]
    denied = pitcrew_as(ALICE, "deny", incident, "--reason", "not now", state=operator.state)
    assert denied.returncode == 0, denied.output
    seen = operator.wait_until_escalated(after=before)
    assert "not now" in seen["incident"]["waitsFor"]
    stage.declare(policy={**ASKS, "approveWithin": "2s"})
    operator.wait_for(
        lambda seen: seen["incident"] and "expiry is a denial" in seen["incident"]["waitsFor"], "the expiry"
    )
    assert stage.flagged
    assert stage.acts() == acts


def test_a_stop_by_an_approver_halts_and_root_takes_it_back(stage: Stage, operator: Operator) -> None:
    before = last_number(operator.wait_until_quiet())
    stage.chaos("break", "flag")
    incident = waiting(operator, before)["incident"]["id"]
    refused = pitcrew_as(EVE, "stop", "--reason", "I say so", state=operator.state)
    assert (refused.returncode, "may not order Stop" in refused.output) == (1, True)
    stopped = pitcrew_as(ALICE, "stop", "--reason", "odd things", state=operator.state)
    assert stopped.returncode == 0, stopped.output
    assert f"{ALICE} (uid" in (operator.state / "STOP").read_text()
    approve(operator, incident)
    operator.wait_for(lambda seen: seen["incident"] and seen["incident"]["phase"] == "Held", "the hold")
    assert stage.flagged
    refused = pitcrew_as(ALICE, "go", state=operator.state)
    assert (refused.returncode, "may not order Go" in refused.output) == (1, True)
    assert operator.pitcrew("go").returncode == 0
    again = waiting(operator, before)
    assert approve(operator, again["incident"]["id"])[0] == 0
    operator.wait_until_healed(after=before)


def test_with_the_operator_down_nothing_is_ordered_and_that_is_said(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    for words in (("approve", "victim-1", "--reason", "x"), ("stop",), ("go",), ("resume", "victim")):
        done = pitcrew_as("root", *words, state=tmp_path)
        assert done.returncode == 4, done.output
        assert "no operator answers at" in done.output
        assert "nothing was changed" in done.output
    assert not (tmp_path / "STOP").exists()


@pytest.mark.parametrize("stage", ["process"], indirect=True)
def test_suspend_resume_reconcile_and_apply(stage: Stage, operator: Operator) -> None:
    edit(stage, operator)
    before = last_number(operator.wait_until_quiet())
    held = operator.pitcrew("suspend", "victim", "--reason", "deploying", "--for", "1h")
    assert held.returncode == 0, held.stderr
    stage.chaos("break", "flag")
    seen = operator.wait_for(lambda seen: seen["incident"] and seen["incident"]["phase"] == "Held", "the hold")
    assert "deploying" in seen["incident"]["waitsFor"]
    assert operator.pitcrew("reconcile", "victim").returncode == 0
    assert operator.pitcrew("resume", "victim").returncode == 0
    operator.wait_until_healed(after=before)
    edited = stage.root / "edited.yaml"
    edited.write_text(stage.manifest.read_text().replace('"verifyFor": "1s"', '"verifyFor": "3s"'))
    applied = operator.pitcrew("apply", "-f", str(edited))
    assert applied.returncode == 0, applied.stderr
    assert [line.split() for line in applied.stdout.splitlines() if '"3s"' in line] == [["+", '"verifyFor":', '"3s"']]
    assert stage.manifest.read_text() == edited.read_text()
    edited.write_text(edited.read_text().replace('"verifyFor": "3s"', '"verifyFor": "3 weeks"'))
    refused = operator.pitcrew("apply", "-f", str(edited))
    assert (refused.returncode, "verifyFor" in refused.stderr) == (3, True)
    assert '"verifyFor": "3s"' in stage.manifest.read_text()
