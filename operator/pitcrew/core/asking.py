"""Asking a model: whether it is asked about an incident, and whether planning waits for what it says.

Both are decided here and nowhere else. The terms are the strictest of the service's own and of the policies over it; a
policy that cannot be read lets nothing out (S9). Without a configured model nothing of this is asked.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from pitcrew.core.diagnosis import Cause, Diagnosis
from pitcrew.core.event import NothingToTry, Planned
from pitcrew.core.opinion import Weighed
from pitcrew.core.policy import NO_GUARDRAILS, Guardrails
from pitcrew.core.resource import DiagnosisMode, Egress, HealthyService, Level, ServiceKey

SURE_MIN = 90
"""Confidence of a rule that is decisive: by the scale of the rules, that of a structural fact."""
MARGIN_MIN = 5
"""Points that a decisive rule is ahead of its next rival; structural facts lie between 90 and 97, so that two of them
which tell of different things are closer than this."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Terms:
    """On which terms a model may be asked about a service, and who says so, in words for people."""

    mode: DiagnosisMode
    egress: Egress
    mode_by: str
    egress_by: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Counsel:
    """The model beside the rules, as the loop has it now.

    `patience_s` are the seconds that planning waits at most, `asking` says whether a question is open in this run of
    PitCrew. `contradicted` is what would be planned if the model contradicted the rules; None where it cannot be told.
    `weighed` is what it said of the evidence as it is now, beside the rules; None until it answered.
    `neighbours` are the dependencies of which it may be shown more.
    """

    terms: Terms
    patience_s: int
    asking: bool = False
    contradicted: Planned | NothingToTry | None = None
    weighed: Weighed | None = None
    neighbours: tuple[ServiceKey, ...] = ()


def terms_for(service: HealthyService, guardrails: Guardrails = NO_GUARDRAILS) -> Terms:
    """The terms as declared now, under the guardrails that bind the service; of equals its own word counts."""
    own, bound = service.spec.diagnosis, guardrails.binding(service)
    modes, egresses = [(own.mode, "spec.diagnosis.mode")], [(own.egress, "spec.diagnosis.egress")]
    for policy in bound.policies:
        cap = policy.spec.diagnosis
        if cap is not None and cap.mode is not None:
            modes.append((cap.mode, f"diagnosis.mode of policy {policy.name}"))
        if cap is not None and cap.egress is not None:
            egresses.append((cap.egress, f"diagnosis.egress of policy {policy.name}"))
    egresses += [(Egress.NONE, f"egress, while a policy cannot be read ({one.place}),") for one in bound.unread]
    mode, mode_by = _strictest(modes, list(DiagnosisMode))
    egress, egress_by = _strictest(egresses, list(Egress))
    return Terms(mode=mode, egress=egress, mode_by=mode_by, egress_by=egress_by)


def strictest(one: Terms, other: Terms) -> Terms:
    """The stricter of two terms in each word; of equals the first one's."""
    mode, mode_by = _strictest([(each.mode, each.mode_by) for each in (one, other)], list(DiagnosisMode))
    egress, egress_by = _strictest([(each.egress, each.egress_by) for each in (one, other)], list(Egress))
    return Terms(mode=mode, egress=egress, mode_by=mode_by, egress_by=egress_by)


_Word = TypeVar("_Word", DiagnosisMode, Egress)


def _strictest(said: Iterable[tuple[_Word, str]], strictest_first: Sequence[_Word]) -> tuple[_Word, str]:
    return min(said, key=lambda one: strictest_first.index(one[0]))


def refusal(terms: Terms) -> str:
    """Why no model may be asked about the service at all, for people; empty where one may be."""
    if terms.mode is DiagnosisMode.RULES:
        return f"{terms.mode_by} is {terms.mode}"
    if terms.egress is Egress.NONE:
        return f"{terms.egress_by} is {terms.egress}"
    return ""


def why_not(terms: Terms, diagnoses: Sequence[Diagnosis]) -> str:
    """Why no model is asked about these diagnoses, for people; empty where one is."""
    if terms.mode is DiagnosisMode.ASSIST and is_decisive(diagnoses):
        lead = diagnoses[0]
        return refusal(terms) or f"{terms.mode_by} is {terms.mode}, and the rules are sure: {lead.cause}"
    return refusal(terms)


def shares(own: Terms, other: Terms) -> bool:
    """Whether evidence of another service may stand in a question about this one: a model may be asked about both, and
    evidence of the other may go as far."""
    far = list(Egress).index
    return not refusal(own) and not refusal(other) and far(other.egress) >= far(own.egress)


def withdrawn(terms: Terms, asked_under: Egress) -> str:
    """Why a question under way is given up, for people; empty where its terms still stand."""
    if terms.egress is Egress.LOCAL and asked_under is Egress.ANY:
        return f"{terms.egress_by} is {terms.egress} now"
    reason = refusal(terms)
    return f"{reason} now" if reason else ""


def is_decisive(diagnoses: Sequence[Diagnosis]) -> bool:
    """Whether the rules are sure: one is decisive, and clearly ahead of the next that tells of something else.

    A cause all of whose evidence the leading one cites too is no rival: the leading one is the closer word for it.
    """
    lead, *others = diagnoses
    rivals = [one for one in others if not set(one.evidence) <= set(lead.evidence)]
    ahead = all(lead.confidence - one.confidence >= MARGIN_MIN for one in rivals)
    return lead.cause is not Cause.UNKNOWN and lead.confidence >= SURE_MIN and ahead


def waits(counsel: Counsel, diagnoses: Sequence[Diagnosis]) -> bool:
    """Whether planning waits for the answer: unless the rules are sure, and the worst answer would change nothing.

    That is so for a plan whose risk is Low and which needs no person even if the model contradicts: one that can be
    taken back, or leaves nothing to take back.
    """
    plan = counsel.contradicted
    certain = isinstance(plan, Planned) and plan.risk.level is Level.LOW and not plan.doubt
    return not (certain and is_decisive(diagnoses))
