"""Telling: what the loop saw and recorded, passed on to every witness. A witness can change and delay nothing."""

import logging
from collections.abc import Callable

from pitcrew.loop.crew import Crew
from pitcrew.ports import Witness

_log = logging.getLogger("pitcrew.loop")


def tell(crew: Crew, say: Callable[[Witness], None]) -> None:
    """Tell every witness the same; one that fails is logged, and the others are told."""
    for witness in crew.witnesses:
        try:
            say(witness)
        except Exception:  # Whatever goes wrong outside must not reach an incident (see `Witness`).
            _log.exception("a witness failed", extra={"text": type(witness).__name__})
