"""Risk: of one proposal, a score from 0 to 100 out of named factors, each with the evidence for it, and a level."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from pitcrew.core.action import (
    Action,
    ConnectNetwork,
    DisconnectNetwork,
    Irreversible,
    RemoveFile,
    Restart,
    RestoreFile,
    RunCommand,
    Start,
    Unpause,
    is_destructive,
)
from pitcrew.core.diagnosis import Diagnoser, Diagnosis
from pitcrew.core.evidence import Evidence
from pitcrew.core.history import History
from pitcrew.core.observation import Observation, Outcome
from pitcrew.core.opinion import Weighed
from pitcrew.core.proposal import Proposal
from pitcrew.core.resource import HealthyService, Level

LEVELS: tuple[tuple[int, Level], ...] = ((80, Level.CRITICAL), (60, Level.HIGH), (40, Level.MEDIUM), (0, Level.LOW))
"""Lowest score of each level. Low is what a careful person does at night without asking: one reversible or harmless
act on one service that is down anyway, for a structural cause. Each further doubt costs about one level."""

_BLAST: dict[type[Action], tuple[int, str]] = {
    Start: (2, "starts one target that does not run"),
    RemoveFile: (5, "changes one declared file of one target"),
    Restart: (12, "ends every request and all memory of one target"),
    RestoreFile: (5, "changes one declared file of one target"),
    Unpause: (5, "lets one target run on as it was"),
    ConnectNetwork: (5, "attaches one running target to a declared network"),
    DisconnectNetwork: (5, "detaches one running target from a network"),
    RunCommand: (5, "runs one declared command in one target"),
}
# Alone, High is enough to leave Low with the smallest act and no doubt at all: others depend on the service.
_CRITICALITY = {Level.LOW: 0, Level.MEDIUM: 5, Level.HIGH: 35, Level.CRITICAL: 50}
_SEVERITY = {Level.LOW: 0, Level.MEDIUM: 2, Level.HIGH: 5, Level.CRITICAL: 8}
_REPEATS_FREE = 2
_REPEAT_POINTS = 25
_REPEAT_POINTS_MAX = 40
_ATTEMPT_POINTS = 5
SECOND_OPINION = "second opinion"
"""The factor that is there where a model is configured, whatever it said, or an assistant proposed a diagnosis."""
_DISAGREEMENT_POINTS = 10
_SUSPICION_POINTS = 10
_AGREEMENT_POINTS = 5
_MEDIUM_POINTS = next(least for least, level in LEVELS if level is Level.MEDIUM)
_UNKNOWN_REACH_POINTS = 15
"""Together with its blast radius a command weighs more than a restart, which everybody knows."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Factor:
    """One reason for points, with what it was read from."""

    name: str
    points: int
    evidence: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Risk:
    """Of one proposal."""

    score: int
    level: Level
    factors: tuple[Factor, ...]


def assess(
    service: HealthyService,
    proposal: Proposal,
    diagnosis: Diagnosis,
    severity: Level,
    history: History,
    seen: Observation,
    attempt: int,
    second: Weighed | None = None,
    evidence: Sequence[Evidence] = (),
) -> Risk:
    """The risk of a proposal; `attempt` counts from 1, `second` is what a model or an assistant said, None where
    none is configured and none spoke. `evidence` is all there is: text in it that speaks to its reader makes everything
    a little less certain.

    A model that agrees lowers the score within its level and never the level itself: a model that lies must not widen
    what is done without a person.
    """
    factors: tuple[Factor, ...] = (
        _factor("blast radius", *_BLAST[type(proposal.action)]),
        _reversibility(proposal),
        _factor("criticality", _CRITICALITY[service.spec.criticality], f"declared {service.spec.criticality}"),
        _factor("severity", _SEVERITY[severity], f"incident is {severity}"),
        _factor("confidence", _doubt(diagnosis.confidence), f"{diagnosis.confidence} of 100 for {diagnosis.cause}"),
        _repetition(history),
        _factor("attempts", _ATTEMPT_POINTS * (attempt - 1), f"attempt {attempt} of this incident"),
        _current_state(seen),
        *_suspected(evidence),
    )
    factors = (*factors, *_unsettled(proposal, evidence, history, sum(factor.points for factor in factors)))
    factors = (*factors, *_beyond_low(proposal, sum(factor.points for factor in factors)))
    if second is not None:
        factors = (*factors, _second_opinion(second, sum(factor.points for factor in factors)))
    score = min(100, sum(factor.points for factor in factors))
    return Risk(score=score, level=next(level for least, level in LEVELS if score >= least), factors=factors)


def cautious(risk: Risk) -> Risk:
    """The risk as rules in CEL see it: what a model says in its favour is left out, so that no lie gets past a rule."""
    factors = tuple(replace(factor, points=max(0, factor.points)) for factor in risk.factors)
    return replace(risk, score=min(100, sum(factor.points for factor in factors)), factors=factors)


