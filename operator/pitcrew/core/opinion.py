"""An opinion: the strict reading of what a model answers, and its weight beside the rules.

What is not one object out of the closed lists of the question is refused as a whole; the model is asked once more, and
then the rules go on (S6). What is has weight only where its quotes stand in what it cites, and the runbook it chose
treats its cause and proves it (S7).
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from pitcrew.core.cost import Usage
from pitcrew.core.diagnosis import Cause, Diagnoser, Diagnosis
from pitcrew.core.evidence import Evidence
from pitcrew.core.pick import PICKS_MAX, Pick, named
from pitcrew.core.prompt import CITED_MAX, FIELDS, MORE, NO_RUNBOOK, QUOTES_MAX, Message, Question, Role, Vocabulary
from pitcrew.core.runbook import Runbook, retrieve
from pitcrew.core.untrusted import bound, clean

ANSWER_BYTES_MAX = 16 * 1024
"""Bytes of an answer that is read at all; the object asked for has a few hundred."""
SUMMARY_BYTES_MAX = 400
"""Bytes of the summary kept."""
QUOTE_BYTES_MAX = 240
"""Bytes of a quote kept; no item is shown with more."""
REFUSED_BYTES_MAX = 1_024
"""Bytes of an answer that its model is shown again: enough to see what was wrong with the object asked for."""
REASON_BYTES_MAX = 200
"""Bytes of the reason why an answer is not taken."""
TRUST_MAX = 50
"""Confidence that a model's word has at most where no rule knows the cause: that of an ambiguous symptom."""

