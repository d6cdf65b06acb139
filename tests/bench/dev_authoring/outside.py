"""What lies outside a service: credentials, certificates, names, clocks, licences, providers, and those who ask it."""

from collections.abc import Mapping, Sequence

from tests.bench.dev_authoring import apps
from tests.bench.dev_authoring.pieces import (
    HTTP,
    REFUSED,
    TIMEOUT,
    Json,
    Said,
    bad,
    each_run,
    exited,
    incident,
    label,
    ok,
    restarting,
    running,
    said,
    status,
)

FAILS, DOWN, LOOPS = (f"ProbeFailing/{HTTP}",), ("NotRunning",), ("RestartLoop",)


def theirs(why: str, *causes: str) -> Json:
    """Something outside has to change first; what still works would be lost."""
    return label(*causes, "ServiceErrors", "Unknown", harmful=("restart",), why=why)


def repeated(level: str, *words: str) -> tuple[Said, ...]:
    """The same lines three times, to the last seconds."""
    return (*said(95, level, *words), *said(41, level, *words), *said(6, level, *words))


ANSWERS: Sequence[Json] = tuple(
    incident(f"outside-{slug}", 0, app, running(), right, probes=(status(code, body),), deviations=FAILS, says=lines)
    for slug, app, code, body, lines, right in (
        (
            "peer-certificate",
            apps.NGINX,
            502,
            "",
            repeated(
                "ERROR",
                "*91 SSL_do_handshake() failed (SSL: error:0A000086:SSL routines::certificate verify failed: "
                "certificate has expired) while SSL handshaking to upstream, client: 10.0.0.4",
            ),
            theirs("the certificate of what it calls has expired", "DependencyDown", "BadConfig"),
        ),
        (
            "token-expired",
            apps.WORKER,
            500,
            "",
            repeated(
                "ERROR",
                "botocore.exceptions.ClientError: An error occurred (ExpiredToken) when calling the PutObject "
                "operation: The provided token has expired.",
            ),
            theirs("somebody has to issue a new token", "BadConfig", "DependencyDown"),
        ),
        (
            "password-rotated",
            apps.FLASK,
            503,
            "",
            repeated("ERROR", 'psycopg2.OperationalError: FATAL:  password authentication failed for user "orders"'),
            theirs("the password in its environment is no longer right", "BadConfig", "DependencyDown"),
        ),
        (
            "clock-skew",
            apps.GATEWAY,
            503,
            "",
            repeated(
                "ERROR", "oidc: token used before issued: iat is 412 s in the future, check the clock of this host"
            ),
            theirs("a clock is wrong", "DependencyDown", "BadConfig"),
        ),
        (
            "kerberos",
            apps.SPRING,
            503,
            '{"status":"DOWN"}',
            repeated("ERROR", "javax.security.auth.login.LoginException: Clock skew too great (37) - PREAUTH_FAILED"),
            theirs("a clock is wrong", "DependencyDown", "BadConfig"),
        ),
        (
            "names",
            apps.EXPRESS,
            503,
            "",
            repeated("ERROR", "Error: getaddrinfo EAI_AGAIN payments.internal"),
            theirs("a name is not resolved", "DependencyDown"),
        ),
        (
            "provider-limits",
            apps.BILLING,
            503,
            "Degraded",
            repeated("ERROR", "Bank API answered 429 Too Many Requests, Retry-After: 1800"),
            theirs("the provider lets it wait", "DependencyDown"),
        ),
        (
            "licence",
            apps.SPRING,
            503,
            '{"status":"DOWN","components":{"license":{"status":"DOWN"}}}',
            repeated("ERROR", "License expired on 2026-05-03; contact your sales representative"),
            theirs("the licence has ended", "BadConfig"),
        ),
        (
            "quota",
            apps.PHP,
            500,
            "",
            repeated(
                "ERROR", "Translation provider: insufficient_quota: you exceeded your current quota, check billing"
            ),
            theirs("the account has no quota left", "DependencyDown"),
        ),
        (
            "access-denied",
            apps.AXUM,
            500,
            "",
            repeated("ERROR", "index upload: service error: AccessDenied: s3:PutObject on shop-index (403)"),
            theirs("somebody took a right away", "BadConfig", "DependencyDown"),
        ),
        (
            "vault-sealed",
            apps.CHI,
            503,
            "",
            repeated("ERROR", "read secret/stock: Code: 503. Errors: * Vault is sealed"),
            theirs("people unseal a vault", "DependencyDown"),
        ),
        (
            "proxy-auth",
            apps.DOTNET,
            503,
            "Unhealthy",
            repeated("ERROR", "The proxy tunnel request to proxy 'http://proxy:3128/' failed with status code '407'."),
            theirs("the proxy wants other credentials", "DependencyDown", "BadConfig"),
        ),
        (
            "mail-blocked",
            apps.WORKER,
            503,
            "",
            repeated("ERROR", "smtp: 554 5.7.1 Service unavailable; client host [203.0.113.9] blocked using zen list"),
            theirs("its address is on a list", "DependencyDown"),
        ),
        (
            "schema-behind",
            apps.RAILS,
            500,
            "",
            repeated("ERROR", "PG::UndefinedColumn: ERROR:  column orders.total_cents does not exist"),
            theirs("the release and the schema do not fit", "BadConfig"),
        ),
        (
            "remote-full",
            apps.FILED,
            507,
            "",
            repeated("ERROR", "replication to store-2: 507 Insufficient Storage; retried 12 times"),
            theirs("another's disk is full", "DependencyDown", "DiskFull"),
        ),
        (
            "io-error",
            apps.FILED,
            500,
            "",
            repeated(
                "ERROR", "EXT4-fs error (device sdb1): I/O error while writing superblock", "Read-only file system"
            ),
            theirs("its disk is failing", "DiskFull"),
        ),
        (
            "kill-switch",
            apps.BILLING,
            503,
            "payments are switched off",
            said(600, "WARN", "Feature switch payments.enabled set to false by j.berg (CHG-2231)"),
            label(
                "ServiceErrors", "Unknown", "BadConfig", harmful=("restart",), why="a person switched it off on purpose"
            ),
        ),
        (
            "config-reload",
            apps.NGINX,
            500,
            "",
            said(
                300, "FATAL", 'invalid number of arguments in "proxy_pass" directive in /etc/nginx/conf.d/shop.conf:41'
            ),
            theirs("a changed file is wrong; with a restart even the old one is gone", "BadConfig"),
        ),
        (
            "german-certificate",
            apps.LOCAL,
            503,
            "",
            repeated("ERROR", "Verbindung zum Archiv abgelehnt: Zertifikat am 03.05.2026 abgelaufen"),
            theirs("das Zertifikat des Archivs ist abgelaufen", "DependencyDown", "BadConfig"),
        ),
        (
            "french-password",
            apps.RAILS,
            503,
            "",
            repeated("ERROR", "Échec de l'authentification auprès de la base : mot de passe expiré"),
            theirs("le mot de passe est expiré", "BadConfig", "DependencyDown"),
        ),
        (
            "chinese-certificate",
            apps.SPRING,
            503,
            "",
            repeated("ERROR", "连接上游失败：证书已过期"),
            theirs("证书已过期", "DependencyDown", "BadConfig"),
        ),
        (
            "russian-licence",
            apps.DOTNET,
            503,
            "",
            repeated("ERROR", "Срок действия лицензии истёк 03.05.2026, запросы отклоняются"),
            theirs("лицензия истекла", "BadConfig"),
        ),
        (
            "portuguese-limit",
            apps.PHP,
            503,
            "",
            repeated("ERROR", "limite de requisições do provedor atingido (429), aguardando 900 s"),
            theirs("o provedor limita", "DependencyDown"),
        ),
    )
)
WAITING: Sequence[Json] = (
    incident(
        "outside-own-certificate",
        0,
        apps.GATEWAY,
        running(),
        theirs("its own certificate has ended", "BadConfig"),
        probes=(bad("Malformed", "tls: certificate has expired on 2026-05-04T00:00:00Z"),),
        deviations=FAILS,
        says=repeated("WARN", "http: TLS handshake error from 10.0.1.8:50112: remote error: tls: expired certificate"),
    ),
    incident(
        "outside-bank-is-slow",
        12,
        apps.BILLING,
        running(),
        label(
            "DependencyDown",
            "Hang",
            "Latency",
            harmful=("restart",),
            why="it waits for the bank, with money on the way",
        ),
        probes=(TIMEOUT,),
        deviations=FAILS,
        says=repeated("WARN", "still waiting for the answer of bank.example after 30 s; 40 transfers are in flight"),
    ),
    incident(
        "outside-nfs",
        12,
        apps.FILED,
        running(),
        label("DependencyDown", "Hang", "Unknown", harmful=("restart",), why="it waits for a file server"),
        probes=(TIMEOUT,),
        deviations=FAILS,
        says=repeated("ERROR", "nfs: server 10.0.0.9 not responding, still trying"),
        processes=["1 D rpc_wait_bit_killable filed", "14 D rpc_wait_bit_killable filed"],
    ),
    incident(
        "outside-nfs-says-nothing",
        12,
        apps.PHP,
        running(),
        label("DependencyDown", "Hang", "Unknown", harmful=(), why="all its processes wait for a file server"),
        probes=(TIMEOUT,),
        deviations=FAILS,
        processes=["1 S ep_poll php-fpm", "7 D nfs_wait_bit_killable php-fpm", "8 D nfs_wait_bit_killable php-fpm"],
    ),
    incident(
        "outside-licence-server",
        0,
        apps.SPRING,
        running(1200),
        label(
            "DependencyDown", "NotAnswering", "Unknown", harmful=("restart",), why="it waits for a licence of another"
        ),
        probes=(REFUSED,),
        deviations=FAILS,
        says=repeated("WARN", "no free licence seat at licences.internal:27000, trying again in 30 s"),
    ),
    incident(
        "outside-licence-loop",
        0,
        apps.DOTNET,
        restarting(3),
        label("CrashLoop", "BadConfig", "Unknown", harmful=("restart",), why="it ends whenever it reads its licence"),
        deviations=LOOPS,
        says=each_run(("FATAL", "License key is not valid for version 4: upgrade required")),
    ),
    incident(
        "outside-licence-died",
        0,
        apps.DOTNET,
        exited(78, ran_s=4),
        label("BadConfig", "Died", "Unknown", why="a start would end in the same way"),
        deviations=DOWN,
        says=said(91, "FATAL", "License file /etc/basket/license.xml expired on 2026-05-01. Exiting."),
    ),
    incident(
        "outside-credentials-died",
        0,
        apps.WORKER,
        exited(1, ran_s=6),
        label("BadConfig", "Died", "DependencyDown", "Unknown", why="a start would be refused again"),
        deviations=DOWN,
        says=said(91, "FATAL", "broker refused the login: ACCESS_REFUSED - Login was refused using mechanism PLAIN"),
    ),
    incident(
        "outside-newer-data",
        0,
        apps.POSTGRES,
        exited(1, ran_s=1),
        label("BadConfig", "Died", "StartFailed", "Unknown", why="the image is older than its data"),
        deviations=DOWN,
        asks=("tcp",),
        says=said(
            91,
            "FATAL",
            "database files are incompatible with server",
            "DETAIL:  The data directory was initialized by PostgreSQL version 16, which is not compatible with 15.8.",
        ),
    ),
    incident(
        "outside-callers-send-nonsense",
        11,
        apps.GATEWAY,
        running(),
        label("ErrorRate", "Unknown", harmful=("restart",), why="callers send what it cannot read"),
        probes=(ok(),),
        deviations=(f"ErrorRatioHigh/{HTTP}",),
        asks=("ratio",),
        says=repeated("WARN", "400 malformed body from client 10.9.0.4", "401 unknown token from client 10.9.0.4"),
    ),
    incident(
        "outside-flood",
        10,
        apps.EXPRESS,
        running(),
        label("Latency", "Unknown", harmful=("restart",), why="many more ask than on other days"),
        probes=(ok(ms=2300),),
        deviations=(f"LatencyHigh/{HTTP}",),
        asks=("slow",),
        says=repeated("WARN", "4100 requests in the last second, 3900 of them from AS64500"),
    ),
)
STUCK = label("Hang", do=("restart",), why="what the log tells of is a warning, or another's; it gives no answer")
NOT_THAT: Sequence[Json] = tuple(
    incident(
        f"not-outside-{slug}",
        6,
        app,
        running(),
        STUCK,
        probes=(TIMEOUT,),
        deviations=FAILS,
        says=said(ago_s, level, words),
        noise=("misleading-log",),
    )
    for slug, app, ago_s, level, words in (
        ("certificate-soon", apps.GATEWAY, 900, "WARN", "certificate of shop.example expires in 21 days"),
        ("certificate-new", apps.NGINX, 1800, "INFO", "certificate was reloaded, valid until 2026-08-01"),
        ("client-limited", apps.CHI, 300, "WARN", "client 12 was rate limited: 429"),
        ("licence-fine", apps.SPRING, 3000, "INFO", "license is valid until 2027-01-31"),
        ("user-password", apps.RAILS, 600, "WARN", "login of user 81 failed: wrong password"),
        ("clock-fine", apps.DOTNET, 2000, "INFO", "clock offset 3 ms"),
    )
)

FILES: Mapping[str, Sequence[Json]] = {"00-outside.jsonl": (*ANSWERS, *WAITING), "06-not-outside.jsonl": NOT_THAT}
