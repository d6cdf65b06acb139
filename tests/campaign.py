"""How much of a long campaign a run plays: all of it, or a part that a seed chooses.

A campaign is a fixed list (every kill at every point, every world of the lying model, ...). `make campaigns` plays all
of it; other runs play `PITCREW_CAMPAIGN` per cent, chosen by `PITCREW_SEED`, which is drawn anew where it is not given.
Both are printed, so that the same part can be played again.
"""

import os
import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import ceil
from secrets import randbelow
from typing import TypeVar

PERCENT_VARIABLE, SEED_VARIABLE = "PITCREW_CAMPAIGN", "PITCREW_SEED"
PERCENT, ALL = 10, 100
SEEDS = 1_000_000
T = TypeVar("T")


class CampaignError(Exception):
    """A variable says nothing that can be played; the text names it and what it may be."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Campaign:
    """`percent` of each campaign, 1 to 100; `seed` chooses which."""

    percent: int
    seed: int

    @property
    def whole(self) -> bool:
        """Whether everything is played."""
        return self.percent == ALL

    def part(self, name: str, things: Iterable[T], *, least: int = 1) -> list[T]:
        """The things that are played of the campaign of this name, in their order, at least so many where there are."""
        every = list(things)
        count = min(len(every), max(least, ceil(len(every) * self.percent / ALL)))
        chosen = sorted(random.Random(f"{self.seed} {name}").sample(range(len(every)), count))
        return [every[index] for index in chosen]

    def __str__(self) -> str:
        if self.whole:
            return "campaigns: all of each"
        again = f"{PERCENT_VARIABLE}={self.percent} {SEED_VARIABLE}={self.seed} plays the same"
        return f"campaigns: {self.percent} % of each; {again}, `make campaigns` all"


def campaign(environ: Mapping[str, str] = os.environ) -> Campaign:
    """What the environment asks for. Raises: CampaignError."""
    percent = _number(environ, PERCENT_VARIABLE, PERCENT, range(1, ALL + 1))
    return Campaign(percent=percent, seed=_number(environ, SEED_VARIABLE, 0, range(SEEDS)))


def draw_seed() -> None:
    """Have this session and the processes it starts play one part, whichever the environment names or none."""
    os.environ.setdefault(SEED_VARIABLE, str(randbelow(SEEDS)))


def _number(environ: Mapping[str, str], variable: str, default: int, allowed: range) -> int:
    text = environ.get(variable, "") or str(default)
    if not text.isascii() or not text.isdigit() or int(text) not in allowed:
        raise CampaignError(f"{variable} is {text[:40]!r}; it takes a whole number from {allowed[0]} to {allowed[-1]}")
    return int(text)
