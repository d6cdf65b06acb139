"""What several steps share: the wording of what went wrong, and of what the probes said."""

from pitcrew.core.errors import Refused, TargetAbsent, TargetAmbiguous, Unavailable
from pitcrew.core.observation import Observation
from pitcrew.core.untrusted import clean

_TEXT_BYTES_MAX = 400
NOT_NOW = (Refused, TargetAbsent, TargetAmbiguous, Unavailable)
"""What a Mechanic raises when certainly nothing was done."""


def plain_text(error: Exception) -> str:
    """What went wrong, cleaned and bounded."""
    return clean(str(error) or type(error).__name__, _TEXT_BYTES_MAX)


def told_by_probes(seen: Observation) -> str:
    """Each probe and its reason, for people."""
    return "; ".join(f"{result.probe} {result.reason}" for result in seen.probes) or "by runtime facts"
