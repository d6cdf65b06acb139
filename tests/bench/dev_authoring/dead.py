"""Faults of services that do not run or do not stay up: crash loops, bad values, failed starts, memory, deaths."""

from collections.abc import Mapping, Sequence

from tests.bench.dev_authoring import apps
from tests.bench.dev_authoring.pieces import (
    FLAG,
    Json,
    created,
    each_run,
    event,
    exited,
    incident,
    label,
    present,
    restarting,
    running,
    said,
)

DOWN, LOOPS = ("NotRunning",), ("RestartLoop",)

ROLL_BACK = label(
    "CrashLoop", harmful=("restart", "start"), why="it dies of its own release again and again; a person rolls it back"
)
CRASH_LOOP: Sequence[Json] = (
    incident(
        "loop-import",
        2,
        apps.FLASK,
        restarting(1),
        ROLL_BACK,
        deviations=LOOPS,
        says=each_run(
            ("", "Traceback (most recent call last):"), ("", "ModuleNotFoundError: No module named 'shop.pricing'")
        ),
    ),
    incident(
        "loop-node-module",
        2,
        apps.EXPRESS,
        restarting(1, deaths=9),
        ROLL_BACK,
        deviations=LOOPS,
        says=each_run(("", "Error: Cannot find module './routes/cart'"), ("", "Node.js v20.11.1")),
    ),
    incident(
        "loop-segfault",
        2,
        apps.AXUM,
        restarting(139),
        ROLL_BACK,
        deviations=LOOPS,
        noise=("log-silent",),
    ),
    incident(
        "loop-panic",
        2,
        apps.CHI,
        restarting(2, deaths=7),
        ROLL_BACK,
        deviations=LOOPS,
        says=each_run(("", "panic: assignment to entry in nil map"), ("", "goroutine 1 [running]:")),
        events=[event(ago, "Died", exitCode=2) for ago in (246, 110, 42, 6)],
    ),
    incident(
        "loop-without-log",
        2,
        apps.SPRING,
        restarting(1, lived_s=14, deaths=5),
        ROLL_BACK,
        deviations=LOOPS,
        missing=["logs: not in time"],
        noise=("missing-logs",),
    ),
    incident(
        "loop-names-a-variable-in-passing",
        2,
        apps.FLASK,
        restarting(1),
        ROLL_BACK,
        deviations=LOOPS,
        says=(
            *each_run(("INFO", "LOG_LEVEL is INFO"), ("", "AttributeError: 'Config' object has no attribute 'routes'")),
        ),
        noise=("misleading-log",),
    ),
    incident(
        "loop-old-bad-value",
        2,
        apps.FLASK,
        restarting(1),
        ROLL_BACK,
        deviations=LOOPS,
        says=(
            *said(3400, "FATAL", "configuration error: DB_URL is not a URL"),
            *each_run(("", "ImportError: cannot import name 'Markup' from 'jinja2'")),
        ),
        noise=("misleading-log", "before-last-start"),
    ),
    incident(
        "loop-up-for-a-moment",
        2,
        apps.RAILS,
        running(20, deaths=5, restartsByItself=True),
        ROLL_BACK,
        deviations=LOOPS,
        says=each_run(("", "NameError: uninitialized constant Billing"), lived_s=20),
        noise=("up-at-the-moment",),
    ),
)

