"""Faults of memory and disk: rows 7 (memory, main process), 8 (memory, a child), 13 (disk full)."""

# Log lines and messages of the runtime are quoted whole.
# ruff: noqa: E501

from tests.bench.authoring.draft import Draft, docker, http, run, tcp

_KILLED = {"exitCode": 137, "oomKilled": True, "stoppedBy": "Itself", "deaths": 1}

_MAIN = (
    Draft(
        id="oom-main-java-first",
        fault=7,
        app="java/spring",
        name="orders",
        state="Exited",
        up=90_000,
        down=40,
        does="start restart",
        causes="OutOfMemory",
        actions="start restart",
        facts=_KILLED,
        probes=(http(),),
        events="40 OutOfMemory; 40 Died 137",
        why="Killed for memory for the first time after a day of good service, nothing brings it back; start it once.",
        log="41 W JvmMemoryMonitor: rss 509 of 512 MiB",
        chat="access",
        chat_to=60,
    ),
    Draft(
        id="oom-main-node-restart-only",
        fault=7,
        app="node/express",
        name="storefront",
        state="Exited",
        up=50_000,
        down=90,
        does="restart",
        causes="OutOfMemory",
        actions="restart",
        facts=_KILLED,
        probes=(http(), docker()),
        events="91 OutOfMemory; 90 Died 137",
        why="The engine says killed for memory, once, and restart is what is declared to bring it back.",
    ),
    Draft(
        id="oom-main-recurring-beyond-cap",
        fault=7,
        app="java/spring",
        name="reports",
        state="Exited",
        up=410,
        down=20,
        does="start restart",
        causes="OutOfMemory",
        actions="none",
        facts=_KILLED | {"deaths": 2},
        probes=(http(),),
        noise="recurring",
        former="8 OutOfMemory 1 yes;17 OutOfMemory 1 yes;26 OutOfMemory 1 yes;35 OutOfMemory 1 yes",
        events="441 OutOfMemory; 440 Died 137; 410 Started; 20 OutOfMemory; 20 Died 137",
        why="It was started four times in forty minutes after the same end; raising the limit or rolling back is for a person.",
        log="21 W full GC, heap 507 of 512 MiB after collection",
    ),
    Draft(
        id="oom-main-loop-engine-restarts",
        fault=7,
        app="flask/gunicorn",
        name="recommend",
        state="Restarting",
        up=33,
        down=12,
        does="restart",
        causes="OutOfMemory CrashLoop",
        actions="none",
        harmful="restart",
        facts=_KILLED | {"restartsByItself": True, "deaths": 7},
        probes=(http(),),
        events="400 OutOfMemory; 400 Died 137; 398 Started; 330 OutOfMemory; 330 Died 137; 320 Started; 240 OutOfMemory; 240 Died 137; 200 Started; 120 OutOfMemory; 120 Died 137; 33 Started; 12 OutOfMemory; 12 Died 137",
        why="It is killed for memory while loading at every start and the engine restarts it; only the limit or the model helps.",
        log="""
            32 I loading model recommend-v9.bin (2.1 GiB) into memory
        """,
        style="python",
    ),
    Draft(
        id="oom-main-old-flag-now-stopped",
        fault=17,
        app="go",
        name="gateway",
        state="Exited",
        up=70_000,
        down=600,
        does="start restart",
        causes="StoppedBySomeone",
        actions="none",
        harmful="start restart",
        noise="misleading-oom-flag",
        ours=False,
        facts={"exitCode": 0, "oomKilled": True, "stoppedBy": "Person"},
        probes=(http(),),
        events="70010 OutOfMemory; 70010 Died 137; 70000 Started; 600 Killed signal 15; 600 Died 0; 600 Stopped",
        why="The flag of memory stays true from an earlier run; this run ended by a person's stop with exit 0.",
    ),
    Draft(
        id="oom-flag-stale-now-hanging",
        fault=6,
        app="dotnet",
        name="billing",
        up=40_000,
        does="restart",
        causes="Hang",
        actions="restart",
        noise="misleading-oom-flag before-last-start",
        facts={"oomKilled": True, "restartsByItself": True},
        probes=(http("Timeout"), tcp()),
        why="The flag is of a run that ended half a day ago; now it runs, takes connections and does not answer.",
        log="""
            39990 I Now listening on: http://[::]:8080
            100 W As of "{iso}", the heartbeat has been running for "00:01:02" which is longer than "00:00:01".
        """,
    ),
    Draft(
        id="oom-main-healed-by-engine",
        fault=7,
        app="redis",
        name="cache",
        up=200,
        does="restart",
        causes="OutOfMemory Unknown",
        actions="none",
        harmful="restart",
        facts={"oomKilled": True, "restartsByItself": True, "deaths": 1},
        probes=(tcp(), run("redis-cli ping")),
        deviations="",
        events="203 OutOfMemory; 203 Died 137; 200 Started",
        why="Killed for memory once, brought back by the engine and healthy since; record it, a second restart is the bug.",
        log="""
            199 I Server initialized
            199 I DB loaded from disk: 0.412 seconds
            199 I Ready to accept connections tcp
        """,
    ),
    Draft(
        id="oom-main-ruby-nothing-declared",
        fault=7,
        app="ruby/puma",
        name="admin",
        state="Exited",
        up=8000,
        down=75,
        causes="OutOfMemory",
        actions="none",
        facts=_KILLED,
        probes=(http(),),
        events="75 OutOfMemory; 75 Died 137",
        noise="action-not-declared",
        chat="access",
        chat_to=80,
        why="Killed for memory and down, but the owner declared no action, so a person must start it.",
    ),
    Draft(
        id="oom-137-without-flag-and-events",
        fault=7,
        app="celery",
        name="worker",
        state="Exited",
        up=30_000,
        down=300,
        does="start",
        causes="Unknown Died OutOfMemory StoppedBySomeone",
        actions="none",
        missing="events: the stream was cut; logs: not in time",
        probes=(),
        ours=False,
        facts={"exitCode": 137, "oomKilled": False, "stoppedBy": "Unknown"},
        noise="thin-evidence",
        harmful="start",
        why="Exit 137 without the flag and without events may be a person's kill as well as memory; ask.",
    ),
    Draft(
        id="oom-log-word-but-segfault",
        fault=18,
        app="php-fpm+nginx",
        name="thumbs",
        state="Exited",
        up=20_000,
        down=30,
        does="start restart",
        causes="Died",
        actions="start restart",
        noise="misleading-log",
        facts={"exitCode": 139, "stoppedBy": "Itself", "deaths": 1},
        probes=(http(),),
        events="30 Died 139",
        why="It ended by a fault of its own, exit 139; the memory message an hour ago was one request that was handled.",
        log="""
            3600 W [pool www] child 12 said into stderr: "PHP Fatal error: Allowed memory size of 134217728 bytes exhausted"
            3599 W [pool www] child 12: request aborted, out of memory, worker replaced
        """,
        chat="access",
        chat_to=40,
    ),
    Draft(
        id="oom-main-postgres-start",
        fault=7,
        app="postgres",
        name="db",
        state="Exited",
        up=600_000,
        down=25,
        does="start",
        causes="OutOfMemory",
        actions="start",
        facts=_KILLED,
        probes=(tcp(), run("pg_isready -U shop")),
        events="25 OutOfMemory; 25 Died 137",
        why="The main process was killed for memory once; start is declared, and the database recovers from its log by itself.",
        log="""
            300 I checkpoint complete: wrote 8121 buffers (49.6%)
            26 I duration: 41230.118 ms  statement: SELECT * FROM event e1, event e2
        """,
    ),
    Draft(
        id="oom-inside-jvm-exit-3",
        fault=7,
        app="java/spring",
        name="catalog",
        state="Exited",
        up=300_000,
        down=22,
        does="start restart",
        causes="OutOfMemory Died",
        actions="start restart",
        facts={"exitCode": 3, "stoppedBy": "Itself", "deaths": 1},
        probes=(http(),),
        events="22 Died 3",
        why="The JVM ended itself on a heap error with exit 3, once in days; start it, and tell of the heap.",
        log="""
            22 = java.lang.OutOfMemoryError: Java heap space
            22 = Dumping heap to /tmp/java_pid1.hprof ...
            22 = Terminating due to java.lang.OutOfMemoryError: Java heap space
        """,
    ),
)

