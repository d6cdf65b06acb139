"""What models were asked about one incident, word for word: each message as it was sent, each answer as it came.

Text here is not cut to a line's bound, since it is what was sent; it is printable, and its own bounds hold.
"""

from collections.abc import Iterator, Sequence

from pitcrew.core.cost import told_cost
from pitcrew.core.incident import Advice, Incident
from pitcrew.core.record import Json
from pitcrew.core.report.timeline import advice_line, one_line
from pitcrew.core.report.why import Section
from pitcrew.core.transcript import Transcript, Turn
from pitcrew.core.untrusted import printable


def asked(incident: Incident, kept: Sequence[Transcript | str]) -> Section:
    """Every question of an incident; `kept` holds, for each in order, its transcript or why there is none."""
    pairs = list(zip(incident.advice, kept, strict=True))
    cost = told_cost(incident.cost, incident.usage)
    title = (
        f"{incident.id}: {len(pairs)} questions to models, {cost}" if pairs else f"{incident.id}: no model was asked"
    )
    return Section(
        key="asked",
        title=one_line(title),
        data={"incident": incident.id, "questions": [_data(*pair) for pair in pairs]},
        parts=tuple(_question(number, *pair) for number, pair in enumerate(pairs, 1)),
    )


def _question(number: int, advice: Advice, kept: Transcript | str) -> Section:
    head = [
        advice_line(advice),
        f"asked {advice.asked_at:%Y-%m-%d %H:%M:%S} UTC, prompt {advice.prompt_digest or 'none'}",
        *([f"its transcript is not whole: {advice.unkept}"] if advice.unkept else []),
    ]
    if isinstance(kept, str):
        return _section(f"Question {number}", [*head, kept])
    out = f"left out of the evidence: {', '.join(kept.left_out) or 'nothing'}"
    turns = tuple(_turn(place, turn) for place, turn in enumerate(kept.turns, 1))
    return _section(f"Question {number}", [*head, out], *turns)


def _turn(place: int, turn: Turn) -> Section:
    said = [_words(f"Sent, as {message.role}", message.text) for message in turn.sent]
    if turn.answer:
        said.append(_words("Answered", turn.answer))
    end = [f"not taken: {turn.trouble}" if turn.answer else f"no answer: {turn.trouble}"] if turn.trouble else []
    if not turn.answer and not turn.trouble:
        end = ["no answer came so far, or the question was given up"]
    return _section(f"Turn {place}, asked for {turn.way or 'an answer'}", end, *said)


def _section(title: str, lines: Sequence[str], *parts: Section) -> Section:
    return Section(key="", title=one_line(title), lines=tuple(map(one_line, lines)), parts=parts)


def _words(title: str, text: str) -> Section:
    return Section(key="", title=title, lines=tuple(_printed(text)))


def _printed(text: str) -> Iterator[str]:
    for line in printable(text).split("\n"):
        yield printable(line, lines=False)


def _data(advice: Advice, kept: Transcript | str) -> Json:
    found: dict[str, Json] = {
        "model": one_line(advice.model),
        "promptDigest": advice.prompt_digest,
        "askedAt": advice.asked_at.isoformat(),
        "tokens": advice.tokens,
        "promptTokens": advice.usage.tokens_in,
        "answerTokens": advice.usage.tokens_out,
        "microdollars": advice.microdollars,
        "failure": one_line(advice.failure) or None,
        "repaired": one_line(advice.repaired) or None,
    }
    if isinstance(kept, str):
        return {**found, "transcript": None, "why": one_line(kept)}
    turns: list[Json] = [
        {
            "sent": [{"role": str(message.role), "text": printable(message.text)} for message in turn.sent],
            "way": turn.way or None,
            "answer": printable(turn.answer) or None,
            "trouble": one_line(turn.trouble) or None,
        }
        for turn in kept.turns
    ]
    return {**found, "transcript": turns, "leftOut": [one_line(item) for item in kept.left_out]}
