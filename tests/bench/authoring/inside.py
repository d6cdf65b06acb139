"""Faults inside a running program: rows 1 (flag file), 6 (hang), 9 (slow leak), 10 (latency), 11 (errors), 20 (misbound)."""

# Log lines and messages of the runtime are quoted whole.
# ruff: noqa: E501

from tests.bench.authoring.draft import Draft, docker, http, run, tcp

_FLAG = (
    Draft(
        id="flag-flask-named-in-log",
        fault=1,
        app="flask/gunicorn",
        name="web",
        does="removeFile:/app/broken.flag+ restart",
        causes="FlagFile",
        actions="removeFile",
        chat="access heartbeat",
        chat_to=60,
        why="The health endpoint says 500 because of a file that is there and that the service declares removable.",
        probes=(http(500, '{"status":"broken","reason":"/app/broken.flag exists"}'),),
        log="""
            86390 I Starting gunicorn 21.2.0
            86389 I Listening at: http://0.0.0.0:8000 (1)
            55 E health: /app/broken.flag is present, reporting unhealthy
            45 E health: /app/broken.flag is present, reporting unhealthy
            35 E health: /app/broken.flag is present, reporting unhealthy
        """,
    ),
    Draft(
        id="flag-django-silent-log",
        fault=1,
        app="django",
        name="backoffice",
        chat="access",
        does="removeFile:/srv/app/maintenance.on+ restart",
        causes="FlagFile",
        actions="removeFile",
        why="A declared maintenance file is present and the endpoint answers 503 maintenance; restarting leaves the file.",
        probes=(http(503, "Service is in maintenance mode"), docker("503", exit_code=1, streak=6)),
    ),
    Draft(
        id="flag-node-lockfile-from-crash",
        fault=1,
        app="node/express",
        name="storefront",
        does="removeFile:/data/import.lock+,/data/import.pid- restart",
        causes="FlagFile",
        actions="removeFile",
        up=540,
        why="The readiness check refuses while the stale lock of a dead import is there, and that lock is declared.",
        probes=(
            http(503, '{"ready":false,"checks":{"db":"up","import":"locked by /data/import.lock"}}', path="/ready"),
        ),
        log="""
            539 I listening on 0.0.0.0:3000
            538 W found /data/import.lock of pid 118, which is not running; waiting for it to go away
            60 W still waiting for /data/import.lock
            30 W still waiting for /data/import.lock
        """,
        chat="metrics",
    ),
    Draft(
        id="flag-java-only-restart-declared",
        fault=1,
        app="java/spring",
        name="orders",
        does="restart",
        causes="FlagFile ServiceErrors",
        actions="none",
        noise="action-would-not-help",
        chat="heartbeat",
        why="A file in the container keeps it unhealthy and survives a restart, and removing it is not declared.",
        up=900,
        former="16 FlagFile 1 no",
        probes=(http(503, '{"status":"OUT_OF_SERVICE","components":{"drain":{"details":{"file":"/app/drain"}}}}'),),
        events="902 Killed signal 15; 901 Died 143; 901 Stopped; 900 Started",
        log="""
            3000 W DrainHealthIndicator: /app/drain exists, status OUT_OF_SERVICE
            890 I Started ShopApplication in 6.02 seconds (process running for 6.6)
            880 W DrainHealthIndicator: /app/drain exists, status OUT_OF_SERVICE
            20 W DrainHealthIndicator: /app/drain exists, status OUT_OF_SERVICE
        """,
    ),
    Draft(
        id="flag-go-nothing-declared",
        fault=1,
        app="go",
        name="gateway",
        causes="FlagFile ServiceErrors",
        actions="none",
        why="The log names the file that makes it unhealthy, and nothing at all is declared, so a person must do it.",
        probes=(http(500, "lame duck"), tcp()),
        style="logfmt",
        chat="access",
        noise="action-not-declared",
        log="""
            200 W lame duck mode: /var/run/lameduck exists
            9 W lame duck mode: /var/run/lameduck exists
        """,
    ),
    Draft(
        id="flag-ruby-restart-already-ineffective",
        fault=1,
        app="ruby/puma",
        name="admin",
        up=300,
        does="restart removeFile:/rails/tmp/broken.flag+",
        causes="FlagFile",
        actions="removeFile",
        former="5 ServiceErrors 1 no",
        noise="former-ineffective",
        chat="access",
        why="The declared file is still there after a restart that did not help, so it must be removed.",
        probes=(http(500, ""),),
        events="311 Killed signal 15; 301 Died 0; 301 Stopped; 300 Started",
        log="""
            299 I Puma starting in single mode...
            298 I * Listening on http://0.0.0.0:3000
            240 E HealthController#show: File.exist?("/rails/tmp/broken.flag") => true
        """,
    ),
    Draft(
        id="flag-php-misleading-oom-word",
        fault=1,
        app="php-fpm+nginx",
        name="blog",
        does="removeFile:/var/www/html/.maintenance+ restart",
        causes="FlagFile",
        actions="removeFile",
        noise="misleading-log",
        chat="access deprecation",
        why="The endpoint answers 503 for the maintenance file, which is present; the memory message is a handled, old one.",
        probes=(http(503, "Briefly unavailable for scheduled maintenance. Check back in a minute."),),
        log="""
            9000 W [pool www] child 12 said into stderr: "PHP Fatal error: Allowed memory size of 134217728 bytes exhausted (tried to allocate 20480 bytes) in /var/www/html/thumb.php on line 88"
            120 I plugin update finished, 3 of 4 plugins updated
            118 W could not delete /var/www/html/.maintenance: Operation timed out
        """,
    ),
    Draft(
        id="flag-declared-file-gone-still-500",
        fault=1,
        app="rust/axum",
        name="pricing",
        noise="misleading-declaration",
        does="removeFile:/app/broken.flag- restart",
        causes="ServiceErrors Unknown",
        actions="restart none",
        why="It answers 500 and the declared file is not there, so it is no flag file; a restart is the usual first try.",
        probes=(http(500, "internal error"),),
        chat="heartbeat",
        log="""
            70 E health: invariant violated: price table is empty after reload
            60 E health: invariant violated: price table is empty after reload
        """,
    ),
    Draft(
        id="flag-present-but-it-hangs",
        fault=6,
        app="flask/gunicorn",
        name="web2",
        noise="misleading-file misleading-log",
        does="removeFile:/app/debug.flag+ restart",
        causes="Hang",
        actions="restart",
        why="It takes connections and never answers, with a worker timeout in the log; a debug flag does not stop a server.",
        probes=(http("Timeout", "no answer within 1 s"), tcp()),
        log="""
            5000 I /app/debug.flag found, verbose logging is on
            95 F WORKER TIMEOUT (pid:8)
            64 F WORKER TIMEOUT (pid:9)
            33 F WORKER TIMEOUT (pid:21)
        """,
        processes="1 S do_select gunicorn\n40 S futex_wait_queue gunicorn\n41 S futex_wait_queue gunicorn",
    ),
    Draft(
        id="flag-german-two-files",
        fault=1,
        app="go",
        name="lager",
        style="golog",
        chat="heartbeat",
        does="removeFile:/var/lib/lager/gesperrt-,/var/lib/lager/wartung+",
        causes="FlagFile",
        actions="removeFile",
        why="Of the two declared files the one named in the log is present and makes the service report maintenance.",
        probes=(http(503, "Wartungsmodus aktiv"),),
        noise="other-language",
        log="""
            301 W WARNUNG: Wartungsdatei /var/lib/lager/wartung gefunden, Dienst meldet sich ab
            11 W WARNUNG: Wartungsdatei /var/lib/lager/wartung weiterhin vorhanden
        """,
    ),
    Draft(
        id="flag-no-logs-no-events",
        fault=1,
        app="dotnet",
        name="billing",
        does="removeFile:/app/offline.htm+ restart",
        causes="FlagFile",
        actions="removeFile",
        missing="logs: not in time; events: the engine keeps only the last 256",
        why="Even without logs: app offline page, answer 503 and the declared file present belong together.",
        probes=(http(503, "The app is offline for maintenance (app_offline)"),),
    ),
)

