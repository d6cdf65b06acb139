"""Faults of services that ended: memory, deaths, and what never ran."""

from collections.abc import Mapping, Sequence

from tests.bench.dev_authoring import apps
from tests.bench.dev_authoring.pieces import (
    Json,
    before,
    created,
    event,
    exited,
    incident,
    label,
    restarting,
    running,
    said,
)

DOWN, LOOPS = ("NotRunning",), ("RestartLoop",)

ONCE = label("OutOfMemory", do=("start",), why="killed for memory once; a start gives its memory back")
AGAIN = label(
    "OutOfMemory", harmful=("restart", "start"), why="killed for memory again and again; its limit is a person's"
)
MEMORY: Sequence[Json] = (
    incident("memory-once", 7, apps.FLASK, exited(137, oomKilled=True), ONCE, deviations=DOWN),
    incident(
        "memory-once-misleading",
        7,
        apps.RAILS,
        exited(137, oomKilled=True),
        ONCE,
        deviations=DOWN,
        says=said(300, "ERROR", "PG::ConnectionBad: could not connect to server: Connection refused"),
        noise=("misleading-log",),
    ),
    incident("memory-loop", 7, apps.SPRING, restarting(137, oomKilled=True, lived_s=20), AGAIN, deviations=LOOPS),
    incident(
        "memory-loop-event-only",
        7,
        apps.EXPRESS,
        restarting(137, lived_s=15),
        AGAIN,
        deviations=LOOPS,
        events=[
            one
            for ago in (250, 112, 44, 8)
            for one in (event(ago + 0.1, "OutOfMemory"), event(ago, "Died", exitCode=137))
        ],
        noise=("no-flag",),
    ),
    incident(
        "memory-said-earlier",
        7,
        apps.FLASK,
        exited(1, oomKilled=True),
        label("Died", do=("start",), why="the word about memory is of an earlier run; this one ended with 1"),
        deviations=DOWN,
        noise=("stale-flag",),
    ),
    incident(
        "memory-not-137",
        7,
        apps.CHI,
        exited(137),
        label("Died", do=("start",), why="killed from outside, with no word of memory"),
        deviations=DOWN,
        events=[event(90, "Died", exitCode=137)],
    ),
    incident(
        "memory-java-heap",
        7,
        apps.SPRING,
        exited(3),
        label("OutOfMemory", "Died", do=("start",), why="its own heap was too small, and it ended itself"),
        deviations=DOWN,
        says=said(91, "", "Terminating due to java.lang.OutOfMemoryError: Java heap space"),
    ),
    incident(
        "memory-node-heap",
        7,
        apps.EXPRESS,
        exited(134),
        label("OutOfMemory", "Died", do=("start",), why="its own heap was too small, and it ended itself"),
        deviations=DOWN,
        says=said(91, "", "FATAL ERROR: Reached heap limit Allocation failed - JavaScript heap out of memory"),
    ),
    incident(
        "memory-recurring",
        7,
        apps.AXUM,
        exited(137, oomKilled=True, ran_s=900),
        label(
            "OutOfMemory",
            do=("start", "none"),
            why="the fourth time within the hour; a person is soon to raise its limit",
        ),
        deviations=DOWN,
        former=[before(number, 15 * number, "OutOfMemory") for number in (1, 2, 3)],
    ),
    incident(
        "memory-without-log",
        7,
        apps.PHP,
        exited(137, oomKilled=True),
        ONCE,
        deviations=DOWN,
        missing=["logs: not in time"],
        noise=("missing-logs",),
    ),
)

