"""The Official's own judgement: the risk as it finds it itself, from a look that a Mechanic sealed and its own ledger.

What the Driver says can only tighten. In one process there is no seal to ask for, and the rules of the same process
found the cause: there the look and the Driver's cause count as they are told.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import TypeAlias

from pitcrew.core.action import obstacle, undo_of
from pitcrew.core.deviation import (
    Deviation,
    DeviationKind,
    normalised_severity,
    runtime_deviations,
    severity,
    still_deviates,
)
from pitcrew.core.diagnosis import Cause, Diagnoser, Diagnosis, diagnose
from pitcrew.core.errors import InvalidInput
from pitcrew.core.evidence import Evidence, Source, gather
from pitcrew.core.history import History
from pitcrew.core.observation import Observation, Outcome, RuntimeFacts
from pitcrew.core.policy import LOOK, STOP_RECHECK_S, Case, Effect, Ruling, Tries, target_digest
from pitcrew.core.proposal import Plan, Proposal
from pitcrew.core.resource import HealthyService, Level
from pitcrew.core.risk import Risk, assess
from pitcrew.core.seal import payload
from pitcrew.core.suspicion import suspicion
from pitcrew.keys import PublicKey, is_by
from pitcrew.official.issued import Lately

LOOK_FRESH_S = 60
"""Seconds after which a look tells nothing of now; a verdict, an approval's last click and a slow engine fit in."""
AHEAD_S = 5
"""Seconds that a Mechanic's clock may run ahead of ours before its look counts as from the future."""
TOLD_MAX = 60
"""Confidence that a cause has at most which only the Driver names: that of a symptom that has several causes."""


Keys: TypeAlias = Callable[[], Sequence[PublicKey]]
"""The public keys of one Mechanic as they are now. Raises InvalidInput where that cannot be told."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Judgement:
    """The case from the stricter side, what the look itself has against the plan, and what was found in it.

    `risk` is the own one, None where there was no look to find it in; `found` are the causes that the rules find in the
    look alone, with their confidence.
    """

    case: Case
    rulings: tuple[Ruling, ...] = ()
    risk: Risk | None = None
    found: Mapping[Cause, int] | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Believed:
    """Whose word counts: the public keys of each Mechanic, by its id, and whether the roles are processes apart."""

    mechanics: Mapping[str, Keys]
    separated: bool


def weigh(
    service: HealthyService, plan: Plan, case: Case, lately: Lately, believed: Believed, now: datetime
) -> Judgement:
    """The Official's own view of a plan beside the one that it was told."""
    if believed.separated:
        against = tuple(_against(service, plan, case.seen, lately, believed.mechanics, now))
        if against or case.seen is None:
            return Judgement(case=replace(case, seen=None), rulings=against)
    if case.seen is None:
        return Judgement(case=case)
    return _own(service, plan, case, case.seen, lately, now, separated=believed.separated)


# What speaks against a look


def _against(
    service: HealthyService,
    plan: Plan,
    seen: Observation | None,
    lately: Lately,
    mechanics: Mapping[str, Keys],
    now: datetime,
) -> Iterator[Ruling]:
    """The first reason why a look does not bear out the plan, or nothing.

    A look that is forged is a person's business; one that the world has overtaken is only looked at again.
    """
    if reason := _unsealed(service, seen, mechanics):
        yield Ruling(rule=LOOK, effect=Effect.DENY, message=reason)
        return
    assert seen is not None
    if reason := _aged(service, plan, seen, lately, now) or _overtaken(service, plan, seen):
        until = now + timedelta(seconds=STOP_RECHECK_S)
        yield Ruling(rule=LOOK, effect=Effect.HOLD, message=reason, until=until)


