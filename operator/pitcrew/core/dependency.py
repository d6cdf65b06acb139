"""Dependencies: what is seen of the services that another is declared to depend on, and what that may explain.

Their health is as PitCrew itself sees it. One that a person stopped is down for whoever depends on it. What is Unknown
or Starting, is not declared, or completed its work never counts as down (S5); nor does a service in a circle, since who
failed first in it cannot be told.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from pitcrew.core.deviation import Health
from pitcrew.core.resource import HealthyService, ServiceKey

SETTLE_S = 30
"""Seconds of health of a dependency after which whoever depends on it is looked at anew: until then it may come back by
itself, since pools connect again and caches fill."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Dependency:
    """One service that another depends on. `health` is None where it is not declared here.

    `circular` says that it depends on the other in turn, `incident` names its open incident with the phase.
    """

    service: ServiceKey
    health: Health | None = None
    completed: bool = False
    circular: bool = False
    healthy_since: datetime | None = None
    incident: str = ""

    @property
    def down(self) -> bool:
        """Whether it is known not to work."""
        return self.health in (Health.UNHEALTHY, Health.STOPPED) and not self.completed and not self.circular

    @property
    def good(self) -> bool:
        """Whether it is known to work."""
        return self.health is Health.HEALTHY

    def settled(self, now: datetime) -> bool:
        """Whether it no longer explains anything: healthy for long enough, or nobody's any more."""
        if self.health is None:
            return True
        since = self.healthy_since
        return self.good and since is not None and now - since >= timedelta(seconds=SETTLE_S)

    def __str__(self) -> str:
        if self.health is None:
            return f"{self.service} is not declared here"
        stand = "completed its work" if self.completed else f"is {self.health}"
        turn = ", and depends on this service in turn" if self.circular else ""
        return f"{self.service} {stand}{turn}{f' ({self.incident})' if self.incident else ''}"


def all_good_since(dependencies: Collection[Dependency]) -> datetime | None:
    """Since when all of them are known to work; None where one is not, or there is none."""
    since = [one.healthy_since for one in dependencies if one.good and one.healthy_since]
    return max(since) if since and len(since) == len(dependencies) else None


def unknown(service: HealthyService) -> tuple[Dependency, ...]:
    """The dependencies of a service where nobody can say how they are."""
    return tuple(Dependency(service=key, health=Health.UNKNOWN) for key in service.depends_on)


def fallen(dependencies: Iterable[Dependency], before: Collection[str]) -> str:
    """What is down now and was not before, in words; empty where nothing is."""
    found = ", ".join(str(one) for one in dependencies if one.down and one.service not in before)
    return f"it depends on what is down now: {found}" if found else ""


# The graph of all that is declared

Graph = Mapping[ServiceKey, Sequence[ServiceKey]]
"""What each declared service depends on."""


def graph_of(services: Iterable[HealthyService]) -> Graph:
    """The graph of these services."""
    return {service.key: service.depends_on for service in services}


def below(graph: Graph, service: ServiceKey) -> frozenset[ServiceKey]:
    """All that a service depends on, through others as well; itself where it is in a circle."""
    found: set[ServiceKey] = set()
    ahead = list(graph.get(service, ()))
    while ahead:
        one = ahead.pop()
        if one not in found:
            found.add(one)
            ahead += graph.get(one, ())
    return frozenset(found)


def circles(graph: Graph) -> tuple[tuple[ServiceKey, ...], ...]:
    """The services that depend on each other in turn, each circle once."""
    beneath = {service: below(graph, service) for service in graph}
    found = {
        tuple(sorted(other for other in beneath[service] if service in beneath.get(other, ())))
        for service in graph
        if service in beneath[service]
    }
    return tuple(sorted(found))


def undeclared(graph: Graph) -> tuple[tuple[ServiceKey, ServiceKey], ...]:
    """Each service with one that it depends on and nobody declares."""
    return tuple((service, one) for service in sorted(graph) for one in graph[service] if one not in graph)


def remarks(graph: Graph) -> tuple[str, ...]:
    """What is worth knowing of a graph before it fails; none of it is an error."""
    return (
        *(f"{service} depends on {one}, which is not declared there" for service, one in undeclared(graph)),
        *(
            f"{', '.join(circle)} depend on each other in turn: while they fail none of them waits for another"
            for circle in circles(graph)
        ),
    )


def explained(graph: Graph, failing: Collection[ServiceKey]) -> frozenset[ServiceKey]:
    """The failing services of which a failing dependency tells why; in a circle none explains the other."""
    return frozenset(
        service
        for service in failing
        if any(one in failing and service not in below(graph, one) for one in graph.get(service, ()))
    )
