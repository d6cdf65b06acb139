"""What is around a service: others that it calls, and the disk that it writes to."""

from collections.abc import Mapping, Sequence

from tests.bench.dev_authoring import apps
from tests.bench.dev_authoring.pieces import (
    FLAG,
    HTTP,
    REFUSED,
    TIMEOUT,
    Json,
    each_run,
    exited,
    incident,
    label,
    ok,
    paused,
    present,
    restarting,
    running,
    said,
    status,
)

FAILS, DOWN, LOOPS = (f"ProbeFailing/{HTTP}",), ("NotRunning",), ("RestartLoop",)
NEEDS_DB: Mapping[str, object] = {"dependsOn": [{"name": "db"}]}


def db(health: str) -> Sequence[Json]:
    """How the declared database is seen."""
    return [{"service": "default/db", "health": health}]


WAIT = label("DependencyDown", harmful=("restart", "start"), why="what it depends on is down; this one is the victim")
SAYS_SO: Mapping[str, tuple[apps.App, str]] = {
    "psycopg": (
        apps.FLASK,
        'psycopg2.OperationalError: connection to server at "db", port 5432 failed: Connection refused',
    ),
    "jdbc": (apps.SPRING, "com.mysql.cj.jdbc.exceptions.CommunicationsException: Communications link failure"),
    "node": (apps.EXPRESS, "Error: connect ECONNREFUSED 10.0.2.9:6379 at TCPConnectWrap.afterConnect"),
    "go-lookup": (apps.CHI, "dial tcp: lookup db on 127.0.0.11:53: no such host"),
    "sqlx": (apps.AXUM, "error communicating with database: Connection refused (os error 111)"),
    "ruby-redis": (
        apps.RAILS,
        "Redis::CannotConnectError: Error connecting to Redis on cache:6379 (Errno::ECONNREFUSED)",
    ),
    "dotnet": (apps.DOTNET, "Npgsql.NpgsqlException: Failed to connect to 10.0.2.4:5432 ---> SocketException (111)"),
    "php": (
        apps.PHP,
        "SQLSTATE[HY000] [2002] php_network_getaddresses: getaddrinfo failed: Temporary failure in name resolution",
    ),
    "nginx": (
        apps.NGINX,
        '*51 connect() failed (111: Connection refused) while connecting to upstream, upstream: "http://10.0.2.3:8000/"',
    ),
    "nginx-slow": (
        apps.NGINX,
        "*77 upstream timed out (110: Connection timed out) while reading response header from upstream",
    ),
    "amqp": (apps.WORKER, "amqp connection failed: [Errno 113] No route to host"),
    "kafka": (
        apps.SPRING,
        "[Producer clientId=p-1] Connection to node -1 (kafka/10.0.2.8:9092) could not be established."
        " Broker may not be available.",
    ),
    "grpc": (
        apps.GATEWAY,
        "rpc error: code = Unavailable desc = connection error: desc = transport: Error while dialing",
    ),
    "mongo": (apps.EXPRESS, "MongoServerSelectionError: Server selection timed out after 30000 ms"),
    "mysql-lost": (apps.PHP, "SQLSTATE[HY000]: General error: 2006 Lost connection to MySQL server during query"),
    "postgres-starts": (apps.RAILS, "PG::ConnectionBad: FATAL:  the database system is starting up"),
    "read-timeout": (
        apps.FLASK,
        "requests.exceptions.ReadTimeout: HTTPConnectionPool(host='stock', port=8081): Read timed out.",
    ),
    "breaker": (apps.DOTNET, "Polly.CircuitBreaker.BrokenCircuitException: The circuit breaker 'payments' is open"),
    "python-json": (apps.WORKER, "kombu.exceptions.OperationalError: [Errno 111] Connection refused"),
    "http-status": (apps.GATEWAY, "upstream orders answered 503 Service Unavailable, giving up after 3 tries"),
}
LOGGED: Sequence[Json] = tuple(
    incident(
        f"dependency-says-{name}",
        12,
        app,
        running(),
        WAIT,
        probes=(status(503 if place % 2 else 500),),
        deviations=FAILS,
        says=(*said(75, "ERROR", words), *said(33, "ERROR", words), *said(9, "ERROR", words)),
    )
    for place, (name, (app, words)) in enumerate(SAYS_SO.items())
)
DECLARED: Sequence[Json] = (
    incident(
        "dependency-declared",
        12,
        apps.FLASK,
        running(),
        WAIT,
        probes=(status(503),),
        deviations=FAILS,
        spec=NEEDS_DB,
        dependencies=db("Unhealthy"),
        noise=("log-silent",),
    ),
    incident(
        "dependency-stopped",
        12,
        apps.RAILS,
        running(),
        WAIT,
        probes=(TIMEOUT,),
        deviations=FAILS,
        spec=NEEDS_DB,
        dependencies=db("Stopped"),
    ),
    incident(
        "dependency-loop",
        12,
        apps.SPRING,
        restarting(1, lived_s=15),
        WAIT,
        deviations=LOOPS,
        spec=NEEDS_DB,
        dependencies=db("Unhealthy"),
        says=each_run(("ERROR", "java.net.UnknownHostException: db"), ("ERROR", "Application run failed"), lived_s=15),
    ),
    incident(
        "dependency-died",
        12,
        apps.WORKER,
        exited(1, ran_s=8),
        WAIT,
        deviations=DOWN,
        spec=NEEDS_DB,
        dependencies=db("Unhealthy"),
        says=said(91, "FATAL", "cannot reach BROKER_URL: connection refused"),
        noise=("misleading-log",),
    ),
    incident(
        "dependency-slow",
        12,
        apps.DOTNET,
        running(),
        WAIT,
        probes=(ok(ms=900),),
        deviations=(f"LatencyHigh/{HTTP}",),
        asks=("slow",),
        spec=NEEDS_DB,
        dependencies=db("Unhealthy"),
    ),
    incident(
        "dependency-loop-undeclared",
        12,
        apps.CHI,
        restarting(1, lived_s=3),
        label("DependencyDown", "CrashLoop", harmful=("restart",), why="it ends whenever it cannot reach its database"),
        deviations=LOOPS,
        says=each_run(("FATAL", "dial tcp 10.0.2.4:5432: connect: connection refused"), lived_s=3),
    ),
    incident(
        "dependency-well-errors-own",
        12,
        apps.FLASK,
        running(1000),
        label(
            "ServiceErrors", do=("restart", "none"), why="its database is well, and the complaint is of an earlier run"
        ),
        probes=(status(500),),
        deviations=FAILS,
        spec=NEEDS_DB,
        dependencies=db("Healthy"),
        says=said(2000, "ERROR", "could not connect to server: Connection refused"),
        noise=("misleading-log", "before-last-start"),
    ),
    incident(
        "dependency-down-but-memory",
        12,
        apps.EXPRESS,
        exited(137, oomKilled=True),
        label("OutOfMemory", do=("start", "none"), why="it was killed for memory, whatever else is down"),
        deviations=DOWN,
        spec=NEEDS_DB,
        dependencies=db("Unhealthy"),
        noise=("two-faults",),
    ),
    incident(
        "dependency-down-but-paused",
        12,
        apps.RAILS,
        paused(),
        label("Paused", harmful=("unpause", "restart"), why="a person paused it, whatever else is down"),
        deviations=("Paused",),
        spec=NEEDS_DB,
        dependencies=db("Unhealthy"),
        noise=("two-faults",),
    ),
    incident(
        "dependency-down-and-a-flag",
        12,
        apps.FLASK,
        running(files=present(FLAG)),
        label("FlagFile", "DependencyDown", do=("removeFile", "none"), harmful=("restart",), why="two faults at once"),
        probes=(status(503, "maintenance"),),
        deviations=FAILS,
        spec=NEEDS_DB,
        dependencies=db("Unhealthy"),
        actions={"removeFile": {"paths": [FLAG]}, "restart": {}},
        noise=("two-faults",),
    ),
    incident(
        "dependency-well-but-blamed-name",
        12,
        apps.CHI,
        running(),
        WAIT,
        probes=(status(503),),
        deviations=FAILS,
        spec=NEEDS_DB,
        dependencies=db("Healthy"),
        says=said(15, "ERROR", "dial tcp 10.0.9.9:9200: connect: connection refused (search)"),
        noise=("another-dependency",),
    ),
    incident(
        "dependency-unknown-hang",
        12,
        apps.SPRING,
        running(),
        label("Hang", do=("restart", "none"), why="it gives no answer, and of its database nothing is known"),
        probes=(TIMEOUT,),
        deviations=FAILS,
        spec=NEEDS_DB,
        dependencies=db("Unknown"),
        noise=("missing-dependency",),
    ),
)