def _unsealed(service: HealthyService, seen: Observation | None, mechanics: Mapping[str, Keys]) -> str | None:
    mechanic = service.spec.target.mechanic
    if seen is None or seen.seal is None:
        return "no look that a Mechanic sealed came with the plan"
    if mechanic not in mechanics:
        return f"no public key of the Mechanic {mechanic} is configured here; name its file with --mechanic"
    if seen.seal.mechanic != mechanic:
        return f"the look was sealed for the Mechanic {seen.seal.mechanic}, and the target is served by {mechanic}"
    try:
        keys = mechanics[mechanic]()
    except InvalidInput as error:
        return f"no seal can be verified: {error}"
    if not is_by(keys, payload(seen, seen.seal), seen.seal.signature):
        return f"the seal of the look is not by a key of the Mechanic {mechanic}"
    if seen.service != service.key:
        return f"the look is at {seen.service}"
    if seen.seal.target_digest != target_digest(service):
        return "the look is at another declaration of the target; both read their own manifests: make them the same"
    return None


def _aged(service: HealthyService, plan: Plan, seen: Observation, lately: Lately, now: datetime) -> str | None:
    age_s = (now - seen.at).total_seconds()
    if age_s >= LOOK_FRESH_S:
        return f"the look is {age_s:.0f} s old, and after {LOOK_FRESH_S} s none tells of now"
    if age_s < -AHEAD_S:
        return f"the look is {-age_s:.0f} s from the future; set the clocks"
    last = lately.last_other(service, plan)
    if last is not None and seen.at < last:
        return "the look is from before the last permit for this target, and tells nothing of after"
    return None


def _overtaken(service: HealthyService, plan: Plan, seen: Observation) -> str | None:
    sight = seen.sight
    if not isinstance(sight, RuntimeFacts):
        return f"the Mechanic does not see the target: {sight.detail}"
    if sight.target_id != plan.target_id:
        return f"the look is at another target, {sight.target_id}"
    if sight.instance != plan.instance:
        return f"the target was started anew since the plan was made: {sight.instance}"
    if still_deviates(service, _named(plan), seen) is not True:
        return "the look shows no deviation"
    return obstacle(plan.action, sight)


def _named(plan: Plan) -> tuple[Deviation, ...]:
    """The deviations that a plan names; what is none is passed over."""
    kinds = {str(kind): kind for kind in DeviationKind}
    parts = [text.partition("/") for text in plan.deviations]
    return tuple(Deviation(kind=kinds[kind], probe=probe) for kind, _, probe in parts if kind in kinds)


# The own risk


def _own(
    service: HealthyService,
    plan: Plan,
    case: Case,
    seen: Observation,
    lately: Lately,
    now: datetime,
    *,
    separated: bool,
) -> Judgement:
    shows = _shown_by(seen)
    evidence = _evidence(service, seen, shows)
    found = _causes(evidence)
    known = {**lately.found(service, plan, now), **found} if separated else found
    claim = _claim(case)
    trusted = _trusted(claim, known, separated=separated)
    history, effects = lately.history(service, plan, now), lately.effects(service, plan)
    against = _of_a_look(evidence)
    told_severity = normalised_severity(str(case.facts.get("incident", {}).get("severity", Level.LOW)))
    own_severity = severity(service, shows) if separated else told_severity
    worse = max(own_severity, told_severity, key=lambda level: level.rank)
    attempt = max(plan.attempt, effects + 1)
    risk = assess(service, _proposal(service, plan, trusted), trusted, worse, history, seen, attempt, None, against)
    stricter = replace(
        case,
        level=max(case.level, risk.level, key=lambda level: level.rank),
        tries=_tries(case.tries, effects) if separated else case.tries,
        facts=_facts(case.facts, risk, history, trusted, worse),
        doubt=case.doubt or (_doubt(trusted, known) if separated else ""),
    )
    return Judgement(case=stricter, rulings=_told_lower(case, risk), risk=risk, found=found)


def _causes(evidence: Sequence[Evidence]) -> Mapping[Cause, int]:
    return {one.cause: one.confidence for one in diagnose(evidence) if one.cause is not Cause.UNKNOWN}


def _shown_by(seen: Observation) -> tuple[Deviation, ...]:
    """What one look shows, without thresholds."""
    found = list(runtime_deviations(seen.sight, seen.at))
    if isinstance(seen.sight, RuntimeFacts) and seen.sight.running:
        failing = (one.probe for one in seen.probes if one.outcome is Outcome.FAILURE)
        found += [Deviation(kind=DeviationKind.PROBE_FAILING, probe=probe) for probe in failing]
    return tuple(sorted(found))


