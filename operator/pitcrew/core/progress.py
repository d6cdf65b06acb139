"""Progress: whether a log counts forward, in whatever language: the same sentence with more done of the same whole.

A service that visibly comes forward with something is not stuck, whatever its probes say; who restarts it makes it
begin anew. Retries and gauges count as well, and bring nothing forward.
"""

import re
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from typing import NamedTuple

from pitcrew.core.logs import records
from pitcrew.core.observation import LogLine

STEPS_MIN = 3
"""Steps from which on it is no chance that a number grows."""
STILL_S = 120
"""Seconds after its last step in which a work still counts as under way."""
CHARS_MAX = 400
"""Characters of a line that are looked at."""

_TIMES = re.compile(
    r"\d{4}[-/]\d\d[-/]\d\d[T ]\d\d:\d\d:\d\d\S*|\b\d\d:\d\d:\d\d\S*|\b1[5-9]\d{8}(?:\d{3}|\.\d{1,9})?\b"
    r"|\b(?:\d{1,3}\.){3}\d{1,3}\S*"
)
"""Times and addresses: they hold numbers that mean nothing here."""
_NUMBER = r"\d{1,18}(?:[.,]\d{1,9})?"
_STEP = re.compile(
    rf"(?<![\w.,])(?P<done>{_NUMBER}) ?(?:[KMGTP]i?B)?[\])]?"
    rf"(?: ?% ?|(?: ?/ ?| ?[^\W\d_]{{1,6}} | \w{{1,24}}[=:])[\[(]?(?P<whole>{_NUMBER}))"
)
"""`45 %`, `12/90`, `3.1 GB of 12.0 GB`, `[5] of [24]`, `12400 von 90000`, `segment=41 last=120`."""
_LEFT = re.compile(
    rf"(?<![\w.,])(?P<before>{_NUMBER}) (?:[\w-]{{1,24}} ){{0,2}}(?:left|remaining|to go|behind|outstanding)\b"
    rf"|\b(?:left|remaining|to go|behind|lag|lagging)(?: by)?[:= ]{{1,2}}(?P<after>{_NUMBER})\b",
    re.I,
)
_NO_WORK = re.compile(
    r"\b(?:attempts?|retry|retries|retrying|tries|try|us(?:age|ed)|in use|cpu|memory|mem|heap|load|utili[sz]ation|full"
    r"|capacity|free|hits?|ratio|rate|pool|connections?|active|idle|threads?|workers?|slots?|timeouts?)\b",
    re.I,
)
"""Words of lines that count tries, or tell how full something is."""
_DIGITS = re.compile(r"\d+")


class _Step(NamedTuple):
    """How far it is, counted upwards to nought or to a whole, in one kind of line."""

    kind: tuple[str, float]
    far: float
    ended: bool
    at: datetime | None


def comes_forward(lines: Iterable[LogLine], at: datetime) -> bool:
    """Whether some kind of line counts forward, its last step of lately and not the end; lines are oldest first."""
    kinds: dict[tuple[str, float], list[_Step]] = {}
    for record in records(lines):
        for step in _steps(record):
            kinds.setdefault(step.kind, []).append(step)
    return any(_under_way(steps, at) for steps in kinds.values())


def _under_way(steps: Sequence[_Step], at: datetime) -> bool:
    last = steps[-1]
    if len(steps) < STEPS_MIN or last.ended or (last.at and last.at < at - timedelta(seconds=STILL_S)):
        return False
    return all(one.far < after.far for one, after in pairwise(steps))


def _steps(record: LogLine) -> list[_Step]:
    """How far a line says it is, in each of its counts."""
    text = _TIMES.sub(" ", record.text[:CHARS_MAX])
    if _NO_WORK.search(text):
        return []
    if found := _LEFT.search(text):
        left = _value(found["before"] or found["after"])
        return [_Step((_before(text, found), 0), -left, left == 0, record.at)]
    steps = []
    for found in _STEP.finditer(text):
        done, whole = _value(found["done"]), _value(found["whole"] or "100")
        steps.append(_Step((_before(text, found), whole), done, done >= whole, record.at))
    return steps


def _before(text: str, found: re.Match[str]) -> str:
    return _DIGITS.sub("#", text[: found.start()])


def _value(number: str) -> float:
    """A number, its comma or point before three digits being of thousands."""
    whole, sign, rest = number.partition("," if "," in number else ".")
    return float(whole + rest if sign and len(rest) == 3 else f"{whole}.{rest or 0}")
