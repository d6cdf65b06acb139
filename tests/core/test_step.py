"""The next step: total, never acting blind, and never lost, whatever the world does."""

import random
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pitcrew.adapters.runbooks.files import built_in
from pitcrew.core.action import Action, RemoveFile, Seen, Trace
from pitcrew.core.approval import Approval, Decision, asked
from pitcrew.core.dependency import Dependency
from pitcrew.core.deviation import Deviation, DeviationKind, Health
from pitcrew.core.diagnosis import diagnose
from pitcrew.core.event import (
    Acted,
    ApprovalAsked,
    Checked,
    Decided,
    Diagnosed,
    Escalated,
    Event,
    EvidenceGathered,
    Failed,
    Healed,
    Intended,
    Judged,
    Kept,
    Live,
    NothingToTry,
    Opened,
    Permitted,
    Planned,
    Reconsidered,
    Reported,
    Turned,
    UndoIntended,
    Undone,
    UndoPermitted,
    UndoTurned,
    Verified,
    signature,
)
from pitcrew.core.evidence import gather
from pitcrew.core.history import History
from pitcrew.core.incident import (
    TRANSITIONS,
    UNDO_TRIES_MAX,
    Incident,
    Phase,
    UndoStand,
    advance,
)
from pitcrew.core.observation import FileFact
from pitcrew.core.permit import Direction, Permit
from pitcrew.core.policy import PLANS_PER_ATTEMPT, Effect, Ruling, Spending, Tries, Verdict, judge, policy_digest
from pitcrew.core.proposal import NoRemedy, propose
from pitcrew.core.resource import Approvers, HealthyService, Level, ServiceKey
from pitcrew.core.risk import assess
from pitcrew.core.runbook import retrieve
from pitcrew.core.step import (
    Act,
    AskApproval,
    AskPermit,
    AskUndo,
    CheckLive,
    Close,
    Consult,
    Diagnose,
    Escalate,
    GatherEvidence,
    HearDecision,
    Judge,
    JudgeAgain,
    Keep,
    LeaveUnasked,
    LookBack,
    LookBackUndo,
    MakePlan,
    NoteHealed,
    Reconsider,
    Situation,
    Step,
    TurnAway,
    Undo,
    Verify,
    Wait,
    WriteReport,
    next_step,
    situation_of,
)
from tests.core.incidents import PROBE_FAILS, Story, healed, undone
from tests.core.scene import ALL_ACTIONS, BAD, FLAG, answer, at, declared, facts, seen

CHECKS = {f"Checked/{live}" for live in Live}
OUTCOMES = {f"Acted/{seen}" for seen in Seen}
UNDO_OUTCOMES = {f"Undone/{seen}" for seen in Seen}
GIVES: dict[type[Step], set[str]] = {
    GatherEvidence: {"EvidenceGathered"},
    Diagnose: {"Diagnosed"},
    MakePlan: {"Planned", "NothingToTry"},
    Judge: {f"Judged/{effect}" for effect in Effect},
    AskApproval: {"ApprovalAsked", "Turned"},
    HearDecision: {f"Decided/{decision}" for decision in Decision},
    AskPermit: {"Permitted", "Turned"},
    CheckLive: {*CHECKS, "Turned"},
    Act: {"Intended", "Turned"},
    LookBack: {*OUTCOMES, "Turned"},
    Verify: {"Verified/True", "Verified/False"},
    Keep: {"Kept/True", "Kept/False"},
    AskUndo: {"UndoPermitted", "UndoTurned"},
    Undo: {"UndoIntended", "UndoTurned"},
    LookBackUndo: {*UNDO_OUTCOMES, "UndoTurned"},
    Escalate: {"Escalated"},
    Reconsider: {"Reconsidered"},
    JudgeAgain: {"Reconsidered"},
    TurnAway: {"Turned"},
    NoteHealed: {"Healed"},
    WriteReport: {"Reported"},
    Wait: set(),
    Close: set(),
}
"""The events that carrying out a step may give first; an effect under way ends as a look back or a failure does."""


