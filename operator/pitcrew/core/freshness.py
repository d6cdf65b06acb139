"""Freshness: which lines of a log tell of now, and which only of the present run."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from pitcrew.core.observation import LogLine, RuntimeFacts

BEFORE_S = 120
"""Seconds before it began to deviate from which on a line counts: a fault is often logged before a probe sees it."""
STANDING_S = 3600
"""Seconds for which a line counts that tells how something stands until another one ends it, as a migration or a
maintenance that began. Who says nothing of it for an hour has forgotten it."""
UNDATED_LINES_MAX = 50
"""Last lines that count where the runtime cannot tell when a line was written, as for a local process."""
CHARS_MAX = 2048
"""Characters of one line that are searched."""
SEARCHED_CHARS_MAX = 128 * 1024
"""Characters of all lines that are searched for many words, the last ones; a hostile log costs a second then."""


def fresh_since(facts: RuntimeFacts, began_at: datetime) -> datetime:
    """From when on a line tells of now: of the present or last run, and not from long before it began to deviate."""
    return _of_this_run(facts, began_at - timedelta(seconds=BEFORE_S))


def standing_since(facts: RuntimeFacts, began_at: datetime) -> datetime:
    """From when on a line still tells how something stands, where no later one ends it."""
    return _of_this_run(facts, began_at - timedelta(seconds=STANDING_S))


def _of_this_run(facts: RuntimeFacts, earliest: datetime) -> datetime:
    return max(earliest, facts.started_at) if facts.started_at else earliest


def lines_since(logs: Sequence[LogLine], earliest: datetime, *, undated: bool = True) -> list[LogLine]:
    """The lines of then and later; where `undated`, with the last of those whose time is not known and that no line of
    an earlier time follows in their stream. No line is longer than `CHARS_MAX`."""
    found, stale, room = [], set(), UNDATED_LINES_MAX if undated else 0
    for line in reversed(logs):
        if line.at is not None and line.at < earliest:
            stale.add(line.stream)
        elif line.at is not None or (room > 0 and line.stream not in stale):
            found.append(LogLine(at=line.at, stream=line.stream, text=line.text[:CHARS_MAX]))
            room -= line.at is None
    return found[::-1]


def searched(lines: Sequence[LogLine]) -> list[LogLine]:
    """The last lines, as many as are searched, the same text once where it was said last."""
    found: dict[str, LogLine] = {}
    room = SEARCHED_CHARS_MAX
    for line in reversed(lines):
        if line.text in found:
            continue
        room -= len(line.text) + 1
        if room < 0:
            break
        found[line.text] = line
    return list(found.values())[::-1]
