"""Looking around: what one desk is told of the other services that its own is declared to depend on."""

from collections.abc import Callable, Mapping
from datetime import datetime

from pitcrew.core.dependency import Dependency, Graph, below
from pitcrew.core.deviation import health, respected
from pitcrew.core.resource import HealthyService, ServiceKey
from pitcrew.loop.desk import Desk


class Around:
    """`desks` are those of all declared services, `graph` is as declared now; `wake` has one of them looked at now."""

    def __init__(
        self,
        desks: Callable[[], Mapping[ServiceKey, Desk]],
        graph: Callable[[], Graph],
        wake: Callable[[ServiceKey], None],
    ) -> None:
        self._desks = desks
        self._graph = graph
        self._wake = wake

    def told_of(self, service: HealthyService) -> tuple[Dependency, ...]:
        """How the services that this one depends on are now."""
        if not service.depends_on:
            return ()
        desks, graph = self._desks(), self._graph()
        return tuple(
            _told(desks[key], circular=service.key in below(graph, key)) if key in desks else Dependency(service=key)
            for key in service.depends_on
        )

    def looked(self, service: HealthyService, since: datetime) -> bool:
        """Whether all of them were looked at since then, without a doubt; those that were not are looked at now."""
        if not service.depends_on:
            return True
        desks = self._desks()
        doubtful = [key for key in service.depends_on if key in desks and not desks[key].certain_since(since)]
        for key in doubtful:
            self._wake(key)
        return not doubtful


def _told(desk: Desk, *, circular: bool) -> Dependency:
    now, incident = desk.now(), desk.incident
    return Dependency(
        service=desk.service.key,
        health=health(desk.watch, now),
        completed=respected(desk.watch.sight, now) == "Completed",
        circular=circular,
        healthy_since=desk.healthy_since,
        incident=f"{incident.id}, phase {incident.phase}" if incident else "",
    )
