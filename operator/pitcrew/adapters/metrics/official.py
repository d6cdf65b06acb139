"""What the Official counts, as Prometheus reads it; every label value is one of a closed list."""

import platform

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, generate_latest

from pitcrew import __version__
from pitcrew.adapters.metrics import catalogue
from pitcrew.adapters.metrics.catalogue import OFFICIAL_METRICS, Metric
from pitcrew.adapters.metrics.witness import made

CONTENT_TYPE = CONTENT_TYPE_LATEST


class OfficialMetrics:
    """Counters from 0 at the start of the process, and gauges as they were set last."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry(auto_describe=False)
        self._made = {metric: made(metric, self._registry) for metric in OFFICIAL_METRICS}
        self.show(catalogue.UP, 1)
        self.show(catalogue.BUILD, 1, __version__, platform.python_version())
        self.show(catalogue.LEDGER_TROUBLE, 0)

    def count(self, metric: Metric, *labels: str) -> None:
        """One more."""
        found = self._made[metric]
        assert isinstance(found, Counter)
        (found.labels(*labels) if labels else found).inc()

    def show(self, metric: Metric, value: float, *labels: str) -> None:
        """What a gauge shows from now on."""
        found = self._made[metric]
        assert isinstance(found, Gauge)
        (found.labels(*labels) if labels else found).set(value)

    def text(self) -> bytes:
        """Everything, in the format that Prometheus reads."""
        return generate_latest(self._registry)
