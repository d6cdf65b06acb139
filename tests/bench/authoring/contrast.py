"""Incidents that look like one of the others and differ in the one fact that decides, and some of plain processes."""

# Log lines and messages of the runtime are quoted whole.
# ruff: noqa: E501

from tests.bench.authoring.draft import Draft, docker, http, run, tcp

_ONCE = {"exitCode": 1, "stoppedBy": "Itself", "deaths": 1}

_PAIRS = (
    Draft(
        id="pair-keyerror-is-not-the-environment",
        fault=18,
        app="flask/gunicorn",
        name="web",
        state="Exited",
        up=500_000,
        down=22,
        does="start restart",
        causes="Died",
        actions="start restart",
        style="python",
        noise="misleading-log",
        facts=_ONCE,
        probes=(http(),),
        events="22 Died 1",
        why="A key of some order is missing after days of service, not a variable of the environment; start it.",
        log="""
            22 F consumer loop ended, exiting
             = Traceback (most recent call last):
             =   File "/app/shop/consumer.py", line 51, in handle
             =     url = order["DATABASE_URL_HINT"]
             = KeyError: 'DATABASE_URL_HINT'
        """,
    ),
    Draft(
        id="pair-stale-oom-flag-now-bad-env",
        fault=3,
        app="java/spring",
        name="orders",
        state="Exited",
        up=70,
        down=62,
        does="start restart",
        causes="BadConfig",
        actions="none",
        noise="misleading-oom-flag",
        facts=_ONCE | {"oomKilled": True},
        probes=(http(),),
        events="7200 OutOfMemory; 7200 Died 137; 7190 Started; 72 Killed signal 15; 71 Died 143; 71 Stopped; 70 Started; 62 Died 1",
        why="The flag is of two hours ago; this run ended on a profile that does not exist, which no start changes.",
        log="""
            62 E Application run failed
             = java.lang.IllegalStateException: Could not resolve placeholder 'PAYMENT_URL' in value "${PAYMENT_URL}"
        """,
    ),
    Draft(
        id="pair-oom-once-engine-about-to-restart",
        fault=7,
        app="node/express",
        name="storefront",
        state="Restarting",
        up=90_000,
        down=1,
        does="restart start",
        causes="OutOfMemory",
        actions="none",
        harmful="restart",
        deviations="NotRunning",
        facts={"exitCode": 137, "oomKilled": True, "stoppedBy": "Itself", "restartsByItself": True},
        probes=(http(),),
        events="1 OutOfMemory; 1 Died 137",
        why="Killed for memory a second ago for the first time and the engine is bringing it back; wait.",
    ),
    Draft(
        id="pair-postgres-recovering-with-pidfile",
        fault=0,
        app="postgres",
        name="db",
        up=45,
        does="removeFile:/var/lib/postgresql/data/postmaster.pid+ restart",
        causes="Unknown ServiceErrors",
        actions="none",
        harmful="removeFile restart",
        noise="misleading-file tempting-restart",
        probes=(tcp(), run("pg_isready -U shop", "ExitCode", "/var/run/postgresql:5432 - rejecting connections")),
        events="45 Started",
        ours=False,
        why="It replays its log after a hard end and goes forward; the file is that of the running server, so wait.",
        log="""
            44 I database system was interrupted; last known up at {sec} UTC
            43 I database system was not properly shut down; automatic recovery in progress
            43 I redo starts at 5/1C0000D8
            13 I redo in progress, elapsed time: 30.00 s, current LSN: 5/4F2A1C00
            3 I redo in progress, elapsed time: 40.00 s, current LSN: 5/6B10AA18
        """,
    ),
    Draft(
        id="pair-declared-file-has-nothing-to-do",
        fault=12,
        app="node/express",
        name="checkout",
        does="removeFile:/app/beta.on+ restart",
        causes="DependencyDown",
        actions="none",
        harmful="removeFile restart",
        noise="misleading-file",
        depends="db=Unhealthy",
        probes=(http(503, '{"db":"down","beta":true}'),),
        why="Its health says that the database is down, and that is unhealthy; the declared file switches a feature.",
        log="""
            90000 I /app/beta.on found, beta checkout is on
            50 E db: connect ETIMEDOUT 172.18.0.3:5432
            10 E db: connect ETIMEDOUT 172.18.0.3:5432
        """,
    ),
    Draft(
        id="pair-busy-with-migration-is-no-hang",
        fault=0,
        app="ruby/puma",
        name="admin",
        up=200,
        does="restart",
        causes="Unknown Hang",
        actions="none",
        harmful="restart",
        noise="tempting-restart",
        probes=(http("Timeout", "no answer within 1 s"), tcp()),
        events="201 Created; 200 Started",
        ours=False,
        why="It rebuilds an index of its database and gets on with it; a restart in the middle would leave it half done.",
        log="""
            195 I == 20260301 AddIndexToOrders: migrating, the server answers when it is done
            120 I -- add_index(:orders, :tenant_id) 22 %
            60 I -- add_index(:orders, :tenant_id) 48 %
            5 I -- add_index(:orders, :tenant_id) 71 %
        """,
    ),
    Draft(
        id="pair-hang-two-restarts-did-not-help",
        fault=6,
        app="dotnet",
        name="billing",
        up=240,
        does="restart",
        causes="Hang",
        actions="none",
        noise="former-ineffective",
        probes=(http("Timeout"), tcp()),
        former="6 Hang 1 no;15 Hang 1 no",
        events="900 Killed signal 15; 899 Died 0; 899 Stopped; 898 Started; 242 Killed signal 15; 241 Died 0; 241 Stopped; 240 Started",
        why="It hangs minutes after each of two restarts, so a third is no remedy; a person must look.",
        log="100 W ThreadPool: 0 available of 32767, 901 work items pending",
    ),
    Draft(
        id="pair-hang-restart-helped-last-month",
        fault=6,
        app="php-fpm+nginx",
        name="blog",
        up=2_500_000,
        does="restart",
        causes="Hang",
        actions="restart",
        probes=(http("Timeout"), tcp()),
        former="41000 Hang 1 yes",
        noise="former-effective",
        why="The same hang was ended by one restart a month ago and it was well since; do it again.",
        log="""
            90 W [pool www] server reached pm.max_children setting (5), consider raising it
            30 W [pool www] seems busy (5 idle 0), all children in flock()
        """,
    ),
    Draft(
        id="pair-exit-143-no-policy-events-gone",
        fault=17,
        app="go",
        name="ledger",
        state="Exited",
        up=80_000,
        down=5000,
        does="start restart",
        causes="StoppedBySomeone Unknown",
        actions="none",
        harmful="start restart",
        noise="thin-evidence",
        facts={"exitCode": 143, "stoppedBy": "Unknown"},
        probes=(http(),),
        missing="events: the engine keeps only the last 256",
        style="klog",
        why="It ended on a polite signal, which someone sent; who, is not known, so ask.",
        log="5000 I received SIGTERM, draining",
    ),
    Draft(
        id="pair-job-failed-midway",
        fault=0,
        app="django",
        name="migrate",
        state="Exited",
        up=50,
        down=20,
        does="start restart",
        causes="Died",
        actions="none",
        harmful="start restart",
        style="plain",
        facts=_ONCE,
        probes=(),
        events="51 Created; 50 Started; 20 Died 1",
        noise="tempting-start",
        why="A job failed halfway through changing data, and says that a second run is not safe; a person decides.",
        log="""
            45 I   Applying orders.0042_split_names...
            20 E django.db.utils.IntegrityError: duplicate key value violates unique constraint "orders_name_key"
            20 E orders.0042 is not atomic: 18 210 of 40 000 rows were changed, do not run it again before they are restored
        """,
    ),
    Draft(
        id="pair-refused-since-start-vs-before-warm",
        fault=29,
        app="dotnet",
        name="billing",
        up=8,
        does="restart",
        causes="Unknown",
        actions="none",
        harmful="restart",
        noise="still-starting",
        deviations="",
        ours=False,
        probes=(http("Starting", "", initialDelaySeconds=30),),
        events="9 Created; 8 Started",
        why="It started eight seconds ago and its declared delay is thirty; what is refused now says nothing.",
        log="6 I Applying configuration, opening ports in a moment",
    ),
    Draft(
        id="pair-health-script-says-dependency",
        fault=12,
        app="celery",
        name="worker",
        does="restart",
        causes="DependencyDown",
        actions="none",
        harmful="restart",
        depends="broker=Unhealthy",
        missing="logs: not in time",
        probes=(run("/app/healthy.sh", "ExitCode", "broker:5672 unreachable"),),
        why="The check fails on the broker, which is unhealthy, and not on the worker.",
    ),
    Draft(
        id="pair-docker-unhealthy-outside-well-slow-check",
        fault=21,
        app="java/spring",
        name="catalog",
        does="restart",
        causes="CheckBroken Unknown",
        actions="none",
        harmful="restart",
        chat="access",
        probes=(
            docker("/bin/sh: /app/check.sh: Permission denied", exit_code=126, streak=14),
            http(200, '{"status":"UP"}'),
        ),
        why="The script of the check may not be executed, while the service answers UP from outside.",
    ),
    Draft(
        id="pair-nobody-killed-but-log-says-bye",
        fault=17,
        app="redis",
        name="cache",
        state="Exited",
        up=9000,
        down=45,
        does="start",
        causes="StoppedBySomeone",
        actions="none",
        harmful="start",
        noise="no-engine-event",
        facts={"exitCode": 0, "stoppedBy": "Itself", "deaths": 1},
        probes=(tcp(),),
        events="45 Died 0",
        why="No one used the engine, but an operator gave SHUTDOWN through the server, as the log says; respect it.",
        log="""
            46 W User requested shutdown... (command SHUTDOWN from 172.18.0.1:51002, user ops-anna)
            45 I DB saved on disk
            45 W Redis is now ready to exit, bye bye...
        """,
    ),
)

