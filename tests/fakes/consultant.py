"""A model in memory: it says what a test tells it to, as late as the test tells it to."""

import asyncio
import json
from collections.abc import Callable

from pitcrew.core.cost import Usage
from pitcrew.core.errors import Unavailable
from pitcrew.core.prompt import Question
from pitcrew.core.resource import Egress
from pitcrew.ports import Answer

TOLD = Usage(tokens_in=600, tokens_out=100)
Says = Callable[[Question], str | Exception]


def opinion(
    cause: str = "FlagFile",
    runbook: str = "flag-file",
    evidence: tuple[str, ...] = ("E1",),
    confidence: int = 90,
    quotes: tuple[str, ...] = (),
) -> str:
    """An answer as asked for."""
    return json.dumps(
        {
            "summary": "what a model thinks it sees",
            "cause": cause,
            "evidence": list(evidence),
            "quotes": list(quotes),
            "runbook": runbook,
            "confidence": confidence,
        }
    )


class FakeConsultant:
    """`Consultant` in memory. `delay_s` passes before each answer; `given_up` counts questions that were cancelled."""

    def __init__(self, says: Says, *, delay_s: float = 0, usage: Usage | None = TOLD) -> None:
        self.model = "fake-1"
        self.says = says
        self.delay_s = delay_s
        self.usage = usage
        self.asked: list[Question] = []
        self.under: list[Egress] = []
        self.given_up = 0

    async def ask(self, question: Question, egress: Egress, *, within_s: float | None = None) -> Answer:
        """See `pitcrew.ports.Consultant`."""
        self.asked.append(question)
        self.under.append(egress)
        try:
            await self._think(within_s)
        except asyncio.CancelledError:
            self.given_up += 1
            raise
        said = self.says(question)
        if isinstance(said, Exception):
            raise said
        return Answer(text=said, usage=self.usage, way="fake")

    async def _think(self, within_s: float | None) -> None:
        """Raises Unavailable where thinking takes longer than it may."""
        if within_s is not None and within_s < self.delay_s:
            await asyncio.sleep(within_s)
            raise Unavailable(f"no whole answer within {within_s:.3g} s")
        await asyncio.sleep(self.delay_s)

    async def close(self) -> None:
        """Nothing is held."""
