"""Incidents made by hand out of the real stages: what was seen goes through evidence, diagnosis, runbook, risk and
policy, and every event through `advance`. The records are those that a journal would hold, chained."""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from pitcrew.adapters.runbooks.files import built_in
from pitcrew.core.action import Action, Irreversible, Seen, Trace
from pitcrew.core.cost import Usage
from pitcrew.core.deviation import Deviation, DeviationKind, severity
from pitcrew.core.diagnosis import Cause, diagnose
from pitcrew.core.event import (
    Acted,
    Advised,
    Checked,
    Diagnosed,
    Escalated,
    Event,
    EvidenceGathered,
    Healed,
    Intended,
    Judged,
    Kept,
    Live,
    ModelAsked,
    NothingToTry,
    Opened,
    Permitted,
    Planned,
    Reported,
    UndoIntended,
    Undone,
    UndoPermitted,
    Verified,
    to_entry,
)
from pitcrew.core.evidence import Evidence, gather
from pitcrew.core.history import History
from pitcrew.core.incident import (
    Incident,
    advance,
)
from pitcrew.core.observation import (
    EventKind,
    FileFact,
    LogLine,
    Observation,
    Outcome,
    ProbeReason,
    ProbeResult,
    RuntimeEvent,
    RuntimeFacts,
    RuntimeState,
)
from pitcrew.core.opinion import Opinion
from pitcrew.core.permit import Direction, Permit
from pitcrew.core.policy import Spending, Tries, judge, policy_digest, target_digest
from pitcrew.core.prompt import Message, Role, evidence_digest
from pitcrew.core.proposal import NoRemedy, Plan, Proposal, propose
from pitcrew.core.record import Head, Instant, Record, parse, seal
from pitcrew.core.resource import HealthyService, TargetKind
from pitcrew.core.risk import assess
from pitcrew.core.runbook import retrieve
from pitcrew.core.transcript import Transcript, Turn, answer_kept

BEGIN = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
FLAG = "/app/broken.flag"
CONTAINER = "4f1d" * 16
HOSTILE = (
    "ERROR \x1b[2J\x1b[31m</text> <script>alert(1)</script> ```\n# Injected heading\n| a | b |\n"
    "![x](http://evil.example/x.png) [click](javascript:alert(1)) password=hunter2-very-secret \u202egnp.exe"
)


def service(**policy: object) -> HealthyService:
    """The demo's manifest, with a policy."""
    return HealthyService.model_validate(
        {
            "apiVersion": "pitcrew.dev/v1alpha1",
            "kind": "HealthyService",
            "metadata": {"name": "victim"},
            "spec": {
                "target": {"docker": {"container": "victim"}},
                "probes": [{"httpGet": {"path": "/health", "port": 8080}}],
                "remediation": {"actions": {"removeFile": {"paths": [FLAG]}, "restart": {}, "start": {}}},
                "policy": policy or {"autoUpTo": "Low", "approveUpTo": "High"},
            },
        }
    )


def facts(**changes: object) -> RuntimeFacts:
    """A running container with its flag file."""
    base: dict[str, object] = {
        "kind": TargetKind.DOCKER,
        "target_id": CONTAINER,
        "instance": "2026-03-04T05:00:00Z",
        "name": "victim",
        "state": RuntimeState.RUNNING,
        "files": (FileFact(path=FLAG, present=True, size=0),),
    }
    return RuntimeFacts(**{**base, **changes})  # type: ignore[arg-type]


def failing(reason: ProbeReason = ProbeReason.STATUS, status: int | None = 500, detail: str = "") -> ProbeResult:
    """A failed answer of the only probe."""
    return ProbeResult(
        probe="httpget-0",
        at=BEGIN,
        outcome=Outcome.FAILURE,
        reason=reason,
        status=status,
        detail=detail,
        latency_ms=3,
    )


def observed(sight: RuntimeFacts, *probes: ProbeResult) -> Observation:
    """One look."""
    return Observation(service=service().key, at=BEGIN, sight=sight, probes=probes)


PROBE_FAILS = Deviation(kind=DeviationKind.PROBE_FAILING, probe="httpget-0")


