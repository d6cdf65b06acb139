"""Faults of services that do not get up: bad values, failed starts, taken ports."""

from collections.abc import Mapping, Sequence

from tests.bench.dev_authoring import apps
from tests.bench.dev_authoring.pieces import (
    FLAG,
    Json,
    created,
    each_run,
    exited,
    incident,
    label,
    present,
    restarting,
    said,
)

DOWN, LOOPS = ("NotRunning",), ("RestartLoop",)

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
        "env-java-option",
        3,
        apps.SPRING,
        exited(1, ran_s=1),
        MEND_VALUE,
        deviations=DOWN,
        says=said(90.5, "", "Unrecognized option: -Xmz512m", "Error: Could not create the Java Virtual Machine."),
    ),
    incident(
        "env-rust",
        3,
        apps.AXUM,
        restarting(101, lived_s=1),
        MEND_VALUE,
        deviations=LOOPS,
        says=each_run(("ERROR", "DATABASE_URL is not set"), ("", "note: run with `RUST_BACKTRACE=1`"), lived_s=1),
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
        "start-failed-unsaid",
        4,
        apps.DOTNET,
        created(code=128),
        MEND_START,
        deviations=DOWN,
        noise=("no-runtime-error",),
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
        "start-again-no-mount",
        4,
        apps.POSTGRES,
        exited(
            127, by="Unknown", ago_s=40, error="error while creating mount source path '/data': read-only file system"
        ),
        MEND_START,
        deviations=DOWN,
        asks=("tcp",),
        noise=("ran-before",),
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
        "port-allocated-again",
        5,
        apps.GATEWAY,
        exited(128, by="Unknown", ago_s=50, error="Bind for 0.0.0.0:8443 failed: port is already allocated"),
        MEND_START,
        deviations=DOWN,
        noise=("ran-before",),
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

FILES: Mapping[str, Sequence[Json]] = {
    "03-bad-config.jsonl": BAD_CONFIG,
    "04-start-failed.jsonl": NOT_STARTABLE,
    "05-port-taken.jsonl": PORT_TAKEN,
}
