"""What asking models cost, as the journal tells it: per incident in the incident itself, over all services here."""

import asyncio
from datetime import datetime, timedelta

from pitcrew.core.cost import Cost
from pitcrew.core.event import Advised, Event, ModelAsked

HOUR, DAY = timedelta(hours=1), timedelta(hours=24)


class Expenses:
    """The costs of the last 24 hours over all services. Memory that a replay of the journal gives back.

    Whoever looks at what is left and then spends holds `spending` meanwhile, so that two never spend the same.
    """

    def __init__(self) -> None:
        self.spending = asyncio.Lock()
        self._spent: list[tuple[datetime, str, Cost]] = []

    def take(self, incident: str, event: Event, at: datetime) -> None:
        """Count an event: a question by what was set aside for it, until its answer says what it cost."""
        match event:
            case ModelAsked(prompt_digest=digest):
                self._spent.append((at, f"{incident} {digest}", event.reserved))
            case Advised(prompt_digest=digest):
                self._settle(f"{incident} {digest}", event.cost)
            case _:
                return

    def _settle(self, key: str, cost: Cost) -> None:
        place = next((n for n in reversed(range(len(self._spent))) if self._spent[n][1] == key), None)
        if place is not None:
            self._spent[place] = (self._spent[place][0], key, cost)

    def lately(self, now: datetime, span: timedelta) -> Cost:
        """What was spent within this span, at most a day."""
        self._spent = [one for one in self._spent if now - one[0] < DAY]
        return sum((cost for at, _, cost in self._spent if now - at < span), Cost())
