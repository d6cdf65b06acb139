"""Storms: many services that begin to deviate at once are one failure, of the host or of what they share, and not many.

While a storm lasts no incident opens and nothing is acted on: health checks of healthy services time out on a host
that is overloaded, and a remedy for each would make it worse (FAULTS 28). It ends when fewer than half deviate.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Annotated

from pydantic import Field, TypeAdapter

from pitcrew.core.dependency import explained
from pitcrew.core.record import Entry, Json, Record
from pitcrew.core.resource import ServiceKey
from pitcrew.core.untrusted import bound

STORM_BEGAN = "StormBegan"
STORM_ENDED = "StormEnded"
"""Types of the records of a storm; they are of no incident."""
STORM_TYPES = frozenset({STORM_BEGAN, STORM_ENDED})
SERVICES_MAX = 1000
"""Services that a record names; how many there are is told as well."""
NAMES_BYTES_MAX = 300
"""Bytes of the names in a text for people."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Spell:
    """One declared service: whether it deviates (None: cannot be told), and since when, where its beginning was seen.

    `failing` is a last answer that was bad, before it is a deviation by its threshold: a storm is to be seen before the
    first remedy, and of many slow probes one is the first.
    A service that was never seen well did not begin to deviate: after a start of the machine everything is down, and
    has to be started. `depends_on` are the services that it is declared to depend on.
    """

    service: str
    deviates: bool | None
    began_at: datetime | None = None
    failing: bool = False
    depends_on: tuple[ServiceKey, ...] = ()

    @property
    def counts(self) -> bool:
        """Whether it deviates, or is about to."""
        return self.failing or self.deviates is True


@dataclass(frozen=True, kw_only=True, slots=True)
class Storm:
    """A mass failure: the services that deviate in it, of how many declared ones, and since when."""

    services: tuple[str, ...]
    declared: int
    since: datetime

    def __str__(self) -> str:
        names = bound(", ".join(self.services), NAMES_BYTES_MAX)
        count = f"{len(self.services)} of {self.declared} services deviate"
        return f"a storm since {self.since:%Y-%m-%d %H:%M:%S} UTC: {count}: {names}"


ASK = (
    "look at what they share: load, memory, disk, network, the engine of the host; nothing is acted on until fewer "
    "than half of all services deviate, and what still deviates then gets its own incident"
)
"""What a person does about a storm."""


@dataclass(kw_only=True, slots=True)
class Sky:
    """The storm that lasts now, if any. A projection of the journal and of what is seen; mutable, of one loop."""

    storm: Storm | None = None

    def __str__(self) -> str:
        return f"{self.storm}; {ASK}" if self.storm else ""


def forecast(lasting: Storm | None, spells: Sequence[Spell], *, services_min: int, window_s: int) -> Storm | None:
    """The storm that lasts now, given the one of before; pure over the whole fleet.

    One begins when enough services, and half of all, began to fail within one window, and one of them deviates. What
    cannot be told begins none, and lets none end: a service of a storm that cannot be seen still counts. A service that
    a failing dependency explains is none of its own: one database and all that need it are one failure, with a remedy.
    """
    counting = _of_their_own(spells)
    if lasting is None:
        return _beginning(counting, len(spells), services_min, window_s)
    unseen = [s for s in spells if s.deviates is None and not s.counts and s.service in lasting.services]
    counted = [s.service for s in (*counting, *unseen)]
    if len(spells) < services_min or 2 * len(counted) < len(spells):
        return None
    return replace(lasting, services=tuple(sorted(counted)), declared=len(spells))


def _of_their_own(spells: Sequence[Spell]) -> list[Spell]:
    counting = [s for s in spells if s.counts]
    graph = {ServiceKey(s.service): s.depends_on for s in spells}
    others = explained(graph, {ServiceKey(s.service) for s in counting})
    return [s for s in counting if s.service not in others]


def _beginning(counting: Sequence[Spell], declared: int, services_min: int, window_s: int) -> Storm | None:
    if not any(s.deviates for s in counting):
        return None
    began = sorted(at for s in counting if (at := s.began_at) is not None)
    enough = max(services_min, -(-declared // 2))
    for first, last in zip(began, began[enough - 1 :], strict=False):
        if last - first <= timedelta(seconds=window_s):
            deviating = tuple(sorted(s.service for s in counting))
            return Storm(services=deviating, declared=declared, since=first)
    return None


_STORM: TypeAdapter[Storm] = TypeAdapter(Annotated[Storm, Field()])


def began(storm: Storm) -> Entry:
    """The record of a storm that began."""
    return Entry(type=STORM_BEGAN, data=_data(storm))


def ended(storm: Storm, still: Iterable[str]) -> Entry:
    """The record of a storm that ended; `still` are services that deviate all the same."""
    return Entry(type=STORM_ENDED, data={**_data(storm), "still": sorted(still)[:SERVICES_MAX]})


def _data(storm: Storm) -> dict[str, Json]:
    data: dict[str, Json] = _STORM.dump_python(replace(storm, services=storm.services[:SERVICES_MAX]), mode="json")
    return {**data, "deviating": len(storm.services)}


def from_record(record: Record) -> Storm:
    """The storm of a record, with as many services as it names. Raises ValueError where it holds none."""
    return _STORM.validate_python({name: record.data.get(name) for name in ("services", "declared", "since")})


def told(record_type: str, storm: Storm) -> str:
    """A record of a storm in a sentence."""
    return f"{storm}; {ASK}" if record_type == STORM_BEGAN else f"{storm}: it is over, fewer than half deviate"
