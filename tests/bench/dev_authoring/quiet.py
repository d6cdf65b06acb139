"""What people and networks do to a service, swings, and what is no fault at all."""

from collections.abc import Mapping, Sequence

from tests.bench.dev_authoring import apps
from tests.bench.dev_authoring.pieces import (
    FLAG,
    HTTP,
    TIMEOUT,
    Json,
    event,
    exited,
    incident,
    label,
    ok,
    own_health,
    paused,
    present,
    restarting,
    running,
    said,
    status,
    untold,
)

FAILS, DOWN = (f"ProbeFailing/{HTTP}",), ("NotRunning",)
NOT_RUNNING = untold("NotRunning", "the target is paused")

MAY_UNPAUSE: Mapping[str, object] = {"unpause": {}, "restart": {}, "start": {}}
ASK_WHO = label(
    "Paused", do=("unpause", "none"), harmful=("unpause", "restart"), ours=False, why="a person paused it, so ask"
)
PAUSED: Sequence[Json] = (
    incident(
        "paused", 16, apps.FLASK, paused(), ASK_WHO, probes=(NOT_RUNNING,), deviations=("Paused",), actions=MAY_UNPAUSE
    ),
    incident(
        "paused-own-check",
        16,
        apps.POSTGRES,
        paused(engineHealth=own_health("", 0, 0)),
        ASK_WHO,
        probes=(untold("NotRunning", "", "dockerhealth-0"),),
        deviations=("Paused",),
        asks=("own",),
        actions=MAY_UNPAUSE,
        events=[event(900, "Paused")],
    ),
    incident(
        "paused-not-allowed",
        16,
        apps.REDIS,
        paused(),
        label("Paused", harmful=("restart",), why="a person paused it, and nothing is allowed"),
        deviations=("Paused",),
        asks=("tcp",),
    ),
    incident(
        "paused-with-a-flag",
        16,
        apps.PHP,
        paused(files=present(FLAG)),
        ASK_WHO,
        deviations=("Paused",),
        actions={**MAY_UNPAUSE, "removeFile": {"paths": [FLAG]}},
        noise=("two-faults",),
    ),
    incident(
        "paused-after-errors",
        16,
        apps.RAILS,
        paused(),
        ASK_WHO,
        deviations=("Paused",),
        actions=MAY_UNPAUSE,
        says=said(700, "ERROR", "PG::ConnectionBad: connection refused", "FATAL: out of memory"),
        noise=("misleading-log",),
    ),
)

RESPECT = label("StoppedBySomeone", harmful=("start", "restart"), why="a person stopped it, and that is respected")
ASK_WHY = label("StoppedBySomeone", harmful=("start", "restart"), why="nobody knows who ended it, so ask")
STOPPED: Sequence[Json] = (
    incident(
        "stopped",
        17,
        apps.FLASK,
        exited(143, by="Person"),
        RESPECT,
        events=[event(91, "Killed", "15"), event(90, "Died", exitCode=143), event(90, "Stopped")],
    ),
    incident("stopped-always", 17, apps.CHI, exited(0, by="Person"), RESPECT),
    incident(
        "stopped-ignored-the-signal",
        17,
        apps.SPRING,
        exited(137, by="Person"),
        RESPECT,
        events=[event(100, "Killed", "15"), event(90, "Killed", "9"), event(90, "Stopped")],
        says=said(3000, "ERROR", "java.lang.OutOfMemoryError: Metaspace"),
        noise=("misleading-log",),
    ),
    incident("stopped-local", 17, apps.LOCAL, exited(0, by="Person"), RESPECT),
    incident(
        "stopped-with-a-flag",
        17,
        apps.PHP,
        exited(137, by="Person", files=present(FLAG)),
        RESPECT,
        actions={"removeFile": {"paths": [FLAG]}, "restart": {}, "start": {}},
        noise=("misleading-file",),
    ),
    incident("stopped-unknown", 17, apps.DOTNET, exited(143, by="Unknown", ago_s=80_000), ASK_WHY, deviations=DOWN),
    incident(
        "stopped-unknown-137",
        17,
        apps.POSTGRES,
        exited(137, by="Unknown", ago_s=50_000),
        ASK_WHY,
        deviations=DOWN,
        asks=("tcp",),
        noise=("missing-events",),
    ),
    incident(
        "stopped-unknown-error",
        17,
        apps.EXPRESS,
        exited(1, by="Unknown", ago_s=40_000),
        label(
            "StoppedBySomeone", "Died", "Unknown", harmful=(), ours=False, why="the evidence does not show who ended it"
        ),
        deviations=DOWN,
        missing=["logs: not in time"],
        noise=("missing-events", "missing-logs"),
    ),
)

