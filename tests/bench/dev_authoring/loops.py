"""Services that die of their own release again and again."""

from collections.abc import Mapping, Sequence

from tests.bench.dev_authoring import apps
from tests.bench.dev_authoring.pieces import (
    Json,
    each_run,
    event,
    exited,
    incident,
    label,
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
        "loop-local",
        2,
        apps.LOCAL,
        exited(1, ran_s=3, ago_s=4, deaths=5),
        ROLL_BACK,
        deviations=("NotRunning", "RestartLoop"),
        says=said(5, "", "Traceback (most recent call last):", "ZeroDivisionError: division by zero"),
    ),
    incident(
        "loop-password",
        2,
        apps.RAILS,
        restarting(1, lived_s=9),
        label(
            "BadConfig", "CrashLoop", "DependencyDown", harmful=("restart",), why="it ends on a password nobody takes"
        ),
        deviations=LOOPS,
        says=each_run(("", 'PG::ConnectionBad: FATAL:  password authentication failed for user "app"'), lived_s=9),
    ),
    incident(
        "loop-secret-file",
        2,
        apps.CHI,
        restarting(1),
        label("BadConfig", "CrashLoop", harmful=("restart",), why="a file that it needs is not mounted"),
        deviations=LOOPS,
        says=each_run(("FATAL", "open /run/secrets/stock: no such file or directory")),
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

FILES: Mapping[str, Sequence[Json]] = {
    "02-crash-loop.jsonl": CRASH_LOOP,
}
