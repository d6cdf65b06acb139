"""History: what earlier incidents of a service contribute to risk and policy."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from pitcrew.core.diagnosis import Cause

WINDOW_S = 3600
"""Seconds that count as lately; an hour, as budgets do by default."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Past:
    """One earlier incident of the service: when it opened, its cause, how many effects it had, and how it ended."""

    incident: str
    opened_at: datetime
    cause: Cause
    effects: int
    recovered: bool
    outcome: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class History:
    """Counts over the last hour; `in_vain` are incidents of the same cause that what was done did not end."""

    incidents: int = 0
    same_cause: int = 0
    effects: int = 0
    unresolved: int = 0
    in_vain: int = 0


def summarise(past: Iterable[Past], cause: Cause, now: datetime) -> History:
    """What the last hour says about one cause."""
    lately = [one for one in past if now - one.opened_at <= timedelta(seconds=WINDOW_S)]
    return History(
        incidents=len(lately),
        same_cause=sum(one.cause is cause for one in lately),
        effects=sum(one.effects for one in lately),
        unresolved=sum(not one.recovered for one in lately),
        in_vain=sum(one.cause is cause and one.effects > 0 and not one.recovered for one in lately),
    )