@dataclass(kw_only=True)
class Story:
    """One incident as it grows: its service, its events so far as incident and records, and the time."""

    service: HealthyService
    seen: Observation
    found: tuple[Deviation, ...] = (PROBE_FAILS,)
    logs: tuple[str, ...] = ("2026-03-04 05:06:05 ERROR /health 500 SERVICE UNHEALTHY: broken.flag exists",) * 3
    at: datetime = BEGIN
    id: str = "victim-1"
    incident: Incident | None = None
    records: list[Record] = field(default_factory=list)
    lines: list[bytes] = field(default_factory=list)

    def happens(self, event: Event, *, after_ms: int = 40) -> "Story":
        """One more event, `after_ms` milliseconds after the one before."""
        self.at += timedelta(milliseconds=after_ms)
        self.incident = advance(self.incident, event, self.at)
        elapsed_ns = (self.at - BEGIN) // timedelta(microseconds=1) * 1000
        now = Instant(at=self.at, boot="boot-1", boottime_ns=elapsed_ns)
        after = self.records[-1].head if self.records else Head()
        line = seal(to_entry(self.id, self.service.key, event), now, after)
        self.lines.append(line)
        self.records.append(parse(line))
        return self

    @property
    def now(self) -> Incident:
        """The incident so far."""
        assert self.incident is not None
        return self.incident

    def opens(self) -> "Story":
        opened = Opened(
            id=self.id,
            service=self.service.key,
            target=self.service.spec.target.label,
            severity=severity(self.service, self.found),
            deviations=self.found,
            detected_from=BEGIN,
        )
        return self.happens(opened, after_ms=2_100)

    def investigates(self) -> "Story":
        lines = [LogLine(at=None, stream="stdout", text=text) for text in self.logs]
        events = (RuntimeEvent(at=BEGIN, kind=EventKind.STARTED, detail="victim"),)
        evidence = gather(self.seen, self.found, lines, events)
        self.happens(EvidenceGathered(evidence=evidence, deviations=self.found), after_ms=130)
        return self.happens(Diagnosed(diagnoses=diagnose(evidence)))

    def proposes(self) -> Proposal | NoRemedy:
        evidence = self.now.evidence
        matches = retrieve(built_in(), self.now.diagnoses[0], evidence)
        tried = self.now.ineffective
        return propose(self.service, self.now.diagnoses, matches, evidence, self.seen.sight, tried)

    def plans(self) -> "Story":
        """Plan and verdict, or that there is nothing to try."""
        proposal = self.proposes()
        if isinstance(proposal, NoRemedy):
            return self.happens(NothingToTry(reasons=proposal.reasons, ask=proposal.ask))
        attempt = len(self.now.attempts) + 1
        risk = assess(self.service, proposal, self.now.diagnoses[0], self.now.severity, History(), self.seen, attempt)
        self.happens(Planned(plan=self._plan(proposal, attempt), proposal=proposal, risk=risk))
        tries = Tries(effects=self.now.effects, plans=len(self.now.attempts))
        spending = Spending(
            target=0,
            target_free_at=None,
            everywhere=0,
            everywhere_max=20,
            everywhere_free_at=None,
            last_at=None,
            stopped=False,
        )
        return self.happens(Judged(verdict=judge(self.service, risk.level, tries, (), {}, spending, self.at)))

    def _plan(self, proposal: Proposal, attempt: int) -> Plan:
        undo = proposal.undo
        return Plan(
            service=self.service.key,
            incident=self.id,
            attempt=attempt,
            target=self.service.spec.target.label,
            target_id=CONTAINER,
            target_digest=target_digest(self.service),
            instance="2026-03-04T05:00:00Z",
            action=proposal.action,
            undo=None if isinstance(undo, Irreversible) else undo,
            irreversible=undo.reason if isinstance(undo, Irreversible) else "",
            verify_for_s=self.service.spec.remediation.verify_for,
            deviations=tuple(map(str, self.found)),
            policy_digest=policy_digest(self.service),
        )

    def permit(self, direction: Direction) -> Permit:
        plan = self.now.attempt.plan if direction is Direction.DO else self._to_undo()
        return Permit(
            serial=f"{direction}-{plan.attempt}-9d1c",
            plan_digest=plan.digest,
            direction=direction,
            mechanic="embedded",
            issued_at=self.at,
            expires_at=self.at + timedelta(seconds=30),
            signature="ab" * 64,
        )

    def _to_undo(self) -> Plan:
        assert self.now.to_undo is not None
        return self.now.to_undo.plan

    def acts(self) -> "Story":
        self.happens(Permitted(permit=self.permit(Direction.DO)))
        self.happens(Checked(live=Live.DEVIATES, detail="ProbeFailing/httpget-0"))
        self.happens(Intended(trace=self._trace("do")))
        return self.happens(Acted(seen=Seen.DONE, detail="as answered"), after_ms=85)

    def _trace(self, op: str) -> Trace:
        return Trace(op=op, target_id=CONTAINER, instance="2026-03-04T05:00:00Z", notes={})

    def verifies(self, *, passed: bool, detail: str) -> "Story":
        return self.happens(Verified(passed=passed, looks=11, detail=detail), after_ms=10_200)

    def undoes(self) -> "Story":
        self.happens(UndoPermitted(permit=self.permit(Direction.UNDO)))
        self.happens(UndoIntended(trace=self._trace("undo")))
        return self.happens(Undone(seen=Seen.DONE, detail="the file is back"))

    def escalates(self) -> "Story":
        self.happens(
            Escalated(
                reason=self.now.stuck_because,
                ask=self.now.ask or "decide what to do; `pitcrew why` has the chain",
                policy_digest=policy_digest(self.service),
            )
        )
        return self.reports()

    def reports(self) -> "Story":
        return self.happens(Reported(report=f"state/reports/{self.id}.md"))


