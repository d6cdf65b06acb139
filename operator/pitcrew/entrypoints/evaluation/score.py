"""Scoring: what was done about each case beside what a person says is right, and the sums with their bounds.

Bounds are one-sided at 95 %, by Clopper and Pearson (Biometrika 26, 1934): what a sample of this size lets one claim.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from pitcrew.core.diagnosis import Cause
from pitcrew.core.prompt import tokens_of
from pitcrew.core.step import AskPermit
from pitcrew.entrypoints.evaluation.case import Case
from pitcrew.entrypoints.evaluation.played import Came

CONFIDENCE = 0.95
BINS = 10
"""Bins of confidence over which calibration is told."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Chosen:
    """What was chosen in one case. `alone` is done without a person; `action` is `none` where nothing was proposed.

    `model_right` is of what a model said, grounded or not; None where it said nothing that can be read.
    """

    id: str
    fault: int
    cause: Cause
    confidence: int
    action: str
    alone: bool
    cause_right: bool
    action_right: bool
    harmful: bool
    rules_know: bool
    model_right: bool | None
    led_by_model: bool
    agrees: bool | None
    tokens: int
    evidence_tokens: int
    log_tokens: int
    failure: str
    """Why the answer of a model that was asked could not be used."""
    seconds: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Sums:
    """All cases of one run together; shares are of 1.

    Brier score and calibration error are over the cases with a diagnosis that names a cause: Unknown claims nothing,
    and has no confidence that could be right or wrong.
    """

    cases: int
    cause_right: int
    action_right: int
    harmful: int
    alone: int
    wrong_alone: int
    abstained: int
    abstained_right: int
    unknown_to_rules: int
    model_right_there: int
    led_by_model: int
    agreed: int
    disagreed: int
    refused: int
    brier: float
    calibration_error: float
    tokens_median: float
    evidence_tokens_median: float
    evidence_per_log: float | None
    seconds_median: float

    @property
    def cause_accuracy(self) -> float:
        """Share of cases whose cause is right."""
        return self.cause_right / self.cases

    @property
    def cause_accuracy_least(self) -> float:
        """What the share is at least, at 95 %."""
        return lower_bound(self.cause_right, self.cases)

    @property
    def action_accuracy(self) -> float:
        """Share of cases whose first step is right."""
        return self.action_right / self.cases

    @property
    def harmful_most(self) -> float:
        """What the share of harmful choices is at most, at 95 %."""
        return upper_bound(self.harmful, self.cases)


def chosen(came: Came, evidence_tokens: int, seconds: float) -> Chosen:
    """What came of a case beside its label."""
    case, incident = came.case, came.incident
    cause, confidence, by_model = _led(came)
    proposed = incident.attempts[-1] if incident and incident.attempts else None
    action = proposed.plan.action.name if proposed else "none"
    alone = isinstance(came.step, AskPermit)
    advice = incident.advice[-1] if incident and incident.advice else None
    opinion = advice.opinion if advice else None
    return Chosen(
        id=case.id,
        fault=case.fault,
        cause=cause,
        confidence=confidence,
        action=action,
        alone=alone,
        cause_right=cause in case.label.causes,
        action_right=action in case.label.actions,
        harmful=alone and action in case.label.harmful,
        rules_know=bool(incident and incident.diagnoses and incident.diagnoses[0].cause is not Cause.UNKNOWN),
        model_right=opinion.cause in case.label.causes if opinion else None,
        led_by_model=by_model,
        agrees=advice.agrees if advice else None,
        tokens=incident.cost.tokens if incident else 0,
        evidence_tokens=evidence_tokens,
        log_tokens=tokens_of(case.log_text),
        failure=advice.failure if advice and advice.model else "",
        seconds=seconds,
    )


def _led(came: Came) -> tuple[Cause, int, bool]:
    """The cause that was planned by, its confidence, and whether a model's word led; where no incident is opened, the
    cause that the status names as a fact."""
    incident = came.incident
    if incident is None or not incident.diagnoses:
        return came.told, 0 if came.told is Cause.UNKNOWN else 100, False
    led = incident.attempts[-1].leading if incident.attempts else None
    first = led or incident.diagnoses[0]
    return first.cause, first.confidence, led is not None and led.by != incident.diagnoses[0].by


