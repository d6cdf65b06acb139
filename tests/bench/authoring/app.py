"""The kinds of app that the incidents happen to: image, port, names in the environment, processes, voice."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class App:
    """What a kind of app looks like when all is well."""

    image: str
    port: int
    style: str
    env: tuple[str, ...]
    processes: tuple[str, ...]
    path: str = "/health"


APPS: dict[str, App] = {
    "flask/gunicorn": App(
        image="shop/web:2.3.1",
        port=8000,
        style="gunicorn",
        env=("PORT", "DATABASE_URL", "WEB_CONCURRENCY"),
        processes=("1 S do_select gunicorn", "8 S do_select gunicorn", "9 S do_select gunicorn"),
    ),
    "django": App(
        image="shop/backoffice:5.1.0",
        port=8000,
        style="django",
        env=("DJANGO_SETTINGS_MODULE", "DATABASE_URL", "SECRET_KEY"),
        processes=("1 S do_select gunicorn", "7 S do_select gunicorn"),
        path="/healthz/",
    ),
    "node/express": App(
        image="shop/storefront:4.18.2",
        port=3000,
        style="json-pino",
        env=("NODE_ENV", "PORT", "REDIS_URL", "API_TOKEN"),
        processes=("1 S ep_poll node",),
        path="/healthz",
    ),
    "java/spring": App(
        image="shop/orders:1.14.0",
        port=8080,
        style="spring",
        env=("JAVA_OPTS", "SPRING_PROFILES_ACTIVE", "SPRING_DATASOURCE_URL"),
        processes=("1 S futex_wait_queue java",),
        path="/actuator/health",
    ),
    "go": App(
        image="shop/gateway:0.9.7",
        port=8080,
        style="json-zap",
        env=("LISTEN_ADDR", "UPSTREAM_URL"),
        processes=("1 S futex_wait_queue gateway",),
        path="/healthz",
    ),
    "rust/axum": App(
        image="shop/pricing:0.4.2",
        port=3000,
        style="tracing",
        env=("RUST_LOG", "BIND_ADDR", "DATABASE_URL"),
        processes=("1 S ep_poll pricing",),
        path="/livez",
    ),
    "ruby/puma": App(
        image="shop/admin:7.0.4",
        port=3000,
        style="ruby",
        env=("RAILS_ENV", "DATABASE_URL", "RAILS_MASTER_KEY"),
        processes=("1 S do_select ruby", "21 S do_select ruby"),
        path="/up",
    ),
    "php-fpm+nginx": App(
        image="shop/blog:8.2-fpm",
        port=80,
        style="phpfpm",
        env=("PHP_MEMORY_LIMIT", "DB_HOST", "DB_PASSWORD"),
        processes=(
            "1 S do_wait supervisord",
            "7 S ep_poll php-fpm",
            "8 S sigsuspend nginx",
            "12 S skb_wait_for_more_packets php-fpm",
        ),
        path="/ping",
    ),
    "nginx": App(
        image="nginx:1.25",
        port=80,
        style="nginx",
        env=("NGINX_VERSION",),
        processes=("1 S sigsuspend nginx", "29 S ep_poll nginx"),
        path="/",
    ),
    "postgres": App(
        image="postgres:15.4",
        port=5432,
        style="postgres",
        env=("POSTGRES_USER", "POSTGRES_PASSWORD", "PGDATA"),
        processes=("1 S do_select postgres", "27 S ep_poll postgres", "28 S ep_poll postgres"),
    ),
    "redis": App(
        image="redis:7.2",
        port=6379,
        style="redis",
        env=("REDIS_VERSION",),
        processes=("1 S ep_poll redis-server",),
    ),
    "rabbitmq": App(
        image="rabbitmq:3.12",
        port=5672,
        style="rabbit",
        env=("RABBITMQ_DEFAULT_USER", "RABBITMQ_DEFAULT_PASS"),
        processes=("1 S do_sys_poll rabbitmq-server", "20 S do_select beam.smp"),
    ),
    "celery": App(
        image="shop/worker:2.3.1",
        port=8000,
        style="celery",
        env=("BROKER_URL", "RESULT_BACKEND", "CELERY_CONCURRENCY"),
        processes=("1 S ep_poll celery", "11 S pipe_read celery", "12 S pipe_read celery"),
    ),
    "dotnet": App(
        image="shop/billing:6.2.0",
        port=8080,
        style="dotnet",
        env=("ASPNETCORE_URLS", "ConnectionStrings__Default"),
        processes=("1 S futex_wait_queue dotnet",),
        path="/healthz",
    ),
}