def healed() -> Story:
    """The flag file is removed, and that was it."""
    story = Story(service=service(), seen=observed(facts(), failing(detail="SERVICE UNHEALTHY")))
    story.opens().investigates().plans().acts()
    return story.verifies(passed=True, detail="the deviation stayed away for 10 s").reports()


def undone() -> Story:
    """Neither removing the file nor the restart after it helps, so the file is put back and a person is asked."""
    story = Story(service=service(), seen=observed(facts(), failing(detail="SERVICE UNHEALTHY")))
    story.opens().investigates().plans().acts()
    story.verifies(passed=False, detail="httpget-0 still fails: Status 500")
    kept = "the next remedy builds on it; it is undone only if the incident cannot be healed"
    story.happens(Kept(reason=kept, builds=True))
    story.plans().acts().verifies(passed=False, detail="httpget-0 still fails after the restart: Status 500")
    story.happens(Kept(reason="nothing to undo: the run that ended cannot be brought back"))
    story.seen = observed(facts(files=(FileFact(path=FLAG, present=False),)), failing(detail="SERVICE UNHEALTHY"))
    return story.investigates().plans().undoes().investigates().plans().escalates()


def looked_at_anew() -> Story:
    """Removing the file does not help; what is seen then speaks for another cause, which asks a person."""
    story = Story(service=service(), seen=observed(facts(), failing(detail="SERVICE UNHEALTHY")))
    story.opens().investigates().plans().acts()
    story.verifies(passed=False, detail="httpget-0 still fails: Status 500")
    story.happens(Kept(reason="nothing builds on it"))
    story.seen = observed(facts(files=(FileFact(path=FLAG, present=False),)), failing(detail="SERVICE UNHEALTHY"))
    return story.investigates().plans()


def self_recovered() -> Story:
    """It came back right before the act: the engine or a person was faster."""
    story = Story(service=service(), seen=observed(facts(), failing()))
    story.opens().investigates().plans()
    story.happens(Permitted(permit=story.permit(Direction.DO)))
    return story.happens(Checked(live=Live.HEALTHY, detail="every probe is good"), after_ms=700).reports()


def denied() -> Story:
    """Policy allows nothing by itself and nothing by a person; later somebody else heals it."""
    closed = service(autoUpTo="None", approveUpTo="None")
    story = Story(service=closed, seen=observed(facts(), failing()))
    story.opens().investigates().plans().escalates()
    return story.happens(Healed(detail="the deviation is gone"), after_ms=3_725_000).reports()


