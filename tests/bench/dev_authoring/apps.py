"""The services of a small shop, each with its framework, its voice, and what it says when nothing is wrong."""

from dataclasses import dataclass, field

from tests.bench.dev_authoring import voices
from tests.bench.dev_authoring.voices import Voice


@dataclass(frozen=True, kw_only=True)
class App:
    """One service: what it is made with, how it writes, what it listens on, and its ordinary words."""

    kind: str
    name: str
    style: str
    voice: Voice
    port: int
    path: str
    image: str
    env: tuple[str, ...]
    begins: str
    chatter: tuple[str, ...]
    grumbles: tuple[str, ...]
    """What it warns of on good days."""
    process: str = "docker"
    command: tuple[str, ...] = field(default=())


FLASK = App(
    kind="python/flask",
    name="orders",
    style="gunicorn",
    voice=voices.gunicorn,
    port=8000,
    path="/health",
    image="shop/orders:3.2.0",
    env=("PATH", "PORT", "DB_URL", "LOG_LEVEL", "ORDER_QUEUE"),
    begins="Booting worker with pid: 9",
    chatter=("GET /orders/{n} 200 {n}ms", "GET /health 200", "order {n} accepted", "0 errors in the last minute"),
    grumbles=("GET /favicon.ico 404", "DeprecationWarning: datetime.utcnow() is deprecated", "slow query: {n} ms"),
)
SPRING = App(
    kind="java/spring",
    name="payments",
    style="log4j-plain",
    voice=voices.log4j,
    port=8080,
    path="/actuator/health",
    image="shop/payments:1.14.2",
    env=("PATH", "JAVA_OPTS", "SPRING_DATASOURCE_URL", "SPRING_PROFILES_ACTIVE", "PAYMENT_PROVIDER_URL"),
    begins="Started Application in 9.3 seconds (process running for 9.9)",
    chatter=("payment {n} captured", "Completed 200 OK in {n} ms", "HikariPool-1 - Pool stats (total=10, idle=8)"),
    grumbles=(
        "spring.jpa.open-in-view is enabled by default",
        "Resolved [HttpMediaTypeNotAcceptableException: No acceptable representation]",
    ),
)
EXPRESS = App(
    kind="node/express",
    name="storefront",
    style="json-pino",
    voice=voices.pino,
    port=3000,
    path="/healthz",
    image="shop/storefront:7.0.1",
    env=("PATH", "NODE_ENV", "PORT", "SESSION_STORE", "API_BASE_URL"),
    begins="server started",
    chatter=("GET / 200", "rendered /cart in {n} ms", "session {n} opened", "failed logins in the last hour: 0"),
    grumbles=("(node:1) ExperimentalWarning: The Fetch API is an experimental feature", "client closed request {n}"),
)
CHI = App(
    kind="go/chi",
    name="stock",
    style="json-zap",
    voice=voices.zap,
    port=8081,
    path="/readyz",
    image="shop/stock:0.19.4",
    env=("PATH", "STOCK_DSN", "STOCK_LISTEN", "GOMEMLIMIT"),
    begins="starting stock",
    chatter=("GET /v1/stock/{n}", "reserved {n} items", "snapshot written", "reconciled, errors=0"),
    grumbles=("http: TLS handshake error from 10.0.3.{n}:40122: EOF", "context canceled by client"),
)
AXUM = App(
    kind="rust/axum",
    name="catalog",
    style="tracing",
    voice=voices.tracing,
    port=4000,
    path="/health",
    image="shop/catalog:2.5.0",
    env=("PATH", "RUST_LOG", "CATALOG_INDEX_DIR", "DATABASE_URL"),
    begins="catalog starts",
    chatter=("request finished status=200 latency={n}ms", "index refreshed, {n} documents", "search took {n}ms"),
    grumbles=("unknown query parameter `sort` was ignored", "request finished status=404 latency={n}ms"),
)
RAILS = App(
    kind="ruby/rails",
    name="backoffice",
    style="rails-logger",
    voice=voices.rails,
    port=3001,
    path="/up",
    image="shop/backoffice:5.8.3",
    env=("PATH", "RAILS_ENV", "DATABASE_HOST", "REDIS_HOST", "SMTP_HOST"),
    begins="Puma starting in single mode...",
    chatter=("Completed 200 OK in {n}ms (Views: {n}ms)", "Performed ReportJob in {n}ms", "Rendered reports/index"),
    grumbles=("DEPRECATION WARNING: Using legacy connection handling", "Can't verify CSRF token authenticity"),
)
DOTNET = App(
    kind="dotnet/aspnet",
    name="basket",
    style="dotnet-console",
    voice=voices.dotnet,
    port=5000,
    path="/health/live",
    image="shop/basket:4.1.0",
    env=("PATH", "ASPNETCORE_ENVIRONMENT", "ConnectionStrings__Basket", "Redis__Configuration"),
    begins="Application started. Press Ctrl+C to shut down.",
    chatter=("Executed endpoint 'HTTP: GET /basket/{n}'", "basket {n} saved", "Request finished in {n}ms - 200"),
    grumbles=("Failed to determine the https port for redirect.", "The response has been cancelled by the client."),
)
PHP = App(
    kind="php/fpm",
    name="blog",
    style="monolog",
    voice=voices.monolog,
    port=8088,
    path="/status",
    image="shop/blog:6.4.0",
    env=("PATH", "APP_ENV", "MYSQL_HOST", "MAILER_DSN"),
    begins="fpm is running, pid 1",
    chatter=("GET /posts/{n} 200", "cache warmed in {n} ms", "comment {n} approved"),
    grumbles=("User Deprecated: Since symfony/http-kernel 6.1", "comment {n} was held back as spam"),
)
NGINX = App(
    kind="nginx",
    name="edge",
    style="nginx-error",
    voice=voices.nginx,
    port=80,
    path="/",
    image="nginx:1.25",
    env=("PATH", "NGINX_VERSION", "UPSTREAM_HOST"),
    begins="start worker processes",
    chatter=("gracefully shutting down old worker {n}", "signal process started", 'using the "epoll" event method'),
    grumbles=(
        '*{n} open() "/usr/share/nginx/html/robots.txt" failed (2: No such file or directory)',
        "*{n} client timed out (110: Connection timed out) while waiting for request, client: 10.0.0.{n}",
    ),
)
POSTGRES = App(
    kind="postgres",
    name="db",
    style="postgres",
    voice=voices.postgres,
    port=5432,
    path="",
    image="postgres:15",
    env=("PATH", "PGDATA", "POSTGRES_USER", "POSTGRES_DB"),
    begins="database system is ready to accept connections",
    chatter=("checkpoint starting: time", "checkpoint complete: wrote {n} buffers", "automatic vacuum of table"),
    grumbles=(
        "could not receive data from client: Connection reset by peer",
        'duplicate key value violates unique constraint "users_mail_key"',
    ),
)
REDIS = App(
    kind="redis",
    name="cache",
    style="redis",
    voice=voices.redis,
    port=6379,
    path="",
    image="redis:7.2",
    env=("PATH", "REDIS_VERSION"),
    begins="Ready to accept connections tcp",
    chatter=("{n} changes in 300 seconds. Saving...", "Background saving terminated with success", "DB saved on disk"),
    grumbles=("WARNING Memory overcommit must be enabled!", "Client id={n} closed for overcoming output buffer limits"),
)
WORKER = App(
    kind="python/worker",
    name="mailer",
    style="python-logging",
    voice=voices.python,
    port=9100,
    path="/metrics",
    image="shop/mailer:1.0.9",
    env=("PATH", "BROKER_URL", "SMTP_HOST", "BATCH_SIZE"),
    begins="mailer is up",
    chatter=("sent batch of {n}", "queue depth {n}", "heartbeat", "retried mail {n}, now sent"),
    grumbles=("mail {n} bounced: 550 no such user", "template footer.html not found, using the default"),
)
LOCAL = App(
    kind="process/python",
    name="reports",
    style="plain",
    voice=voices.plain,
    port=9200,
    path="/health",
    image="",
    env=("PATH", "HOME", "REPORTS_DIR", "REPORTS_PORT"),
    begins="reports: serving",
    chatter=("built report {n}", "sent report {n} to 3 readers", "tick"),
    grumbles=("font DejaVu is missing, using the default", "report {n} has no rows"),
    process="process",
    command=("python3", "reports.py"),
)
CONTROLLER = App(
    kind="go/controller",
    name="syncer",
    style="klog",
    voice=voices.klog,
    port=8090,
    path="/healthz",
    image="shop/syncer:0.3.1",
    env=("PATH", "SYNC_TARGET", "SYNC_INTERVAL"),
    begins="Starting syncer",
    chatter=("Synced {n} objects", "Reconcile finished in {n}ms", "Lease renewed"),
    grumbles=("Operation cannot be fulfilled on object {n}: please apply your changes to the latest version",),
)
GATEWAY = App(
    kind="go/gateway",
    name="gateway",
    style="logfmt",
    voice=voices.logfmt,
    port=8443,
    path="/ping",
    image="shop/gateway:11.2.0",
    env=("PATH", "GATEWAY_ROUTES", "GATEWAY_PORT"),
    begins="gateway starts",
    chatter=("GET /api/orders/{n} 200 {n}ms", "route table has {n} entries", "config unchanged"),
    grumbles=("token of client {n} has expired, asked to renew", "request body above the limit was refused"),
)
MYSQL = App(
    kind="mysql",
    name="ledger-db",
    style="mysql",
    voice=voices.mysql,
    port=3306,
    path="",
    image="mysql:8.0",
    env=("PATH", "MYSQL_DATABASE", "MYSQL_USER"),
    begins="/usr/sbin/mysqld: ready for connections. Version: '8.0.36'",
    chatter=("Page cleaner took {n}ms to flush", "X Plugin ready for connections", "Buffer pool(s) dump completed"),
    grumbles=("Aborted connection {n} to db: 'shop' (Got timeout reading communication packets)",),
)
ELASTIC = App(
    kind="elasticsearch",
    name="search",
    style="json-ecs",
    voice=voices.elastic,
    port=9200,
    path="/_cluster/health",
    image="elasticsearch:8.13.0",
    env=("PATH", "ES_JAVA_OPTS", "discovery.type", "cluster.name"),
    begins="started {search-0}",
    chatter=("[products] update_mapping", "[gc][{n}] overhead, spent [{n}ms] collecting", "refreshed keys"),
    grumbles=("this request accesses system indices, direct access will be prevented",),
)
MONGO = App(
    kind="mongodb",
    name="profiles-db",
    style="json-mongo",
    voice=voices.mongo,
    port=27017,
    path="",
    image="mongo:7.0",
    env=("PATH", "MONGO_INITDB_DATABASE"),
    begins="Waiting for connections",
    chatter=("Connection accepted", "Connection ended", "Slow query", "WiredTiger message"),
    grumbles=("Client metadata was longer than expected",),
)
KAFKA = App(
    kind="kafka",
    name="broker",
    style="kafka",
    voice=voices.kafka,
    port=9092,
    path="",
    image="kafka:3.7.0",
    env=("PATH", "KAFKA_NODE_ID", "KAFKA_LOG_DIRS"),
    begins="[KafkaServer id=1] started",
    chatter=("[GroupCoordinator 1]: Stabilized group orders generation {n}", "Rolled new log segment at offset {n}"),
    grumbles=("[GroupCoordinator 1]: Member app-{n} has left the group through explicit leave",),
)
FILED = App(
    kind="c/daemon",
    name="filed",
    style="syslog",
    voice=voices.syslog,
    port=9102,
    path="/status",
    image="infra/filed:2.4",
    env=("PATH", "FILED_ROOT", "FILED_PEERS"),
    begins="filed 2.4 ready",
    chatter=("session {n} opened", "session {n} closed", "scrubbed {n} objects"),
    grumbles=("session {n}: client went away",),
)
BILLING = App(
    kind="dotnet/worker",
    name="billing",
    style="json-serilog",
    voice=voices.serilog,
    port=5080,
    path="/healthz",
    image="shop/billing:2.20.1",
    env=("PATH", "DOTNET_ENVIRONMENT", "ConnectionStrings__Ledger", "Bank__BaseUrl"),
    begins="Now listening on: http://[::]:5080",
    chatter=("Invoice {n} sent", "Booked {n} entries", "HTTP GET /healthz responded 200 in {n} ms"),
    grumbles=("Invoice {n} has no postal address",),
)
RABBIT = App(
    kind="rabbitmq",
    name="queue",
    style="rabbitmq",
    voice=voices.rabbit,
    port=5672,
    path="",
    image="rabbitmq:3.13",
    env=("PATH", "RABBITMQ_NODENAME"),
    begins="Server startup complete; 4 plugins started.",
    chatter=("connection <0.{n}.0> accepted", "connection <0.{n}.0> closed gracefully"),
    grumbles=("closing AMQP connection <0.{n}.0>: client unexpectedly closed TCP connection",),
)
