"""From a draft to a case: everything that follows from what the author wrote is worked out here, by a seeded die."""

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random

from tests.bench.authoring.app import APPS
from tests.bench.authoring.draft import Asked, Draft, Json
from tests.bench.authoring.voice import STYLES, chatter, iso

SEED = 20260504
# Their logs hold what the program itself says and nothing of this kind.
_SILENT = frozenset({"postgres", "redis", "rabbitmq"})
_FIRST_DAY = datetime(2026, 3, 2, tzinfo=UTC)
_LOG_LINE = re.compile(r"^\s*(?P<ago>\d+)?\s*(?P<level>[DIWEF=])(?: (?P<text>.*))?$")
_EVENT = re.compile(r"^(?P<ago>\d+) (?P<kind>[A-Z]\w+)(?: (?P<code>\d+))?(?: (?P<detail>.+))?$")


def stamp(at: datetime) -> str:
    """An instant as the format of cases writes it."""
    return f"{at:%Y-%m-%dT%H:%M:%S}Z"


def _instant(dice: Random) -> datetime:
    return _FIRST_DAY + timedelta(seconds=dice.randrange(200 * 86_400))


def _paths(files: str) -> Json:
    return {"paths": [path[:-1] for path in files.split(",")]} if files else {}


def _actions(draft: Draft) -> Json:
    actions: Json = {}
    for word in draft.does.split():
        name, _, files = word.partition(":")
        actions[name] = _paths(files)
    return actions


def _files(draft: Draft) -> list[Json]:
    paths = (path for word in draft.does.split() for path in word.partition(":")[2].split(",") if path)
    return [{"path": path[:-1], "present": path.endswith("+")} for path in paths]


def _probe_spec(asked: Asked, draft: Draft) -> Json:
    app = APPS[draft.app]
    if asked.kind == "dockerHealth":
        return {"dockerHealth": {}}
    if asked.kind == "exec":
        return {"exec": {"command": asked.spec["command"]}}
    where: Json = {"port": asked.spec["port"] or app.port}
    if asked.kind == "httpGet":
        where = {"path": asked.spec["path"] or app.path} | where
    more = asked.spec["more"]
    spec: Json = {asked.kind: where}
    spec |= more if isinstance(more, dict) else {}
    # An objective needs ten answers in its window of a minute.
    return ({"periodSeconds": 5} if {"maxLatency", "maxErrorRatio"} & set(spec) else {}) | spec


def _target(draft: Draft, dice: Random) -> Json:
    if draft.command:
        return {"process": {"command": list(draft.command), "workingDir": f"/srv/{draft.name}"}}
    if draft.compose if draft.compose is not None else dice.random() < 0.3:
        return {"docker": {"composeProject": "shop", "composeService": draft.name}}
    return {"docker": {"container": draft.name if dice.random() < 0.5 else f"shop-{draft.name}-1"}}


def _service(draft: Draft, dice: Random) -> Json:
    spec: Json = {"target": _target(draft, dice)}
    if draft.probes:
        spec["probes"] = [_probe_spec(asked, draft) for asked in draft.probes]
    if draft.nets:
        spec["desired"] = {
            "networks": [
                {"name": net.name} | ({"aliases": list(net.aliases)} if net.aliases else {}) for net in draft.nets
            ]
        }
    if draft.does:
        spec["remediation"] = {"actions": _actions(draft)}
    if dice.random() < 0.4:
        spec["criticality"] = dice.choice(("Low", "Medium", "High", "Critical"))
    if dice.random() < 0.4:
        spec["policy"] = {"autoUpTo": dice.choice(("None", "Low", "Medium")), "approveUpTo": "High"}
    if draft.depends:
        spec["dependsOn"] = [{"name": word.partition("=")[0]} for word in draft.depends.split()]
    return {
        "apiVersion": "pitcrew.dev/v1alpha1",
        "kind": "HealthyService",
        "metadata": {"name": draft.name},
        "spec": spec | dict(draft.spec),
    }


def _engine_health(draft: Draft) -> Json:
    health = next((asked.health for asked in draft.probes if asked.health), None)
    if health is None or "engineHealth" in draft.facts:
        return {}
    if draft.state in ("Running", "Restarting"):
        return {"engineHealth": health}
    # The engine stops its checks with the container, and says unhealthy with a streak of nought.
    return {"engineHealth": health | {"status": "unhealthy", "failingStreak": 0}}


def _networks(draft: Draft) -> Json:
    attached = [net.name for net in draft.nets if net.attached]
    return {
        "networks": attached if draft.nets or draft.command else ["shop_default"],
        "desired": [{"name": net.name, "attached": net.attached, "named": net.named} for net in draft.nets],
    }


