"""More services at work, in the hands of others, and stuck beside such words; written after the rules, to try them."""

from collections.abc import Mapping, Sequence

from tests.bench.dev_authoring import apps
from tests.bench.dev_authoring.busy import steps
from tests.bench.dev_authoring.pieces import (
    HTTP,
    TIMEOUT,
    Json,
    Said,
    exited,
    incident,
    label,
    present,
    running,
    said,
    status,
)

FAILS, DOWN = (f"ProbeFailing/{HTTP}",), ("NotRunning",)
WORKS = label(
    "Unknown",
    "Hang",
    "Latency",
    "DependencyDown",
    "ServiceErrors",
    harmful=("restart",),
    why="a restart would lose work",
)


def _mute(slug: str, app: apps.App, lines: Sequence[Said], right: Json = WORKS, *, chatter: int = 40) -> Json:
    """It gives no answer in time, and says this."""
    return incident(
        f"further-{slug}", 0, app, running(), right, probes=(TIMEOUT,), deviations=FAILS, says=lines, chatter=chatter
    )


MUTE: Sequence[Json] = (
    _mute(
        "force-merge",
        apps.ELASTIC,
        steps("INFO", "[products] force merging segments, {} to go", 41, 33, 30, 22),
    ),
    _mute("cassandra", apps.KAFKA, steps("INFO", "Bootstrap {}% complete, streaming from /10.0.0.8", 31, 38, 41)),
    _mute(
        "innodb-scan",
        apps.MYSQL,
        steps("INFO", "InnoDB: Doing recovery: scanned up to log sequence number {}", 2911872, 5109221, 7210822),
        chatter=0,
    ),
    _mute(
        "innodb-rollback",
        apps.SPRING,
        said(30, "WARN", "InnoDB: Rolling back trx with id 91, 120000 rows to undo"),
    ),
    _mute(
        "sqlserver",
        apps.DOTNET,
        steps(
            "INFO", "Recovery of database 'shop' (5) is {}% complete (approximately 120 seconds remain).", 41, 43, 46
        ),
    ),
    _mute(
        "wal-segments",
        apps.GATEWAY,
        tuple(
            Said(
                ago_s=ago_s,
                level="",
                words=f'level=info component=tsdb msg="WAL segment loaded" segment={place} maxSegment=120',
            )
            for ago_s, place in ((50, 37), (33, 40), (17, 44), (3, 47))
        ),
    ),
    _mute(
        "batch-read-count", apps.SPRING, steps("INFO", "chunk done, readCount={} totalCount=98000", 9000, 12000, 14000)
    ),
    _mute(
        "progress-bar",
        apps.LOCAL,
        tuple(
            Said(ago_s=ago_s, level="", words=f" {percent}%|####      | {percent * 10}/1000 [02:10<02:52,  3.30it/s]")
            for ago_s, percent in ((44, 39), (29, 41), (12, 43))
        ),
    ),
    _mute("training", apps.WORKER, steps("INFO", "Epoch 3/10, step {}/5000 loss=0.41", 1000, 1100, 1200)),
    _mute(
        "index-build",
        apps.MONGO,
        steps("INFO", "Index Build: inserting keys from external sorter into index, {}%", 37, 41, 48),
    ),
    _mute("italian", apps.PHP, steps("INFO", "ricostruzione dell'indice: {} su 90", 10, 11, 12)),
    _mute("korean", apps.AXUM, steps("INFO", "데이터 복구 중 ({}%)", 25, 29, 31)),
    _mute("directory-is-slow", apps.RAILS, said(8, "WARN", "ldap_bind: no reply from ldap01 for 20 s, still waiting")),
    _mute("lock-of-a-transaction", apps.CHI, said(9, "WARN", "blocked for 61 s by backend 8812 (ALTER TABLE stock)")),
    _mute("sidekiq-quiet", apps.RAILS, said(200, "INFO", "Received TSTP signal, no longer accepting new work")),
    _mute(
        "shutdown-hook",
        apps.SPRING,
        said(20, "INFO", "Commencing graceful shutdown. Waiting for active requests to complete"),
    ),
    _mute("antivirus", apps.FILED, steps("INFO", "scanned {} of 410022 objects, 0 infected", 90112, 94410, 99870)),
)
STAYS_DOWN = label(
    "Died", "StoppedBySomeone", "Unknown", harmful=("start",), why="others took over, or nobody may begin again"
)
ENDED: Sequence[Json] = tuple(
    incident(
        f"further-ended-{slug}",
        0,
        app,
        exited(code),
        STAYS_DOWN,
        deviations=DOWN if code else (),
        says=said(91, level, words),
    )
    for slug, app, code, level, words in (
        ("removed-member", apps.CHI, 1, "FATAL", "the member has been permanently removed from the cluster, exiting"),
        (
            "spot",
            apps.AXUM,
            0,
            "WARN",
            "spot interruption notice: this instance is reclaimed in 120 s, leaving the pool",
        ),
        ("demoted", apps.WORKER, 0, "WARN", "primary is node-2 since 09:41, demoting self and exiting"),
        (
            "run-twice",
            apps.BILLING,
            3,
            "FATAL",
            "dunning run 2026-05 already sent to the printer, refusing a second run",
        ),
        (
            "reconcile-by-people",
            apps.BILLING,
            4,
            "FATAL",
            "ledger and bank differ by 12 entries, accounting has to decide",
        ),
    )
)
LOCK = "/app/job.lock"
MAY: Mapping[str, object] = {"removeFile": {"paths": [LOCK]}, "restart": {}}
HELD = label(
    "FlagFile", "Unknown", "ServiceErrors", harmful=("removeFile", "restart"), why="somebody still needs the file"
)
FILES_HELD: Sequence[Json] = tuple(
    incident(
        f"further-held-{slug}",
        0,
        app,
        running(files=present(LOCK)),
        HELD,
        probes=(status(503, f"{LOCK} exists"),),
        deviations=FAILS,
        says=said(ago_s, "WARN", words),
        actions=MAY,
        noise=("misleading-file",),
    )
    for slug, app, ago_s, words in (
        ("backup", apps.PHP, 1500, f"nightly backup to s3 begins, {LOCK} is removed when it has finished"),
        ("wizard", apps.RAILS, 700, f"upgrade waits at step 'confirm schema change' for an administrator, {LOCK} set"),
        ("risk-team", apps.BILLING, 2000, f"payments halted by the risk team until review, {LOCK} set"),
        ("live-owner", apps.AXUM, 12, f"{LOCK}: owner pid 31 is alive and writing, not touching it"),
    )
)
STUCK = label("Hang", do=("restart",), why="the words are of tries, gauges, or what is over; it gives no answer")
BESIDE: Sequence[Json] = (
    _mute("stuck-retries", apps.CHI, steps("WARN", "reserve failed, retry {}/10", 3, 4, 5), STUCK),
    _mute("stuck-pool", apps.SPRING, steps("WARN", "pool: {}/10 connections in use", 7, 8, 9, 10), STUCK),
    _mute("stuck-disk-gauge", apps.FLASK, steps("WARN", "heap usage {}%", 61, 67, 73), STUCK),
    _mute(
        "stuck-trained", apps.WORKER, steps("INFO", "Epoch 10/10, step {}/5000", 4800, 4900, 5000, until_s=700), STUCK
    ),
    _mute(
        "stuck-dump-over",
        apps.SPRING,
        said(2000, "", "Dumping heap to /d.hprof ...", "Heap dump file created [812 bytes in 1 secs]"),
        STUCK,
    ),
    _mute(
        "stuck-leads",
        apps.CONTROLLER,
        said(2500, "INFO", "no leader, starting an election", "became leader of term 4"),
        STUCK,
    ),
    _mute(
        "stuck-access-log",
        apps.NGINX,
        said(30, "", *(f'10.0.0.{n} "GET /orders/{n} HTTP/1.1" 200 {n * 9}' for n in (3, 5, 8, 9))),
        STUCK,
    ),
    incident(
        "further-flag-left-by-a-deploy",
        1,
        apps.RAILS,
        running(files=present(LOCK)),
        label("FlagFile", do=("removeFile",), harmful=("restart",), why="the deployment failed and left the file"),
        probes=(status(503, f"{LOCK} exists"),),
        deviations=FAILS,
        says=said(1900, "ERROR", f"deploy 5.8.4 failed and was rolled back, {LOCK} was left behind"),
        actions=MAY,
    ),
)

SWINGS = label(
    "Flapping", "Latency", "ErrorRate", "Hang", "Unknown", harmful=("restart",), why="it answers at other times"
)
ALSO: Sequence[Json] = tuple(
    incident(
        f"further-also-{slug}",
        0,
        app,
        running(),
        SWINGS,
        probes=(TIMEOUT,),
        deviations=(*FAILS, f"{kind}/{HTTP}"),
        asks=asks,
    )
    for slug, app, kind, asks in (
        ("slow", apps.CHI, "LatencyHigh", ("slow",)),
        ("errors", apps.DOTNET, "ErrorRatioHigh", ("ratio",)),
    )
)

FILES: Mapping[str, Sequence[Json]] = {
    "00-further.jsonl": (*MUTE, *ENDED, *FILES_HELD, *ALSO),
    "06-beside.jsonl": BESIDE,
}