def _in_phase() -> dict[str, Incident]:
    """An incident in each phase, with what may stand in it: undo to come or not, permits there or not."""
    base = healed().now
    found = {}
    for phase, stand, permitted, at_end in product(Phase, UndoStand, (True, False), (True, False)):
        permit = base.attempt.permit if permitted else None
        attempt = replace(
            base.attempt,
            undo=stand,
            permit=permit,
            undo_permit=permit,
            proposal=replace(base.attempt.proposal, undo_at_end=at_end),
        )
        found[f"{phase}-{stand}-{permitted}-{at_end}"] = replace(base, phase=phase, attempts=(attempt,))
    return found


SITUATIONS = [
    Situation(deviates=deviates, policy_digest=digest, drift=drift)
    for deviates in (True, False, None)
    for digest in ("", "x")
    for drift in ("", "runbook a is gone")
]


@pytest.mark.parametrize("incident", _in_phase().values(), ids=_in_phase().keys())
def test_every_step_gives_events_that_the_table_knows(incident: Incident) -> None:
    for situation in SITUATIONS:
        step = next_step(incident, situation, at(0))
        assert {what for what in GIVES[type(step)] if (incident.phase, what) not in TRANSITIONS} == set()


@pytest.mark.parametrize("incident", _in_phase().values(), ids=_in_phase().keys())
def test_what_cannot_be_told_leads_to_no_new_act(incident: Incident) -> None:
    """Checked is the phase right after a live look, and whoever undoes looks live once more; no other phase acts."""
    step = next_step(incident, Situation(deviates=None, policy_digest="x"), at(0))
    assert not isinstance(step, Act) or incident.phase is Phase.CHECKED
    assert not isinstance(step, Undo) or incident.phase is Phase.UNDO_PERMITTED
    assert not isinstance(step, AskUndo | GatherEvidence | MakePlan | NoteHealed)


@pytest.mark.parametrize(
    "phase",
    [Phase.DETECTED, Phase.HELD, Phase.AWAITING_APPROVAL, Phase.INEFFECTIVE, Phase.STUCK, Phase.ESCALATED],
    ids=str,
)
def test_a_deviation_that_is_gone_is_noted(phase: Phase) -> None:
    incident = replace(undone().now, phase=phase)
    assert next_step(incident, Situation(deviates=False, policy_digest="x"), at(0)) == NoteHealed()


def test_a_hold_waits_for_its_time_or_another_policy() -> None:
    story = healed()
    until = at(60)
    ruling = Ruling(rule="budget/target", effect=Effect.HOLD, message="spent", until=until)
    held = Verdict(effect=Effect.HOLD, rulings=(ruling,), policy_digest="d", until=until)
    incident = replace(story.now, phase=Phase.HELD, attempts=(replace(story.now.attempt, verdict=held),))
    same, other = Situation(deviates=True, policy_digest="d"), Situation(deviates=True, policy_digest="e")
    assert next_step(incident, same, at(59)) == Wait(reason="budget/target: spent", until=until)
    assert isinstance(next_step(incident, same, at(60)), JudgeAgain)
    assert isinstance(next_step(incident, other, at(0)), Reconsider)


def test_an_escalated_incident_is_reported_and_waits_until_the_declaration_changes() -> None:
    incident = undone().now
    under = incident.escalated_under
    assert isinstance(next_step(incident, Situation(deviates=True, policy_digest=under), at(0)), Wait)
    assert isinstance(next_step(incident, Situation(deviates=True, policy_digest="new"), at(0)), Reconsider)
    assert isinstance(next_step(incident, Situation(deviates=None, policy_digest="new"), at(0)), Wait)
    unreported = replace(incident, reported_events=0)
    assert next_step(unreported, Situation(deviates=False, policy_digest=under), at(0)) == WriteReport()


DB = ServiceKey("default/db")
ILL = Dependency(service=DB, health=Health.UNHEALTHY, incident="db-1, phase Acting")
BACK = Dependency(service=DB, health=Health.HEALTHY, healthy_since=at(0))


def waiting_for_db() -> Incident:
    """An escalated incident whose cause is what it depends on."""
    evidence = gather(seen(answer(BAD)), (PROBE_FAILS,), (), (), dependencies=(ILL,))
    return replace(undone().now, evidence=evidence, diagnoses=diagnose(evidence), considered=((PROBE_FAILS,),))


