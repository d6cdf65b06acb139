"""Context: what led up to an incident, as facts beside those of the instant.

How long the probes have failed and when they were last good, what changed since the service was last healthy, and what
earlier incidents of it were. A careful engineer asks for these before reading a log.
"""

import re
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from pitcrew.core.deviation import FLAP_WINDOW_S, Track, Watch
from pitcrew.core.evidence import Fact, Source
from pitcrew.core.history import Past
from pitcrew.core.observation import Observation, Outcome, RuntimeFacts

FORMER_MAX = 4
"""Earlier incidents told, the latest; older ones say little about now."""
LATELY_S = 3_600
"""Seconds in which a change is a lead; an hour, as history counts."""
NAMES_MAX = 6
"""Names told of one change; the count says how many there were."""

CHANGES = ("image", "env", "networks", "target", "instance")
"""What may differ from a healthy look."""

_DIGEST = re.compile(r"(sha256:[0-9a-f]{12})[0-9a-f]{52}")


def probe_history(watch: Watch, now: datetime) -> tuple[Fact, ...]:
    """Since when each failing probe fails, how many times in a row, when it was last good, and how often it swung."""
    return tuple(
        fact
        for name, track in watch.tracks.items()
        if track.last is not None and track.last.outcome is not Outcome.SUCCESS
        for fact in _history_of(name, track, now)
    )


def _history_of(name: str, track: Track, now: datetime) -> Iterable[Fact]:
    if track.failures and track.failed_since:
        told = f"probe {name} failed {track.failures} times in a row since {track.failed_since:%H:%M:%S}"
        yield _of_probe("probe.streak", track.failures, told)
    if track.good_at:
        yield _of_probe("probe.last.good", name, f"probe {name} was last good at {track.good_at:%H:%M:%S}")
    else:
        yield _of_probe("probe.never.good", name, f"probe {name} was never seen good")
    swings = [at for at in track.changed_at if now - at <= timedelta(seconds=FLAP_WINDOW_S)]
    if len(swings) > 1:
        told = f"probe {name} changed sides {len(swings)} times in {FLAP_WINDOW_S // 60} minutes"
        yield _of_probe("probe.swings", len(swings), told)


def _of_probe(key: str, value: str | int, text: str) -> Fact:
    return Fact(source=Source.PROBE, key=key, value=value, text=text)


def changes(seen: Observation, *healthy: Observation | None) -> tuple[Fact, ...]:
    """What differs from the last healthy look; where nothing does, from the one given next, if it is not long ago: a
    release may be good for a minute. Nothing where the target was not seen."""
    for one in healthy:
        if one is not None and seen.at - one.at <= timedelta(seconds=LATELY_S) and (found := _changes(one, seen)):
            return found
    return ()


def _changes(healthy: Observation, seen: Observation) -> tuple[Fact, ...]:
    if not isinstance(healthy.sight, RuntimeFacts) or not isinstance(seen.sight, RuntimeFacts):
        return ()
    before, after = healthy.sight, seen.sight
    differing = (
        _swapped(before.image, after.image),
        _differing(before.env_names, after.env_names),
        _differing(before.networks, after.networks),
        "is another one now" if before.target_id != after.target_id else "",
        "was started anew" if _same_but_anew(before, after) else "",
    )
    since = f"changed since healthy at {healthy.at:%H:%M:%S}"
    return tuple(
        Fact(source=Source.RUNTIME, key="changed", value=what, text=f"{since}: {what} {told}")
        for what, told in zip(CHANGES, differing, strict=True)
        if told
    )


def _swapped(before: str, after: str) -> str:
    return f"{_short(before)} became {_short(after)}" if before != after else ""


def _short(image: str) -> str:
    """An image's name or digest, no longer than tells it from another."""
    return _DIGEST.sub(r"\1", image) or "none"


def _same_but_anew(before: RuntimeFacts, after: RuntimeFacts) -> bool:
    return before.target_id == after.target_id and before.instance != after.instance


def _differing(before: Sequence[str], after: Sequence[str]) -> str:
    """Names that came and went; names only, since a value may be a secret."""
    gone = [name for name in before if name not in after]
    new = [name for name in after if name not in before]
    return "; ".join(f"{word} {_names(names)}" for word, names in (("without", gone), ("new", new)) if names)


def _names(names: Sequence[str]) -> str:
    more = f" and {len(names) - NAMES_MAX} more" if len(names) > NAMES_MAX else ""
    return ", ".join(names[:NAMES_MAX]) + more


def former(past: Sequence[Past]) -> tuple[Fact, ...]:
    """The latest earlier incidents of the service: their cause, when they were, and how they ended."""
    latest = sorted(past, key=lambda one: one.opened_at, reverse=True)[:FORMER_MAX]
    return tuple(
        Fact(
            source=Source.HISTORY,
            key="former",
            value=str(one.cause),
            text=f"former incident {one.incident} of {one.opened_at:%Y-%m-%d %H:%M}: {one.cause}, {_ended(one)}",
        )
        for one in latest
    )


def _ended(one: Past) -> str:
    effects = "nothing was done" if not one.effects else f"{one.effects} remedies" if one.effects > 1 else "1 remedy"
    return f"{one.outcome or ('recovered' if one.recovered else 'did not recover')}, {effects}"