_PROCESSES = (
    Draft(
        id="process-hang-python",
        fault=6,
        app="flask/gunicorn",
        name="webhook",
        command=("python", "serve.py"),
        does="restart",
        causes="Hang",
        actions="restart",
        probes=(http("Timeout"), tcp()),
        style="python",
        processes="4121 S futex_wait_queue python",
        why="The process is there, takes connections and answers none.",
        log="70 W request queue is full (64), workers 4/4 busy since 61 s",
    ),
    Draft(
        id="process-died-node",
        fault=18,
        app="node/express",
        name="bot",
        state="Exited",
        up=40_000,
        down=20,
        command=("node", "bot.js"),
        does="start restart",
        causes="Died",
        actions="start restart",
        facts=_ONCE,
        probes=(http(),),
        events="20 Died 1",
        style="plain",
        why="It ended by itself on an error of the moment and nothing but PitCrew brings it back.",
        log="""
            20 E /srv/bot/bot.js:88
              =     throw new Error('unexpected frame ' + kind)
              =     ^
              =
              = Error: unexpected frame 9
              =     at Socket.onFrame (/srv/bot/bot.js:88:11)
        """,
    ),
    Draft(
        id="process-flag-relative-path",
        fault=1,
        app="go",
        name="agent",
        command=("./agent", "-listen", ":8080"),
        does="removeFile:broken.flag+ restart",
        causes="FlagFile",
        actions="removeFile",
        probes=(http(500, "broken.flag"),),
        style="golog",
        processes="990 S futex_wait_queue agent",
        why="The answer names the file in its working directory, which is declared and present.",
        log="30 E health: ./broken.flag present",
    ),
    Draft(
        id="process-bad-config-python",
        fault=3,
        app="celery",
        name="mailer",
        state="Exited",
        up=12,
        down=11,
        command=("python", "mailer.py"),
        does="start restart",
        causes="BadConfig",
        actions="none",
        facts=_ONCE | {"envNames": ["PATH", "HOME", "LANG"]},
        probes=(),
        style="plain",
        events="12 Started; 11 Died 1",
        why="It wants SMTP_HOST, which its declared environment lacks; a start gives it the same environment.",
        log="11 E mailer.py: error: environment variable SMTP_HOST is required",
    ),
    Draft(
        id="process-stopped-by-signal-t",
        fault=16,
        app="flask/gunicorn",
        name="etl",
        command=("python", "etl.py"),
        does="restart",
        causes="Paused Hang",
        actions="none",
        harmful="restart",
        ours=False,
        facts={"suspended": True},
        probes=(http("Timeout"),),
        processes="777 T do_signal_stop python",
        noise="suspended",
        why="All of it is stopped by a signal, as a person does with a debugger or the keyboard; ask.",
    ),
    Draft(
        id="process-program-not-found",
        fault=4,
        app="rust/axum",
        name="pricing",
        state="Created",
        command=("./target/release/pricing",),
        does="start",
        causes="StartFailed",
        actions="none",
        probes=(http(),),
        facts={"everStarted": False, "exitCode": 127, "error": "No such file or directory: ./target/release/pricing"},
        why="The program is not where the command says; a start cannot find it either.",
    ),
)

DRAFTS = (*_PAIRS, *_PROCESSES)