FREE = label("DiskFull", harmful=("restart", "start"), why="no space is left; what may be deleted is a person's to say")
DISK_WORDS: Mapping[str, tuple[apps.App, str]] = {
    "python": (apps.FLASK, "OSError: [Errno 28] No space left on device: '/data/uploads/tmp81'"),
    "java": (apps.SPRING, "java.io.IOException: No space left on device"),
    "node": (apps.EXPRESS, "Error: ENOSPC: no space left on device, write"),
    "rust": (apps.AXUM, "index flush failed: No space left on device (os error 28)"),
    "quota": (apps.RAILS, "Errno::EDQUOT: Disk quota exceeded @ io_write - /data/exports/7.csv"),
    "dotnet": (apps.DOTNET, "System.IO.IOException: There is not enough space on the disk. : '/data/keys.xml'"),
    "inodes": (apps.PHP, "failed to open stream: No space left on device (df: 0 inodes free)"),
    "search": (apps.CONTROLLER, "flood stage disk watermark [95%] exceeded, all indices are marked read-only"),
}
DISK: Sequence[Json] = (
    *(
        incident(
            f"disk-says-{name}",
            13,
            app,
            running(),
            FREE,
            probes=(status(500),),
            deviations=FAILS,
            says=(*said(70, "ERROR", words), *said(12, "ERROR", words)),
        )
        for name, (app, words) in DISK_WORDS.items()
    ),
    incident(
        "disk-postgres-loop",
        13,
        apps.POSTGRES,
        restarting(1),
        FREE,
        deviations=LOOPS,
        asks=("tcp",),
        says=each_run(("FATAL", 'could not write lock file "postmaster.pid": No space left on device')),
    ),
    incident(
        "disk-died",
        13,
        apps.WORKER,
        exited(1),
        FREE,
        deviations=DOWN,
        says=said(91, "FATAL", "[Errno 28] No space left on device: '/var/spool/mailer/7'"),
    ),
    incident(
        "disk-before-last-start",
        13,
        apps.FLASK,
        running(600),
        label("ServiceErrors", do=("restart", "none"), why="the full disk was before its last start"),
        probes=(status(500),),
        deviations=FAILS,
        says=said(2500, "ERROR", "OSError: [Errno 28] No space left on device"),
        noise=("misleading-log", "before-last-start"),
    ),
    incident(
        "disk-nearly-full-but-hung",
        13,
        apps.SPRING,
        running(),
        label("Hang", do=("restart",), why="a disk at 91 % is not full"),
        probes=(TIMEOUT,),
        deviations=FAILS,
        says=said(60, "WARN", "disk usage of /data is at 91%"),
        noise=("misleading-log",),
    ),
    incident(
        "disk-full-nothing-listens",
        13,
        apps.CHI,
        running(),
        FREE,
        probes=(REFUSED,),
        deviations=FAILS,
        says=said(30, "ERROR", "snapshot failed: write /data/s.bin: no space left on device"),
    ),
    incident(
        "disk-full-with-scratch",
        13,
        apps.AXUM,
        running(files=present(FLAG)),
        label("DiskFull", "FlagFile", do=("removeFile", "none"), harmful=("restart",), why="a declared file may go"),
        probes=(status(500),),
        deviations=FAILS,
        says=said(30, "ERROR", "index flush failed: No space left on device (os error 28)"),
        actions={"removeFile": {"paths": [FLAG]}, "restart": {}},
        noise=("two-faults",),
    ),
)

FILES: Mapping[str, Sequence[Json]] = {
    "12-dependency.jsonl": (*LOGGED, *DECLARED),
    "13-disk.jsonl": DISK,
}
