"""Decisions signed with SSH keys, on the real command: who signed decides, whoever else tries changes nothing.

The attacks play on a service that waits for a person; each is refused with a reason, and nobody touches the workload.
"""

import json
import os
import pwd
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from pitcrew.core.approval import ApprovalRequest, Decision, request_from, statement
from pitcrew.core.errors import PitCrewError, Refused
from pitcrew.entrypoints.cli.orders import ask
from pitcrew.entrypoints.cli.signing import signed
from tests import keys
from tests.other_user import Done, needs_root, pitcrew_as
from tests.scenarios.operator import Operator, last_number, number
from tests.scenarios.stage import ProcessStage
from tests.waiting import eventually

ALICE, BOB, EVE, OWN = "alice@example.org", "bob@example.org", "eve@example.org", "root@example.org"
TWIN = "daemon@example.org"
DAEMON, COURIER = "daemon", "nobody"
"""Users that every Debian has: the first is listed, the second only carries what others signed."""
ASKS: dict[str, Any] = {
    "autoUpTo": "None",
    "approveUpTo": "Critical",
    "approvers": {"users": [ALICE, BOB, DAEMON, TWIN, OWN]},
}
CRITICAL: dict[str, Any] = {"criticality": "Critical", "fault": "sick"}
APPROVE = Decision.APPROVE

pytestmark = [needs_root, pytest.mark.ssh]


@dataclass(kw_only=True)
class Court:
    """A stage, its operator, and everybody's keys."""

    stage: ProcessStage
    operator: Operator
    key: dict[str, Path]
    allowed: Path

    @property
    def incident(self) -> str:
        return str(self.operator.status()["incident"]["id"])

    def question(self, incident: str = "") -> dict[str, Any]:
        found = ask(self.operator.state, {"do": "question", "incident": incident or self.incident})
        assert isinstance(found, dict)
        return found

    def request(self) -> ApprovalRequest:
        return request_from(self.question()["request"])

    def question_or_none(self) -> str | None:
        """The digest that is asked about now, where one is."""
        try:
            return str(self.question()["digest"])
        except PitCrewError:
            return None

    def declare(self, **declared: Any) -> None:
        """Edit the manifest, until the operator says that it read it."""
        read = self.operator.log.count("declaration changed")
        self.stage.declare(**declared)
        self.operator.wait_for(lambda _: self.operator.log.count("declaration changed") > read, "the edit to be read")

    def breaks(self, fault: str) -> None:
        """Break the service, until people are asked."""
        after = last_number(self.operator.wait_until_quiet())
        if fault == "flag":
            self.stage.chaos("break", "flag")
        else:
            self.stage.put(fault, b"")
        self.waits(after)

    def send(self, signature: str = "", *, digest: str = "", decision: str = "Approve", reason: str = "ok") -> str:
        """Through the socket as the operator's own user; what it was refused for, or an empty text."""
        what = {"do": "decide", "incident": self.incident, "plan": digest or self.request().plan_digest}
        try:
            ask(self.operator.state, {**what, "decision": decision, "reason": reason, "signed": signature})
        except PitCrewError as refused:
            return str(refused)
        return ""

    def signs(self, who: str, request: ApprovalRequest | None = None, decision: Decision = APPROVE) -> str:
        return keys.sign(self.key[who], statement(request or self.request(), decision, "ok"))

    def carried(self, who: str, word: str = "approve", user: str = COURIER) -> Done:
        """`pitcrew approve --sign` by a user of the machine who holds the key of somebody."""
        lent = self.stage.root / f"key-of-{user}-{who}"
        lent.write_bytes(self.key[who].read_bytes())
        lent.chmod(0o600)
        os.chown(lent, pwd.getpwnam(user).pw_uid, -1)
        words = (word, self.incident, "--reason", "looked at it", "--sign", "--ssh-key", str(lent))
        return pitcrew_as(user, *words, state=self.operator.state)

    def audit(self, *words: str) -> tuple[int, str]:
        done = self.operator.pitcrew("audit", "approvals", *words)
        return done.returncode, done.stdout + done.stderr

    def waits(self, after: int = 0) -> None:
        """Until people are asked."""
        self.operator.wait_for(
            lambda seen: (
                seen["incident"]
                and number(seen["incident"]) > after
                and seen["incident"]["phase"] == "AwaitingApproval"
                and "approval by" in seen["incident"]["waitsFor"]
            ),
            "an incident that waits for approval",
        )