_HANG = (
    Draft(
        id="hang-java-deadlock",
        fault=6,
        app="java/spring",
        name="orders",
        does="restart",
        causes="Hang",
        actions="restart",
        why="The process runs, takes connections and answers nothing, and the JVM itself reports a deadlock.",
        probes=(http("Timeout", "no answer within 2 s", timeoutSeconds=2), tcp()),
        style="log4j",
        chat="access",
        chat_to=200,
        log="""
            190 W Thread starvation or clock leap detected (housekeeper delta=1m12s)
            180 E Found one Java-level deadlock:
              = =============================
              = "http-nio-8080-exec-7":
              =   waiting to lock monitor 0x00007f3c5800b0e8 (object 0x00000000e0a1c2d8, a com.shop.Stock),
              =   which is held by "http-nio-8080-exec-2"
              = "http-nio-8080-exec-2":
              =   waiting to lock monitor 0x00007f3c5800b198 (object 0x00000000e0a1c310, a com.shop.Cart),
              =   which is held by "http-nio-8080-exec-7"
        """,
    ),
    Draft(
        id="hang-node-event-loop",
        fault=6,
        app="node/express",
        name="storefront",
        does="restart",
        causes="Hang",
        actions="restart",
        probes=(http("Timeout", "no answer within 1 s"),),
        chat="access metrics",
        chat_to=95,
        why="A single-threaded server burns processor in state R and answers nothing any more.",
        processes="1 R - node",
        log="90 W event loop blocked for 4012 ms in renderTemplate",
    ),
    Draft(
        id="hang-flask-no-log-at-all",
        fault=6,
        app="flask/gunicorn",
        name="search",
        does="restart removeFile:/app/broken.flag-",
        causes="Hang",
        actions="restart",
        probes=(http("Timeout"), docker("", exit_code=-1, streak=5)),
        why="It runs and both the outside probe and its own check time out; nothing else is wrong.",
    ),
    Draft(
        id="hang-go-mutex-processes-only",
        fault=6,
        app="go",
        name="ledger",
        does="restart start",
        causes="Hang",
        actions="restart",
        missing="logs: not in time",
        style="klog",
        probes=(
            http("Timeout", "no answer within 1 s"),
            tcp(),
            docker("context deadline exceeded", exit_code=-1, streak=8),
        ),
        why="Connections are accepted by the kernel and no request is answered; all threads wait on a futex.",
        processes="1 S futex_wait_queue ledger",
    ),
    Draft(
        id="hang-nothing-declared",
        fault=6,
        app="ruby/puma",
        name="admin",
        causes="Hang",
        actions="none",
        noise="action-not-declared",
        probes=(http("Timeout", "no answer within 5 s", timeoutSeconds=5),),
        chat="access",
        chat_to=300,
        why="It hangs, and the owner declared no action, so only a person may restart it.",
        log="""
            290 W Rack::Timeout: request id=8f0 waited 30 s for a thread, pool is 5/5 busy
            260 W Rack::Timeout: request id=8f4 waited 30 s for a thread, pool is 5/5 busy
        """,
    ),
    Draft(
        id="hang-misleading-refused-in-log",
        fault=6,
        app="django",
        name="intranet",
        does="restart",
        causes="Hang",
        actions="restart",
        noise="misleading-log",
        probes=(http("Timeout", "no answer within 3 s"), tcp()),
        up=172_000,
        depends="mail=Healthy",
        why="The refused mail connection is hours old and handled, and mail is healthy; the server itself hangs now.",
        log="""
            21000 E Mail could not be sent, will be queued
               = Traceback (most recent call last):
               =   File "/usr/local/lib/python3.11/smtplib.py", line 341, in connect
               = ConnectionRefusedError: [Errno 111] Connection refused
            20970 I queued mail sent, queue is empty
            130 F WORKER TIMEOUT (pid:7)
            99 F WORKER TIMEOUT (pid:31)
        """,
        style="python",
    ),
    Draft(
        id="hang-after-137-not-oom",
        fault=6,
        app="celery",
        name="worker",
        up=2400,
        does="restart",
        causes="Hang",
        actions="restart",
        noise="misleading-exit-code",
        probes=(run("celery -A shop inspect ping -d worker@app01", "Timeout", "no answer within 1 s"),),
        why="The old exit 137 came from a stop whose signal was ignored; now the worker runs and answers no ping.",
        events="2412 Killed signal 15; 2402 Killed signal 9; 2401 Died 137; 2401 Stopped; 2400 Started",
        log="""
            2412 W Warm shutdown requested, waiting for 1 task
            2395 I worker@app01 ready.
            700 I Task shop.tasks.export[1c9e] received
        """,
        chat="heartbeat",
        chat_to=690,
    ),
    Draft(
        id="hang-dotnet-threadpool",
        fault=6,
        app="dotnet",
        name="billing",
        does="restart",
        causes="Hang",
        actions="restart",
        probes=(http("Timeout", "no answer within 1 s"), tcp()),
        why="The thread pool is starved and the server answers nothing, though it takes connections.",
        log="""
            75 W As of "{iso}", the heartbeat has been running for "00:00:31" which is longer than "00:00:01". This could be caused by thread pool starvation.
            44 W As of "{iso}", the heartbeat has been running for "00:00:31" which is longer than "00:00:01". This could be caused by thread pool starvation.
        """,
    ),
    Draft(
        id="hang-rust-pool-db-healthy",
        fault=6,
        app="rust/axum",
        name="pricing",
        does="restart",
        causes="Hang",
        actions="restart",
        depends="db=Healthy",
        probes=(http("Timeout"),),
        style="json-gcp",
        noise="misleading-log",
        why="The pool of connections leaks inside a process that answers nothing, while the database is healthy.",
        log="""
            300 W pool timed out while waiting for an open connection (size 10, idle 0)
            240 W pool timed out while waiting for an open connection (size 10, idle 0)
            100 E slow acquire: connection guard from src/report.rs:77 never dropped, held for 540 s
        """,
    ),
    Draft(
        id="hang-disk-full-mentioned-old",
        fault=6,
        app="php-fpm+nginx",
        name="blog",
        up=3600,
        does="restart",
        causes="Hang",
        actions="restart",
        noise="misleading-log before-last-start",
        probes=(http("Timeout"),),
        why="The full disk was before the last start and writes work since; now all workers are busy and nothing answers.",
        log="""
            4000 E fwrite(): Write of 8192 bytes failed with errno=28 No space left on device
            3600 I fpm is running, pid 7
            3000 I cache warmed, 412 files written to /var/cache/blog
            61 W [pool www] server reached pm.max_children setting (5), consider raising it
            31 W [pool www] server reached pm.max_children setting (5), consider raising it
        """,
        processes="1 S do_wait supervisord\n7 S ep_poll php-fpm\n8 S sigsuspend nginx\n12 S flock_lock_inode_wait php-fpm\n"
        "13 S flock_lock_inode_wait php-fpm\n14 S flock_lock_inode_wait php-fpm",
        events="3605 Died 1; 3600 Started",
    ),
    Draft(
        id="hang-stopped-by-signal",
        fault=6,
        app="go",
        name="relay",
        does="restart unpause",
        causes="Paused Hang",
        actions="none",
        harmful="restart",
        noise="suspended",
        facts={"suspended": True},
        processes="1 T do_signal_stop relay",
        probes=(http("Timeout"), tcp()),
        style="golog",
        chat="heartbeat",
        chat_to=400,
        ours=False,
        why="All processes are stopped by a signal, as a person with a debugger does; unpause does not undo that, so ask.",
    ),
    Draft(
        id="hang-chinese-log",
        fault=6,
        app="java/spring",
        name="kucun",
        does="restart",
        causes="Hang",
        actions="restart",
        noise="other-language",
        style="log4j",
        probes=(http("Timeout", "no answer within 1 s"), tcp()),
        chat="heartbeat",
        chat_to=150,
        why="The log says in Chinese that the thread pool is exhausted and requests wait; connections are taken, nothing answers.",
        log="""
            140 W 线程池已满，活动线程 200/200，请求排队中
            80 E 请求处理超时，等待锁 com.shop.Inventory@5f2a 超过 60 秒
            50 E 请求处理超时，等待锁 com.shop.Inventory@5f2a 超过 90 秒
        """,
    ),
    Draft(
        id="hang-redis-long-script",
        fault=6,
        app="redis",
        name="cache",
        does="restart",
        causes="Hang ServiceErrors",
        actions="none",
        harmful="restart",
        noise="tempting-restart",
        probes=(
            run(
                "redis-cli ping",
                "ExitCode",
                "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.",
            ),
            tcp(),
        ),
        why="A long write script blocks it and no save can run, so a forced end loses data since the last dump; a person decides.",
        log="""
            4000 I DB saved on disk
            61 W Slow script detected: still in execution after 5003 milliseconds. You can try killing the script using the SCRIPT KILL command. Script name is: 4e6d8fc8bb01276962cce5371fa795a7763657ae.
            12 W UNKILLABLE: script has already written to the dataset; 18412 changes not saved since the last dump
        """,
    ),
    Draft(
        id="hang-slow-start-not-yet",
        fault=29,
        app="java/spring",
        name="catalog",
        up=40,
        does="restart",
        causes="Unknown",
        actions="none",
        harmful="restart",
        noise="still-starting",
        deviations="",
        ours=False,
        probes=(
            http("Starting", "", initialDelaySeconds=120),
            docker("curl: (7) Failed to connect", reason="Starting"),
        ),
        facts={
            "engineHealth": {
                "status": "starting",
                "failingStreak": 0,
                "exitCode": 7,
                "output": "curl: (7) Failed to connect to localhost port 8080",
            }
        },
        why="It started forty seconds ago, is still inside its declared start time and its log goes on; wait.",
        events="40 Started",
        log="""
            38 I Starting ShopApplication v1.14.0 using Java 17.0.8 with PID 1
            21 I Bootstrapping Spring Data JPA repositories in DEFAULT mode.
            6 I HHH000204: Processing PersistenceUnitInfo [name: default]
        """,
    ),
)

