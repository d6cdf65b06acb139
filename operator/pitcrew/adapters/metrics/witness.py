"""Counts what the loop tells, in a registry of its own.

Label values that come from outside are cleaned, and each label takes a bounded number of them; the rest is `other`.
"""

import asyncio
import platform
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import assert_never

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from pitcrew import __version__
from pitcrew.adapters.incoming import Address
from pitcrew.adapters.metrics import catalogue as metrics
from pitcrew.adapters.metrics.catalogue import METRICS, Kind, Metric
from pitcrew.adapters.metrics.server import MetricsServer
from pitcrew.core.approval import Decision
from pitcrew.core.event import (
    Acted,
    Advised,
    Decided,
    Event,
    Failed,
    Judged,
    ModelAsked,
    Opened,
    Turned,
    Undone,
    UndoTurned,
)
from pitcrew.core.incident import Incident
from pitcrew.core.observation import Observation, RuntimeFacts
from pitcrew.core.permit import Direction
from pitcrew.core.proposal import Plan
from pitcrew.core.resource import HealthyService
from pitcrew.core.untrusted import clean
from pitcrew.ports import Pulse, Tokens

VALUES_MAX = 500
"""Values of one label of one metric; far above the services of one machine, far below what hurts Prometheus."""
VALUE_BYTES_MAX = 128
OTHER = "other"
_BREAKER_STATES = ("Closed", "HalfOpen", "Open")
_ENDS = ("Escalated", "Verified", "Checked", "Healed", "Abandoned")