_CHILD = (
    Draft(
        id="oom-child-gunicorn",
        fault=8,
        app="flask/gunicorn",
        name="web",
        does="restart",
        causes="OutOfMemory",
        actions="none",
        probes=(http(200, "", maxErrorRatio="5%"), docker()),
        deviations="ErrorRatioHigh:httpget-0",
        chat="access",
        events="300 OutOfMemory; 240 OutOfMemory; 170 OutOfMemory; 100 OutOfMemory; 40 OutOfMemory",
        why="Workers are killed for memory one after the other while the master lives; the limit is too small, a restart changes nothing.",
        log="""
            240 E Worker (pid:31) was sent SIGKILL! Perhaps out of memory?
            170 E Worker (pid:34) was sent SIGKILL! Perhaps out of memory?
            100 E Worker (pid:35) was sent SIGKILL! Perhaps out of memory?
            40 E Worker (pid:39) was sent SIGKILL! Perhaps out of memory?
        """,
    ),
    Draft(
        id="oom-child-celery-prefork",
        fault=8,
        app="celery",
        name="worker",
        does="restart start",
        causes="OutOfMemory",
        actions="none",
        deviations="Flapping:exec-0",
        probes=(run("celery -A shop inspect ping"),),
        events="500 OutOfMemory; 320 OutOfMemory; 140 OutOfMemory",
        why="The same task is given back and kills each new child for memory; a restart delivers it again.",
        log="""
            320 E Process 'ForkPoolWorker-7' pid:88 exited with 'signal 9 (SIGKILL)'
            319 E Task handler raised error: WorkerLostError('Worker exited prematurely: signal 9 (SIGKILL) Job: 4102.')
            140 E Process 'ForkPoolWorker-9' pid:97 exited with 'signal 9 (SIGKILL)'
            139 E Task handler raised error: WorkerLostError('Worker exited prematurely: signal 9 (SIGKILL) Job: 4102.')
        """,
    ),
    Draft(
        id="oom-child-fpm-no-events",
        fault=8,
        app="php-fpm+nginx",
        name="blog",
        does="restart",
        causes="Unknown OutOfMemory ErrorRate",
        actions="none",
        missing="events: the engine keeps only the last 256",
        deviations="ErrorRatioHigh:httpget-0",
        probes=(http(502, "", maxErrorRatio="5%"),),
        noise="thin-evidence",
        why="Children end by signal 9 and nothing shows who sent it, as the events are gone; memory is likely, a person must look.",
        log="""
            130 W [pool www] child 41 exited on signal 9 (SIGKILL) after 12.118 seconds from start
            60 W [pool www] child 44 exited on signal 9 (SIGKILL) after 9.002 seconds from start
        """,
    ),
    Draft(
        id="oom-child-postgres-backend",
        fault=8,
        app="postgres",
        name="db",
        does="restart",
        causes="OutOfMemory",
        actions="none",
        harmful="restart",
        probes=(tcp(), run("pg_isready -U shop", "ExitCode", "/var/run/postgresql:5432 - rejecting connections")),
        events="20 OutOfMemory",
        why="A backend was killed for memory and the server is recovering by itself; a restart would begin recovery anew.",
        log="""
            20 I server process (PID 412) was terminated by signal 9: Killed
            20 I terminating any other active server processes
            18 I all server processes terminated; reinitializing
            17 I database system was interrupted; last known up at {sec} UTC
            16 I database system was not properly shut down; automatic recovery in progress
            15 I redo starts at 3/A1B2C3D8
        """,
    ),
    Draft(
        id="oom-child-puma-cluster-all-workers",
        fault=8,
        app="ruby/puma",
        name="admin",
        does="restart",
        causes="OutOfMemory",
        actions="none restart",
        ours=False,
        probes=(http("Timeout"),),
        events="410 OutOfMemory; 300 OutOfMemory; 190 OutOfMemory; 80 OutOfMemory; 12 OutOfMemory",
        style="plain",
        why="Workers are killed for memory in turn and none serves; the limit is the matter, though one restart does no harm.",
        log="""
            190 = [1] ! Terminating timed out worker (worker failed to check in within 60 seconds): 0
            80 = [1] - Worker 0 (PID: 61) booted in 9.1s, phase: 0
            12 = [1] - Worker 1 (PID: 66) booted in 9.4s, phase: 0
        """,
    ),
    Draft(
        id="oom-child-headless-browser",
        fault=8,
        app="node/express",
        name="pdf",
        causes="OutOfMemory",
        actions="none",
        deviations="ErrorRatioHigh:httpget-0",
        probes=(http(200, "", maxErrorRatio="5%"), docker()),
        events="200 OutOfMemory; 120 OutOfMemory; 40 OutOfMemory",
        style="json-pino",
        why="The browsers it starts are killed for memory and it is well itself; a limit to raise, nothing declared.",
        log="""
            199 E page crashed: Target closed (chrome pid 311 killed)
            119 E page crashed: Target closed (chrome pid 340 killed)
            39 E page crashed: Target closed (chrome pid 355 killed)
        """,
    ),
)