_LEAK = (
    Draft(
        id="leak-java-gc-overhead",
        fault=9,
        app="java/spring",
        name="orders",
        does="restart",
        causes="OutOfMemory Hang Latency",
        actions="restart",
        up=1_300_000,
        probes=(http("Timeout", "no answer within 1 s"), tcp()),
        chat="access",
        chat_to=400,
        why="After weeks the heap is full and the collector works without result; one restart gives the memory back.",
        log="""
            1800 W JvmMemoryMonitor: heap 1893/2048 MiB after full GC
            900 W JvmMemoryMonitor: heap 1997/2048 MiB after full GC
            300 E Servlet.service() threw exception
             = java.lang.OutOfMemoryError: GC overhead limit exceeded
             = 	at com.shop.report.Cache.put(Cache.java:61)
             = 	at com.shop.report.ReportService.render(ReportService.java:118)
        """,
    ),
    Draft(
        id="leak-node-heap-slope",
        fault=9,
        app="node/express",
        name="storefront",
        does="restart",
        up=700_000,
        causes="Latency OutOfMemory",
        actions="restart",
        deviations="LatencyHigh:httpget-0",
        probes=(http(200, "", ms=2900, timeoutSeconds=5, maxLatency="500ms"),),
        harmful="",
        why="Heap and pauses grow steadily since the start until answers are slow; one graceful restart ahead of the kill.",
        log="""
            86000 I metrics: heap=310MiB gc_pause_p99=12ms
            43000 I metrics: heap=790MiB gc_pause_p99=90ms
            9000 W metrics: heap=1290MiB gc_pause_p99=710ms
            60 W metrics: heap=1402MiB of 1432MiB gc_pause_p99=2700ms
        """,
    ),
    Draft(
        id="leak-python-restarted-lately",
        fault=9,
        app="flask/gunicorn",
        name="recommend",
        does="restart",
        up=1500,
        causes="Latency OutOfMemory",
        actions="none",
        former="26 OutOfMemory 1 yes; 55 OutOfMemory 1 yes; 80 OutOfMemory 1 yes",
        deviations="LatencyHigh:httpget-0",
        probes=(http(200, "", ms=1900, timeoutSeconds=5, maxLatency="300ms"),),
        noise="recurring",
        why="The same leak was restarted away three times in eighty minutes; again only hides it, a person must roll back.",
        log="""
            1400 I worker rss=180MiB
            700 W worker rss=900MiB
            30 W worker rss=1580MiB, garbage collection took 1410 ms
        """,
        events="1502 Killed signal 15; 1501 Died 0; 1501 Stopped; 1500 Started",
    ),
    Draft(
        id="leak-file-descriptors",
        fault=9,
        app="go",
        name="gateway",
        does="restart",
        causes="ServiceErrors NotAnswering Hang",
        actions="restart",
        up=2_000_000,
        style="golog",
        probes=(http("Reset", "connection reset by peer"),),
        why="Descriptors leaked over weeks until none is left; a restart frees them, though the leak stays.",
        log="""
            400 E http: Accept error: accept tcp [::]:8080: accept4: too many open files; retrying in 1s
            200 E http: Accept error: accept tcp [::]:8080: accept4: too many open files; retrying in 1s
            20 E http: Accept error: accept tcp [::]:8080: accept4: too many open files; retrying in 1s
        """,
    ),
    Draft(
        id="leak-connections-nothing-declared",
        fault=9,
        app="ruby/puma",
        name="admin",
        causes="ServiceErrors Hang",
        actions="none",
        noise="action-not-declared",
        probes=(http(500, ""),),
        chat="access",
        depends="db=Healthy",
        why="It leaks its own database connections while the database is well; a restart would help and is not declared.",
        log="""
            90 E ActiveRecord::ConnectionTimeoutError (could not obtain a connection from the pool within 5.000 seconds; all pooled connections were in use)
            50 E ActiveRecord::ConnectionTimeoutError (could not obtain a connection from the pool within 5.000 seconds; all pooled connections were in use)
        """,
    ),
)