def court(settings: Mapping[str, str] = {}, *, fault: str = "flag", **declared: Any) -> Court:
    """A healthy service whose policy then asks, broken, until it waits for people."""
    stage = ProcessStage()
    stage.root.chmod(0o711)
    allowed = stage.root / "allowed_signers"
    made = {who: keys.new_key(stage.root / who) for who in (ALICE, BOB, EVE, OWN, TWIN, "stranger")}
    allowed.write_text("".join(keys.allowed_line(who, key) for who, key in made.items() if who != "stranger"))
    allowed.chmod(0o644)
    stage.declare()
    operator = stage.operator(settings={"PITCREW_ALLOWED_SIGNERS": str(allowed), **settings})
    found = Court(stage=stage, operator=operator, key=made, allowed=allowed)
    operator.wait_until_quiet()
    found.declare(**{"policy": ASKS, **declared})
    found.breaks(fault)
    return found


@pytest.fixture(scope="module")
def waiting() -> Iterator[Court]:
    """A service that waits for a person all through the attacks of this module."""
    made = court()
    yield made
    made.stage.close()


@pytest.fixture
def fresh() -> Iterator[Callable[..., Court]]:
    """Makes courts for one test."""
    made: list[Court] = []

    def one(*settings: Mapping[str, str], **declared: Any) -> Court:
        made.append(court(*settings, **declared))
        return made[-1]

    yield one
    for each in made:
        each.stage.close()


def moved(**altered: Any) -> Callable[[Court], str]:
    """Sends a signature that was made for another request."""
    return lambda the: the.send(the.signs(ALICE, replace(the.request(), **altered)))


def in_a_file_that_others_can_write(the: Court) -> str:
    the.allowed.chmod(0o666)
    try:
        return the.send(the.signs(ALICE))
    finally:
        the.allowed.chmod(0o644)


def by_a_principal(name: str) -> Callable[[Court], str]:
    """Sends a good signature whose key stands for this in the file of allowed signers."""

    def attack(the: Court) -> str:
        before = the.allowed.read_text()
        the.allowed.write_text(before + keys.allowed_line(name, the.key["stranger"]))
        try:
            return the.send(the.signs("stranger"))
        finally:
            the.allowed.write_text(before)

    return attack


def by_a_key_that_expired(the: Court) -> str:
    before = the.allowed.read_text()
    gone = the.request().asked_at - timedelta(days=1)
    the.allowed.write_text(before + keys.allowed_line(ALICE, the.key["stranger"], before=gone))
    try:
        return the.send(the.signs("stranger"))
    finally:
        the.allowed.write_text(before)


ATTACKS: Mapping[str, tuple[Callable[[Court], str], str]] = {
    "an unknown key": (lambda the: the.send(the.signs("stranger")), "no allowed signer's key made it"),
    "a key of somebody who is not asked": (lambda the: the.send(the.signs(EVE)), "is no approver of this service"),
    "the operator's own user by a key": (lambda the: the.send(the.signs(OWN)), "the user PitCrew runs as"),
    "the operator's own user": (lambda the: the.send(), "the user PitCrew runs as"),
    "another digest": (lambda the: the.send(the.signs(ALICE), digest="0" * 64), "the plan changed"),
    "moved from another digest": (moved(plan_digest="0" * 64), "not over this decision"),
    "moved from another incident": (moved(incident="victim-99"), "not over this decision"),
    "moved from another request": (moved(asked_at=datetime(2026, 1, 1, tzinfo=UTC)), "not over this decision"),
    "moved to a later expiry": (moved(expires_at=datetime(2027, 1, 1, tzinfo=UTC)), "not over this decision"),
    "moved to another decision": (
        lambda the: the.send(the.signs(ALICE, decision=Decision.DENY)),
        "not over this decision",
    ),
    "an altered statement": (lambda the: the.send(the.signs(ALICE), reason="fine"), "not over this decision"),
    "made for git": (
        lambda the: the.send(keys.sign(the.key[ALICE], statement(the.request(), APPROVE, "ok"), "git")),
        "the signature proves nothing",
    ),
    "an altered signature": (lambda the: the.send(the.signs(ALICE).replace("U1NIU0lH", "U1NIU0lI")), "proves nothing"),
    "a megabyte": (lambda the: the.send("A" * 1_000_000), "operator"),
    "more than a signature has": (lambda the: the.send("A" * 9_000), "bad request"),
    "a word": (lambda the: the.send("yes"), "no armored SSH signature"),
    "an option of a command": (lambda the: the.send("-Overify-time=0"), "no armored SSH signature"),
    "a file that others can write": (in_a_file_that_others_can_write, "can be written by others"),
    "a principal with controls": (by_a_principal("al\x1b]0;ice"), "its key stands for"),
    "a principal that is a pattern": (by_a_principal("*"), "its key stands for"),
    "a principal that is an option": (by_a_principal("-alice"), "its key stands for"),
    "a key that expired": (by_a_key_that_expired, "not at this time"),
}


