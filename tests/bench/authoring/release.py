"""Faults that a release or its settings bring: rows 2 (crash loop), 3 (bad env), 4 (bad entrypoint), 5 (port taken)."""

# Log lines and messages of the runtime are quoted whole.
# ruff: noqa: E501

from tests.bench.authoring.draft import Draft, docker, http, run, tcp

_LOOPING = {"restartsByItself": True, "stoppedBy": "Itself", "exitCode": 1, "deaths": 6}
_LOOP_EVENTS = (
    "182 Died 1; 181 Started; 178 Died 1; 176 Started; 172 Died 1; 168 Started; 164 Died 1; 156 Started; 152 Died 1; "
    "126 Started; 122 Died 1; 70 Started; 66 Died 1"
)

_CRASH_LOOP = (
    Draft(
        id="loop-node-missing-module",
        fault=2,
        app="node/express",
        name="storefront",
        state="Restarting",
        up=70,
        down=66,
        does="restart start",
        causes="CrashLoop BadConfig",
        actions="none",
        harmful="restart",
        facts=_LOOPING,
        events=_LOOP_EVENTS,
        probes=(http(),),
        style="plain",
        why="The image lacks a module and dies at each start; the engine already restarts it, and only a rollback helps.",
        log="""
            122 E node:internal/modules/cjs/loader:1080
              =   throw err;
              =   ^
              =
              = Error: Cannot find module 'helmet'
              = Require stack:
              = - /app/server.js
            66 E node:internal/modules/cjs/loader:1080
              =   throw err;
              =   ^
              =
              = Error: Cannot find module 'helmet'
              = Require stack:
              = - /app/server.js
        """,
    ),
    Draft(
        id="loop-flask-syntax-error",
        fault=2,
        app="flask/gunicorn",
        name="web",
        state="Restarting",
        up=70,
        down=66,
        does="restart",
        causes="CrashLoop",
        actions="none",
        harmful="restart",
        facts=_LOOPING | {"exitCode": 3},
        probes=(http(), docker()),
        events=_LOOP_EVENTS.replace("Died 1", "Died 3"),
        why="A syntax error of the new release ends each start with code 3; restarting is what already happens.",
        log="""
            66 E Exception in worker process
             = Traceback (most recent call last):
             =   File "/usr/local/lib/python3.11/site-packages/gunicorn/arbiter.py", line 609, in spawn_worker
             =     worker.init_process()
             =   File "/app/wsgi.py", line 14
             =     return jsonify(ok=True
             =                   ^
             = SyntaxError: '(' was never closed
            66 I Worker exiting (pid: 8)
            66 E Worker (pid:8) exited with code 3
            66 E Shutting down: Master
            66 E Reason: Worker failed to boot.
        """,
    ),
    Draft(
        id="loop-go-panic-running-phase",
        fault=2,
        app="go",
        name="gateway",
        state="Running",
        up=3,
        does="restart",
        causes="CrashLoop",
        actions="none",
        harmful="restart",
        facts=_LOOPING | {"exitCode": 0, "deaths": 7},
        deviations="RestartLoop",
        style="plain",
        probes=(http("Refused", "connection refused"),),
        events=_LOOP_EVENTS.replace("Died 1", "Died 2") + "; 3 Started",
        noise="caught-while-up",
        why="It is up for three seconds between deaths; the panic repeats at each start, so the release is at fault.",
        log="""
            66 E panic: runtime error: index out of range [3] with length 3
             =
             = goroutine 1 [running]:
             = main.loadRoutes({0xc00001c0d8, 0x3, 0x4})
             = 	/src/routes.go:44 +0x2a5
             = main.main()
             = 	/src/main.go:31 +0x11d
            2 I gateway 0.9.7 starting
        """,
    ),
    Draft(
        id="loop-rust-unwrap-no-events",
        fault=2,
        app="rust/axum",
        name="pricing",
        state="Restarting",
        up=31,
        down=30,
        does="restart",
        causes="CrashLoop",
        actions="none",
        harmful="restart",
        facts=_LOOPING | {"exitCode": 101, "deaths": 9},
        probes=(http(),),
        missing="events: the stream was cut",
        style="plain",
        why="Nine own deaths in ten minutes with the same panic; a restart by hand only resets the back-off.",
        log="""
            30 E thread 'main' panicked at src/main.rs:58:10:
             = called `Result::unwrap()` on an `Err` value: ParseError { line: 12, column: 3, kind: ExpectedColon }
             = note: run with `RUST_BACKTRACE=1` environment variable to display a backtrace
        """,
    ),
    Draft(
        id="loop-spring-bean-cycle",
        fault=2,
        app="java/spring",
        name="orders",
        state="Restarting",
        up=25,
        down=14,
        does="restart start",
        causes="CrashLoop BadConfig",
        actions="none",
        harmful="restart",
        probes=(http(), tcp()),
        facts=_LOOPING | {"deaths": 5},
        events="400 Died 1; 399 Started; 300 Died 1; 298 Started; 200 Died 1; 196 Started; 120 Died 1; 112 Started; 14 Died 1",
        why="A circular reference between beans of this build ends every start; no action that is declared changes the build.",
        log="""
            15 E Application run failed
             =
             = ***************************
             = APPLICATION FAILED TO START
             = ***************************
             =
             = Description:
             =
             = The dependencies of some of the beans in the application context form a cycle:
             =
             =    orderService defined in URL [jar:file:/app/app.jar!/BOOT-INF/classes!/com/shop/OrderService.class]
             = ┌─────┐
             = |  stockService (field private com.shop.PriceService com.shop.StockService.prices)
             = └─────┘
        """,
    ),
    Draft(
        id="loop-because-db-down",
        fault=12,
        app="java/spring",
        name="invoices",
        state="Restarting",
        up=70,
        down=66,
        does="restart",
        causes="DependencyDown CrashLoop",
        actions="none",
        harmful="restart",
        depends="db=Stopped",
        probes=(http(),),
        noise="combination",
        facts=_LOOPING,
        events=_LOOP_EVENTS,
        why="It dies at each start because its database is stopped; heal the database and the loop ends by itself.",
        log="""
            67 E HikariPool-1 - Exception during pool initialization.
             = org.postgresql.util.PSQLException: Connection to db:5432 refused. Check that the hostname and port are correct and that the postmaster is accepting TCP/IP connections.
             = 	at org.postgresql.core.v3.ConnectionFactoryImpl.openConnectionImpl(ConnectionFactoryImpl.java:342)
             = Caused by: java.net.ConnectException: Connection refused
            66 E Application run failed
        """,
    ),
    Draft(
        id="loop-no-log-at-all",
        fault=2,
        app="celery",
        name="worker",
        state="Restarting",
        up=70,
        down=66,
        does="restart",
        causes="CrashLoop Unknown",
        actions="none",
        harmful="restart",
        facts=_LOOPING | {"exitCode": 139, "deaths": 6},
        events=_LOOP_EVENTS.replace("Died 1", "Died 139"),
        probes=(run("celery -A shop inspect ping"),),
        why="Exit 139 again and again without a word: it crashes by itself, the engine restarts it, a person must look.",
    ),
    Draft(
        id="loop-slow-ten-minutes",
        fault=2,
        app="ruby/puma",
        name="admin",
        state="Exited",
        up=130,
        down=2,
        does="restart start",
        causes="CrashLoop Died",
        actions="none",
        harmful="start restart",
        facts=_LOOPING | {"restartsByItself": False, "deaths": 5},
        events="560 Died 1; 540 Started; 430 Died 1; 410 Started; 300 Died 1; 280 Started; 160 Died 1; 130 Started; 2 Died 1",
        former="8 Died 2 no;14 Died 1 no",
        noise="former-ineffective",
        probes=(http(),),
        why="Each start lasts two minutes and ends in the same error; five starts have not helped, a sixth will not.",
        log="""
            160 E bundler: failed to load command: puma (/usr/local/bundle/bin/puma)
             = /rails/config/initializers/tax.rb:9:in `<main>': undefined method `fetch' for nil:NilClass (NoMethodError)
            2 E bundler: failed to load command: puma (/usr/local/bundle/bin/puma)
             = /rails/config/initializers/tax.rb:9:in `<main>': undefined method `fetch' for nil:NilClass (NoMethodError)
        """,
    ),
    Draft(
        id="loop-ended-and-stable-now",
        fault=29,
        app="dotnet",
        name="billing",
        state="Running",
        up=300,
        does="restart",
        causes="Unknown",
        actions="none",
        harmful="restart",
        facts={"restartsByItself": True, "deaths": 3},
        deviations="",
        probes=(http(200),),
        events="590 Died 134; 588 Started; 480 Died 134; 476 Started; 310 Died 134; 300 Started",
        noise="misleading-deaths before-last-start",
        why="It died three times until its data was mended and has been healthy for five minutes; nothing is to be done.",
        log="""
            311 F Unhandled exception. System.FormatException: Input string was not in a correct format.
            299 I Now listening on: http://[::]:8080
            60 I price list v88 loaded, 0 errors
        """,
    ),
    Draft(
        id="loop-nginx-config-klog-noise",
        fault=2,
        app="nginx",
        name="edge",
        state="Restarting",
        up=33,
        down=33,
        causes="BadConfig CrashLoop",
        actions="none",
        does="restart",
        harmful="restart",
        facts=_LOOPING,
        probes=(tcp(),),
        events=_LOOP_EVENTS.replace("; 66 Died 1", "; 66 Died 1; 33 Started; 33 Died 1"),
        why="Its configuration names a host that was misspelt as a directive; nginx says the file and line, a person edits it.",
        log="""
            66 F unknown directive "proxy_passs" in /etc/nginx/conf.d/shop.conf:14
            66 = nginx: [emerg] unknown directive "proxy_passs" in /etc/nginx/conf.d/shop.conf:14
            33 F unknown directive "proxy_passs" in /etc/nginx/conf.d/shop.conf:14
            33 = nginx: [emerg] unknown directive "proxy_passs" in /etc/nginx/conf.d/shop.conf:14
        """,
    ),
    Draft(
        id="loop-postgres-version-data",
        fault=2,
        app="postgres",
        name="db",
        state="Restarting",
        up=20,
        down=20,
        does="restart start removeFile:/var/lib/postgresql/data/postmaster.pid-",
        causes="BadConfig CrashLoop",
        actions="none",
        harmful="restart removeFile",
        facts=_LOOPING,
        probes=(tcp(), run("pg_isready -U shop")),
        events="150 Died 1; 148 Started; 148 Died 1; 132 Started; 132 Died 1; 90 Started; 90 Died 1; 20 Started; 20 Died 1",
        why="A newer major version was started on old data; it needs the old image or an upgrade by a person.",
        log="""
            20 F database files are incompatible with server
            20 = {sec}.101 UTC [1] DETAIL:  The data directory was initialized by PostgreSQL version 13, which is not compatible with this version 15.4.
        """,
    ),
    Draft(
        id="loop-misleading-memory-word",
        fault=2,
        app="php-fpm+nginx",
        name="blog",
        state="Restarting",
        up=70,
        down=66,
        does="restart",
        causes="CrashLoop BadConfig",
        actions="none",
        harmful="restart",
        facts=_LOOPING | {"exitCode": 78, "deaths": 8},
        probes=(http(),),
        noise="misleading-log",
        events=_LOOP_EVENTS.replace("Died 1", "Died 78"),
        why="It exits with 78 on a pool that is not defined; the line on memory is advice, and nothing was killed for memory.",
        log="""
            67 W PHP Warning: opcache.memory_consumption is low, scripts may run out of memory
            66 F No pool defined. at least one pool section must be specified in config file
            66 E failed to post process the configuration
            66 E FPM initialization failed
        """,
    ),
)