def doubt_of(proposal: Proposal, diagnosis: Diagnosis, risk: Risk, second: Weighed | None) -> str:
    """Why a person must decide on this proposal, whatever the ladder allows; empty where there is no such doubt.

    What only a model knows is never done without a person; and where it contradicts the rules, nothing risky is, and
    nothing that cannot be taken back.
    """
    if diagnosis.by is not Diagnoser.RULES:
        who = "a model" if diagnosis.by is Diagnoser.MODEL else f"an assistant of {diagnosis.proposer}"
        return f"only {who} names this cause, {diagnosis.cause}, and no rule does"
    for_good = is_destructive(proposal.action) and isinstance(proposal.undo, Irreversible)
    if second is not None and second.agrees is False and (risk.level is not Level.LOW or for_good):
        return f"two opinions differ: {second.reason}"
    return ""


def _second_opinion(second: Weighed, before: int) -> Factor:
    """`before` is the score of all else."""
    if second.agrees is None:
        return _factor(SECOND_OPINION, 0, second.reason)
    if not second.agrees:
        return _factor(SECOND_OPINION, _DISAGREEMENT_POINTS, second.reason)
    floor = next(least for least, _ in LEVELS if before >= least)
    return _factor(SECOND_OPINION, -min(_AGREEMENT_POINTS, before - floor), second.reason)


def _factor(name: str, points: int, evidence: str) -> Factor:
    return Factor(name=name, points=points, evidence=evidence)


def _doubt(confidence: int) -> int:
    return (100 - confidence) * 3 // 5


def _beyond_low(proposal: Proposal, before: int) -> tuple[Factor, ...]:
    """What is enough to leave Low: no engine pauses by itself, and whoever did it knows why (FAULTS row 16); and what a
    command does, only its owner knows. `before` is the score of all else."""
    match proposal.action:
        case Unpause():
            told = "a person paused it, and unpausing overrides that person"
            return (_factor("a person's act", _MEDIUM_POINTS, told),)
        case RunCommand(command=command):
            points = max(_UNKNOWN_REACH_POINTS, _MEDIUM_POINTS - before)
            return (_factor("unknown reach", points, f"what {command} does, only its owner knows"),)
        case _:
            return ()


_TELLS_OF: dict[type[Action], str] = {Restart: "now", Start: "end", RemoveFile: "file", ConnectNetwork: "network"}
"""What a log may tell of that speaks against an act."""


def _unsettled(proposal: Proposal, evidence: Sequence[Evidence], history: History, before: int) -> tuple[Factor, ...]:
    """Enough to leave Low: what nobody here understands or could read, and what is not known of others, may be the
    reason not to act. `before` is the score of all else."""
    about = _TELLS_OF.get(type(proposal.action))
    if about is None:
        return ()
    told = [f"{item.id}: {item.text}" for item in evidence if _speaks_against(item, about)]
    if history.in_vain:
        told.append(f"{history.in_vain} earlier incidents of this cause within the hour did not end by what was done")
    if not told:
        return ()
    return (_factor("unsettled", max(0, _MEDIUM_POINTS - before), told[0]),)


def _speaks_against(item: Evidence, about: str) -> bool:
    match item.key:
        case "unsettled":
            return item.value == about
        case "missing":
            return about == "now" and isinstance(item.value, str) and item.value.startswith("logs")
        case "starting":
            return about == "now"
        case "dependency.unknown" | "dependency.down":
            return about in ("now", "file")
        case _:
            return False


def _suspected(evidence: Sequence[Evidence]) -> tuple[Factor, ...]:
    found = [item for item in evidence if item.key == "suspicion"]
    if not found:
        return ()
    told = f"{', '.join(item.id for item in found)}: somebody may want to steer what is done here"
    return (_factor("suspicion", _SUSPICION_POINTS, told),)


def _reversibility(proposal: Proposal) -> Factor:
    if not isinstance(proposal.undo, Irreversible):
        return _factor("reversibility", 0, f"undone by {proposal.undo.name}")
    return _factor("reversibility", 0 if isinstance(proposal.action, Start | Unpause) else 5, proposal.undo.reason)


def _repetition(history: History) -> Factor:
    beyond = max(0, history.same_cause - _REPEATS_FREE)
    points = min(_REPEAT_POINTS_MAX, beyond * _REPEAT_POINTS)
    return _factor("repetition", points, f"{history.same_cause} earlier incidents of this cause within the hour")


def _current_state(seen: Observation) -> Factor:
    good = sum(result.outcome is Outcome.SUCCESS for result in seen.probes)
    return _factor("current state", 10 if good else 0, f"{good} of {len(seen.probes)} probes still good")
