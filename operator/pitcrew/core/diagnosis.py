"""Diagnosis: a cause out of a closed list, with its confidence and the evidence it cites.

The rules are a table. Each names the signals that must hold; the strongest rule that holds is the diagnosis, and all
that hold are kept. This module may not know actions: what a diagnosis returns cannot name one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from pitcrew.core.evidence import Evidence
from pitcrew.core.signal import Signal, all_shown, fact


class Cause(StrEnum):
    """Every cause that PitCrew knows; Unknown is never a reason to act."""

    UNKNOWN = "Unknown"
    FLAG_FILE = "FlagFile"
    HANG = "Hang"
    DIED = "Died"
    NOT_STARTED = "NotStarted"
    START_FAILED = "StartFailed"
    CRASH_LOOP = "CrashLoop"
    BAD_CONFIG = "BadConfig"
    OUT_OF_MEMORY = "OutOfMemory"
    PAUSED = "Paused"
    NETWORK_DETACHED = "NetworkDetached"
    TARGET_MISSING = "TargetMissing"
    STOPPED_BY_SOMEONE = "StoppedBySomeone"
    NOT_ANSWERING = "NotAnswering"
    SERVICE_ERRORS = "ServiceErrors"
    DEPENDENCY_DOWN = "DependencyDown"
    DISK_FULL = "DiskFull"
    CHECK_BROKEN = "CheckBroken"
    FLAPPING = "Flapping"
    LATENCY = "Latency"
    ERROR_RATE = "ErrorRate"


class Diagnoser(StrEnum):
    """Who gave a diagnosis."""

    RULES = "Rules"
    MODEL = "Model"
    ASSISTANT = "Assistant"


@dataclass(frozen=True, kw_only=True, slots=True)
class Diagnosis:
    """A cause, how sure (0 to 100), the ids of the evidence it rests on, and who gave it.

    `proposer` is the name of the person whose assistant gave it; empty for all others.
    """

    cause: Cause
    confidence: int
    evidence: tuple[str, ...]
    by: Diagnoser
    summary: str
    proposer: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class DiagnosisRule:
    """A cause, and the signals that must all hold for it."""

    cause: Cause
    signals: tuple[Signal, ...]
    confidence: int
    summary: str


COMMAND_FAILED_EXIT_CODES = (126, 127)
"""What a POSIX shell gives for a command that may not be run or is not there (XCU 2.8.2), and engines after it."""
START_FAILED_EXIT_CODES = (*COMMAND_FAILED_EXIT_CODES, 128)
"""What an engine notes of a target whose start failed; 128 for all but its command (FAULTS rows 4 and 5)."""

_RUNNING = fact("state", "Running")
_SUFFERS = fact("deviation", "ProbeFailing", "LatencyHigh", "ErrorRatioHigh")
_AT_LARGE = fact("suspended", True, absent=True)
_ATTACHED = (fact("network.detached", absent=True), fact("network.unnamed", absent=True))
_BY_ITSELF = fact("stopped.by", "Itself")
_NOT_FOR_MEMORY = fact("oom.killed", absent=True)
RULES: tuple[DiagnosisRule, ...] = (
    DiagnosisRule(
        cause=Cause.FLAG_FILE,
        signals=(
            _RUNNING,
            fact("probe.failing", "Status", "ExitCode", "EngineUnhealthy"),
            fact("file.present"),
            _AT_LARGE,
        ),
        confidence=95,
        summary="the service reports itself unhealthy while a file it declares as removable exists",
    ),
    DiagnosisRule(
        cause=Cause.DEPENDENCY_DOWN,
        signals=(_RUNNING, _SUFFERS, _AT_LARGE, fact("dependency.down")),
        confidence=94,
        summary="a service that it is declared to depend on is down",
    ),
    DiagnosisRule(
        cause=Cause.DEPENDENCY_DOWN,
        signals=(_RUNNING, _SUFFERS, _AT_LARGE, *_ATTACHED, fact("dependency.down"), fact("dependency.blamed")),
        confidence=97,
        summary="a service that it is declared to depend on is down, and its log blames a dependency",
    ),
    DiagnosisRule(
        cause=Cause.DEPENDENCY_DOWN,
        signals=(
            fact("deviation", "RestartLoop"),
            _NOT_FOR_MEMORY,
            fact("dependency.down"),
            fact("dependency.blamed"),
        ),
        confidence=98,
        summary="it dies again and again while what it is declared to depend on is down, which its log blames",
    ),
    DiagnosisRule(
        cause=Cause.DEPENDENCY_DOWN,
        signals=(
            fact("deviation", "NotRunning"),
            _BY_ITSELF,
            _NOT_FOR_MEMORY,
            fact("dependency.down"),
            fact("dependency.blamed"),
        ),
        confidence=98,
        summary="it died while what it is declared to depend on is down, which its log blames",
    ),
    DiagnosisRule(
        cause=Cause.DEPENDENCY_DOWN,
        signals=(fact("deviation", "RestartLoop"), _NOT_FOR_MEMORY, fact("dependency.blamed")),
        confidence=97,
        summary="it dies again and again, and its log says that something it depends on cannot be reached",
    ),
    DiagnosisRule(
        cause=Cause.DEPENDENCY_DOWN,
        signals=(
            fact("deviation", "NotRunning"),
            _BY_ITSELF,
            _NOT_FOR_MEMORY,
            fact("died.starting"),
            fact("dependency.blamed"),
        ),
        confidence=97,
        summary="it died at its start, and its log says that something it depends on cannot be reached",
    ),
    DiagnosisRule(
        cause=Cause.DEPENDENCY_DOWN,
        signals=(_RUNNING, _SUFFERS, _AT_LARGE, fact("dependency.blamed")),
        confidence=86,
        summary="its log says that something it depends on cannot be reached",
    ),
    DiagnosisRule(
        cause=Cause.DISK_FULL,
        signals=(_RUNNING, _SUFFERS, _AT_LARGE, fact("disk.blamed")),
        confidence=88,
        summary="its log says that a disk is full",
    ),
    DiagnosisRule(
        cause=Cause.DISK_FULL,
        signals=(fact("deviation", "NotRunning", "RestartLoop"), _NOT_FOR_MEMORY, fact("disk.blamed")),
        confidence=98,
        summary="it does not stay up, and its last words are that a disk is full",
    ),
    DiagnosisRule(
        cause=Cause.HANG,
        signals=(_RUNNING, fact("probe.failing"), fact("suspended", True)),
        confidence=95,
        summary="its processes are stopped by a signal, so it cannot answer",
    ),
    DiagnosisRule(
        cause=Cause.HANG,
        signals=(_RUNNING, fact("probe.failing", "Timeout"), fact("check.contradicted", absent=True)),
        confidence=85,
        summary="it runs and does not answer in time",
    ),
    DiagnosisRule(
        cause=Cause.CRASH_LOOP,
        signals=(fact("deviation", "RestartLoop"),),
        confidence=96,
        summary="it dies again and again by itself; another restart changes nothing",
    ),
    DiagnosisRule(
        cause=Cause.BAD_CONFIG,
        signals=(fact("deviation", "RestartLoop"), fact("env.blamed")),
        confidence=97,
        summary="it dies again and again, and its log names an environment variable",
    ),
    DiagnosisRule(
        cause=Cause.BAD_CONFIG,
        signals=(fact("deviation", "NotRunning"), fact("died.starting"), fact("env.blamed")),
        confidence=97,
        summary="it died at its start, and its log names an environment variable",
    ),
    DiagnosisRule(
        cause=Cause.BAD_CONFIG,
        signals=(fact("deviation", "RestartLoop"), fact("config.blamed")),
        confidence=97,
        summary="it dies again and again, and its log says that its configuration is wrong",
    ),
    DiagnosisRule(
        cause=Cause.BAD_CONFIG,
        signals=(fact("deviation", "NotRunning"), fact("died.starting"), fact("config.blamed")),
        confidence=97,
        summary="it died at its start, and its log says that its configuration is wrong",
    ),
    DiagnosisRule(
        cause=Cause.OUT_OF_MEMORY,
        signals=(fact("deviation", "NotRunning"), fact("oom.killed"), _BY_ITSELF),
        confidence=96,
        summary="the kernel killed it for memory, and nothing brings it back",
    ),
    DiagnosisRule(
        cause=Cause.OUT_OF_MEMORY,
        signals=(fact("deviation", "RestartLoop"), fact("oom.killed")),
        confidence=97,
        summary="the kernel kills it for memory again and again",
    ),
    DiagnosisRule(
        cause=Cause.OUT_OF_MEMORY,
        signals=(_RUNNING, fact("deviation", "OutOfMemory"), fact("ooms")),
        confidence=92,
        summary="the kernel ends its worker processes for memory again and again, and its main process runs on",
    ),
    DiagnosisRule(
        cause=Cause.START_FAILED,
        signals=(fact("deviation", "NotRunning"), fact("start.error")),
        confidence=96,
        summary="the runtime could not start it",
    ),
    DiagnosisRule(
        cause=Cause.START_FAILED,
        signals=(
            fact("deviation", "NotRunning"),
            fact("ever.started", False),
            fact("exit.code", *START_FAILED_EXIT_CODES),
        ),
        confidence=96,
        summary="it never ran, and has the exit code of a start that failed",
    ),
    DiagnosisRule(
        cause=Cause.START_FAILED,
        signals=(
            fact("deviation", "NotRunning", "RestartLoop"),
            fact("died.starting"),
            fact("exit.code", *COMMAND_FAILED_EXIT_CODES),
        ),
        confidence=98,
        summary="its command cannot be run: shells and engines end with this exit code for that",
    ),
    DiagnosisRule(
        cause=Cause.START_FAILED,
        signals=(fact("deviation", "NotRunning", "RestartLoop"), fact("died.starting"), fact("port.taken")),
        confidence=98,
        summary="it died at its start, and its log says that somebody else has its port",
    ),
    DiagnosisRule(
        cause=Cause.NOT_STARTED,
        signals=(fact("deviation", "NotRunning"), fact("ever.started", False)),
        confidence=94,
        summary="it is declared and was never started",
    ),
    DiagnosisRule(
        cause=Cause.DIED,
        signals=(fact("deviation", "NotRunning"), _BY_ITSELF, fact("ever.started", True)),
        confidence=90,
        summary="it died by itself and nothing brings it back",
    ),
    DiagnosisRule(
        cause=Cause.STOPPED_BY_SOMEONE,
        signals=(
            fact("deviation", "NotRunning"),
            fact("stopped.by", "Itself", "Unknown"),
            fact("ever.started", True),
            fact("asked.to.end"),
        ),
        confidence=92,
        summary="it ended in an orderly way, and says that it was asked to",
    ),
    DiagnosisRule(
        cause=Cause.STOPPED_BY_SOMEONE,
        signals=(fact("deviation", "NotRunning"), fact("stopped.by", "Unknown"), fact("ever.started", True)),
        confidence=88,
        summary="it does not run, and the runtime no longer knows who ended it",
    ),
    DiagnosisRule(
        cause=Cause.PAUSED,
        signals=(fact("deviation", "Paused"),),
        confidence=95,
        summary="a person paused it",
    ),
    DiagnosisRule(
        cause=Cause.NETWORK_DETACHED,
        signals=(_RUNNING, fact("network.detached")),
        confidence=96,
        summary="it is not attached to a network it declares, so its peers do not find it",
    ),
    DiagnosisRule(
        cause=Cause.NETWORK_DETACHED,
        signals=(_RUNNING, fact("network.unnamed")),
        confidence=90,
        summary="it lost an alias on a network it declares, so its peers do not find it by that name",
    ),
    DiagnosisRule(
        cause=Cause.TARGET_MISSING,
        signals=(fact("deviation", "Missing"),),
        confidence=95,
        summary="the runtime knows no such target",
    ),
    DiagnosisRule(
        cause=Cause.CHECK_BROKEN,
        signals=(fact("check.broken"),),
        confidence=84,
        summary="a check cannot run, which says nothing about the service",
    ),
    DiagnosisRule(
        cause=Cause.CHECK_BROKEN,
        signals=(_RUNNING, fact("check.contradicted")),
        confidence=84,
        summary="a check from inside gets no answer while those from outside do",
    ),
    DiagnosisRule(
        cause=Cause.FLAPPING,
        signals=(fact("deviation", "Flapping"),),
        confidence=84,
        summary="it swings between good and failing; acting on it would add to the swings",
    ),
    DiagnosisRule(
        cause=Cause.LATENCY,
        signals=(_RUNNING, fact("deviation", "LatencyHigh")),
        confidence=84,
        summary="more than half of its answers take longer than its objective",
    ),
    DiagnosisRule(
        cause=Cause.ERROR_RATE,
        signals=(_RUNNING, fact("deviation", "ErrorRatioHigh")),
        confidence=84,
        summary="a larger share of its answers are errors than its objective allows",
    ),
    DiagnosisRule(
        cause=Cause.NOT_ANSWERING,
        signals=(_RUNNING, fact("probe.failing", "Refused", "Reset", "Malformed")),
        confidence=50,
        summary="it runs and nothing answers where the probe asks",
    ),
    DiagnosisRule(
        cause=Cause.NOT_ANSWERING,
        signals=(_RUNNING, fact("probe.failing", "Refused"), fact("listens.elsewhere")),
        confidence=90,
        summary="it listens where no probe asks: on loopback, or on another port",
    ),
    DiagnosisRule(
        cause=Cause.SERVICE_ERRORS,
        signals=(_RUNNING, fact("probe.failing")),
        confidence=30,
        summary="it answers that it is unhealthy, for a reason that the evidence does not show",
    ),
)
"""In order of precedence among equals. A rule's confidence is about its share of right answers on the development half
of the labelled incidents (`pitcrew eval run tests/bench/cases/dev`), and orders the rules where several hold. Two stay
below their share on purpose: ServiceErrors, and NotAnswering where nothing says where it listens, name a symptom of
faults that want different remedies, and risk, which reads this number, must let no restart pass alone for one."""


def diagnose(evidence: Sequence[Evidence]) -> tuple[Diagnosis, ...]:
    """Every cause whose signals hold, the surest first; a single Unknown when none does."""
    found: dict[Cause, Diagnosis] = {}
    for rule in RULES:
        result = all_shown(rule.signals, evidence)
        if result.holds and rule.confidence > (found[rule.cause].confidence if rule.cause in found else -1):
            found[rule.cause] = Diagnosis(
                cause=rule.cause,
                confidence=rule.confidence,
                evidence=result.evidence,
                by=Diagnoser.RULES,
                summary=rule.summary,
            )
    ranked = sorted(found.values(), key=lambda diagnosis: -diagnosis.confidence)
    return tuple(ranked) or (
        Diagnosis(
            cause=Cause.UNKNOWN, confidence=0, evidence=(), by=Diagnoser.RULES, summary="no rule recognises this"
        ),
    )