NET: Mapping[str, object] = {"desired": {"networks": [{"name": "shop", "aliases": ["orders"]}]}}
MAY_ATTACH: Mapping[str, object] = {"connectNetwork": {}, "restart": {}, "start": {}}
OFF = [{"name": "shop", "attached": False, "named": False}]
NAMELESS = [{"name": "shop", "attached": True, "named": False}]
ATTACH = label("NetworkDetached", do=("connectNetwork",), why="it is off a network that it declares")
NETWORK: Sequence[Json] = (
    incident(
        "network-off",
        19,
        apps.FLASK,
        running(networks=[], desired=OFF),
        ATTACH,
        probes=(untold("NoAddress"),),
        deviations=("NetworkDetached",),
        actions=MAY_ATTACH,
        spec=NET,
    ),
    incident(
        "network-off-errors",
        19,
        apps.FLASK,
        running(networks=["bridge"], desired=OFF),
        ATTACH,
        probes=(status(503, "database away"),),
        deviations=(*FAILS, "NetworkDetached"),
        actions=MAY_ATTACH,
        spec=NET,
        says=said(30, "ERROR", 'could not translate host name "db" to address: Name or service not known'),
        events=[event(75, "Network", "disconnect shop")],
    ),
    incident(
        "network-off-hangs",
        19,
        apps.DOTNET,
        running(networks=["bridge"], desired=OFF),
        ATTACH,
        probes=(TIMEOUT,),
        deviations=(*FAILS, "NetworkDetached"),
        actions=MAY_ATTACH,
        spec=NET,
    ),
    incident(
        "network-alias-lost",
        19,
        apps.CHI,
        running(networks=["shop"], desired=NAMELESS),
        label("NetworkDetached", why="it would have to be detached first to get its name back; a person decides"),
        probes=(ok(),),
        deviations=("NetworkDetached",),
        actions=MAY_ATTACH,
        spec=NET,
    ),
    incident(
        "network-off-not-allowed",
        19,
        apps.AXUM,
        running(networks=[], desired=OFF),
        label("NetworkDetached", harmful=("restart",), why="attaching is not allowed, and a restart attaches nothing"),
        probes=(ok(),),
        deviations=("NetworkDetached",),
        spec=NET,
    ),
)

NOTHING = label("Unknown", harmful=("start", "restart", "removeFile"), why="there is no fault")
NO_FAULT: Sequence[Json] = (
    incident("fine", 29, apps.FLASK, running(), NOTHING, probes=(ok(),)),
    incident("job-done", 29, apps.WORKER, exited(0, ran_s=340), NOTHING, says=said(91, "INFO", "all mails are sent")),
    incident(
        "fine-with-errors-in-log",
        29,
        apps.SPRING,
        running(),
        NOTHING,
        probes=(ok(),),
        says=said(60, "ERROR", "card declined: insufficient funds", "connection refused by bank 3, used bank 4"),
        noise=("misleading-log",),
    ),
    incident(
        "fine-with-a-flag",
        29,
        apps.PHP,
        running(files=present(FLAG)),
        NOTHING,
        probes=(ok(),),
        actions={"removeFile": {"paths": [FLAG]}, "restart": {}},
        noise=("misleading-file",),
    ),
    incident("engine-away", 29, apps.CHI, {"kind": "blind", "reason": "EngineAway", "detail": "no answer"}, NOTHING),
    incident("one-bad-answer", 29, apps.EXPRESS, running(), NOTHING, probes=(status(500),), noise=("once",)),
    incident("comes-back", 29, apps.RAILS, restarting(1, deaths=1, ago_s=1), NOTHING),
    incident(
        "still-starting",
        29,
        apps.DOTNET,
        running(8, engineHealth=own_health("", 1, 1, "starting")),
        NOTHING,
        probes=(untold("Starting", "", "dockerhealth-0"),),
        asks=("own",),
    ),
)

SWINGS = label("Flapping", harmful=("restart",), why="each act would add a swing")
FLAPPING: Sequence[Json] = (
    incident("flaps", 0, apps.NGINX, running(), SWINGS, probes=(status(502),), deviations=(f"Flapping/{HTTP}",)),
    incident(
        "flaps-slow",
        0,
        apps.SPRING,
        running(),
        SWINGS,
        probes=(TIMEOUT,),
        deviations=(f"Flapping/{HTTP}",),
        missing=["logs: not in time"],
        noise=("missing-logs",),
    ),
    incident(
        "flaps-with-a-flag",
        0,
        apps.FLASK,
        running(files=present(FLAG)),
        SWINGS,
        probes=(status(500),),
        deviations=(f"Flapping/{HTTP}",),
        actions={"removeFile": {"paths": [FLAG]}, "restart": {}},
        noise=("misleading-file",),
    ),
)

FILES: Mapping[str, Sequence[Json]] = {
    "00-flapping.jsonl": FLAPPING,
    "16-paused.jsonl": PAUSED,
    "17-stopped.jsonl": STOPPED,
    "19-network.jsonl": NETWORK,
    "29-no-fault.jsonl": NO_FAULT,
}