def _evidence(service: HealthyService, seen: Observation, shows: Sequence[Deviation]) -> tuple[Evidence, ...]:
    missing = ("logs: no part of a look",)
    speaks = suspicion(seen, (), (), (), ())
    return gather(seen, shows, (), (), missing, asked=service.probes, suspicion=speaks)


def _of_a_look(evidence: Sequence[Evidence]) -> tuple[Evidence, ...]:
    """What one look can hold against an act. That a log says nothing of a file, or was not read, and that a service was
    not good since its start, is known to the Driver alone, whose risk counts as well."""
    return tuple(item for item in evidence if item.source is not Source.LOG and item.key not in ("missing", "starting"))


def _claim(case: Case) -> Diagnosis:
    """The cause that the Driver names; what cannot be read is Unknown, with no confidence at all."""
    told = case.facts.get("diagnosis", {})
    cause = next((one for one in Cause if one == told.get("cause")), Cause.UNKNOWN)
    said = told.get("confidence")
    confidence = min(100, max(0, said)) if isinstance(said, int) and cause is not Cause.UNKNOWN else 0
    by = Diagnoser.MODEL if told.get("by") == Diagnoser.MODEL else Diagnoser.RULES
    return Diagnosis(cause=cause, confidence=confidence, evidence=(), by=by, summary="as the Driver says")


def _trusted(claim: Diagnosis, known: Mapping[Cause, int], *, separated: bool) -> Diagnosis:
    """The cause with the confidence that it has here."""
    if not separated:
        return claim
    if claim.cause in known:
        return replace(claim, confidence=known[claim.cause], by=Diagnoser.RULES, summary="as the rules find it here")
    return replace(claim, confidence=min(TOLD_MAX, claim.confidence))


def _doubt(trusted: Diagnosis, known: Mapping[Cause, int]) -> str:
    if trusted.cause in known:
        return ""
    return f"only the Driver names this cause, {trusted.cause}, and the rules do not find it in what the Mechanic saw"


def _proposal(service: HealthyService, plan: Plan, diagnosis: Diagnosis) -> Proposal:
    return Proposal(
        action=plan.action,
        undo=undo_of(plan.action, service.spec.remediation.actions),
        runbook="",
        cause=diagnosis.cause,
        evidence=(),
        undo_at_end=False,
        why="",
    )


def _tries(told: Tries, effects: int) -> Tries:
    """The larger of both; here each plan that was permitted counts as one that had an effect."""
    return Tries(effects=max(told.effects, effects), plans=max(told.plans, effects + 1))


def _told_lower(case: Case, risk: Risk) -> tuple[Ruling, ...]:
    """Where the Driver told a lower level, the verdict says so; the ladders rule on the higher one."""
    if risk.level.rank <= case.level.rank:
        return ()
    most = max(risk.factors, key=lambda factor: factor.points)
    message = f"risk {case.level} was told, and it is {risk.level} here, {risk.score} of 100; most by {most.name}"
    return (Ruling(rule="own-risk", effect=Effect.ALLOW, message=message),)


def _facts(
    told: Mapping[str, Mapping[str, object]], risk: Risk, history: History, trusted: Diagnosis, worse: Level
) -> Mapping[str, Mapping[str, object]]:
    """What rules in CEL see: of risk and history the stricter side, of the rest what was told, made no safer."""
    said = told.get("risk", {})
    factors = {factor.name: factor.points for factor in risk.factors}
    told_factors = said.get("factors", {})
    for name, points in (told_factors if isinstance(told_factors, Mapping) else {}).items():
        factors[str(name)] = max(_number(points), factors.get(str(name), 0))
    levels = (risk.level, next((level for level in Level if level == said.get("level")), risk.level))
    past = told.get("history", {})
    return {
        **told,
        "risk": {
            "level": str(max(levels, key=lambda level: level.rank)),
            "score": max(risk.score, _number(said.get("score"))),
            "factors": factors,
        },
        "history": {name: max(count, _number(past.get(name))) for name, count in asdict(history).items()},
        "diagnosis": {**told.get("diagnosis", {}), "confidence": trusted.confidence},
        "incident": {**told.get("incident", {}), "severity": str(worse)},
    }


def _number(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else 0