_LATENCY = (
    Draft(
        id="latency-throttled-go",
        fault=10,
        app="go",
        name="render",
        does="restart",
        causes="Latency",
        actions="none",
        deviations="LatencyHigh:httpget-0",
        probes=(http(200, "", ms=1840, timeoutSeconds=5, maxLatency="250ms"), docker()),
        chat="access",
        why="It answers rightly but slowly because its processor quota is throttled; a restart changes nothing.",
        log="60 W cfs quota: nr_throttled=8120 of nr_periods=9004, GOMAXPROCS=32 with a quota of 0.5 CPU",
        noise="action-would-not-help",
    ),
    Draft(
        id="latency-slow-query",
        fault=10,
        app="django",
        name="backoffice",
        does="restart",
        causes="Latency DependencyDown",
        actions="none",
        deviations="LatencyHigh:httpget-0",
        depends="db=Unhealthy",
        probes=(http(200, "", ms=3100, timeoutSeconds=10, maxLatency="800ms"),),
        why="The time goes into the database, which is itself unhealthy; restarting the one that waits is the wrong target.",
        log="""
            80 W (2.914) SELECT "orders_order"."id" FROM "orders_order" WHERE "orders_order"."state" = 'open'; args=('open',)
            40 W (3.022) SELECT "orders_order"."id" FROM "orders_order" WHERE "orders_order"."state" = 'open'; args=('open',)
        """,
    ),
    Draft(
        id="latency-nothing-in-log",
        fault=10,
        app="nginx",
        name="edge",
        causes="Latency",
        actions="none",
        chat="access",
        deviations="LatencyHigh:tcpsocket-0",
        probes=(tcp("Ok", "", ms=640, port=443, maxLatency="100ms"),),
        style="nginx",
        does="restart",
        why="Connections are slow over the objective and nothing shows why; nothing points to the process.",
    ),
    Draft(
        id="latency-traffic-peak",
        fault=10,
        app="node/express",
        name="tickets",
        does="restart",
        causes="Latency",
        actions="none",
        harmful="restart",
        deviations="LatencyHigh:httpget-0",
        probes=(http(200, "", ms=2200, timeoutSeconds=5, maxLatency="1s"),),
        why="Load is thirty times the usual at the start of a sale; a restart would drop every buyer and cure nothing.",
        log="""
            600 I rps=41 p99=60ms queue=0
            120 W rps=1204 p99=1900ms queue=380
            30 W rps=1311 p99=2240ms queue=512
        """,
        noise="tempting-restart",
    ),
    Draft(
        id="latency-cold-cache-after-start",
        fault=10,
        app="java/spring",
        name="catalog",
        up=150,
        does="restart",
        causes="Latency",
        actions="none",
        harmful="restart",
        deviations="LatencyHigh:httpget-0",
        probes=(http(200, "", ms=900, timeoutSeconds=5, maxLatency="200ms"),),
        why="It started two minutes ago and warms its cache, times are falling; a restart begins that anew.",
        log="""
            140 I Started ShopApplication in 7.4 seconds
            120 I cache warm-up 10 %, p99 4100 ms
            60 I cache warm-up 55 %, p99 1900 ms
            20 I cache warm-up 80 %, p99 880 ms
        """,
        events="150 Started",
    ),
    Draft(
        id="latency-of-upstream-named",
        fault=10,
        app="php-fpm+nginx",
        name="shopfront",
        does="restart",
        causes="Latency DependencyDown",
        actions="none",
        deviations="LatencyHigh:httpget-0",
        probes=(http(200, "", ms=4700, timeoutSeconds=10, maxLatency="1s", path="/checkout"),),
        why="The payment partner outside takes four seconds per call; nothing in this service is to be changed.",
        log="""
            100 W upstream https://api.pay.example took 4.41 s (connect 0.01, wait 4.39)
            40 W upstream https://api.pay.example took 4.60 s (connect 0.01, wait 4.58)
        """,
        style="logfmt",
    ),
)