@pytest.mark.parametrize(
    ("now_down", "seconds", "step", "says"),
    [
        ((ILL,), 99, Wait, "waits for what it depends on: default/db is Unhealthy (db-1, phase Acting)"),
        ((BACK,), 29, Wait, "waits for what it depends on: default/db is Healthy"),
        ((BACK,), 30, Reconsider, "what it depends on is down no longer: default/db"),
        ((Dependency(service=DB),), 0, Reconsider, "down no longer"),
        ((), 0, Reconsider, "down no longer"),
        ((Dependency(service=DB, health=Health.UNKNOWN),), 999, Wait, "default/db is Unknown"),
    ],
    ids=["down", "just back", "back for a while", "withdrawn", "no dependency any more", "not to be seen"],
)
def test_who_waits_for_a_dependency_is_looked_at_anew_once_it_is_back_for_a_while(
    now_down: tuple[Dependency, ...], seconds: float, step: type, says: str
) -> None:
    incident = waiting_for_db()
    situation = Situation(deviates=True, policy_digest=incident.escalated_under, dependencies=now_down)
    found = next_step(incident, situation, at(seconds))
    assert isinstance(found, step)
    assert says in getattr(found, "reason", "")


@pytest.mark.parametrize("phase", [Phase.HELD, Phase.AWAITING_APPROVAL], ids=str)
@pytest.mark.parametrize(("known", "anew"), [(False, True), (True, False)], ids=["new", "known"])
def test_a_plan_that_waits_is_made_anew_when_a_dependency_falls(phase: Phase, known: bool, anew: bool) -> None:
    story = healed()
    held = Verdict(effect=Effect.HOLD, rulings=(), policy_digest=story.now.attempt.plan.policy_digest, until=at(60))
    attempts = (replace(story.now.attempt, verdict=held),)
    evidence = waiting_for_db().evidence if known else story.now.evidence
    incident = replace(story.now, phase=phase, attempts=attempts, evidence=evidence)
    situation = Situation(deviates=True, policy_digest=held.policy_digest, dependencies=(ILL,))
    assert isinstance(next_step(incident, situation, at(0)), Reconsider) is anew


def test_a_removed_flag_stays_for_the_next_remedy_and_is_put_back_before_a_person_is_asked() -> None:
    story = Story(service=declared(), seen=seen(answer(BAD), sight=facts(files=(FileFact(path=FLAG, present=True),))))
    story.opens().investigates().plans().acts().verifies(passed=False, detail="no")
    situation = situation_of(story.service, True)
    assert isinstance(next_step(story.now, situation, at(0)), Keep)
    stuck = replace(story.now, phase=Phase.STUCK)
    assert next_step(stuck, situation, at(0)) == AskUndo(attempt=story.now.attempt)
    assert isinstance(next_step(stuck, replace(situation, deviates=None), at(0)), Wait)


DRIFTED = "runbook flag-file@0123456789ab is now flag-file@ba9876543210"


@pytest.mark.parametrize("incident", _in_phase().values(), ids=_in_phase().keys())
def test_no_plan_goes_on_under_another_text_of_its_runbook(incident: Incident) -> None:
    step = next_step(incident, Situation(deviates=True, policy_digest="x", drift=DRIFTED), at(0))
    assert not isinstance(step, Judge | AskApproval | HearDecision | AskPermit | CheckLive | Act)
    assert not (isinstance(step, Keep) and step.builds)


def test_a_runbook_that_changed_leaves_an_effect_to_its_verification_and_builds_nothing_on_it() -> None:
    story = Story(service=declared(), seen=seen(answer(BAD), sight=facts(files=(FileFact(path=FLAG, present=True),))))
    story.opens().investigates().plans().acts()
    situation = replace(situation_of(story.service, True), drift=DRIFTED)
    assert next_step(story.now, situation, at(0)) == Verify(attempt=story.now.attempt)
    story.verifies(passed=False, detail="no")
    kept = next_step(story.now, situation, at(0))
    assert isinstance(kept, Keep)
    assert DRIFTED in kept.reason


# A world that does as it likes