_BAD_ENV = (
    Draft(
        id="env-flask-database-url",
        fault=3,
        app="flask/gunicorn",
        name="web",
        state="Exited",
        up=302,
        down=300,
        does="start restart",
        causes="BadConfig",
        actions="none",
        facts={"exitCode": 1, "stoppedBy": "Itself", "deaths": 1, "envNames": ["PORT", "WEB_CONCURRENCY"]},
        probes=(http(),),
        events="303 Created; 302 Started; 300 Died 1",
        noise="action-would-not-help",
        style="plain",
        why="It ends at once for want of DATABASE_URL, which its environment lacks; a start keeps the same environment.",
        log="""
            300 E Traceback (most recent call last):
             =   File "/app/wsgi.py", line 3, in <module>
             =     from shop import create_app
             =   File "/app/shop/settings.py", line 11, in <module>
             =     DATABASE_URL = os.environ["DATABASE_URL"]
             =   File "<frozen os>", line 679, in __getitem__
             = KeyError: 'DATABASE_URL'
        """,
    ),
    Draft(
        id="env-node-zod-validation",
        fault=3,
        app="node/express",
        name="storefront",
        state="Exited",
        up=121,
        down=120,
        does="restart",
        causes="BadConfig",
        actions="none",
        facts={"exitCode": 1, "stoppedBy": "Itself", "deaths": 1},
        probes=(http(),),
        style="json-pino",
        events="122 Created; 121 Started; 120 Died 1",
        noise="action-would-not-help",
        why="The value of PORT is not a number and the program refuses it; the environment must be mended and recreated.",
        log='120 F invalid environment: [{"path":["PORT"],"message":"Expected number, received nan"}]',
    ),
    Draft(
        id="env-spring-placeholder",
        fault=3,
        app="java/spring",
        name="orders",
        state="Exited",
        up=64,
        down=58,
        does="start",
        causes="BadConfig",
        actions="none",
        facts={"exitCode": 1, "stoppedBy": "Itself", "deaths": 1},
        probes=(http(),),
        events="65 Created; 64 Started; 58 Died 1",
        noise="action-would-not-help",
        why="A placeholder cannot be resolved at start; that is configuration, and starting again gives the same.",
        log="""
            58 E Application run failed
             = org.springframework.beans.factory.BeanDefinitionStoreException: Invalid bean definition with name 'mailer'
             = Caused by: java.lang.IllegalArgumentException: Could not resolve placeholder 'MAIL_HOST' in value "smtp://${MAIL_HOST}:25"
        """,
    ),
    Draft(
        id="env-postgres-no-password",
        fault=3,
        app="postgres",
        name="db",
        state="Exited",
        up=10,
        down=10,
        does="start restart",
        causes="BadConfig",
        actions="none",
        facts={"exitCode": 1, "stoppedBy": "Itself", "deaths": 1, "envNames": ["PGDATA", "POSTGRES_USER"]},
        probes=(tcp(),),
        style="plain",
        events="11 Created; 10 Started; 10 Died 1",
        why="The image asks for POSTGRES_PASSWORD and it is not among the names of its environment.",
        log="""
            10 E Error: Database is uninitialized and superuser password is not specified.
              =        You must specify POSTGRES_PASSWORD to a non-empty value for the
              =        superuser. For example, "-e POSTGRES_PASSWORD=password" on "docker run".
        """,
    ),
    Draft(
        id="env-go-loop-bad-duration",
        fault=3,
        app="go",
        name="relay",
        state="Restarting",
        up=40,
        down=40,
        does="restart",
        harmful="restart",
        causes="BadConfig CrashLoop",
        actions="none",
        facts=_LOOPING | {"deaths": 6},
        events=_LOOP_EVENTS.replace("; 66 Died 1", "; 66 Died 1; 40 Started; 40 Died 1"),
        probes=(http(),),
        style="klog",
        noise="loop",
        why="The value of a variable cannot be parsed, so it dies at each start; the engine's restarts keep the value.",
        log="""
            66 F parse "RELAY_TIMEOUT": time: missing unit in duration "30"
            40 F parse "RELAY_TIMEOUT": time: missing unit in duration "30"
        """,
    ),
    Draft(
        id="env-dotnet-connection-string",
        fault=3,
        app="dotnet",
        name="billing",
        state="Exited",
        up=20,
        down=17,
        does="start restart",
        causes="BadConfig",
        actions="none",
        facts={"exitCode": 134, "stoppedBy": "Itself", "deaths": 1},
        probes=(http(),),
        noise="secret-in-log",
        events="21 Created; 20 Started; 17 Died 134",
        why="The connection string has a keyword that is not supported; that is a value in the environment.",
        log="""
            17 F Unhandled exception. System.ArgumentException: Keyword not supported: 'passwrod'.
             =    at System.Data.Common.DbConnectionOptions.ParseInternal(Dictionary`2 parsetable, String connectionString)
            17 D ConnectionStrings__Default=Server=db;User=billing;passwrod=Tr0ub4dor-not-real;Database=billing
        """,
    ),
    Draft(
        id="env-rails-master-key",
        fault=3,
        app="ruby/puma",
        name="admin",
        state="Exited",
        up=31,
        down=28,
        does="restart",
        style="plain",
        causes="BadConfig",
        actions="none",
        facts={"exitCode": 1, "stoppedBy": "Itself", "deaths": 1},
        probes=(http(),),
        why="The master key does not open the credentials; only the right key in the environment can.",
        missing="events: not in time",
        log="""
            28 E /usr/local/bundle/gems/activesupport-7.0.4/lib/active_support/message_encryptor.rb:203:in `rescue in _decrypt': ActiveSupport::MessageEncryptor::InvalidMessage (ActiveSupport::MessageEncryptor::InvalidMessage)
              = Couldn't decrypt config/credentials.yml.enc. Perhaps you passed the wrong key in RAILS_MASTER_KEY?
        """,
    ),
    Draft(
        id="env-celery-german-broker",
        fault=3,
        app="celery",
        name="auftrag",
        state="Exited",
        up=15,
        down=12,
        does="start",
        causes="BadConfig",
        actions="none",
        facts={"exitCode": 2, "stoppedBy": "Itself", "deaths": 1},
        probes=(),
        noise="other-language",
        events="16 Created; 15 Started; 12 Died 2",
        style="python",
        why="The log says in German that BROKER_URL is not a valid address; a start does not change the value.",
        log="12 F Konfiguration unvollständig: BROKER_URL ist keine gültige Adresse ('amqp//broker'), Programm wird beendet",
    ),
    Draft(
        id="env-rabbit-bad-conf-refused-noise",
        fault=3,
        app="rabbitmq",
        name="broker",
        state="Exited",
        up=95,
        down=90,
        does="start restart",
        causes="BadConfig",
        actions="none",
        facts={"exitCode": 1, "stoppedBy": "Itself", "deaths": 1},
        probes=(tcp(),),
        noise="misleading-log",
        events="96 Created; 95 Started; 90 Died 1",
        why="The configuration file has a variable it does not know; the refused connection is its own tool asking too early.",
        log="""
            93 W rabbitmqctl: unable to connect to node rabbit@app01: nodedown (connection refused)
            91 E Error generating configuration in phase transform_datatypes
            91 E Conf file attempted to set unknown variable: vm_memory_high_watermark.relativ
            90 F Unable to generate configuration, exiting
        """,
    ),
    Draft(
        id="env-runs-but-credentials-refused",
        fault=3,
        app="django",
        name="backoffice",
        up=400,
        does="restart",
        depends="db=Healthy",
        causes="BadConfig ServiceErrors",
        actions="none",
        noise="action-would-not-help",
        probes=(http(500, "OperationalError"),),
        events="402 Destroyed; 401 Created; 400 Started",
        why="Since it was recreated the healthy database refuses its password; a restart keeps the wrong one.",
        log="""
            90 E Internal Server Error: /healthz/
             = django.db.utils.OperationalError: connection to server at "db" (172.18.0.3), port 5432 failed: FATAL:  password authentication failed for user "shop"
            30 E Internal Server Error: /healthz/
             = django.db.utils.OperationalError: connection to server at "db" (172.18.0.3), port 5432 failed: FATAL:  password authentication failed for user "shop"
        """,
    ),
    Draft(
        id="env-certificate-expired",
        fault=3,
        app="go",
        name="gateway",
        up=800_000,
        does="restart",
        causes="BadConfig ServiceErrors",
        actions="none",
        probes=(http(502, "bad gateway"),),
        depends="orders=Healthy",
        style="json-zap",
        chat="access",
        why="Its client certificate ran out this hour; a restart loads the same file, a person must renew it.",
        log="""
            50 E upstream orders: remote error: tls: expired certificate (client cert /etc/tls/client.pem NotAfter {day})
            20 E upstream orders: remote error: tls: expired certificate (client cert /etc/tls/client.pem NotAfter {day})
        """,
    ),
)

