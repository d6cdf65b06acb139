"""Whether Driver, Official and Mechanic are processes of their own, as `pitcrew doctor` sees it."""

from collections.abc import Iterator

import httpx

from pitcrew.core.untrusted import printable
from pitcrew.entrypoints.cli.guards import Guard, armed, missing, off
from pitcrew.settings import Settings, mechanics_of

_PATIENCE_S = 3.0
"""Seconds that another process is waited for."""


def separation(settings: Settings) -> Iterator[Guard]:
    """Whether the three roles are processes of their own, and whether the other two answer."""
    if settings.official_url or settings.mechanics:
        yield armed("separation", "Driver, Official and Mechanics are processes of their own; this one has no key")
        yield _reached("Official", settings.official_url)
        yield from (_reached(f"Mechanic {name}", url) for name, url in mechanics_of(settings).items())
        return
    seen = "none: Driver, Official and Mechanic share one process; permits stop bugs, not a process taken over"
    yield off("separation", seen, "so a plan of risk High or above waits for a person, whatever autoUpTo says")


def _reached(name: str, url: str) -> Guard:
    try:
        answer = httpx.get(f"{url.rstrip('/')}/healthz", timeout=_PATIENCE_S)
    except httpx.HTTPError as error:
        seen = printable(str(error) or type(error).__name__, lines=False)
        return missing(name, f"{url} does not answer: {seen}", "start it; meanwhile nothing is done")
    if answer.is_success:
        return armed(name, f"{url} answers")
    return missing(name, f"{url} answers {answer.status_code}", "look at its log; meanwhile nothing is done")
