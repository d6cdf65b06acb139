"""The question to a model that one desk has under way: a task beside the loop, given up with its incident."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass

from pitcrew.core.asking import Terms, withdrawn
from pitcrew.core.errors import ModelUnreachable, Unavailable
from pitcrew.core.opinion import Opinion, Unusable, parse_answer
from pitcrew.core.prompt import Question
from pitcrew.core.resource import Egress
from pitcrew.ports import Consultant

_log = logging.getLogger("pitcrew.loop")


@dataclass(frozen=True, kw_only=True, slots=True)
class Said:
    """What came of one question: an opinion or a failure, and the tokens it cost as far as is known."""

    opinion: Opinion | None = None
    failure: str = ""
    tokens: int


@dataclass(frozen=True, kw_only=True)
class Open:
    """A question under way."""

    incident: str
    evidence_digest: str
    question: Question
    egress: Egress
    task: "asyncio.Task[Said]"


class Consultation:
    """The question of one desk that is under way, if any; `nudge` is called when its answer came."""

    def __init__(self, nudge: Callable[[], None]) -> None:
        self._nudge = nudge
        self._open: Open | None = None
        self._withdrawn = ""

    @property
    def asking(self) -> bool:
        """Whether a question is under way or its answer not heard yet."""
        return self._open is not None

    def begin(self, consultant: Consultant, question: Question, incident: str, evidence: str, egress: Egress) -> None:
        """Ask, in the background, and send the evidence no farther than `egress`."""
        task = asyncio.create_task(_asked(consultant, question, egress), name=f"second opinion on {incident}")
        task.add_done_callback(lambda _: self._nudge())
        self._open = Open(incident=incident, evidence_digest=evidence, question=question, egress=egress, task=task)

    def tighten(self, terms: Terms) -> None:
        """Give the question under way up, at once, where it may no longer be asked; that is heard as its answer."""
        found = self._open
        if found is not None and not found.task.done() and (reason := withdrawn(terms, found.egress)):
            self._withdrawn = reason
            found.task.cancel()

    async def answered(self) -> None:
        """Wait until the question under way, if any, has its answer."""
        if self._open is not None:
            await asyncio.wait({self._open.task})

    async def heard(self, incident: str) -> tuple[Open, Said] | None:
        """The answer that came for this incident, until it is settled. A question of another incident is given up."""
        found = self._open
        if found is None:
            return None
        if found.incident != incident:
            await self.cancel()
            return None
        if not found.task.done():
            return None
        if found.task.cancelled():
            return found, Said(failure=f"given up: {self._withdrawn}", tokens=_all(found.question))
        if (error := found.task.exception()) is not None:
            _log.critical("a consultant failed", extra={"incident": incident}, exc_info=error)
            return found, Said(failure=f"a fault of PitCrew: {type(error).__name__}", tokens=_all(found.question))
        return found, found.task.result()

    def settle(self) -> None:
        """The answer is durable."""
        self._open = None

    async def cancel(self) -> None:
        """Give up the question under way, at once."""
        found, self._open = self._open, None
        if found is not None:
            found.task.cancel()
            await asyncio.gather(found.task, return_exceptions=True)


def _all(question: Question) -> int:
    return question.tokens_reserved


async def _asked(consultant: Consultant, question: Question, egress: Egress) -> Said:
    try:
        answer = await consultant.ask(question, egress)
    except ModelUnreachable as error:
        return Said(failure=str(error), tokens=0)
    except Unavailable as error:
        return Said(failure=str(error), tokens=_all(question))
    tokens = _all(question) if answer.tokens is None else answer.tokens
    found = parse_answer(answer.text, question.vocabulary)
    if isinstance(found, Unusable):
        return Said(failure=f"refused: {found.reason}", tokens=tokens)
    return Said(opinion=found, tokens=tokens)