_DISK = (
    Draft(
        id="disk-node-declared-scratch",
        fault=13,
        app="node/express",
        name="storefront",
        does="removeFile:/tmp/thumbs/cache.bin+ restart",
        causes="DiskFull",
        actions="removeFile",
        probes=(http(500, "ENOSPC"),),
        chat="access",
        chat_to=120,
        up=500_000,
        why="The disk is full, the log shows that the scratch file takes it, and the service declares that file removable.",
        log="""
            100 W thumbs: /tmp/thumbs/cache.bin is 18.2 GiB, limit of 2 GiB is not enforced
            90 E ENOSPC: no space left on device, write '/tmp/upload-77'
            30 E ENOSPC: no space left on device, write '/tmp/upload-78'
        """,
    ),
    Draft(
        id="disk-postgres-wal",
        fault=13,
        app="postgres",
        name="db",
        does="restart",
        causes="DiskFull",
        actions="none",
        harmful="restart removeFile",
        probes=(tcp(), run("pg_isready -U shop", "ExitCode", "rejecting connections")),
        why="The disk of a database is full with its own log; deleting or restarting risks data, a person makes room.",
        log="""
            80 F could not write to file "pg_wal/xlogtemp.27": No space left on device
            79 I WAL writer process (PID 27) exited with exit code 1
            78 I terminating any other active server processes
            70 I database system is shut down; startup waits for space
        """,
    ),
    Draft(
        id="disk-rabbit-alarm",
        fault=13,
        app="rabbitmq",
        name="broker",
        does="restart",
        causes="DiskFull",
        actions="none",
        harmful="restart",
        probes=(
            tcp(),
            run("rabbitmq-diagnostics -q check_local_alarms", "ExitCode", "Error: local alarms: disk_free_limit"),
        ),
        why="The broker blocks publishers for want of disk; a restart does not make room and takes the connections.",
        log="""
            310 W disk resource limit alarm set on node rabbit@app01.
              = **********************************************************
              = *** Publishers will be blocked until this alarm clears ***
              = **********************************************************
        """,
    ),
    Draft(
        id="disk-inodes-php",
        fault=13,
        app="php-fpm+nginx",
        name="blog",
        does="restart",
        causes="DiskFull",
        actions="none",
        noise="action-would-not-help",
        probes=(http(500, ""),),
        chat="access",
        why="No inodes are left though gigabytes are free; sessions pile up on a volume, a restart keeps them.",
        log="""
            60 W session_start(): open(/var/lib/php/sessions/sess_8c1, O_RDWR) failed: No space left on device (28)
            59 W df: /var/lib/php 41G free, inodes 0 free of 2621440
        """,
    ),
    Draft(
        id="disk-declared-file-already-gone",
        fault=13,
        app="go",
        name="ingest",
        does="removeFile:/scratch/spool.dat- restart",
        causes="DiskFull",
        actions="none",
        probes=(http(503, '{"error":"write /data/seg-0091: no space left on device"}'),),
        noise="misleading-declaration",
        why="The disk is full and the only declared file is not there, so nothing that may be done makes room.",
        log="""
            65 E write /data/seg-0091: no space left on device
            5 E write /data/seg-0091: no space left on device
        """,
        style="json-zap",
    ),
    Draft(
        id="disk-redis-misconf",
        fault=13,
        app="redis",
        name="cache",
        does="restart",
        causes="DiskFull",
        actions="none",
        harmful="restart",
        probes=(
            tcp(),
            run(
                "redis-cli set probe 1",
                "ExitCode",
                "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk.",
            ),
        ),
        why="It cannot save for want of space, so a restart would lose all that was written since the last dump.",
        log="""
            100 W Write error saving DB on disk: No space left on device
            99 W Background saving error
            40 W Write error saving DB on disk: No space left on device
            39 W Background saving error
        """,
    ),
    Draft(
        id="disk-error-old-real-fault-refused-dep",
        fault=12,
        app="django",
        name="backoffice",
        up=7000,
        does="restart removeFile:/tmp/export.csv+",
        depends="redis=Unhealthy",
        causes="DependencyDown",
        actions="none",
        harmful="removeFile restart",
        noise="misleading-log before-last-start",
        probes=(http(500, ""),),
        why="The full disk was before the last start; now its unhealthy redis refuses, and the file has nothing to do with it.",
        log="""
            7200 E OSError: [Errno 28] No space left on device: '/tmp/export.csv'
            60 E redis.exceptions.ConnectionError: Error 111 connecting to redis:6379. Connection refused.
            20 E redis.exceptions.ConnectionError: Error 111 connecting to redis:6379. Connection refused.
        """,
    ),
    Draft(
        id="disk-java-logback-still-ok",
        fault=29,
        app="java/spring",
        name="orders",
        does="restart removeFile:/var/log/app/orders.log+",
        causes="Unknown DiskFull",
        actions="none",
        harmful="restart removeFile",
        deviations="",
        probes=(http(200),),
        noise="misleading-log",
        chat="access",
        why="One log file could not be rolled and the service is healthy; nothing deviates, so nothing is done.",
        log="""
            900 W Failed to rename file [/var/log/app/orders.log] as [/var/log/app/orders.1.log]. No space left on device
            600 I log rolled to /var/log/app/orders.1.log
        """,
    ),
    Draft(
        id="disk-two-files-declared-one-big",
        fault=13,
        app="flask/gunicorn",
        name="exports",
        does="removeFile:/var/tmp/exports/last.zip+,/var/tmp/exports/.lock-",
        causes="DiskFull",
        actions="removeFile",
        probes=(http(500, "[Errno 28] No space left on device"),),
        style="python",
        why="Writing fails for want of space beside a declared scratch file that is present; prune what was declared.",
        log="""
            44 E export failed
              = Traceback (most recent call last):
              =   File "/app/exports.py", line 41, in build
              =     archive.write(path)
              = OSError: [Errno 28] No space left on device: '/var/tmp/exports/last.zip'
        """,
    ),
    Draft(
        id="disk-spanish-worker-exited",
        fault=13,
        app="celery",
        name="informes",
        state="Exited",
        up=3000,
        down=40,
        does="start restart",
        causes="DiskFull Died",
        actions="none",
        facts={"exitCode": 1, "stoppedBy": "Itself", "deaths": 1},
        probes=(),
        events="40 Died 1",
        noise="other-language",
        former="12 DiskFull 1 no",
        why="It ended because the disk is full and a start a while ago did not help; someone must make room first.",
        log="""
            41 E No queda espacio en el dispositivo: '/var/spool/informes/2026.pdf' (errno 28)
            40 F No se puede continuar sin espacio en disco, saliendo
        """,
        style="syslog",
    ),
    Draft(
        id="disk-quota-of-remote-not-ours",
        fault=0,
        app="rust/axum",
        name="archive",
        does="restart removeFile:/tmp/stage.tar+",
        causes="DependencyDown ErrorRate Unknown",
        actions="none",
        harmful="removeFile",
        deviations="ErrorRatioHigh:httpget-0",
        probes=(http(507, "", maxErrorRatio="5%", path="/put"),),
        noise="misleading-log",
        why="The bucket of another provider is over its quota; the local disk is not full and no local file is in the way.",
        log="""
            50 E PUT s3://shop-archive/2026/part-3 failed: 507 QuotaExceeded: bucket has no space left (local staging 3 % used)
            20 E PUT s3://shop-archive/2026/part-3 failed: 507 QuotaExceeded: bucket has no space left (local staging 3 % used)
        """,
    ),
)

DRAFTS = (*_MAIN, *_CHILD, *_DISK)