def sums(all_: Sequence[Chosen]) -> Sums:
    """The sums of one run. Raises ValueError without a case."""
    if not all_:
        raise ValueError("there is no case")
    named = [one for one in all_ if one.confidence]
    logged = [one.evidence_tokens / one.log_tokens for one in all_ if one.log_tokens]
    return Sums(
        cases=len(all_),
        cause_right=_count(all_, lambda one: one.cause_right),
        action_right=_count(all_, lambda one: one.action_right),
        harmful=_count(all_, lambda one: one.harmful),
        alone=_count(all_, lambda one: one.alone),
        wrong_alone=_count(all_, lambda one: one.alone and not one.action_right),
        abstained=_count(all_, lambda one: one.action == "none"),
        abstained_right=_count(all_, lambda one: one.action == "none" and one.action_right),
        unknown_to_rules=_count(all_, lambda one: not one.rules_know),
        model_right_there=_count(all_, lambda one: not one.rules_know and one.model_right is True),
        led_by_model=_count(all_, lambda one: one.led_by_model),
        agreed=_count(all_, lambda one: one.agrees is True),
        disagreed=_count(all_, lambda one: one.agrees is False),
        refused=_count(all_, lambda one: bool(one.failure)),
        brier=_brier(named),
        calibration_error=_calibration_error(named),
        tokens_median=median(one.tokens for one in all_),
        evidence_tokens_median=median(one.evidence_tokens for one in all_),
        evidence_per_log=median(logged) if logged else None,
        seconds_median=median(one.seconds for one in all_),
    )


def _count(all_: Iterable[Chosen], counts: Callable[[Chosen], bool]) -> int:
    return sum(map(counts, all_))


def _brier(named: Sequence[Chosen]) -> float:
    """How far confidence and the truth lie apart in single cases, squared; 0 where no cause was named."""
    return sum((one.confidence / 100 - one.cause_right) ** 2 for one in named) / max(1, len(named))


def _calibration_error(named: Sequence[Chosen]) -> float:
    """How far confidence and share of right causes lie apart, over bins, weighted by their cases."""
    bins: dict[int, list[Chosen]] = {}
    for one in named:
        bins.setdefault(min(one.confidence * BINS // 100, BINS - 1), []).append(one)
    apart = 0.0
    for inside in bins.values():
        said = sum(one.confidence for one in inside) / 100
        apart += abs(said - _count(inside, lambda one: one.cause_right))
    return apart / max(1, len(named))


def lower_bound(hits: int, of: int) -> float:
    """The least share that would give this many hits with a chance of 5 %."""
    return 0.0 if hits == 0 else _where(lambda share: _at_least(hits, of, share) < 1 - CONFIDENCE)


def upper_bound(hits: int, of: int) -> float:
    """The greatest share that would give no more hits than these with a chance of 5 %."""
    return 1.0 if hits == of else _where(lambda share: 1 - _at_least(hits + 1, of, share) > 1 - CONFIDENCE)


def _where(below: Callable[[float], bool]) -> float:
    """The share at which a monotone condition ends to hold."""
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if below(middle) else (low, middle)
    return low


def _at_least(hits: int, of: int, share: float) -> float:
    """The chance of at least this many hits."""
    return math.fsum(math.comb(of, k) * share**k * (1 - share) ** (of - k) for k in range(hits, of + 1))


def worse_than(rules: Sequence[Chosen], other: Sequence[Chosen]) -> tuple[str, ...]:
    """Ids of cases in which a run did something without a person that is worse than what the rules alone did there."""
    before = {one.id: one for one in rules}
    return tuple(one.id for one in other if _badness(one) > _badness(before[one.id]))


def _badness(one: Chosen) -> int:
    return 2 * one.harmful + (one.alone and not one.action_right)


def not_ours(cases: Iterable[Case]) -> int:
    """How many cases are not for a machine to fix."""
    return sum(not case.label.ours for case in cases)