START = label("Died", do=("start",), why="it ended by itself, and nothing brings it back")
DIED: Sequence[Json] = (
    incident("died-killed", 18, apps.CHI, exited(137), START, deviations=DOWN, noise=("log-silent",)),
    incident(
        "died-exception",
        18,
        apps.WORKER,
        exited(1),
        START,
        deviations=DOWN,
        says=said(91, "", "Traceback (most recent call last):", "IndexError: list index out of range"),
    ),
    incident(
        "died-names-variable-of-old",
        18,
        apps.FLASK,
        exited(1, ran_s=3000),
        START,
        deviations=DOWN,
        says=(
            *said(3050, "ERROR", "PORT is deprecated, failed to read it; using 8000"),
            *said(91, "", "RuntimeError: dictionary changed size during iteration"),
        ),
        noise=("misleading-log",),
    ),
    incident(
        "died-segfault",
        18,
        apps.NGINX,
        exited(139),
        START,
        deviations=DOWN,
        says=said(90.5, "ERROR", "worker process 31 exited on signal 11"),
    ),
    incident("died-young", 18, apps.AXUM, exited(1, ran_s=2), START, deviations=DOWN, noise=("log-silent",)),
    incident(
        "died-while-it-complained-of-a-setting",
        18,
        apps.CONTROLLER,
        exited(2, ran_s=5000),
        START,
        deviations=DOWN,
        says=said(100, "ERROR", "config reload: invalid value for option SYNC_INTERVAL, the old one stays"),
        noise=("misleading-log",),
    ),
    incident(
        "died-after-it-took-a-default",
        18,
        apps.WORKER,
        exited(1, ran_s=20),
        START,
        deviations=DOWN,
        says=(
            *said(
                109, "WARN", "config file /etc/mailer.toml not found, using defaults", "BATCH_SIZE is not set, using 50"
            ),
            *said(90.5, "", "IndexError: pop from an empty deque"),
        ),
        noise=("misleading-log",),
    ),
    incident(
        "died-dead",
        18,
        apps.DOTNET,
        {**exited(137), "state": "Dead"},
        label("Died", do=("start", "none"), why="the engine could not clear it away; starting it may not work"),
        deviations=DOWN,
    ),
    incident("died-local", 18, apps.LOCAL, exited(1), START, deviations=DOWN, missing=["logs: not in time"]),
    incident(
        "died-may-not-start",
        18,
        apps.REDIS,
        exited(137),
        label("Died", why="nothing is allowed, so a person is told"),
        deviations=DOWN,
        asks=("tcp",),
        actions={},
    ),
    incident(
        "healed-by-engine",
        18,
        apps.FLASK,
        running(30, deaths=1, restartsByItself=True),
        label("Unknown", harmful=("restart",), why="its engine brought it back; a second restart is the bug"),
        probes=({"probe": "httpget-0", "outcome": "Success", "reason": "Ok", "status": 200},),
        events=[event(31, "Died", exitCode=137), event(30, "Started")],
    ),
    incident(
        "engine-brings-it-back",
        18,
        apps.CHI,
        exited(137, ago_s=1),
        label("Unknown", harmful=("restart", "start"), why="its engine is about to bring it back"),
        events=[event(1, "Died", exitCode=137)],
    ),
)

NEVER: Sequence[Json] = (
    incident(
        "never-started",
        0,
        apps.DOTNET,
        created(),
        label("NotStarted", do=("start",), why="a start is all that lacks"),
        deviations=DOWN,
    ),
    incident(
        "never-started-local",
        0,
        apps.LOCAL,
        created(),
        label("NotStarted", do=("start",), why="a start is all that lacks"),
        deviations=DOWN,
    ),
    incident(
        "never-existed",
        0,
        apps.GATEWAY,
        {"kind": "absent", "detail": "no container of that name"},
        label("TargetMissing", why="PitCrew creates no targets"),
        deviations=("Missing",),
    ),
    incident(
        "renamed-away",
        0,
        apps.POSTGRES,
        {"kind": "absent", "detail": "no container of that name"},
        label("TargetMissing", why="a target chosen by guess is the wrong one"),
        deviations=("Missing",),
        asks=("tcp",),
        events=[event(60, "Renamed", "db_old")],
    ),
)

FILES: Mapping[str, Sequence[Json]] = {
    "00-other-dead.jsonl": NEVER,
    "07-out-of-memory.jsonl": MEMORY,
    "18-died.jsonl": DIED,
}