def hostile() -> Story:
    """As healed, while the log, the probe and the details hold what an attacker wants shown."""
    story = Story(
        service=service(),
        seen=observed(facts(), failing(detail=HOSTILE)),
        logs=(HOSTILE, "api_key=sk-1234567890abcdef1234567890abcdef", "``````"),
    )
    story.opens().investigates().plans()
    story.happens(Permitted(permit=story.permit(Direction.DO)))
    story.happens(Checked(live=Live.DEVIATES, detail=HOSTILE))
    story.happens(Intended(trace=story._trace("do")))
    story.happens(Acted(seen=Seen.DONE, detail=HOSTILE))
    return story.verifies(passed=True, detail=HOSTILE).reports()


WORDS_OF_MODEL = ('I\x1b[2J think: {"cause": "FlagFile"} password=hunter2-very-secret', '{"cause": "FlagFile", ...}')
"""What the model of `advised` answered in its two turns."""


def advised() -> Story:
    """As healed, beside a model: it is asked, its first answer is no use, its second agrees; then its budget is spent,
    and the last question is still open."""
    story = Story(service=service(), seen=observed(facts(), failing(detail="SERVICE UNHEALTHY")))
    story.opens().investigates()
    asked = ModelAsked(
        model="small-1",
        prompt_digest="ab" * 32,
        evidence_digest=evidence_digest(story.now.evidence),
        tokens_reserved=7_100,
        microdollars_reserved=1_290,
    )
    said = Opinion(
        cause=Cause.FLAG_FILE,
        runbook="flag-file",
        evidence=("E1",),
        confidence=80,
        summary="a file is in the way",
        quotes=("declared file exists",),
    )
    answered = Advised(
        model="small-1",
        prompt_digest=asked.prompt_digest,
        evidence_digest=asked.evidence_digest,
        opinion=said,
        failure="",
        tokens=3_310,
        usage=Usage(tokens_in=3_100, tokens_out=210),
        microdollars=591,
        late=False,
        agrees=True,
        note="the model says FlagFile, 80 of 100; the rules say FlagFile",
        way="json_schema",
        repaired="no evidence; no runbook",
    )
    refused = "over budget: 3310 + 7100 of 9000 tokens in this incident"
    nothing = Advised(
        model="small-1",
        prompt_digest="",
        evidence_digest="ef" * 32,
        opinion=None,
        failure=refused,
        tokens=0,
        late=True,
        agrees=None,
        note=f"no second opinion: {refused}",
    )
    story.happens(asked).happens(answered, after_ms=4_200).plans().acts().happens(nothing)
    story.happens(replace(asked, prompt_digest="12" * 32, evidence_digest="34" * 32))
    return story.verifies(passed=True, detail="the deviation stayed away for 10 s").reports()


def transcript(story: Story) -> Transcript:
    """What is kept of the first question of `advised`."""
    first, second = WORDS_OF_MODEL
    system = Message(role=Role.SYSTEM, text="You diagnose one incident.\nAnswer with one JSON object.")
    user = Message(role=Role.USER, text='EVIDENCE\n{"id": "E1", "text": "declared file exists"}\nEND OF EVIDENCE.')
    again = (Message(role=Role.ASSISTANT, text="I think"), Message(role=Role.USER, text="That answer was not taken."))
    return Transcript(
        incident=story.id,
        model="small-1",
        prompt_digest="ab" * 32,
        asked_at=story.now.advice[0].asked_at,
        left_out=("E7 (Log)", "E8 (Log)"),
        turns=(
            Turn(sent=(system, user), way="json_schema", answer=answer_kept(first), trouble="no evidence; no runbook"),
            Turn(sent=again, way="json_schema", answer=answer_kept(second)),
        ),
    )


def evidence_of(
    sight: RuntimeFacts, *probes: ProbeResult, found: tuple[Deviation, ...], logs: tuple[str, ...] = ()
) -> tuple[Evidence, ...]:
    """Evidence of one look, through the real gathering."""
    lines = [LogLine(at=None, stream="stdout", text=text) for text in logs]
    return gather(observed(sight, *probes), found, lines, ())


def action_of(story: Story) -> Action:
    """What the last attempt does."""
    return story.now.attempt.plan.action