_ERRORS = (
    Draft(
        id="errors-after-release-go",
        fault=11,
        app="go",
        name="gateway",
        does="restart",
        causes="ErrorRate",
        actions="none",
        up=420,
        deviations="ErrorRatioHigh:httpget-1",
        probes=(http(200), http(500, "", path="/api/quote", maxErrorRatio="5%")),
        facts={"image": "shop/gateway:0.9.8"},
        events="425 Destroyed gateway (image shop/gateway:0.9.7); 424 Created; 420 Started",
        why="Part of the requests panic since a new image a few minutes ago; that wants a rollback, which is not declared.",
        log="""
            200 E http: panic serving 172.18.0.4:51812: runtime error: invalid memory address or nil pointer dereference
              = goroutine 412 [running]:
              = main.(*quoteHandler).ServeHTTP(0xc0000b4000, {0x9a1e40, 0xc0002a00e0}, 0xc000312000)
              = 	/src/quote.go:91 +0x1d4
            90 E http: panic serving 172.18.0.9:40110: runtime error: invalid memory address or nil pointer dereference
        """,
        chat="access",
    ),
    Draft(
        id="errors-some-tenant-java",
        fault=11,
        app="java/spring",
        name="reports",
        does="restart",
        causes="ErrorRate",
        actions="none",
        deviations="ErrorRatioHigh:httpget-0",
        probes=(http(200, "", maxErrorRatio="10%"),),
        chat="access",
        style="json-ecs",
        why="Requests of one tenant fail on its data and the others succeed; a restart does not mend data.",
        log="""
            80 E tenant=4711 NumberFormatException: For input string: "12,50" at com.shop.report.Csv.parse(Csv.java:77)
            50 E tenant=4711 NumberFormatException: For input string: "12,50" at com.shop.report.Csv.parse(Csv.java:77)
            22 E tenant=4711 NumberFormatException: For input string: "7,99" at com.shop.report.Csv.parse(Csv.java:77)
        """,
    ),
    Draft(
        id="errors-dependency-half-down",
        fault=11,
        app="node/express",
        name="checkout",
        does="restart",
        depends="stock=Unhealthy pay=Healthy",
        causes="DependencyDown ErrorRate",
        actions="none",
        harmful="restart",
        deviations="ErrorRatioHigh:httpget-0",
        probes=(http(200, "", maxErrorRatio="5%"),),
        chat="access",
        why="The failing share are the requests that need stock, and stock is unhealthy; heal stock, leave this alone.",
        log="""
            70 E GET http://stock:3000/items/9 -> 503 Service Unavailable
            31 E GET http://stock:3000/items/2 -> 503 Service Unavailable
        """,
    ),
    Draft(
        id="errors-ratio-no-log",
        fault=11,
        app="dotnet",
        name="billing",
        does="restart start",
        causes="ErrorRate",
        actions="none restart",
        deviations="ErrorRatioHigh:httpget-0",
        probes=(http(502, "", maxErrorRatio="5%"),),
        missing="logs: not in time",
        ours=False,
        why="A share of the answers fails and no evidence says why; ask a person, though a restart does little harm.",
    ),
    Draft(
        id="errors-one-worker-poisoned",
        fault=11,
        app="flask/gunicorn",
        name="web",
        does="restart",
        causes="ErrorRate ServiceErrors",
        actions="restart",
        deviations="ErrorRatioHigh:httpget-0",
        probes=(http(200, "", maxErrorRatio="5%"),),
        up=400_000,
        why="One of several workers holds a broken connection in memory and fails all its requests; a restart replaces it.",
        log="""
            120 E [pid 9] sqlalchemy.exc.PendingRollbackError: Can't reconnect until invalid transaction is rolled back.
            80 I [pid 8] GET /api/orders 200
            60 E [pid 9] sqlalchemy.exc.PendingRollbackError: Can't reconnect until invalid transaction is rolled back.
            30 I [pid 8] GET /api/orders 200
            15 E [pid 9] sqlalchemy.exc.PendingRollbackError: Can't reconnect until invalid transaction is rolled back.
        """,
        style="python",
    ),
)