_NEVER: dict[str, object] = {"everStarted": False, "stoppedBy": "Unknown", "exitCode": 127}

_ENTRYPOINT = (
    Draft(
        id="entry-binary-missing",
        fault=4,
        app="go",
        name="gateway",
        state="Created",
        does="start restart",
        causes="StartFailed",
        actions="none",
        facts=_NEVER
        | {
            "error": 'OCI runtime create failed: container_linux.go:380: starting container process caused: exec: "/gatewayd": stat /gatewayd: no such file or directory: unknown'
        },
        probes=(http(),),
        events="60 Created; 60 Died 127",
        why="The runtime finds no such program; every start fails alike until the image or command is put right.",
    ),
    Draft(
        id="entry-not-executable",
        fault=4,
        app="node/express",
        name="storefront",
        state="Created",
        does="start",
        causes="StartFailed",
        actions="none",
        facts=_NEVER
        | {
            "exitCode": 126,
            "error": 'OCI runtime create failed: container_linux.go:380: starting container process caused: exec: "./entrypoint.sh": permission denied: unknown',
        },
        probes=(http(), docker()),
        missing="events: the engine keeps only the last 256",
        why="The entrypoint lacks the executable bit; that is in the image and no start changes it.",
    ),
    Draft(
        id="entry-crlf-shebang",
        fault=4,
        app="php-fpm+nginx",
        name="blog",
        state="Exited",
        up=30,
        down=30,
        does="start restart",
        style="plain",
        causes="StartFailed BadConfig CrashLoop",
        actions="none",
        facts={"exitCode": 127, "stoppedBy": "Itself", "deaths": 1},
        probes=(http(),),
        events="31 Created; 30 Started; 30 Died 127",
        why="The start script has Windows line ends, so its interpreter is not found; the image must be built again.",
        log="30 E env: 'bash\\r': No such file or directory",
    ),
    Draft(
        id="entry-exec-format",
        fault=4,
        app="rust/axum",
        name="pricing",
        state="Restarting",
        up=8,
        down=8,
        does="restart",
        harmful="restart",
        style="plain",
        causes="StartFailed CrashLoop",
        actions="none",
        facts=_LOOPING | {"deaths": 8},
        probes=(http(),),
        events=_LOOP_EVENTS.replace("; 66 Died 1", "; 66 Died 1; 8 Started; 8 Died 1"),
        why="The binary is of another processor architecture; no restart makes it run here.",
        log="""
            66 E exec /usr/local/bin/pricing: exec format error
            8 E exec /usr/local/bin/pricing: exec format error
        """,
    ),
    Draft(
        id="entry-mount-is-a-directory",
        fault=4,
        app="nginx",
        name="edge",
        state="Created",
        does="start restart",
        causes="StartFailed",
        actions="none",
        facts=_NEVER
        | {
            "error": 'OCI runtime create failed: rootfs_linux.go:76: mounting "/srv/nginx.conf" to rootfs at "/etc/nginx/nginx.conf" caused: not a directory: unknown: Are you trying to mount a directory onto a file (or vice-versa)?'
        },
        probes=(tcp(),),
        events="45 Created; 45 Died 127",
        why="A mount does not fit what it is put upon; the deployment must be mended.",
    ),
    Draft(
        id="entry-wsgi-typo",
        fault=4,
        app="flask/gunicorn",
        name="web",
        state="Exited",
        up=200,
        down=199,
        does="start",
        causes="BadConfig StartFailed CrashLoop",
        actions="none",
        facts={"exitCode": 127, "stoppedBy": "Itself", "deaths": 1},
        probes=(http(),),
        style="plain",
        events="201 Created; 200 Started; 199 Died 127",
        noise="action-would-not-help",
        why="The command has a misspelt program, exit 127, so the command must be changed.",
        log="199 E /docker-entrypoint.sh: line 12: exec: gunicron: not found",
    ),
    Draft(
        id="entry-nothing-declared-gpu",
        fault=4,
        app="celery",
        name="vision",
        state="Created",
        causes="StartFailed",
        actions="none",
        probes=(),
        facts=_NEVER | {"exitCode": 128, "error": 'could not select device driver "nvidia" with capabilities: [[gpu]]'},
        events="20 Created",
        why="This host has no driver for the device that was asked for; a person moves it or installs one.",
    ),
)