MEND_VALUE = label(
    "BadConfig", harmful=("restart", "start"), why="it refuses a value of its configuration; a restart keeps the value"
)
BAD_CONFIG: Sequence[Json] = (
    incident(
        "env-missing",
        3,
        apps.FLASK,
        exited(1, ran_s=2),
        MEND_VALUE,
        deviations=DOWN,
        says=said(91, "FATAL", "configuration error: DB_URL must be set"),
    ),
    incident(
        "env-key-error",
        3,
        apps.WORKER,
        exited(1, ran_s=1),
        MEND_VALUE,
        deviations=DOWN,
        says=said(
            90.5,
            "",
            "Traceback (most recent call last):",
            '  File "/app/mailer.py", line 12, in <module>',
            "KeyError: 'BROKER_URL'",
        ),
    ),
    incident(
        "env-number",
        3,
        apps.WORKER,
        restarting(1),
        MEND_VALUE,
        deviations=LOOPS,
        says=each_run(("ERROR", "BATCH_SIZE: invalid literal for int() with base 10: 'many'")),
    ),
    incident(
        "env-spring-slow-start",
        3,
        apps.SPRING,
        exited(1, ran_s=26),
        MEND_VALUE,
        deviations=DOWN,
        says=said(
            91,
            "ERROR",
            "Application run failed: Failed to configure a DataSource: 'url' attribute is not specified",
            "Failed to bind properties under 'spring.datasource.url' to java.lang.String",
        ),
    ),
    incident(
        "env-dotnet-nested",
        3,
        apps.DOTNET,
        restarting(134, lived_s=3),
        MEND_VALUE,
        deviations=LOOPS,
        says=each_run(
            ("FATAL", "Unhandled exception. System.FormatException: invalid value at 'ConnectionStrings:Basket'")
        ),
    ),
    incident(
        "env-go-required",
        3,
        apps.CHI,
        restarting(1),
        MEND_VALUE,
        deviations=LOOPS,
        says=each_run(("FATAL", "required environment variable STOCK_DSN is not set")),
    ),
    incident(
        "file-nginx",
        3,
        apps.NGINX,
        exited(1, ran_s=1),
        MEND_VALUE,
        deviations=DOWN,
        says=said(90.5, "FATAL", 'unknown directive "proxy_passs" in /etc/nginx/conf.d/default.conf:12'),
    ),
    incident(
        "file-redis",
        3,
        apps.REDIS,
        restarting(1),
        MEND_VALUE,
        deviations=LOOPS,
        asks=("tcp",),
        says=each_run(
            ("", "*** FATAL CONFIG FILE ERROR (Redis 7.2.4) ***"),
            ("", ">>> 'maxmemory 2gbb'"),
            ("", "argument must be a memory value"),
        ),
    ),
    incident(
        "file-yaml",
        3,
        apps.GATEWAY,
        exited(1, ran_s=1),
        MEND_VALUE,
        deviations=DOWN,
        says=said(
            90.5, "FATAL", "cannot load config /etc/gateway/routes.yaml: yaml: line 14: mapping values are not allowed"
        ),
    ),
    incident(
        "file-postgres",
        3,
        apps.POSTGRES,
        restarting(1),
        MEND_VALUE,
        deviations=LOOPS,
        asks=("tcp",),
        says=each_run(
            ("ERROR", 'invalid value for parameter "shared_buffers": "lots"'),
            ("FATAL", 'configuration file "/etc/postgresql/postgresql.conf" contains errors'),
        ),
    ),
    incident(
        "env-local",
        3,
        apps.LOCAL,
        exited(1, ran_s=1),
        MEND_VALUE,
        deviations=DOWN,
        says=said(90.5, "ERROR", "REPORTS_DIR: no such directory: /srv/rports"),
    ),
    incident(
        "env-flag-beside",
        3,
        apps.FLASK,
        exited(1, ran_s=2, files=present(FLAG)),
        MEND_VALUE,
        deviations=DOWN,
        says=said(90.5, "FATAL", "invalid PORT: 80a0"),
        actions={"removeFile": {"paths": [FLAG]}, "restart": {}, "start": {}},
        noise=("misleading-file",),
    ),
)

MEND_START = label("StartFailed", harmful=(), why="the runtime cannot start it; trying again changes nothing")
NOT_STARTABLE: Sequence[Json] = (
    incident(
        "start-no-binary",
        4,
        apps.FLASK,
        created('exec: "gunicron": executable file not found in $PATH', 127),
        MEND_START,
        deviations=DOWN,
    ),
    incident(
        "start-not-executable",
        4,
        apps.AXUM,
        created('exec: "/app/catalog": permission denied', 126),
        MEND_START,
        deviations=DOWN,
    ),
    incident(
        "start-no-mount",
        4,
        apps.POSTGRES,
        created("error while mounting: not a directory", 127),
        MEND_START,
        deviations=DOWN,
        asks=("tcp",),
    ),
    incident(
        "start-script-lacks-command",
        4,
        apps.RAILS,
        exited(127, ran_s=1),
        MEND_START,
        deviations=DOWN,
        says=said(90.5, "", "/docker-entrypoint.sh: line 9: bundle: command not found"),
        noise=("no-runtime-error",),
    ),
    incident(
        "start-exec-format",
        4,
        apps.CHI,
        exited(126, ran_s=0, ago_s=40),
        MEND_START,
        deviations=DOWN,
        says=said(40, "", "exec /usr/local/bin/stock: exec format error"),
        noise=("no-runtime-error",),
    ),
    incident(
        "start-loop-127",
        4,
        apps.PHP,
        restarting(127),
        label(
            "StartFailed", "CrashLoop", harmful=("restart",), why="its command is not there; a person mends the image"
        ),
        deviations=LOOPS,
        says=each_run(("", "/bin/sh: 1: php-fpm8: not found"), lived_s=1),
    ),
)
PORT_TAKEN: Sequence[Json] = (
    incident(
        "port-allocated",
        5,
        apps.NGINX,
        created(
            "driver failed programming external connectivity: Bind for 0.0.0.0:80 failed: port is already allocated",
            128,
        ),
        MEND_START,
        deviations=DOWN,
    ),
    incident(
        "port-local",
        5,
        apps.LOCAL,
        exited(1, ran_s=1),
        MEND_START,
        deviations=DOWN,
        says=said(90.5, "", "OSError: [Errno 98] Address already in use"),
    ),
    incident(
        "port-node-host-network",
        5,
        apps.EXPRESS,
        exited(1, ran_s=1),
        MEND_START,
        deviations=DOWN,
        says=said(90.5, "", "Error: listen EADDRINUSE: address already in use :::3000"),
    ),
    incident(
        "port-loop",
        5,
        apps.SPRING,
        restarting(1, lived_s=12),
        label(
            "StartFailed",
            "CrashLoop",
            harmful=("restart",),
            why="its port has another owner; a person decides whose it is",
        ),
        deviations=LOOPS,
        says=each_run(("ERROR", "Web server failed to start. Port 8080 was already in use."), lived_s=12),
    ),
)

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
    "02-crash-loop.jsonl": CRASH_LOOP,
    "03-bad-config.jsonl": BAD_CONFIG,
    "04-start-failed.jsonl": NOT_STARTABLE,
    "05-port-taken.jsonl": PORT_TAKEN,
    "07-out-of-memory.jsonl": MEMORY,
    "18-died.jsonl": DIED,
}