_MISBOUND = (
    Draft(
        id="misbind-flask-loopback",
        fault=20,
        app="flask/gunicorn",
        name="web",
        up=300,
        does="restart",
        causes="NotAnswering BadConfig",
        actions="none",
        noise="action-would-not-help",
        events="301 Created; 300 Started",
        probes=(http("Refused", "connection refused"), docker("200")),
        why="It listens on 127.0.0.1 only, well from inside and refused from outside; the same bind comes back after a restart.",
        log="""
            299 I Starting gunicorn 21.2.0
            299 I Listening at: http://127.0.0.1:8000 (1)
        """,
    ),
    Draft(
        id="misbind-node-wrong-port",
        fault=20,
        app="node/express",
        name="storefront",
        up=4000,
        does="restart",
        causes="NotAnswering BadConfig",
        actions="none",
        probes=(http("Refused", ""),),
        chat="heartbeat",
        why="The log says it listens on 3001 while 3000 is asked; only the configuration can change that.",
        log="3999 I listening on 0.0.0.0:3001 (PORT=3001)",
        noise="action-would-not-help",
    ),
    Draft(
        id="misbind-redis-protected",
        fault=20,
        app="redis",
        name="cache",
        up=800,
        causes="NotAnswering BadConfig",
        actions="none",
        does="start",
        probes=(tcp("Refused", "connection refused"), run("redis-cli ping")),
        why="Redis answers inside, and its bind line keeps it on loopback, so outside is refused; fix the configuration.",
        log="""
            799 W Warning: Could not create server TCP listening socket ::1:6379: bind: Cannot assign requested address
            799 I Configuration loaded, bind 127.0.0.1 -::1
            799 I Ready to accept connections tcp
        """,
    ),
    Draft(
        id="listener-gone-go",
        fault=20,
        app="go",
        name="gateway",
        up=90_000,
        does="restart",
        causes="NotAnswering",
        actions="restart",
        probes=(http("Refused", "connection refused"), tcp("Refused", "connection refused")),
        chat="heartbeat",
        chat_to=90,
        why="The listener ended on an error while the process lives on, after a day of good service; a restart listens again.",
        log="""
            89990 I listening on :8080
            95 E http server ended: accept tcp [::]:8080: use of closed network connection; background jobs go on
        """,
    ),
    Draft(
        id="listener-gone-java-oom-thread",
        fault=20,
        app="java/spring",
        name="orders",
        up=500_000,
        does="restart",
        causes="NotAnswering OutOfMemory",
        actions="restart",
        probes=(http("Refused", "connection refused"),),
        why="The acceptor thread died of a heap error and the process stayed; a restart is what brings the listener back.",
        log="""
            130 E Exception in thread "http-nio-8080-Acceptor" java.lang.OutOfMemoryError: Java heap space
            129 W Stopping ProtocolHandler ["http-nio-8080"]
        """,
        chat="metrics",
        chat_to=140,
    ),
    Draft(
        id="misbind-refused-no-log-inside-ok",
        fault=20,
        app="rust/axum",
        name="pricing",
        does="restart",
        causes="NotAnswering",
        up=60_000,
        actions="none",
        probes=(http("Refused", "connection refused"), docker("HTTP/1.1 200 OK")),
        missing="logs: not in time",
        why="Healthy from inside and refused from outside means that it is bound to loopback; a restart keeps that.",
        facts={"envNames": ["RUST_LOG", "BIND_ADDR"]},
        events="60001 Created; 60000 Started",
        noise="thin-evidence",
    ),
    Draft(
        id="misbind-dotnet-localhost-japanese",
        fault=20,
        app="dotnet",
        name="seikyu",
        up=600,
        does="restart",
        causes="NotAnswering BadConfig",
        actions="none",
        noise="other-language",
        probes=(http("Refused", "connection refused"), docker("ok")),
        why="The log says that it now listens on localhost only; recreating with another URL is for a person.",
        log="""
            599 I 起動中です。設定ファイル appsettings.json を読み込みました
            598 I Now listening on: http://localhost:8080
            597 I アプリケーションが起動しました。終了するには Ctrl+C を押してください
        """,
        events="601 Created; 600 Started",
    ),
    Draft(
        id="misbind-tls-on-plain-port",
        fault=20,
        app="nginx",
        name="edge",
        up=1000,
        does="restart",
        causes="NotAnswering BadConfig ServiceErrors",
        actions="none",
        probes=(http(400, "The plain HTTP request was sent to HTTPS port"),),
        why="Plain HTTP is sent to a port that speaks TLS; the configuration or the probe is wrong, and a restart does not change either.",
        log="""
            999 I start worker process 29
            30 I 172.18.0.1 client sent plain HTTP request to HTTPS port while reading client request headers
        """,
    ),
)

DRAFTS = (*_FLAG, *_HANG, *_LEAK, *_LATENCY, *_ERRORS, *_MISBOUND)