_PORT = (
    Draft(
        id="port-allocated-created",
        fault=5,
        app="nginx",
        name="edge",
        state="Created",
        does="start restart",
        causes="StartFailed",
        actions="none",
        facts=_NEVER
        | {
            "exitCode": 128,
            "error": "driver failed programming external connectivity on endpoint edge (9b1c): Bind for 0.0.0.0:80 failed: port is already allocated",
        },
        probes=(tcp(),),
        events="33 Created; 33 Network connect shop_default; 33 Network disconnect shop_default",
        why="Another container owns the host port; retries never help and the other owner is not ours to stop.",
    ),
    Draft(
        id="port-taken-by-host-process",
        fault=5,
        app="postgres",
        name="db",
        state="Exited",
        up=90_000,
        down=620,
        does="start",
        causes="StartFailed",
        actions="none",
        facts={
            "exitCode": 128,
            "stoppedBy": "Itself",
            "error": "driver failed programming external connectivity on endpoint db (77aa): Error starting userland proxy: listen tcp4 0.0.0.0:5432: bind: address already in use",
        },
        probes=(tcp(), run("pg_isready")),
        events="620 Died 137",
        former="9 Died 1 no",
        noise="combination former-ineffective",
        why="It died, and the start that followed failed because a process of the host has the port by now; that has an owner, ask.",
        chat="heartbeat",
        chat_to=630,
    ),
    Draft(
        id="port-inside-container-eaddrinuse",
        fault=5,
        app="node/express",
        name="storefront",
        state="Exited",
        up=52,
        down=50,
        does="start restart",
        style="plain",
        causes="StartFailed BadConfig",
        actions="none",
        facts={"exitCode": 1, "stoppedBy": "Itself", "deaths": 1, "networks": ["host"]},
        probes=(http(),),
        events="53 Created; 52 Started; 50 Died 1",
        why="On the host's network the port has another owner already; starting again meets the same owner.",
        log="""
            50 E node:events:491
             =       throw er; // Unhandled 'error' event
             =       ^
             =
             = Error: listen EADDRINUSE: address already in use 0.0.0.0:3000
             =     at Server.setupListenHandle [as _listen2] (node:net:1463:16)
        """,
    ),
    Draft(
        id="port-loop-host-network-go",
        fault=5,
        app="go",
        name="exporter",
        state="Restarting",
        up=77,
        down=77,
        does="restart",
        harmful="restart",
        causes="StartFailed CrashLoop BadConfig",
        actions="none",
        facts=_LOOPING | {"networks": ["host"]},
        probes=(http(),),
        style="logfmt",
        events=_LOOP_EVENTS.replace("70 Started; 66 Died 1", "77 Started; 77 Died 1"),
        why="Again and again the address is in use by someone else; free or re-map it, by a person.",
        log="""
            122 F listen tcp 0.0.0.0:9100: bind: address already in use
            77 F listen tcp 0.0.0.0:9100: bind: address already in use
        """,
    ),
    Draft(
        id="port-taken-after-reboot-no-events",
        fault=5,
        app="rabbitmq",
        name="broker",
        state="Exited",
        up=400_000,
        down=420,
        does="start restart",
        causes="StartFailed",
        actions="none",
        missing="events: the stream was cut; logs: not in time",
        probes=(tcp(),),
        facts={
            "exitCode": 128,
            "restartsByItself": True,
            "error": "driver failed programming external connectivity on endpoint broker (0c2e): Bind for 0.0.0.0:5672 failed: port is already allocated",
        },
        why="State.Error says the port is already allocated, and it has another owner; nothing else is needed to know.",
    ),
    Draft(
        id="port-error-stale-but-running",
        fault=29,
        app="redis",
        name="cache",
        up=3600,
        does="restart",
        causes="Unknown",
        actions="none",
        harmful="restart",
        probes=(tcp(), run("redis-cli ping")),
        deviations="",
        chat="heartbeat",
        noise="misleading-log before-last-start",
        why="The taken port was before the last start; it now runs and both probes are good.",
        log="""
            3700 W Could not create server TCP listening socket *:6379: bind: Address already in use
            3700 W Failed listening on port 6379 (tcp), aborting.
            3599 I Ready to accept connections tcp
        """,
    ),
)

DRAFTS = (*_CRASH_LOOP, *_BAD_ENV, *_ENTRYPOINT, *_PORT)
