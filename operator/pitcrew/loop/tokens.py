"""What asking models cost, as the journal tells it: per incident in the incident itself, and per day here."""

from datetime import datetime, timedelta

from pitcrew.core.event import Advised, Event, ModelAsked

DAY = timedelta(hours=24)


class Tokens:
    """Tokens of the last 24 hours over all services. Memory that a replay of the journal gives back."""

    def __init__(self) -> None:
        self._spent: list[tuple[datetime, str, int]] = []

    def take(self, incident: str, event: Event, at: datetime) -> None:
        """Count an event: a question by what was set aside for it, until its answer says what it cost."""
        match event:
            case ModelAsked(prompt_digest=digest, tokens_reserved=tokens):
                self._spent.append((at, f"{incident} {digest}", tokens))
            case Advised(prompt_digest=digest, tokens=tokens):
                self._settle(f"{incident} {digest}", tokens)
            case _:
                return

    def _settle(self, key: str, tokens: int) -> None:
        place = next((n for n in reversed(range(len(self._spent))) if self._spent[n][1] == key), None)
        if place is not None:
            self._spent[place] = (self._spent[place][0], key, tokens)

    def lately(self, now: datetime) -> int:
        """Tokens within the last 24 hours."""
        self._spent = [one for one in self._spent if now - one[0] < DAY]
        return sum(tokens for _, _, tokens in self._spent)