def _sight(draft: Draft, at: datetime) -> Json:
    if draft.absent:
        return {"kind": "absent", "detail": draft.absent}
    if draft.blind:
        return {"kind": "blind", "reason": draft.blind[0], "detail": draft.blind[1]}
    app = APPS[draft.app]
    facts: Json = {"kind": "facts", "state": draft.state}
    if draft.facts.get("everStarted", True):
        facts["startedAt"] = stamp(at - timedelta(seconds=draft.up))
    if draft.down is not None:
        facts["finishedAt"] = stamp(at - timedelta(seconds=draft.down))
    facts |= {
        "error": "",
        "oomKilled": False,
        "stoppedBy": "Unknown",
        "everStarted": True,
        "restartsByItself": False,
        "deaths": 0,
        "suspended": False,
    }
    facts |= _engine_health(draft)
    facts |= {"image": app.image, "envNames": list(app.env), "files": _files(draft)}
    if draft.command:
        facts["image"] = ""
    return facts | _networks(draft) | dict(draft.facts) | _own_deaths(draft)


def _own_deaths(draft: Draft) -> Json:
    """Deaths that nobody asked for, counted in the events of ten minutes where those are whole."""
    if "events" in draft.missing or not draft.facts.get("everStarted", True):
        return {}
    deaths, asked_for = 0, False
    for ago, kind in ((int(part.split()[0]), part.split()[1]) for part in draft.events.split(";") if part.strip()):
        if kind == "Died":
            deaths += not asked_for and ago <= 600
            asked_for = False
        asked_for = asked_for or kind == "Killed"
    return {"deaths": deaths}


def probe_names(draft: Draft) -> list[str]:
    """The default names of the probes: their kind and their place."""
    return [f"{asked.kind.lower()}-{place}" for place, asked in enumerate(draft.probes)]


def _not_asked(draft: Draft) -> str:
    if draft.blind:
        return "EngineAway"
    return "NotRunning" if draft.absent or draft.state != "Running" else ""


def _answers(draft: Draft, dice: Random) -> Iterator[Json]:
    held_back = _not_asked(draft)
    for name, asked in zip(probe_names(draft), draft.probes, strict=True):
        if held_back:
            yield {"probe": name, "outcome": "Unknown", "reason": held_back, "detail": ""}
            continue
        answer: Json = {"probe": name, "outcome": asked.outcome, "reason": asked.reason}
        if asked.status is not None:
            answer["status"] = asked.status
        if asked.latency_ms is not None:
            answer["latencyMs"] = asked.latency_ms
        elif asked.kind in ("httpGet", "tcpSocket") and asked.reason in ("Ok", "Status"):
            answer["latencyMs"] = dice.randint(2, 45)
        yield answer | {"detail": asked.detail}


def _failing(draft: Draft) -> list[Json]:
    pairs = zip(probe_names(draft), draft.probes, strict=True)
    return [{"kind": "ProbeFailing", "probe": name} for name, asked in pairs if asked.outcome == "Failure"]


def _deviation(word: str) -> Json:
    kind, _, probe = word.partition(":")
    return {"kind": kind, "probe": probe} if probe else {"kind": kind}


def _deviations(draft: Draft) -> list[Json]:
    if draft.deviations is not None:
        return [_deviation(word) for word in draft.deviations.split()]
    if draft.absent:
        return [{"kind": "Missing"}]
    if draft.blind:
        return []
    if draft.state == "Running":
        away: list[Json] = (
            [{"kind": "NetworkDetached"}] if any(not (n.attached and n.named) for n in draft.nets) else []
        )
        return away + _failing(draft)
    return [{"kind": {"Paused": "Paused", "Restarting": "RestartLoop"}.get(draft.state, "NotRunning")}]


def _fill(text: str, at: datetime) -> str:
    forms = {
        "{iso}": iso(at),
        "{clf}": f"{at:%d/%b/%Y:%H:%M:%S} +0000",
        "{day}": f"{at:%Y-%m-%d}",
        "{sec}": f"{at:%Y-%m-%d %H:%M:%S}",
        "{slash}": f"{at:%Y/%m/%d %H:%M:%S}",
    }
    for mark, value in forms.items():
        text = text.replace(mark, value)
    return text


def _written(draft: Draft, at: datetime, dice: Random) -> Iterator[tuple[datetime, str, str]]:
    speak = STYLES[draft.style or APPS[draft.app].style]
    when, level, last = at, "I", at - timedelta(days=3650)
    for line in draft.log.strip().splitlines():
        match = _LOG_LINE.match(line)
        if match is None:
            raise ValueError(f"{draft.id}: not a log line: {line!r}")
        if match["ago"]:
            drawn = at - timedelta(seconds=int(match["ago"])) + timedelta(milliseconds=dice.randrange(900))
            when = last = max(drawn, last)
        text = _fill(match["text"] or "", when)
        if match["level"] == "=":
            yield when, level, text
            continue
        level = match["level"]
        for each in speak(when, level, text):
            yield when, level, each