AGREEMENT_POINTS = 5
"""Points of confidence that a grounded opinion adds where it agrees; rules that show a structural fact are near 100."""
DISAGREEMENT_POINTS = 15
"""Points that it takes away where it does not: enough that no rule stays decisive, too little to follow the model."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Opinion:
    """What a model chose. `runbook` is empty where it says that none fits; `summary` is its own words, cleaned.

    `quotes` stand word for word in the items it cites, as they were shown; `misquotes`, cleaned, in none of them.
    `more` is the further evidence it wants to see.
    """

    cause: Cause
    runbook: str
    evidence: tuple[str, ...]
    confidence: int
    summary: str
    quotes: tuple[str, ...] = ()
    misquotes: tuple[str, ...] = ()
    more: tuple[Pick, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Unusable:
    """Why an answer is not taken; cleaned, since it may quote the answer."""

    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Weighed:
    """An opinion beside the rules: whether it agrees with their leading cause, and why that is so.

    `agrees` is None where it has no weight: it failed, or is not grounded. `diagnosis` is there where it is grounded.
    """

    agrees: bool | None
    reason: str
    diagnosis: Diagnosis | None = None


CONTRADICTION = Weighed(agrees=False, reason="the model contradicts the rules")
"""The worst that an answer can say of what the rules lead with."""


# Reading the answer

_THINKING = re.compile(r"\A\s*<think(?:ing)?>.*?</think(?:ing)?>", re.S)
_FENCED = re.compile(r"\A[^{}`]*```(?:json)?\s*(\{.*\})\s*```[^{}`]*\Z", re.S)


class _NotTaken(ValueError):
    """The answer is not the object asked for."""


def parse_answer(text: str, words: Vocabulary) -> Opinion | Unusable:
    """The opinion in an answer, or why there is none: one object with exactly the fields asked for, nothing doubtful.

    Only quotes and picks may be left out, since to have none is an answer too.
    """
    try:
        return _opinion({"quotes": [], MORE: [], **_object(text)}, words)
    except _NotTaken as error:
        return Unusable(reason=clean(str(error), REASON_BYTES_MAX))
    except (ValueError, RecursionError) as error:
        return Unusable(reason=f"no JSON object: {clean(str(error), 120)}")


def _object(text: str) -> dict[str, object]:
    if len(text.encode("utf-8", "replace")) > ANSWER_BYTES_MAX:
        raise _NotTaken(f"the answer is larger than {ANSWER_BYTES_MAX} bytes")
    found = json.loads(_bare(text), object_pairs_hook=_once_each, parse_constant=_no_number, parse_float=_no_number)
    if not isinstance(found, dict):
        raise _NotTaken("the answer is no JSON object")
    return found


def _bare(text: str) -> str:
    """The one object in an answer that also thinks aloud, fences or explains; what lies between its outer braces."""
    rest = _THINKING.sub("", text, count=1).strip()
    if fenced := _FENCED.match(rest):
        return fenced[1]
    begin, end = rest.find("{"), rest.rfind("}")
    if begin < 0 or end < begin or rest.startswith("["):
        raise _NotTaken("the answer holds no JSON object")
    return rest[begin : end + 1]


def _once_each(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _NotTaken("the answer has a key twice")
    return found


def _no_number(text: str) -> object:
    raise _NotTaken(f"the answer has a number that is not whole: {text[:32]}")


def _opinion(found: Mapping[str, object], words: Vocabulary) -> Opinion:
    known = {*FIELDS, MORE}
    if set(found) != known:
        extra, less = sorted(set(found) - known), sorted(known - set(found))
        raise _NotTaken("; ".join([*(f"extra field {name[:40]!r}" for name in extra[:4]), *(f"no {n}" for n in less)]))
    confidence, summary = found["confidence"], found["summary"]
    if isinstance(confidence, bool) or not isinstance(confidence, int) or not 0 <= confidence <= 100:
        raise _NotTaken("confidence is no whole number from 0 to 100")
    if not isinstance(summary, str):
        raise _NotTaken("summary is no text")
    runbook = _word(found["runbook"], (*words.runbooks, NO_RUNBOOK), "runbook")
    cited = _cited(found["evidence"], words.evidence)
    quotes, misquotes = _quoted(found["quotes"], _shown(cited, words))
    return Opinion(
        cause=Cause(_word(found["cause"], words.causes, "cause")),
        runbook="" if runbook == NO_RUNBOOK else runbook,
        evidence=cited,
        confidence=confidence,
        summary=" ".join(clean(summary, SUMMARY_BYTES_MAX).split()),
        quotes=quotes,
        misquotes=misquotes,
        more=_picked(found[MORE], words.picks),
    )


def _picked(value: object, offered: Sequence[str]) -> tuple[Pick, ...]:
    if not isinstance(value, list):
        raise _NotTaken("more is no list of names")
    most = min(PICKS_MAX, len(offered))
    if len(value) > most:
        raise _NotTaken(f"it wants more than the {most} that it may pick")
    return tuple(dict.fromkeys(named(_word(one, offered, "pick")) for one in value))


def _cited(value: object, known: Sequence[str]) -> tuple[str, ...]:
    if not isinstance(value, list) or not value:
        raise _NotTaken("it cites no evidence")
    if len(value) > CITED_MAX:
        raise _NotTaken(f"it cites more than {CITED_MAX} items of evidence")
    return tuple(dict.fromkeys(_word(item, known, "evidence") for item in value))


def _shown(cited: Sequence[str], words: Vocabulary) -> tuple[str, ...]:
    """What the cited items say in the prompt."""
    texts = dict(zip(words.evidence, words.texts, strict=False))
    return tuple(texts[id_] for id_ in cited if id_ in texts)


def _quoted(value: object, texts: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The quotes that stand in one of the texts, and those that do not. White space counts as one blank; an empty
    quote says nothing."""
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise _NotTaken("quotes are no list of texts")
    if len(value) > QUOTES_MAX:
        raise _NotTaken(f"it has more than {QUOTES_MAX} quotes")
    plain = [" ".join(text.split()) for text in texts]
    said = [quote for quote in dict.fromkeys(" ".join(one.split()) for one in value) if quote]
    found = [quote for quote in said if any(quote in text for text in plain)]
    lost = [clean(quote, QUOTE_BYTES_MAX) for quote in said if quote not in found]
    return tuple(found), tuple(lost)


def _word(value: object, known: Sequence[str], what: str) -> str:
    if not isinstance(value, str) or value not in known:
        raise _NotTaken(f"{what} {str(value)[:40]!r} is none of those offered")
    return value


# Asking again

_MARKS = str.maketrans({"<": "‹", ">": "›", "|": "¦", "`": "'"})
_BRACKETED = re.compile(r"\[(/?[A-Z_]{2,16})\]")


