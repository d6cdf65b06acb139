"""An assistant's diagnosis: read as strictly as a model's answer, and weighed as one (S6, S7, S13).

It chooses a cause, a runbook and evidence out of closed lists, and brings no word of its own. It stands for the
incident, not for one gathering of evidence: gathered anew, it counts as long as all that it cites is seen again.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from pitcrew.core.diagnosis import Cause, Diagnoser, Diagnosis
from pitcrew.core.evidence import Evidence
from pitcrew.core.opinion import TRUST_MAX, Opinion, Unusable, Weighed, parse_answer, weigh
from pitcrew.core.order import Person
from pitcrew.core.prompt import Vocabulary
from pitcrew.core.runbook import Runbook

PROPOSALS_MAX = 5
"""Proposals recorded in one incident, by whomever; each may have it planned anew, and five wrong ones are guesses."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Proposed:
    """One diagnosis that was proposed. `by` is the person in whose name the assistant spoke, as the system knows them;
    `cited` are the items as they were then. `late` says that it came after a plan was made, `grounded` that it had
    weight then, `agrees` what it was beside the rules, and `note` why."""

    by: Person
    opinion: Opinion
    cited: tuple[Evidence, ...]
    late: bool
    grounded: bool
    agrees: bool | None
    note: str
    at: datetime


def speaker(by: Person) -> str:
    """Whose assistant it is, for people."""
    return f"the assistant of {by}"


def read_proposal(
    cause: str, runbook: str, evidence: Sequence[str], items: Sequence[Evidence], runbooks: Iterable[Runbook]
) -> Opinion | Unusable:
    """The opinion in what an assistant chose, or why there is none. How sure it is nobody can tell, so that it counts
    as little as a model that names what no rule knows."""
    words = Vocabulary(
        causes=tuple(map(str, Cause)),
        runbooks=tuple(each.head.id for each in runbooks),
        evidence=tuple(item.id for item in items),
    )
    chosen = {"cause": cause, "runbook": runbook, "evidence": list(evidence), "confidence": TRUST_MAX, "summary": ""}
    return parse_answer(json.dumps(chosen), words)


def carried(proposed: Proposed, evidence: Sequence[Evidence]) -> Opinion | None:
    """The opinion about evidence that was gathered anew: the same items by their ids now; None where one is not seen
    any more."""
    now = {_said(item): item.id for item in reversed(evidence)}
    ids = [now.get(_said(item)) for item in proposed.cited]
    known = tuple(id_ for id_ in ids if id_ is not None)
    return replace(proposed.opinion, evidence=known) if len(known) == len(ids) else None


def _said(item: Evidence) -> tuple[str, str, object]:
    return str(item.source), item.key, item.value


def weigh_proposed(
    proposed: Proposed, diagnoses: Sequence[Diagnosis], runbooks: Iterable[Runbook], evidence: Sequence[Evidence]
) -> Weighed:
    """A proposal beside the rules' diagnoses of the evidence as it is now, grounded by what grounds a model's."""
    who = speaker(proposed.by)
    opinion = carried(proposed, evidence)
    if opinion is None:
        return Weighed(agrees=None, reason=f"what {who} cites is not seen any more")
    found = weigh(opinion, "", diagnoses, runbooks, evidence, who=who)
    if found.diagnosis is None:
        return replace(found, reason=f"{who}: {found.reason}")
    summary = f"proposed by {who}: {opinion.cause}"
    said = replace(found.diagnosis, by=Diagnoser.ASSISTANT, proposer=proposed.by.name, summary=summary)
    return replace(found, diagnosis=said)


def latest(proposed: Sequence[Proposed]) -> tuple[Proposed, ...]:
    """The last proposal of each person: one voice each."""
    return tuple({one.by.uid: one for one in proposed}.values())


def together(model: Weighed | None, assistants: Sequence[Weighed]) -> Weighed | None:
    """What all second opinions come to beside the rules: who contradicts outweighs who agrees, however many agree, so
    that no voice can be added that makes a plan look safer than another finds it.

    Where the rules know nothing, the model that the platform chose is heard before an assistant that came by.
    """
    said = [*([model] if model is not None else []), *assistants]
    contradicting = [one for one in said if one.agrees is False]
    naming = [one for one in said if one.agrees is None and one.diagnosis is not None]
    agreeing = [one for one in said if one.agrees]
    return next(iter((*contradicting, *naming, *agreeing, *said)), None)


def proposer_of(lead: Diagnosis, assistants: Sequence[Weighed]) -> str:
    """The name of the person whose assistant proposed the cause that a plan is made for, or shared it with the rules;
    empty where nobody did."""
    if lead.proposer:
        return lead.proposer
    named = (one.diagnosis for one in assistants if one.diagnosis is not None)
    return next((said.proposer for said in named if said.cause is lead.cause), "")