class Metrics:
    """A Witness that counts, and shows what it counted at an address, where one is given.

    `breakers` gives the state of each circuit breaker at the time of asking; `tokens`, where given, who may look.
    """

    def __init__(
        self,
        *,
        breakers: Mapping[str, Callable[[], str]],
        address: Address | None = None,
        tokens: Tokens | None = None,
    ) -> None:
        """Raises InvalidInput for an address that cannot be listened on."""
        self.registry = CollectorRegistry(auto_describe=False)
        self._made = {metric: made(metric, self.registry) for metric in METRICS if metric is not metrics.BREAKER}
        self._values: dict[tuple[str, int], set[str]] = {}
        self._phases: set[str] = set()
        self.registry.register(_Breakers(breakers))
        self._set(metrics.UP, 1)
        self._set(metrics.BUILD, 1, __version__, platform.python_version())
        self._set(metrics.JOURNAL_WRITABLE, 1)
        self.server = MetricsServer(address, self.registry, tokens) if address else None

    def observed(self, service: HealthyService, seen: Observation) -> None:
        """Count a look and its probes."""
        sight = seen.sight
        state = str(sight.state) if isinstance(sight, RuntimeFacts) else type(sight).__name__
        self._count(metrics.LOOKS, service.key, state)
        for result in seen.probes:
            self._count(metrics.PROBES, service.key, result.probe, str(result.outcome))

    def recorded(self, event: Event, incident: Incident, at: datetime, took_s: float) -> None:
        """Count what an event says."""
        self._time(metrics.JOURNAL_APPEND, took_s)
        if event.type in _ENDS and incident.outcome != "Open":
            self._count(metrics.INCIDENTS, incident.service, incident.outcome)
            if incident.recovered_at == at:
                self._time(metrics.RECOVER, (at - incident.detected_from).total_seconds())
        match event:
            case Opened():
                self._count(metrics.OPENED, incident.service, str(incident.severity))
                self._time(metrics.DETECT, (at - event.detected_from).total_seconds())
            case Judged(verdict=verdict):
                if len(incident.attempts) == 1:
                    self._time(metrics.DECIDE, (at - incident.opened_at).total_seconds())
                for ruling in verdict.rulings:
                    self._count(metrics.VERDICTS, ruling.rule, str(ruling.effect))
            case Decided(approval=approval):
                self._count(metrics.APPROVALS, str(approval.decision))
                request = incident.attempt.request
                if request is not None and approval.decision is not Decision.EXPIRE:
                    self._time(metrics.APPROVE, (approval.at - request.asked_at).total_seconds())
            case Turned() | Acted() | Failed():
                outcome = str(event.seen) if isinstance(event, Acted) else event.type
                self._act(incident.attempt.plan, Direction.DO, outcome)
            case Undone() | UndoTurned():
                outcome = str(event.seen) if isinstance(event, Undone) else "Turned"
                undone = [attempt.plan for attempt in incident.attempts if attempt.undo_permit is not None]
                self._act((undone or [incident.attempt.plan])[-1], Direction.UNDO, outcome)
            case ModelAsked(model=model):
                self._count(metrics.MODEL_CALLS, model, "Asked")
            case Advised():
                self._note_advice(event)
            case _:
                return

    def alive(self, pulse: Pulse) -> None:
        """Show where the loop stands."""
        self._set(metrics.LAST_TURN, pulse.at.timestamp())
        self._set(metrics.SERVICES, pulse.services)
        self._set(metrics.QUIET, pulse.quiet_s)
        self._set(metrics.JOURNAL_LAG, pulse.journal_lag_s)
        self._set(metrics.JOURNAL_WRITABLE, 0 if pulse.unwritten else 1)
        self._phases |= set(pulse.phases)
        for phase in self._phases:
            self._set(metrics.OPEN, pulse.phases.get(phase, 0), phase)

    async def close(self) -> None:
        """Show nothing any more."""
        server, self.server = self.server, None
        if server is not None:
            await asyncio.to_thread(server.close)

    def _note_advice(self, advised: Advised) -> None:
        """Count what came of asking a model, and what it cost."""
        model = advised.model
        self._count(metrics.MODEL_CALLS, model, "Failed" if advised.opinion is None else "Answered")
        if advised.repaired:
            self._count(metrics.MODEL_CALLS, model, "AskedAgain")
        self._count(metrics.MODEL_TOKENS, model, "In", by=advised.usage.tokens_in)
        self._count(metrics.MODEL_TOKENS, model, "Out", by=advised.usage.tokens_out)
        self._count(metrics.MODEL_MONEY, model, by=advised.microdollars)

    def _act(self, plan: Plan, direction: Direction, outcome: str) -> None:
        action = plan.undo if direction is Direction.UNDO and plan.undo else plan.action
        self._count(metrics.ACTIONS, action.name, str(direction), outcome)

    def _count(self, metric: Metric, *values: str, by: int = 1) -> None:
        made = self._made[metric]
        assert isinstance(made, Counter)
        made.labels(*self._bounded(metric, values)).inc(max(0, by))

    def _set(self, metric: Metric, value: float, *values: str) -> None:
        made = self._made[metric]
        assert isinstance(made, Gauge)
        (made.labels(*self._bounded(metric, values)) if values else made).set(value)

    def _time(self, metric: Metric, seconds: float) -> None:
        made = self._made[metric]
        assert isinstance(made, Histogram)
        made.observe(max(0.0, seconds))

    def _bounded(self, metric: Metric, values: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(self._value(metric, place, value) for place, value in enumerate(values))

    def _value(self, metric: Metric, place: int, value: str) -> str:
        known = self._values.setdefault((metric.name, place), set())
        cleaned = clean(" ".join(value.split()), VALUE_BYTES_MAX)
        if cleaned not in known and len(known) >= VALUES_MAX:
            return OTHER
        known.add(cleaned)
        return cleaned


class _Breakers(Collector):
    """Asked at each scrape, since nobody tells when a breaker moves."""

    def __init__(self, breakers: Mapping[str, Callable[[], str]]) -> None:
        self._breakers = breakers

    def collect(self) -> list[GaugeMetricFamily]:
        metric = metrics.BREAKER
        family = GaugeMetricFamily(metric.name, metric.meaning, labels=metric.labels)
        for name, state_of in self._breakers.items():
            state = state_of()
            for one in _BREAKER_STATES:
                family.add_metric((name, one), float(one == state))
        return [family]


def made(metric: Metric, registry: CollectorRegistry) -> Counter | Gauge | Histogram:
    """One metric in a registry."""
    match metric.kind:
        case Kind.COUNTER:
            return Counter(metric.name, metric.meaning, metric.labels, registry=registry)
        case Kind.GAUGE:
            return Gauge(metric.name, metric.meaning, metric.labels, registry=registry)
        case Kind.HISTOGRAM:
            return Histogram(metric.name, metric.meaning, metric.labels, registry=registry, buckets=metric.bounds)
        case _:
            assert_never(metric.kind)