def _serves(draft: Draft) -> bool:
    """Whether it served for long before the fault, so that its log would hold everyday lines from that time."""
    bound = all(asked.reason != "Refused" for asked in draft.probes)
    return bound and draft.up > 5000 and draft.state in ("Running", "Exited", "Paused") and not draft.blind


def _with_everyday_noise(draft: Draft, dice: Random) -> Draft:
    """The draft with everyday lines from before its first recent message, where the author asked for none."""
    if draft.chat or not draft.log or not _serves(draft) or draft.app in _SILENT:
        return draft
    agos = [int(match["ago"]) for line in draft.log.splitlines() if (match := _LOG_LINE.match(line)) and match["ago"]]
    recent = max((ago for ago in agos if ago < 1200), default=draft.down or 30)
    kinds = dice.sample(("access", "heartbeat", "metrics", "deprecation", "peer"), dice.randint(0, 2))
    return replace(draft, chat=" ".join(kinds), chat_to=recent + 4)


def _chatted(draft: Draft, at: datetime, dice: Random) -> Iterator[tuple[datetime, str, str]]:
    style = draft.style or APPS[draft.app].style
    earliest = min(draft.up - 1, 1500)
    for kind in draft.chat.split():
        for _ in range(dice.randint(3, 7)):
            ago = dice.uniform(min(draft.chat_to, earliest), max(draft.chat_to, earliest))
            when = at - timedelta(milliseconds=int(ago * 1000))
            for text in chatter(kind, when, style, dice):
                yield when, "I", text


def _logs(draft: Draft, at: datetime, dice: Random) -> list[Json]:
    lines = [*_written(draft, at, dice), *_chatted(draft, at, dice)]
    lines.sort(key=lambda line: line[0])
    style = draft.style or APPS[draft.app].style
    loud = "stdout" if style.startswith("json") or draft.app == "redis" else "stderr"
    return [
        {"at": iso(when), "stream": loud if level in "WEF" else "stdout", "text": text} for when, level, text in lines
    ]


def _events(draft: Draft, at: datetime) -> Iterator[Json]:
    for part in filter(None, (piece.strip() for piece in draft.events.split(";"))):
        match = _EVENT.match(part)
        if match is None:
            raise ValueError(f"{draft.id}: not an event: {part!r}")
        when = stamp(at - timedelta(seconds=int(match["ago"])))
        event: Json = {"at": when, "kind": match["kind"], "detail": match["detail"] or ""}
        yield event | ({"exitCode": int(match["code"])} if match["code"] else {})


def _processes(draft: Draft) -> list[str]:
    if draft.processes is not None:
        return [line.strip() for line in draft.processes.strip().splitlines()]
    seen = draft.state == "Running" and not draft.absent and not draft.blind
    return list(APPS[draft.app].processes) if seen else []


def _former(draft: Draft) -> Iterator[Json]:
    for number, part in enumerate(filter(None, draft.former.split(";")), start=3):
        minutes, cause, effects, recovered = part.split()
        yield {
            "incident": f"{draft.name}-{number}",
            "minutesAgo": int(minutes),
            "cause": cause,
            "effects": int(effects),
            "recovered": recovered == "yes",
        }


def _noise(draft: Draft) -> list[str]:
    words = draft.noise.split()
    words += ["chatter"] if draft.chat else []
    words += ["no-log"] if not draft.log and not draft.chat else []
    words += [f"missing-{part.partition(':')[0].strip()}" for part in draft.missing.split(";") if part]
    return sorted(set(words))


def _label(draft: Draft) -> Json:
    actions = draft.actions.split()
    ours = draft.ours if draft.ours is not None else actions != ["none"]
    return {
        "causes": draft.causes.split(),
        "actions": actions,
        "harmful": draft.harmful.split(),
        "ours": ours,
        "why": draft.why,
    }


def assemble(draft: Draft) -> Json:
    """The case that a draft stands for."""
    dice = Random(f"{SEED}:{draft.id}")
    at = _instant(dice)
    draft = _with_everyday_noise(draft, dice)
    depends = [word.partition("=") for word in draft.depends.split()]
    return {
        "schema": 1,
        "id": draft.id,
        "fault": draft.fault,
        "app": draft.app,
        "style": (draft.style or APPS[draft.app].style) if draft.log or draft.chat else "none",
        "noise": _noise(draft),
        "at": stamp(at),
        "service": _service(draft, dice),
        "sight": _sight(draft, at),
        "probes": list(_answers(draft, dice)),
        "deviations": _deviations(draft),
        "logs": _logs(draft, at, dice),
        "events": list(_events(draft, at)),
        "processes": _processes(draft),
        "missing": [part.strip() for part in draft.missing.split(";") if part],
        "dependencies": [{"service": f"default/{name}", "health": health} for name, _, health in depends],
        "former": list(_former(draft)),
        "label": _label(draft),
    }
