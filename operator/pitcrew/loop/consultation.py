"""The question to a model that one desk has under way: a task beside the loop, given up with its incident.

An answer that cannot be used is given back to its model once, with the reason why; one deadline covers both turns.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from pitcrew.core.asking import Terms, withdrawn
from pitcrew.core.cost import NO_USAGE, Usage, settled
from pitcrew.core.errors import ModelUnreachable, Unavailable
from pitcrew.core.opinion import Opinion, Unusable, ask_again, parse_answer, repair_reserve
from pitcrew.core.prompt import Question
from pitcrew.core.resource import Egress
from pitcrew.core.transcript import Transcript, Turn, answer_kept
from pitcrew.ports import Answer, Consultant, Transcripts

REPAIR_S_MIN = 1.0
"""Seconds that must be left for asking again; no model answers in less."""
KEEP_S_MAX = 2.0
"""Seconds that keeping a transcript may take; a disk that hangs must not take the opinion along."""

_log = logging.getLogger("pitcrew.loop")


@dataclass(frozen=True, kw_only=True)
class Inquiry:
    """What is asked, about which evidence, and how far the asking may go: `deadline_s` seconds over all turns, a second
    turn only where `twice`, and nothing sent farther than `egress`. `transcript` is what is kept of it as it begins;
    None where nothing is kept."""

    question: Question
    evidence_digest: str
    deadline_s: float
    twice: bool
    egress: Egress
    transcript: Transcript | None = None

    @property
    def reserve(self) -> Usage:
        """What is set aside for it."""
        return self.question.reserve + (repair_reserve(self.question) if self.twice else NO_USAGE)


@dataclass(frozen=True, kw_only=True, slots=True)
class Said:
    """What came of one question: an opinion or a failure, and what it took as far as is known."""

    opinion: Opinion | None = None
    failure: str = ""
    usage: Usage = NO_USAGE
    way: str = ""
    repaired: str = ""
    unkept: str = ""


@dataclass(frozen=True, kw_only=True)
class Open:
    """A question under way."""

    incident: str
    inquiry: Inquiry
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

    def begin(self, consultant: Consultant, transcripts: Transcripts | None, incident: str, inquiry: Inquiry) -> None:
        """Ask, in the background."""
        work = _Conversation(consultant, transcripts, inquiry).held()
        task = asyncio.create_task(work, name=f"second opinion on {incident}")
        task.add_done_callback(lambda _: self._nudge())
        self._open = Open(incident=incident, inquiry=inquiry, task=task)

    def tighten(self, terms: Terms) -> None:
        """Give the question under way up, at once, where it may no longer be asked; that is heard as its answer."""
        found = self._open
        if found is not None and not found.task.done() and (reason := withdrawn(terms, found.inquiry.egress)):
            self._withdrawn = reason
            found.task.cancel()

    async def answered(self) -> None:
        """Wait until the question under way, if any, has its answer."""
        if self._open is not None:
            await asyncio.wait({self._open.task})

    async def heard(self, incident: str) -> tuple[Inquiry, Said] | None:
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
            return found.inquiry, Said(failure=f"given up: {self._withdrawn}", usage=found.inquiry.reserve)
        if (error := found.task.exception()) is not None:
            _log.critical("a consultant failed", extra={"incident": incident}, exc_info=error)
            failure = f"a fault of PitCrew: {type(error).__name__}"
            return found.inquiry, Said(failure=failure, usage=found.inquiry.reserve)
        return found.inquiry, found.task.result()

    def settle(self) -> None:
        """The answer is durable."""
        self._open = None

    async def cancel(self) -> None:
        """Give up the question under way, at once."""
        found, self._open = self._open, None
        if found is not None:
            found.task.cancel()
            await asyncio.gather(found.task, return_exceptions=True)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Heard:
    """One turn: the answer where one came, what was read in it, and what the turn took."""

    answer: Answer | None
    found: Opinion | Unusable
    usage: Usage


class _Conversation:
    """One inquiry from its first turn to its last, and its transcript."""

    def __init__(self, consultant: Consultant, transcripts: Transcripts | None, inquiry: Inquiry) -> None:
        self._consultant = consultant
        self._transcripts = transcripts
        self._inquiry = inquiry
        self._turns: tuple[Turn, ...] = ()
        self._unkept = ""
        self._ends_at = asyncio.get_running_loop().time() + inquiry.deadline_s

    async def held(self) -> Said:
        """Ask, and once more where an answer came, cannot be used, and there is time and money left for it."""
        question = self._inquiry.question
        first = await self._turn(question)
        refused = first.found
        if first.answer is None or not isinstance(refused, Unusable) or not self._may_ask_again():
            return self._said([first])
        again = ask_again(question, first.answer.text, refused, first.answer.way)
        return replace(self._said([first, await self._turn(again)]), repaired=refused.reason)

    def _may_ask_again(self) -> bool:
        return self._inquiry.twice and self._left_s() >= REPAIR_S_MIN

    def _left_s(self) -> float:
        return self._ends_at - asyncio.get_running_loop().time()

    async def _turn(self, question: Question) -> _Heard:
        sent = question.more or question.messages
        self._turns = (*self._turns, Turn(sent=sent, way=question.way))
        await self._keep()
        heard = await self._asked(question)
        trouble = heard.found.reason if isinstance(heard.found, Unusable) else ""
        answer = heard.answer
        ended = Turn(
            sent=sent,
            way=answer.way if answer else question.way,
            answer=answer_kept(answer.text) if answer else "",
            trouble=trouble,
        )
        self._turns = (*self._turns[:-1], ended)
        await self._keep()
        return heard

    async def _asked(self, question: Question) -> _Heard:
        try:
            answer = await self._consultant.ask(question, self._inquiry.egress, within_s=self._left_s())
        except ModelUnreachable as error:
            return _Heard(answer=None, found=Unusable(reason=str(error)), usage=NO_USAGE)
        except Unavailable as error:
            return _Heard(answer=None, found=Unusable(reason=str(error)), usage=question.reserve)
        found = parse_answer(answer.text, question.vocabulary)
        return _Heard(answer=answer, found=found, usage=settled(answer.usage, question.reserve))

    def _said(self, turns: Sequence[_Heard]) -> Said:
        last = turns[-1]
        usage = sum((turn.usage for turn in turns), NO_USAGE)
        way = last.answer.way if last.answer else ""
        if isinstance(last.found, Opinion):
            return Said(opinion=last.found, usage=usage, way=way, unkept=self._unkept)
        failure = f"refused: {last.found.reason}" if last.answer else last.found.reason
        return Said(failure=failure, usage=usage, way=way, unkept=self._unkept)

    async def _keep(self) -> None:
        """Keep what there is so far; what cannot be kept is told, and harms nothing."""
        begun = self._inquiry.transcript
        if self._transcripts is None or begun is None or self._unkept:
            return
        try:
            async with asyncio.timeout(KEEP_S_MAX):
                await self._transcripts.keep(replace(begun, turns=self._turns))
        except Unavailable as error:
            self._unkept = str(error)
        except TimeoutError:
            self._unkept = f"the transcript was not written within {KEEP_S_MAX:g} s"