@pytest.mark.parametrize(("attack", "why"), ATTACKS.values(), ids=ATTACKS.keys())
def test_who_may_not_decide_is_refused_with_a_reason_and_nobody_acts(
    waiting: Court, attack: Callable[[Court], str], why: str
) -> None:
    before, life = waiting.stage.acts(), waiting.stage.life()
    refused = attack(waiting)
    assert why in refused, refused or "it was taken"
    assert "\x1b" not in refused
    assert waiting.question()["decided"] is None
    assert waiting.operator.status()["incident"]["phase"] == "AwaitingApproval"
    assert waiting.stage.flagged
    assert (waiting.stage.acts(), waiting.stage.life()) == (before, life)


def test_whoever_holds_the_key_decides_whoever_carries_it_and_an_auditor_can_tell(fresh: Callable[..., Court]) -> None:
    the = fresh()
    incident, before = the.incident, the.stage.acts()
    done = the.carried(ALICE)
    assert done.returncode == 0, done.output
    assert f"approved by {ALICE} (ssh SHA256:" in done.output
    the.operator.wait_until_healed()
    assert the.stage.acts()[len(before) :] == ["remove"]
    assert f"approved by {ALICE} (ssh SHA256:" in the.operator.why(incident)

    code, said = the.audit(incident)
    assert code == 0, said
    assert f"signature of {ALICE}, SHA256:" in said
    assert f"{incident}: {ALICE} said Approve to: remove {the.stage.flag} on " in said
    (found,) = json.loads(the.audit(incident, "-o", "json")[1])["items"]
    assert json.loads(found["statement"])["plan"] == found["planDigest"]
    assert found["carriedBy"].startswith(COURIER)
    the.allowed.write_text(keys.allowed_line(BOB, the.key[ALICE]))
    code, said = the.audit(incident)
    assert (code, f"the key is {BOB}'s" in said) == (1, True), said
    the.allowed.write_text("")
    code, said = the.audit(incident)
    assert (code, "no allowed signer's key made it" in said) == (1, True), said


def test_where_signatures_are_required_the_kernels_word_is_not_enough(fresh: Callable[..., Court]) -> None:
    the = fresh({"PITCREW_APPROVALS_SIGNED": "true"})
    before = the.stage.acts()
    for word in ("approve", "deny"):
        done = pitcrew_as(DAEMON, word, the.incident, "--reason", "me", state=the.operator.state)
        assert (done.returncode, "only signed decisions are taken here" in done.output) == (1, True), done.output
    assert the.stage.flagged
    assert the.stage.acts() == before
    assert the.carried(BOB).returncode == 0
    the.operator.wait_until_healed()


def test_a_signature_for_a_plan_that_changed_meanwhile_decides_nothing(fresh: Callable[..., Court]) -> None:
    the = fresh()
    old, signature, before = the.request(), the.signs(ALICE), the.stage.acts()
    the.declare(policy={**ASKS, "approveWithin": "50m"})
    eventually(lambda: the.question_or_none() not in (None, old.plan_digest), timeout_s=30, what="another plan")
    assert "the plan changed" in the.send(signature, digest=old.plan_digest)
    assert "not over this decision" in the.send(signature)
    assert the.stage.flagged
    assert the.stage.acts() == before