def ask_again(question: Question, answer: str, refused: Unusable, way: str) -> Question:
    """The same question once more, after an answer that was not taken.

    The answer stands in it as data: without its thinking, bounded, and without anything that a chat template could take
    for its own marks; the braces and brackets of JSON stay, for the model to see what it wrote.
    """
    said = _as_data(_THINKING.sub("", answer[: 2 * ANSWER_BYTES_MAX], count=1), REFUSED_BYTES_MAX)
    told = (
        f"That answer was not taken: {_as_data(refused.reason, REASON_BYTES_MAX)}. Answer the same question again with "
        f"one JSON object and nothing else, its fields: {', '.join(question.fields)}."
    )
    more = (Message(role=Role.ASSISTANT, text=said), Message(role=Role.USER, text=told))
    return replace(question, more=more, way=way)


def _as_data(text: str, bytes_max: int) -> str:
    marked = " ".join(clean(text, bytes_max).split()).translate(_MARKS)
    return bound(_BRACKETED.sub(r"(\1)", marked), bytes_max) or "(nothing)"


def repair_reserve(question: Question) -> Usage:
    """What asking a question once more takes at most."""
    longest = ask_again(question, "x" * 2 * REFUSED_BYTES_MAX, Unusable(reason="x" * REASON_BYTES_MAX), "")
    return longest.reserve


# Weighing it


def weigh(
    opinion: Opinion | None,
    failure: str,
    diagnoses: Sequence[Diagnosis],
    runbooks: Iterable[Runbook],
    evidence: Sequence[Evidence],
    *,
    who: str = "the model",
) -> Weighed:
    """An opinion beside the rules' diagnoses; `who` gave it, for people. It counts only where its quotes hold, and the
    runbook it chose treats its cause and proves it by signals (S7)."""
    if opinion is None:
        return Weighed(agrees=None, reason=f"no second opinion: {failure}")
    diagnosis = Diagnosis(
        cause=opinion.cause,
        confidence=opinion.confidence,
        evidence=opinion.evidence,
        by=Diagnoser.MODEL,
        summary=opinion.summary,
    )
    if opinion.misquotes:
        return Weighed(agrees=None, reason=f"not grounded, so ignored: no item it cites says {opinion.misquotes[0]!r}")
    fitting = {match.runbook.head.id for match in retrieve(runbooks, diagnosis, evidence)}
    if opinion.cause is Cause.UNKNOWN or opinion.runbook not in fitting:
        chosen = f"runbook {opinion.runbook}" if opinion.runbook else "no runbook"
        return Weighed(agrees=None, reason=f"not grounded, so ignored: {opinion.cause} with {chosen}")
    rules = diagnoses[0].cause if diagnoses else Cause.UNKNOWN
    agrees = None if rules is Cause.UNKNOWN else rules is opinion.cause
    told = f"{who} says {opinion.cause}, {opinion.confidence} of 100; the rules say {rules}"
    return Weighed(agrees=agrees, reason=told, diagnosis=diagnosis)


def leading(diagnoses: Sequence[Diagnosis], weighed: Weighed | None) -> Diagnosis:
    """The diagnosis to plan by: the rules'; a model's only where they know nothing and its own is grounded, and then
    with little trust."""
    first = diagnoses[0]
    if first.cause is not Cause.UNKNOWN or weighed is None or weighed.diagnosis is None:
        return first
    return trusted(weighed.diagnosis)


def trusted(said: Diagnosis) -> Diagnosis:
    """A diagnosis that no rule gives, with as little trust as it deserves."""
    return replace(said, confidence=min(said.confidence, TRUST_MAX))


def confirmed(lead: Diagnosis, weighed: Weighed | None) -> Diagnosis:
    """The leading diagnosis with the confidence that two opinions give it, for people.

    No rule and no level is read off it: a model that lies must not lift a plan over a bound (`risk.assess`).
    """
    if weighed is None or weighed.agrees is None:
        return lead
    points = AGREEMENT_POINTS if weighed.agrees else -DISAGREEMENT_POINTS
    return replace(lead, confidence=max(0, min(100, lead.confidence + points)))