STEPS_MAX = 400
"""Steps without a wait in between; plans, attempts and undos are bounded, so that a turn always ends."""


@dataclass
class World:
    """Answers every step at random; the rules of PitCrew themselves (policy, proposal, risk) are the real ones."""

    dice: random.Random
    service: HealthyService
    now: datetime
    deviates: bool | None = True
    calm: bool = False
    stubborn: bool = False
    removed: bool = False
    drift: str = ""
    incident: Incident | None = None
    history: list[Event] = field(default_factory=list)

    @property
    def case(self) -> Incident:
        assert self.incident is not None
        return self.incident

    def happens(self, event: Event) -> None:
        self.now += timedelta(milliseconds=500)
        self.incident = advance(self.incident, event, self.now)
        self.history.append(event)
        if isinstance(event, Planned):
            self.drift = ""

    def turn(self) -> Wait | Close | None:
        """One turn of the loop; None when a step could not be told."""
        for _ in range(STEPS_MAX):
            step = next_step(self.case, situation_of(self.service, self.deviates, drift=self.drift), self.now)
            if isinstance(step, Wait | Close):
                return step
            event = self.perform(step)
            if event is None:
                return None
            self.happens(event)
        raise AssertionError(f"no end in sight: {[signature(event) for event in self.history[-30:]]}")

    def rolls(self, *choices: object) -> object:
        """The first of the choices as often as all of them together."""
        return choices[0] if self.calm or self.dice.random() < 0.5 else self.dice.choice(choices)

    def perform(self, step: Step) -> Event | None:
        match step:
            case GatherEvidence():
                sight = facts(files=(FileFact(path=FLAG, present=not self.removed),))
                evidence = gather(seen(answer(BAD), sight=sight), (PROBE_FAILS,), (), ())
                return EvidenceGathered(evidence=evidence, deviations=(PROBE_FAILS,))
            case Diagnose():
                return Diagnosed(diagnoses=diagnose(self.case.evidence))
            case Consult() | LeaveUnasked():
                raise AssertionError("no model is configured here")
            case MakePlan():
                return self.plan()
            case Judge():
                return self.verdict()
            case AskApproval():
                return self.rolls(ApprovalAsked(request=REQUEST), Turned(reason="no"))  # type: ignore[return-value]
            case HearDecision():
                decided = [Decided(approval=replace(APPROVAL, decision=decision)) for decision in Decision]
                return self.rolls(*decided, None)  # type: ignore[return-value]
            case TurnAway(reason=reason):
                return Turned(reason=reason)
            case AskPermit(attempt=attempt):
                permit = self.permit(attempt.plan.digest, Direction.DO)
                return self.rolls(Permitted(permit=permit), Turned(reason="no permit"))  # type: ignore[return-value]
            case CheckLive():
                if self.deviates is None:
                    return self.rolls(None, Turned(reason="expired"))  # type: ignore[return-value]
                live = self.rolls(Live.DEVIATES if self.deviates else Live.HEALTHY, Live.CHANGED)
                return Checked(live=live, detail="")  # type: ignore[arg-type]
            case Act(attempt=attempt):
                return self.act(attempt.plan.action)
            case LookBack():
                return self.rolls(*(Acted(seen=seen, detail="") for seen in reversed(Seen)))  # type: ignore[return-value]
            case Verify():
                return Verified(passed=bool(self.rolls(self.deviates is False, False)), looks=1, detail="")
            case Keep(reason=reason, builds=builds):
                return Kept(reason=reason, builds=builds)
            case AskUndo(attempt=attempt):
                permit = self.permit(attempt.plan.digest, Direction.UNDO)
                return self.rolls(UndoPermitted(permit=permit), UndoTurned(reason="no permit"))  # type: ignore[return-value]
            case Undo():
                return self.rolls(UndoIntended(trace=TRACE), UndoTurned(reason="stopped"))  # type: ignore[return-value]
            case LookBackUndo():
                if self.stubborn:
                    return Undone(seen=Seen.NOT_DONE, detail="")
                undone_ = self.rolls(
                    *(Undone(seen=seen, detail="") for seen in reversed(Seen)), UndoTurned(reason="no")
                )
                self.removed = self.removed and not (isinstance(undone_, Undone) and undone_.seen is Seen.DONE)
                return undone_  # type: ignore[return-value]
            case Escalate(reason=reason, ask=ask):
                return Escalated(reason=reason, ask=ask, policy_digest=policy_digest(self.service))
            case Reconsider(reason=reason):
                return Reconsidered(reason=reason)
            case JudgeAgain():
                return self.rolls(Reconsidered(reason="no longer held"), None)  # type: ignore[return-value]
            case NoteHealed():
                return Healed(detail="")
            case WriteReport():
                return Reported(report="r.md")
            case Wait() | Close():
                return None

    def plan(self) -> Event:
        case = self.case
        matches = retrieve(RUNBOOKS, case.diagnoses[0], case.evidence)
        sight = facts()
        found = propose(self.service, case.diagnoses, matches, case.evidence, sight, case.ineffective)
        if isinstance(found, NoRemedy):
            return NothingToTry(reasons=found.reasons, ask=found.ask)
        attempt = len(case.attempts) + 1
        risk = assess(self.service, found, case.diagnoses[0], case.severity, History(), seen(answer(BAD)), attempt)
        undo = found.undo if not hasattr(found.undo, "reason") else None
        plan = replace(PLAN, attempt=attempt, action=found.action, undo=undo, policy_digest=policy_digest(self.service))
        return Planned(plan=plan, proposal=found, risk=risk)

    def verdict(self) -> Event:
        case = self.case
        tries = Tries(effects=case.effects, plans=len(case.attempts))
        spent = self.service.spec.policy.budget.actions if self.rolls(False, False, False, True) else 0
        spending = replace(SPENDING, target=spent, target_free_at=self.now + timedelta(seconds=60))
        return Judged(verdict=judge(self.service, case.attempt.risk.level, tries, (), {}, spending, self.now))

    def permit(self, digest: str, direction: Direction) -> Permit:
        until = self.now + timedelta(seconds=30)
        serial = f"{len(self.history)}"
        return Permit(
            serial=serial, plan_digest=digest, direction=direction, mechanic="m", issued_at=self.now, expires_at=until
        )

    def act(self, action: Action) -> Event:
        """The intent, and then, unless PitCrew is killed between the two, how the effect ended."""
        if self.rolls(False, True, False):
            return Turned(reason="stopped")
        self.happens(Intended(trace=TRACE))
        done = Acted(seen=Seen.DONE, detail="")
        event = self.rolls(done, done, Turned(reason="away"), Failed(reason="no"), None)
        if event is None:
            step = next_step(self.case, situation_of(self.service, None), self.now)
            assert isinstance(step, LookBack)
            event = self.perform(step)
        self.removed = self.removed or (isinstance(action, RemoveFile) and isinstance(event, Acted))
        assert event is not None
        return event  # type: ignore[return-value]