def test_a_signature_that_comes_after_the_expiry_decides_nothing(fresh: Callable[..., Court]) -> None:
    the = fresh(policy={**ASKS, "approveWithin": "4s"})
    signature, digest, before = the.signs(ALICE), the.request().plan_digest, the.stage.acts()
    seen = the.operator.wait_until_escalated()
    assert "expiry is a denial" in seen["incident"]["waitsFor"]
    assert the.send(signature, digest=digest) != ""
    assert the.stage.flagged
    assert the.stage.acts() == before


def test_high_waits_for_a_person_in_one_process_whatever_the_ladder_allows(fresh: Callable[..., Court]) -> None:
    the = fresh(criticality="Critical", policy={**ASKS, "autoUpTo": "High", "approveUpTo": "High"})
    before = the.stage.acts()
    assert the.request().level == "High"
    (ruling,) = (rule for rule in the.question()["rules"] if "separation" in rule)
    assert ruling.startswith("RequireApproval separation: risk High never runs without a person")
    assert the.stage.flagged
    assert the.stage.acts() == before
    assert the.send(the.signs(ALICE)) == ""
    the.operator.wait_until_healed()


def test_critical_waits_for_two_people_and_one_in_two_ways_is_one(fresh: Callable[..., Court]) -> None:
    the = fresh(**CRITICAL)
    incident, before, life = the.incident, the.stage.acts(), the.stage.life()
    assert the.request().level == "Critical"
    assert the.question()["asked"].startswith("2 of: ")
    first = pitcrew_as(DAEMON, "approve", incident, "--reason", "one", state=the.operator.state)
    assert first.returncode == 0, first.output
    assert "1 of 2: daemon (uid 1); waits for another" in first.output
    again = pitcrew_as(DAEMON, "approve", incident, "--reason", "two", state=the.operator.state)
    assert (again.returncode, "approved already" in again.output) == (1, True), again.output
    assert "counts once" in the.send(the.signs(TWIN)), "the same person by a key counted twice"
    the.operator.wait_for(
        lambda seen: "1 of 2: daemon (uid 1); waits for another" in seen["incident"]["waitsFor"], "the first half"
    )
    assert "1 of 2: daemon (uid 1); waits for another" in the.operator.why(incident)
    assert "decided  1 of 2: daemon" in the.operator.pitcrew("approve", incident, "--reason", "x").stdout
    assert (the.stage.acts(), the.stage.life()) == (before, life)
    assert the.send(the.signs(BOB)) == ""
    eventually(lambda: the.stage.acts() != before, timeout_s=30, what="the restart that two approved")
    assert the.stage.acts()[len(before) :] == ["start"]
    told = the.operator.why(incident)
    assert "approved by daemon (uid 1): one" in told
    assert f"approved by {BOB} (ssh SHA256:" in told
    code, said = the.audit(incident)
    assert (code, said.count("yes")) == (0, 2), said


def test_approve_and_deny_at_once_end_in_a_denial_where_two_are_needed(fresh: Callable[..., Court]) -> None:
    the = fresh(**CRITICAL)
    before, life, request = the.stage.acts(), the.stage.life(), the.request()
    sent = {
        "Approve": keys.sign(the.key[ALICE], statement(request, APPROVE, "ok")),
        "Deny": keys.sign(the.key[BOB], statement(request, Decision.DENY, "ok")),
    }
    at_once = [
        threading.Thread(target=the.send, args=(signature,), kwargs={"digest": request.plan_digest, "decision": word})
        for word, signature in sent.items()
    ]
    for each in at_once:
        each.start()
    for each in at_once:
        each.join()
    seen = the.operator.wait_until_escalated()
    assert f"denied by {BOB}" in seen["incident"]["waitsFor"]
    assert (the.stage.acts(), the.stage.life()) == (before, life)


def test_an_operator_that_shows_one_plan_and_asks_about_another_gets_no_signature(waiting: Court) -> None:
    question = waiting.question()
    question["plan"]["target"] = "process/other"
    with pytest.raises(Refused, match="not the one that is asked about"):
        signed(question, "Approve", "ok", waiting.key[ALICE])
