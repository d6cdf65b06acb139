"""A model in memory: it says what a test tells it to, as late as the test tells it to."""

import asyncio
import json
from collections.abc import Callable

from pitcrew.core.prompt import Question
from pitcrew.core.resource import Egress
from pitcrew.ports import Answer

Says = Callable[[Question], str | Exception]


def opinion(
    cause: str = "FlagFile", runbook: str = "flag-file", evidence: tuple[str, ...] = ("E1",), confidence: int = 90
) -> str:
    """An answer as asked for."""
    return json.dumps(
        {
            "summary": "what a model thinks it sees",
            "cause": cause,
            "evidence": list(evidence),
            "runbook": runbook,
            "confidence": confidence,
        }
    )


class FakeConsultant:
    """`Consultant` in memory. `delay_s` passes before each answer; `given_up` counts questions that were cancelled."""

    def __init__(self, says: Says, *, delay_s: float = 0, tokens: int | None = 700) -> None:
        self.model = "fake-1"
        self.says = says
        self.delay_s = delay_s
        self.tokens = tokens
        self.asked: list[Question] = []
        self.under: list[Egress] = []
        self.given_up = 0

    async def ask(self, question: Question, egress: Egress) -> Answer:
        """See `pitcrew.ports.Consultant`."""
        self.asked.append(question)
        self.under.append(egress)
        try:
            await asyncio.sleep(self.delay_s)
        except asyncio.CancelledError:
            self.given_up += 1
            raise
        said = self.says(question)
        if isinstance(said, Exception):
            raise said
        return Answer(text=said, tokens=self.tokens, way="fake")

    async def close(self) -> None:
        """Nothing is held."""
