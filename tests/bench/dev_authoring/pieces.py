"""Drafts of incidents: what the runtime saw, what probes answered, what a log said, and the label, as one case."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from tests.bench.dev_authoring.apps import App

AT = datetime(2026, 5, 4, 10, 0, tzinfo=UTC)
"""When the evidence of every incident was gathered."""
FLAG = "/app/maintenance.flag"
HTTP, TCP, EXEC, OWN = "httpget-0", "tcpsocket-1", "exec-1", "dockerhealth-1"
"""Names of probes where the HTTP probe is declared first."""
FIRST_EXEC = "exec-0"
"""Name of a command that is declared first."""

Json = Mapping[str, object]


def stamp(ago_s: float) -> str:
    """The instant so many seconds before the evidence."""
    return f"{(AT - timedelta(seconds=ago_s)).isoformat(timespec='milliseconds').removesuffix('+00:00')}Z"


# What the runtime saw


def running(ago_s: float = 86_400, **facts: object) -> Json:
    """It runs since then."""
    return {"kind": "facts", "state": "Running", "startedAt": stamp(ago_s), **facts}


def exited(code: int, *, ran_s: float = 7200, ago_s: float = 90, by: str = "Itself", **facts: object) -> Json:
    """It ended so long ago, after so long a run."""
    when = {"startedAt": stamp(ago_s + ran_s), "finishedAt": stamp(ago_s)}
    return {"kind": "facts", "state": "Exited", "exitCode": code, "stoppedBy": by, **when, **facts}


def restarting(code: int, *, deaths: int = 6, lived_s: float = 2, ago_s: float = 6, **facts: object) -> Json:
    """Its engine brings it back again and again."""
    when = {"startedAt": stamp(ago_s + lived_s), "finishedAt": stamp(ago_s)}
    how = {"exitCode": code, "deaths": deaths, "restartsByItself": True, "stoppedBy": "Itself"}
    return {"kind": "facts", "state": "Restarting", **how, **when, **facts}


def created(error: str = "", code: int = 0, **facts: object) -> Json:
    """It was made, and never ran."""
    tried = {"error": error, "exitCode": code} if error or code else {}
    return {"kind": "facts", "state": "Created", "everStarted": False, **tried, **facts}


def paused(**facts: object) -> Json:
    """Somebody froze it."""
    return {"kind": "facts", "state": "Paused", "startedAt": stamp(86_400), **facts}


def own_health(output: str, code: int = 1, streak: int = 5, status: str = "unhealthy") -> Json:
    """The container's own HEALTHCHECK."""
    return {"status": status, "failingStreak": streak, "exitCode": code, "output": output}


def present(*paths: str) -> list[Json]:
    """Declared files that are there."""
    return [{"path": path, "present": True} for path in paths]


# What probes answered


def ok(probe: str = HTTP, ms: int = 12) -> Json:
    """A good answer."""
    answer: dict[str, object] = {"probe": probe, "outcome": "Success", "reason": "Ok", "latencyMs": ms}
    return {**answer, "status": 200} if probe.startswith("http") else answer


def bad(reason: str, detail: str = "", probe: str = HTTP, **more: object) -> Json:
    """A bad answer."""
    return {"probe": probe, "outcome": "Failure", "reason": reason, "detail": detail, **more}


def status(code: int, detail: str = "") -> Json:
    """A bad status."""
    return bad("Status", detail, status=code)


REFUSED = bad("Refused", "connection refused")
RESET = bad("Reset", "connection reset by peer")
TIMEOUT = bad("Timeout", "no answer within 1 s")


def untold(reason: str, detail: str = "", probe: str = HTTP) -> Json:
    """What our side could not carry out."""
    return {"probe": probe, "outcome": "Unknown", "reason": reason, "detail": detail}


# What the log said


@dataclass(frozen=True, kw_only=True)
class Said:
    """One line so many seconds before the evidence; without a level it is written as it is, in no voice."""

    ago_s: float
    level: str
    words: str


def said(ago_s: float, level: str, *words: str) -> tuple[Said, ...]:
    """Lines close after each other."""
    return tuple(Said(ago_s=ago_s - place / 100, level=level, words=one) for place, one in enumerate(words))


def each_run(*lines: tuple[str, str], lived_s: float = 2) -> tuple[Said, ...]:
    """The same lines in each of the last runs of a restart loop."""
    starts = (8, 42, 110, 246)
    return tuple(
        Said(ago_s=start - lived_s * (place + 1) / (len(lines) + 2), level=level, words=words)
        for start in starts
        for place, (level, words) in enumerate(lines)
    )


def event(ago_s: float, kind: str, detail: str = "", **more: object) -> Json:
    """One event of the runtime."""
    return {"at": stamp(ago_s), "kind": kind, "detail": detail, **more}


def before(number: int, minutes_ago: int, cause: str) -> Json:
    """An earlier incident that a remedy ended."""
    return {"incident": f"earlier-{number}", "minutesAgo": minutes_ago, "cause": cause, "effects": 1}


# Labels


