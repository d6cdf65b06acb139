"""Ranking: which templates of a log are kept, and in which order."""

from collections.abc import Sequence
from datetime import datetime

from pitcrew.core.template import Template

TEMPLATES_MAX = 20
"""Log templates kept; complaints and what is new come first."""
HEAD_LINES = 1
"""First lines of the log whose templates are always kept: what was started, and how."""
TAIL_LINES = 3
"""Last lines of the log whose templates are always kept: what it did last."""


def ranked(found: Sequence[Template], started_at: datetime | None) -> list[Template]:
    """The templates that are kept: complaints with the latest of all first, the ends of the log, then the rest.

    Among alike, what is new since the last start comes first, then what is rare, then what came last.
    """
    old = any(not _new(one, started_at) for one in found)
    ordered = sorted(found, key=lambda one: (old and not _new(one, started_at), one.count, -one.last))
    ends, alarms = _ends(found), [one for one in ordered if one.alarming]
    latest = sorted(alarms, key=lambda one: -one.last)[:1]
    first = list(dict.fromkeys([*latest, *alarms]))[: TEMPLATES_MAX - len(ends)]
    return list(dict.fromkeys([*first, *ends, *ordered]))[:TEMPLATES_MAX]


def _new(one: Template, started_at: datetime | None) -> bool:
    """Whether it is known to have come up only after the last start."""
    at = one.first_at
    return started_at is not None and at is not None and at.tzinfo is not None and at >= started_at


def _ends(found: Sequence[Template]) -> list[Template]:
    """The templates of the last lines, and of the first."""
    lines = sum(one.count for one in found)
    tail = [one for one in found if one.last >= lines - TAIL_LINES]
    head = [one for one in found if one.first < HEAD_LINES]
    return list(dict.fromkeys([*sorted(tail, key=lambda one: -one.last), *head]))