RUNBOOKS = built_in()
PERMITTED = ("Permitted", "Checked/Deviates", "Intended")
REQUEST = asked("victim-1", "d" * 64, Level.MEDIUM, Approvers(users=["alice"]), at(0), at(60))
APPROVAL = Approval(plan_digest="d" * 64, decision=Decision.APPROVE, by="alice", uid=1, reason="ok", at=at(1))
TRACE = Trace(op="o", target_id="c0ffee", instance="run-1", notes={})
PLAN = healed().now.attempt.plan
SPENDING = Spending(
    target=0,
    target_free_at=None,
    everywhere=0,
    everywhere_max=20,
    everywhere_free_at=None,
    last_at=None,
    stopped=False,
)


def world(dice: random.Random, ladder: str = "High", *, attempts: int = 3, stubborn: bool = False) -> World:
    made = World(dice=dice, service=declared_with(ladder, attempts), now=at(0), stubborn=stubborn)
    made.happens(
        Opened(
            id="victim-1",
            service=made.service.key,
            target="docker/victim",
            severity=Level.MEDIUM,
            deviations=(PROBE_FAILS,),
            detected_from=at(-3),
        )
    )
    return made


def declared_with(ladder: str, attempts: int) -> HealthyService:
    remediation = {"actions": ALL_ACTIONS, "attempts": attempts}
    return declared(policy={"autoUpTo": ladder, "approveUpTo": "High"}, remediation=remediation)


