"""Every metric as data: name, kind, labels and meaning; the registry and the reference page are made from it."""

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What can be done with a metric."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, kw_only=True, slots=True)
class Metric:
    """One metric. `name` is as it is exposed; `bounds` are the upper bounds of a histogram's buckets, in seconds."""

    name: str
    kind: Kind
    meaning: str
    labels: tuple[str, ...] = ()
    bounds: tuple[float, ...] = ()


_SPANS_S = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600, 14400, 86400)
_WRITES_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


def _counter(name: str, meaning: str, *labels: str) -> Metric:
    return Metric(name=name, kind=Kind.COUNTER, meaning=meaning, labels=labels)


def _gauge(name: str, meaning: str, *labels: str) -> Metric:
    return Metric(name=name, kind=Kind.GAUGE, meaning=meaning, labels=labels)


def _histogram(name: str, meaning: str, bounds: tuple[float, ...] = _SPANS_S) -> Metric:
    return Metric(name=name, kind=Kind.HISTOGRAM, meaning=meaning, bounds=bounds)


UP = _gauge("pitcrew_up", "1 while the process serves metrics; whether it works, the time of the last turn says.")
BUILD = _gauge("pitcrew_build_info", "Always 1; the version is in the labels.", "version", "python")
LAST_TURN = _gauge("pitcrew_last_turn_timestamp_seconds", "Unix time of the loop's last pulse; it gives one a second.")
SERVICES = _gauge("pitcrew_services", "Services that are declared now.")
QUIET = _gauge("pitcrew_quiet_seconds", "Seconds since the service seen longest ago was looked at.")
PROBES = _counter("pitcrew_probes_total", "Probes carried out, by what they said.", "service", "probe", "outcome")
LOOKS = _counter("pitcrew_looks_total", "Looks at a target, by what was seen.", "service", "sight")
OPENED = _counter("pitcrew_incidents_opened_total", "Incidents opened.", "service", "severity")
INCIDENTS = _counter(
    "pitcrew_incidents_total",
    "Incidents by what they came to; one that was handed over and then recovered counts under both.",
    "service",
    "outcome",
)
OPEN = _gauge("pitcrew_incidents_open", "Incidents open now, by phase.", "phase")
DETECT = _histogram("pitcrew_incident_detect_seconds", "From the first sign to the opening.")
DECIDE = _histogram("pitcrew_incident_decide_seconds", "From the opening to the first verdict on a plan.")
APPROVE = _histogram("pitcrew_incident_approve_seconds", "From asking people to the decision of one.")
RECOVER = _histogram("pitcrew_incident_recover_seconds", "From the first sign to the recovery.")
VERDICTS = _counter(
    "pitcrew_verdicts_total", "Rulings of the Official, by the rule that spoke and what it said.", "rule", "effect"
)
ACTIONS = _counter(
    "pitcrew_actions_total",
    "Actions by direction (do, undo) and outcome; Turned was stopped by a guard before anything was touched.",
    "action",
    "direction",
    "outcome",
)
APPROVALS = _counter("pitcrew_approvals_total", "Requests to people, by what was decided; Expire is time.", "decision")
MODEL_CALLS = _counter(
    "pitcrew_model_calls_total",
    "Questions to a model: Asked when one begins, then Answered or Failed; one that a crash cut off has no second. "
    "AskedAgain counts, beside that, those whose first answer could not be used.",
    "model",
    "outcome",
)
MODEL_TOKENS = _counter(
    "pitcrew_model_tokens_total",
    "Tokens that questions to a model took, as far as is known, by kind: In for prompts, Out for answers.",
    "model",
    "kind",
)
MODEL_MONEY = _counter(
    "pitcrew_model_microdollars_total",
    "What questions to a model cost by the prices set, in millionths of a dollar, as far as is known.",
    "model",
)
BREAKER = _gauge("pitcrew_breaker_state", "1 for the state that a breaker is in, 0 for the others.", "breaker", "state")
JOURNAL_APPEND = _histogram(
    "pitcrew_journal_append_seconds", "From asking for a record to its being durable.", _WRITES_S
)
JOURNAL_LAG = _gauge("pitcrew_journal_lag_seconds", "Seconds that the oldest record under way waits to be durable.")
JOURNAL_WRITABLE = _gauge("pitcrew_journal_writable", "0 while a record could not be kept when it was tried last.")

METRICS: tuple[Metric, ...] = (
    UP,
    BUILD,
    LAST_TURN,
    SERVICES,
    QUIET,
    PROBES,
    LOOKS,
    OPENED,
    INCIDENTS,
    OPEN,
    DETECT,
    DECIDE,
    APPROVE,
    RECOVER,
    VERDICTS,
    ACTIONS,
    APPROVALS,
    MODEL_CALLS,
    MODEL_TOKENS,
    MODEL_MONEY,
    BREAKER,
    JOURNAL_APPEND,
    JOURNAL_LAG,
    JOURNAL_WRITABLE,
)

REVIEWS = _counter("pitcrew_official_verdicts_total", "Verdicts that the Official gave, by their effect.", "effect")
PERMITS = _counter("pitcrew_official_permits_total", "Permits that the Official gave, by their direction.", "direction")
REFUSALS = _counter(
    "pitcrew_official_refusals_total",
    "Permits, requests and decisions that the Official refused, by what was wanted.",
    "of",
)
ASKED = _counter("pitcrew_official_requests_total", "Requests to people that the Official was asked for and made.")
DECISIONS = _counter("pitcrew_official_decisions_total", "Decisions of people that the Official took.", "decision")
LEDGER_TROUBLE = _gauge(
    "pitcrew_official_ledger_trouble",
    "1 while the ledger of permits cannot be trusted or written; nothing is permitted.",
)
STOPPED = _gauge("pitcrew_official_stopped", "1 while a person's stop holds at the Official.")
DECLARED = _gauge("pitcrew_official_services", "Services that the Official reads as declared.")

OFFICIAL_METRICS: tuple[Metric, ...] = (
    UP,
    BUILD,
    REVIEWS,
    PERMITS,
    REFUSALS,
    ASKED,
    DECISIONS,
    LEDGER_TROUBLE,
    STOPPED,
    DECLARED,
)
"""What `pitcrew official` shows."""
