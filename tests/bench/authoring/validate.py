"""What must hold of every case, whoever wrote it: keys, closed words, order of times, fit of facts and label."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

KEYS = [
    "schema",
    "id",
    "fault",
    "app",
    "style",
    "noise",
    "at",
    "service",
    "sight",
    "probes",
    "deviations",
    "logs",
    "events",
    "processes",
    "missing",
    "dependencies",
    "former",
    "label",
]
CAUSES = frozenset(
    [
        "Unknown",
        "FlagFile",
        "Hang",
        "Died",
        "NotStarted",
        "StartFailed",
        "CrashLoop",
        "BadConfig",
        "OutOfMemory",
        "Paused",
        "NetworkDetached",
        "TargetMissing",
        "StoppedBySomeone",
        "NotAnswering",
        "ServiceErrors",
        "CheckBroken",
        "Flapping",
        "Latency",
        "ErrorRate",
        "DependencyDown",
        "DiskFull",
    ]
)
ACTIONS = frozenset(["start", "restart", "removeFile", "unpause", "connectNetwork", "runCommand"])
STATES = frozenset(["Running", "Paused", "Restarting", "Exited", "Created", "Dead"])
REASONS = {
    "Success": frozenset({"Ok"}),
    "Failure": frozenset(["Status", "Refused", "Reset", "Timeout", "Malformed", "ExitCode", "EngineUnhealthy"]),
    "Unknown": frozenset(
        [
            "Unreachable",
            "NoAddress",
            "NameNotResolved",
            "AddressForbidden",
            "EngineAway",
            "NotRunning",
            "NotReported",
            "Starting",
            "OurLimits",
            "CheckBroken",
        ]
    ),
}
DEVIATIONS = frozenset(
    [
        "ProbeFailing",
        "NotRunning",
        "Paused",
        "RestartLoop",
        "Missing",
        "NetworkDetached",
        "Flapping",
        "LatencyHigh",
        "ErrorRatioHigh",
    ]
)
EVENTS = frozenset(
    [
        "Started",
        "Died",
        "Killed",
        "Stopped",
        "Paused",
        "Unpaused",
        "OutOfMemory",
        "Created",
        "Destroyed",
        "Health",
        "Network",
        "Renamed",
    ]
)
HEALTH = frozenset(["Healthy", "Unhealthy", "Stopped", "Starting", "Unknown"])
FAULTS = frozenset([*range(14), *range(16, 22), 26, 28, 29])


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00")).astimezone(UTC)


def _ordered(case: Any, key: str) -> Iterator[str]:
    times = [_time(item["at"]) for item in case[key]]
    if times != sorted(times):
        yield f"{key} are not oldest first"
    if times and times[-1] > _time(case["at"]):
        yield f"{key} reach beyond the instant of the case"


def _shape(case: Any) -> Iterator[str]:
    if list(case) != KEYS:
        yield f"keys are {list(case)}"
    if not re.fullmatch(r"[a-z0-9-]+", case["id"]):
        yield "the id has other signs than a-z, 0-9 and -"
    if case["fault"] not in FAULTS:
        yield f"no such row: {case['fault']}"


def _probes(case: Any) -> Iterator[str]:
    declared = case["service"]["spec"].get("probes", [])
    if len(declared) != len(case["probes"]):
        yield "probes declared and probes seen differ in number"
    for place, (spec, seen) in enumerate(zip(declared, case["probes"], strict=False)):
        kind = next(key for key in spec if key in ("httpGet", "tcpSocket", "exec", "dockerHealth"))
        if seen["probe"] != f"{kind.lower()}-{place}":
            yield f"probe {seen['probe']} is not {kind.lower()}-{place}"
        if seen["reason"] not in REASONS[seen["outcome"]]:
            yield f"{seen['reason']} does not go with {seen['outcome']}"


def _sight(case: Any) -> Iterator[str]:
    sight = case["sight"]
    if sight["kind"] == "facts":
        yield from _facts(case, sight)
    elif any(seen["outcome"] != "Unknown" for seen in case["probes"]):
        yield "a target that is not seen has answers of probes"


def _facts(case: Any, sight: Any) -> Iterator[str]:
    if sight["state"] not in STATES:
        yield f"no such state: {sight['state']}"
    if sight["state"] != "Running" and any(seen["reason"] != "NotRunning" for seen in case["probes"]):
        yield "a target that is not running was asked"
    if sight["state"] == "Exited" and not {"exitCode", "finishedAt"} <= set(sight):
        yield "exited without exit code or time"
    if sight["everStarted"] != ("startedAt" in sight):
        yield "everStarted and startedAt differ"
    if sight.get("finishedAt", "9999Z") < sight.get("startedAt", "") and sight["state"] not in ("Running", "Paused"):
        yield "finished before it started"
    if sight["stoppedBy"] not in ("Unknown", "Itself", "Person"):
        yield f"stoppedBy is {sight['stoppedBy']}"


def _words(case: Any) -> Iterator[str]:
    names = {seen["probe"] for seen in case["probes"]}
    for deviation in case["deviations"]:
        if deviation["kind"] not in DEVIATIONS or deviation.get("probe", next(iter(names), "")) not in names | {""}:
            yield f"deviation {deviation}"
    if unknown := {event["kind"] for event in case["events"]} - EVENTS:
        yield f"events {unknown}"
    if unknown := {each["health"] for each in case["dependencies"]} - HEALTH:
        yield f"health of dependencies {unknown}"
    if unknown := {each["cause"] for each in case["former"]} - CAUSES:
        yield f"former causes {unknown}"


def _declared(case: Any) -> Iterator[str]:
    spec = case["service"]["spec"]
    objectives = {"LatencyHigh": "maxLatency", "ErrorRatioHigh": "maxErrorRatio"}
    for deviation in case["deviations"]:
        key = objectives.get(deviation["kind"])
        place = int(deviation["probe"].rpartition("-")[2]) if "probe" in deviation else 0
        if key and key not in spec["probes"][place]:
            yield f"{deviation['kind']} without {key}"
        if deviation["kind"] == "NetworkDetached" and not spec.get("desired"):
            yield "NetworkDetached without a declared network"
    if len(spec.get("dependsOn", [])) != len(case["dependencies"]):
        yield "dependencies that are not declared"


def _label(case: Any) -> Iterator[str]:
    label = case["label"]
    declared = set(case["service"]["spec"].get("remediation", {}).get("actions", {}))
    if unknown := declared - ACTIONS:
        yield f"declared actions {unknown}"
    if not label["causes"] or set(label["causes"]) - CAUSES:
        yield f"causes {label['causes']}"
    if not label["actions"] or set(label["actions"]) - declared - {"none"}:
        yield f"right first steps {label['actions']} are not among those declared"
    if set(label["harmful"]) - ACTIONS or set(label["harmful"]) & set(label["actions"]) - {"unpause"}:
        yield f"harmful {label['harmful']}"
    if not label["ours"] and "none" not in label["actions"]:
        yield "not ours, and yet something is to be done"
    if not label["why"].strip():
        yield "no reason is given"


def faults_of(case: Any) -> list[str]:
    """Everything that is wrong with one case, in words."""
    if absent := [key for key in KEYS if key not in case]:
        return [f"keys are missing: {absent}"]
    checks = (_shape, _probes, _sight, _words, _declared, _label)
    found = [text for check in checks for text in check(case)]
    return [*found, *_ordered(case, "logs"), *_ordered(case, "events")]


def faults_of_all(cases: list[Any]) -> list[str]:
    """Everything that is wrong with a set of cases, doubled ids included."""
    seen: set[str] = set()
    found: list[str] = []
    for case in cases:
        if case["id"] in seen:
            found.append(f"{case['id']}: the id is there twice")
        seen.add(case["id"])
        found += [f"{case['id']}: {text}" for text in faults_of(case)]
    return found
