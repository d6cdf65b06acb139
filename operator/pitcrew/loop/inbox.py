"""What assistants hand to the worker of a service, which alone moves its incident."""

import asyncio
from collections import deque
from dataclasses import dataclass

from pitcrew.core.errors import Refused
from pitcrew.core.event import DiagnosisProposed
from pitcrew.core.order import Person

QUEUE_MAX = 8
"""Proposals of one service that wait for its worker; whoever comes later is told to come again."""


@dataclass(frozen=True, kw_only=True)
class Handed:
    """One proposal on its way to the worker; `answer` gets what was recorded, or why nothing was."""

    incident: str
    by: Person
    cause: str
    runbook: str
    evidence: tuple[str, ...]
    answer: "asyncio.Future[DiagnosisProposed]"


class Inbox:
    """The proposals of one desk that its worker did not hear yet."""

    def __init__(self) -> None:
        self._waiting: deque[Handed] = deque()

    def put(self, handed: Handed) -> None:
        """Raises Refused where too many wait."""
        self._waiting = deque(one for one in self._waiting if not one.answer.done())
        if len(self._waiting) >= QUEUE_MAX:
            raise Refused(f"{QUEUE_MAX} proposals wait for this service already; propose again in a moment")
        self._waiting.append(handed)

    def take(self) -> Handed | None:
        """The next one whose sender still waits."""
        while self._waiting:
            handed = self._waiting.popleft()
            if not handed.answer.done():
                return handed
        return None