def label(
    *causes: str, do: Sequence[str] = ("none",), harmful: Sequence[str] = (), ours: bool | None = None, why: str
) -> Json:
    """What is right; it is ours where something may be done, unless said otherwise."""
    mine = tuple(do) != ("none",) if ours is None else ours
    return {"causes": list(causes), "actions": list(do), "harmful": list(harmful), "ours": mine, "why": why}


# A whole case


def incident(
    slug: str,
    fault: int,
    app: App,
    sight: Json,
    right: Json,
    *,
    probes: Sequence[Json] = (),
    deviations: Sequence[str] = (),
    says: Sequence[Said] = (),
    asks: Sequence[str] = ("http",),
    actions: Mapping[str, object] | None = None,
    spec: Mapping[str, object] | None = None,
    noise: Sequence[str] = (),
    chatter: int = 40,
    **recorded: object,
) -> Json:
    """One case. `recorded` are further parts of it: events, processes, stats, missing, dependencies, former."""
    chance = random.Random(slug)
    missing = recorded.get("missing", ())
    unread = any(str(part).startswith("logs") for part in missing) if isinstance(missing, Sequence) else False
    return {
        "schema": 1,
        "id": f"dev-{slug}",
        "fault": fault,
        "app": app.kind,
        "style": app.style,
        "noise": list(noise),
        "at": stamp(0),
        "service": _service(app, asks, actions, spec or {}),
        "sight": _about(app, sight),
        "probes": list(probes),
        "deviations": [_deviation(one) for one in deviations],
        "logs": [] if unread else _log(app, sight, says, chatter, chance),
        **recorded,
        "label": right,
    }


def _service(app: App, asks: Sequence[str], actions: Mapping[str, object] | None, spec: Mapping[str, object]) -> Json:
    allowed = {"start": {}, "restart": {}} if actions is None else actions
    return {
        "apiVersion": "pitcrew.dev/v1alpha1",
        "kind": "HealthyService",
        "metadata": {"name": app.name},
        "spec": {
            "target": _target(app),
            "probes": [_probe(app, kind) for kind in asks],
            "remediation": {"actions": allowed},
            **spec,
        },
    }


def _target(app: App) -> Json:
    if app.process == "process":
        return {"process": {"command": list(app.command), "workingDir": f"/srv/{app.name}"}}
    return {"docker": {"container": app.name}}


def _probe(app: App, kind: str) -> Json:
    http = {"httpGet": {"path": app.path or "/", "port": app.port}}
    probes: Mapping[str, Json] = {
        "http": http,
        "tcp": {"tcpSocket": {"port": app.port}},
        "exec": {"exec": {"command": ["/bin/check"]}},
        "own": {"dockerHealth": {}},
        "slow": {**http, "periodSeconds": 5, "maxLatency": "500ms"},
        "ratio": {**http, "periodSeconds": 5, "maxErrorRatio": "5%"},
    }
    return probes[kind]


def _about(app: App, sight: Json) -> Json:
    if sight["kind"] != "facts":
        return sight
    return {"envNames": list(app.env), **({"image": app.image} if app.image else {}), **sight}


def _deviation(text: str) -> Json:
    kind, _, probe = text.partition("/")
    return {"kind": kind, "probe": probe}


def _log(app: App, sight: Json, says: Sequence[Said], chatter: int, chance: random.Random) -> list[Json]:
    """What is said, among the ordinary words of the run; nothing before the log of the last hour."""
    if sight["kind"] != "facts" or sight.get("everStarted") is False:
        return [_line(app, one) for one in says]
    began, ended = _ago(sight.get("startedAt"), 3600), _ago(sight.get("finishedAt"), 0)
    lines = [*says, *_ordinary(app, began, ended, chatter, chance)]
    return [_line(app, one) for one in sorted(lines, key=lambda one: -one.ago_s)]


def _ordinary(app: App, began: float, ended: float, count: int, chance: random.Random) -> list[Said]:
    """Harmless lines, spread over the run."""
    words = [*app.chatter, *app.chatter, *app.grumbles]
    lines = [Said(ago_s=began - 0.4, level="INFO", words=app.begins)] if began < 3600 and began - ended > 3 else []
    for _ in range(count if began - ended > 60 else 0):
        one = chance.choice(words)
        level = "WARN" if one in app.grumbles else "INFO"
        ago_s = round(chance.uniform(ended + 1, min(began, 3600) - 1), 3)
        lines.append(Said(ago_s=ago_s, level=level, words=one.replace("{n}", str(chance.randint(2, 250)))))
    return lines


def _ago(when: object, otherwise: float) -> float:
    return otherwise if when is None else (AT - datetime.fromisoformat(str(when))).total_seconds()


def _line(app: App, one: Said) -> Json:
    when = AT - timedelta(seconds=one.ago_s)
    text = app.voice(when, one.level, one.words) if one.level else one.words
    stream = "stderr" if one.level in ("ERROR", "FATAL", "") else "stdout"
    return {"at": stamp(one.ago_s), "stream": stream, "text": text}
