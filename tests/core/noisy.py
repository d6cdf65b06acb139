"""What is gathered of incidents as they are in practice: long logs, probes with a past, a target that changed."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from pitcrew.core.context import changes, former, probe_history
from pitcrew.core.deviation import Deviation, DeviationKind, Watch, observe
from pitcrew.core.diagnosis import Cause
from pitcrew.core.evidence import Evidence, gather
from pitcrew.core.history import Past
from pitcrew.core.observation import (
    EventKind,
    LogLine,
    Observation,
    Outcome,
    ProbeReason,
    ProbeResult,
    RuntimeEvent,
    RuntimeFacts,
    RuntimeState,
    StoppedBy,
)
from tests.core.incidents import BEGIN, facts, service

IMAGES = ("registry.example/shop@sha256:" + "4f1d" * 16, "registry.example/shop@sha256:" + "9d1c" * 16)


@dataclass(frozen=True, kw_only=True)
class Gathered:
    """Evidence, and the log that it came from."""

    evidence: tuple[Evidence, ...]
    logs: tuple[LogLine, ...] = ()

    @property
    def log_text(self) -> str:
        """The whole log as it would be pasted into a prompt."""
        return "\n".join(line.text for line in self.logs)


def _at(seconds: float) -> datetime:
    return BEGIN + timedelta(seconds=seconds)


def _answer(outcome: Outcome, seconds: float, reason: ProbeReason, **more: object) -> ProbeResult:
    return ProbeResult(probe="httpget-0", at=_at(seconds), outcome=outcome, reason=reason, **more)  # type: ignore[arg-type]


def _looks(sight: RuntimeFacts, *answers: ProbeResult) -> list[Observation]:
    return [Observation(service=service().key, at=each.at, sight=sight, probes=(each,)) for each in answers]


def _watched(looks: Sequence[Observation]) -> Watch:
    watch = Watch()
    for look in looks:
        watch = observe(watch, service(), look)
    return watch


def _stamped(seconds: float, text: str, stream: str = "stdout") -> LogLine:
    return LogLine(at=_at(seconds), stream=stream, text=f"{_at(seconds):%Y-%m-%d %H:%M:%S},123 {text}")


_TRACE = (
    "Traceback (most recent call last):",
    '  File "/app/app.py", line 41, in <module>',
    "    main()",
    '  File "/app/app.py", line 12, in main',
    '    url = os.environ["DATABASE_URI"]',
    "KeyError: 'DATABASE_URI'",
)


def _run_of_release(begin_s: float) -> list[LogLine]:
    """The log of one short run: it starts, loads, works off its queue and dies."""
    said = [
        _stamped(begin_s, "INFO shop 2.4.0 starting, pid 1"),
        _stamped(begin_s, "INFO loading plugin cart from /app/plugins/cart.py"),
        _stamped(begin_s, "INFO loading plugin search from /app/plugins/search.py"),
        *(
            _stamped(begin_s + n / 40, f"DEBUG job {7_000 + n} took {n % 17}ms for user{n}@example.org id={n:032x}")
            for n in range(80)
        ),
        _stamped(begin_s + 2, "WARN cache is cold, 0 errors so far"),
    ]
    return [*said, *(LogLine(at=_at(begin_s + 2), stream="stderr", text=text) for text in _TRACE)]


def crash_loop() -> Gathered:
    """A release that cannot live with the setting it has: it dies after two seconds, again and again."""
    before = facts(image=IMAGES[0], env_names=("DATABASE_URL", "PORT"), started_at=_at(-7_200))
    logs = [
        *(
            _stamped(-60 + n / 10, f"INFO GET /items/{n} 200 {n % 30}ms peer 10.0.{n % 9}.{n % 200}")
            for n in range(500)
        ),
        *(line for run in range(6) for line in _run_of_release(10 * run)),
    ]
    events = [
        RuntimeEvent(at=_at(10 * run + after), kind=kind, detail=detail)
        for run in range(6)
        for after, kind, detail in ((0, EventKind.STARTED, "shop"), (2.2, EventKind.DIED, "exit code 1"))
    ]
    looks = [
        *_looks(before, _answer(Outcome.SUCCESS, -5, ProbeReason.OK, status=200)),
        *_looks(
            facts(image=IMAGES[1], instance="anew", target_id="9d1c" * 16, env_names=("DATABASE_URI", "PORT")),
            _answer(Outcome.FAILURE, 11, ProbeReason.REFUSED),
            _answer(Outcome.FAILURE, 12, ProbeReason.REFUSED),
        ),
    ]
    sight = facts(
        target_id="9d1c" * 16,
        instance="anew",
        state=RuntimeState.RESTARTING,
        exit_code=1,
        stopped_by=StoppedBy.ITSELF,
        restarts_by_itself=True,
        deaths=6,
        image=IMAGES[1],
        env_names=("DATABASE_URI", "PORT"),
        started_at=_at(50),
        finished_at=_at(52.2),
        files=(),
    )
    now = Observation(service=service().key, at=_at(53), sight=sight)
    evidence = gather(
        now,
        (Deviation(kind=DeviationKind.RESTART_LOOP),),
        logs,
        events,
        changes=changes(now, looks[0]),
        history=probe_history(_watched(looks), now.at),
        former=former(
            [
                Past(
                    incident="victim-3",
                    opened_at=_at(-86_400),
                    cause=Cause.FLAG_FILE,
                    effects=1,
                    recovered=True,
                    outcome="Recovered",
                )
            ]
        ),
    )
    return Gathered(evidence=evidence, logs=tuple(logs))


def hang() -> Gathered:
    """It runs, and does not answer: one worker waits for a lock that another holds."""
    logs = [
        *(_stamped(-60 + n / 20, f'INFO "GET /orders/{n}?page={n % 7} HTTP/1.1" 200 {n * 7}') for n in range(1_100)),
        _stamped(-4, "WARN worker-3 waits for lock orders held by worker-1 since 2.1s"),
        _stamped(-2, "WARN worker-3 waits for lock orders held by worker-1 since 4.1s"),
    ]
    sight = facts(files=(), started_at=_at(-3_600), image=IMAGES[0])
    good = [_answer(Outcome.SUCCESS, -90 + 10 * n, ProbeReason.OK, status=200) for n in range(9)]
    timed_out = [
        _answer(Outcome.FAILURE, second, ProbeReason.TIMEOUT, detail="no answer in 2 s") for second in (0, 3, 6)
    ]
    looks = _looks(sight, *good, *timed_out)
    processes = (
        "1 S 3600s gunicorn: master [shop.wsgi]",
        *(f"{17 + n} {'D' if n == 1 else 'S'} 3590s gunicorn: worker-{n} [shop.wsgi]" for n in range(4)),
        "44 S 12s psql -h db -c select pg_sleep(600)",
    )
    evidence = gather(
        looks[-1],
        (Deviation(kind=DeviationKind.PROBE_FAILING, probe="httpget-0"),),
        logs,
        (RuntimeEvent(at=_at(-3_600), kind=EventKind.STARTED, detail="shop"),),
        (),
        processes,
        changes=changes(looks[-1], looks[8]),
        history=probe_history(_watched(looks), looks[-1].at),
    )
    return Gathered(evidence=evidence, logs=tuple(logs))


def missing_log() -> Gathered:
    """The port refuses connections, and neither log nor processes could be read in time."""
    sight = facts(files=(), started_at=_at(-30))
    looks = _looks(sight, *(_answer(Outcome.FAILURE, second, ProbeReason.REFUSED) for second in (0, 1, 2)))
    evidence = gather(
        looks[-1],
        (Deviation(kind=DeviationKind.PROBE_FAILING, probe="httpget-0"),),
        (),
        (RuntimeEvent(at=_at(-30), kind=EventKind.STARTED, detail="victim"),),
        ("logs: not in time", "processes: not in time"),
        history=probe_history(_watched(looks), looks[-1].at),
    )
    return Gathered(evidence=evidence)