def assert_governed(made: World) -> None:
    """S1, S10 and that nothing in vain is repeated, over the whole history."""
    since_plan: list[str] = []
    ineffective: list[Action] = []
    undos: dict[int, int] = {}
    incident: Incident | None = None
    for event in made.history:
        incident = advance(incident, event, made.now)
        if isinstance(event, Planned):
            assert event.plan.action not in ineffective
            since_plan = []
        since_plan.append(signature(event))
        if isinstance(event, Intended):
            assert since_plan in (
                ["Planned", "Judged/Allow", *PERMITTED],
                ["Planned", "Judged/RequireApproval", "ApprovalAsked", "Decided/Approve", *PERMITTED],
            )
        if isinstance(event, UndoIntended):
            assert since_plan[-2] == "UndoPermitted"
            assert incident.to_undo is not None
            undos[incident.to_undo.plan.attempt] = undos.get(incident.to_undo.plan.attempt, 0) + 1
        ineffective = list(incident.ineffective)
        assert incident.effects <= made.service.spec.remediation.attempts
        assert len(incident.attempts) <= PLANS_PER_ATTEMPT * made.service.spec.remediation.attempts + made_anew(made)
    assert all(count <= UNDO_TRIES_MAX for count in undos.values())
    assert incident is not None
    assert incident.phase is made.case.phase


def made_anew(made: World) -> int:
    """Plans that may come on top: one for each look from scratch, which the verdict then denies."""
    drifted = sum(isinstance(event, Turned) and DRIFTED in event.reason for event in made.history)
    return sum(isinstance(event, Reconsidered | Undone | UndoTurned) for event in made.history) + drifted + 1


@settings(max_examples=80)
@given(
    st.randoms(use_true_random=False), st.sampled_from(("None", "Low", "High")), st.sampled_from((1, 3)), st.booleans()
)
def test_whatever_the_world_does_each_turn_ends_and_each_effect_is_governed(
    dice: random.Random, ladder: str, attempts: int, stubborn: bool
) -> None:
    made = world(dice, ladder, attempts=attempts, stubborn=stubborn)
    for _ in range(12):
        if isinstance(made.turn(), Close):
            break
        made.deviates = dice.choice((True, True, False, None))
        made.now += timedelta(seconds=dice.choice((1, 40, 90)))
        if dice.random() < 0.1:
            made.service = declared_with(dice.choice(("Low", "High")), attempts)
        if dice.random() < 0.1:
            made.drift = DRIFTED
    assert_governed(made)
    made.calm, made.deviates = True, False
    ends = [made.turn() for _ in range(3)]
    assert isinstance(ends[-1], Close), made.case.phase


@pytest.mark.parametrize("stubborn", [False, True], ids=["undos work", "no undo is ever done"])
@pytest.mark.parametrize("attempts", [1, 3])
@settings(max_examples=30)
@given(st.randoms(use_true_random=False))
def test_a_deviation_that_stays_ends_with_a_person(attempts: int, stubborn: bool, dice: random.Random) -> None:
    made = world(dice, attempts=attempts, stubborn=stubborn)
    for _ in range(40):
        made.turn()
        made.now += timedelta(seconds=61)
        if made.case.phase in (Phase.ESCALATED, Phase.RECOVERED, Phase.CLOSED):
            break
    assert_governed(made)
    assert made.case.phase is Phase.ESCALATED
    assert made.case.ask or made.case.stuck_because
    assert isinstance(made.turn(), Wait)


def test_an_escalated_incident_that_deviates_in_another_way_is_looked_at_anew_once_for_each_way() -> None:
    incident = undone().reports().now
    other = (Deviation(kind=DeviationKind.NOT_RUNNING),)
    same = Situation(deviates=True, policy_digest=incident.escalated_under, found=incident.deviations)
    changed = replace(same, found=other)
    assert isinstance(next_step(incident, same, incident.changed_at), Wait)
    assert isinstance(next_step(incident, changed, incident.changed_at), Reconsider)
    seen = replace(incident, considered=(*incident.considered, other))
    assert isinstance(next_step(seen, changed, incident.changed_at), Wait)
