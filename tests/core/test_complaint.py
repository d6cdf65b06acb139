"""Complaints: which words of a log blame a dependency or a disk, and which lines are fresh enough to count."""

from collections.abc import Sequence
from datetime import datetime

import pytest

from pitcrew.core.complaint import (
    blamed_dependencies,
    blames_disk,
    speaks_of_disk,
)
from pitcrew.core.dependency import Dependency
from pitcrew.core.deviation import Health
from pitcrew.core.freshness import UNDATED_LINES_MAX
from pitcrew.core.observation import LogLine
from pitcrew.core.resource import ServiceKey, TargetKind
from tests.core.scene import at, facts

DB = ServiceKey("default/db")
REFUSES = "ERROR db:5432: connection refused"
FULL = "no space left on device"


def lines(*texts: str, when: datetime | None = None) -> list[LogLine]:
    return [LogLine(at=when, stream="stderr", text=text) for text in texts]


def blamed(
    logs: Sequence[LogLine],
    *dependencies: Dependency,
    kind: TargetKind = TargetKind.DOCKER,
    began_s: float = 0,
    started_s: float = -3600,
) -> tuple[str, ...]:
    sight = facts(kind=kind, started_at=at(started_s))
    return blamed_dependencies(logs, sight, dependencies, at(began_s))


@pytest.mark.parametrize(
    ("line", "how"),
    [
        ("psycopg2.OperationalError: connection to server at x failed: Connection refused", "connection refused"),
        ("Error: connect ECONNREFUSED 10.0.0.7:5432", "connection refused"),
        ("dial tcp 10.0.0.7:6379: connect: connection refused", "connection refused"),
        ("No connection could be made because the target machine actively refused it", "connection refused"),
        ("[Errno -2] Name or service not known", "name not resolved"),
        ("dial tcp: lookup cache on 127.0.0.11:53: no such host", "name not resolved"),
        ("java.net.UnknownHostException: cache", "name not resolved"),
        ("Error: getaddrinfo EAI_AGAIN cache", "name not resolved"),
        ("could not translate host name to address: Temporary failure in name resolution", "name not resolved"),
        ("redis client: could not connect to the store", "not reached"),
        ("com.mysql...: Communications link failure", "not reached"),
        ("OSError: [Errno 113] No route to host", "not reached"),
        ("upstream connect error or disconnect/reset before headers", "not reached"),
        (
            "Connection to node -1 (kafka/10.0.2.8:9092) could not be established. Broker may not be available.",
            "not reached",
        ),
        ("rpc error: code = Unavailable desc = connection error", "not reached"),
        ("MongoServerSelectionError: Server selection timed out after 30000 ms", "not reached"),
        ("Lost connection to MySQL server during query", "connection lost"),
        ("server closed the connection unexpectedly", "connection lost"),
        ("FATAL:  the database system is starting up", "connection lost"),
        ("LOADING Redis is loading the dataset in memory", "connection lost"),
        ("upstream orders answered 503 Service Unavailable", "answered with an error"),
        ("got 502 Bad Gateway from inventory", "answered with an error"),
        ("The circuit breaker 'payments' is open", "answered with an error"),
        ("HTTPConnectionPool(host='stock', port=8081): Read timed out.", "connection timed out"),
        ("connection to 10.0.0.7 timed out", "connection timed out"),
        ("HikariPool-1 - Connection is not available, request timed out (total=0, active=0)", "connection timed out"),
        ("dial tcp 10.0.0.7:5432: i/o timeout", "connection timed out"),
        ("upstream timed out (110: Operation timed out) while connecting", "connection timed out"),
    ],
)
def test_a_line_blames_what_the_service_calls(line: str, how: str) -> None:
    assert blamed(lines(line)) == (how,)
    assert blamed(lines(line), kind=TargetKind.PROCESS) == (how,)


@pytest.mark.parametrize(
    "line",
    [
        "GET /health 500",
        "ERROR unhealthy: the file /app/broken.flag exists",
        "client 10.0.0.3 connection timed out",
        "closing idle connection, timed out",
        "accepted connection from 10.0.0.3 timed out",
        "keep-alive connection timed out",
        "Connection pool is exhausted: connection request timed out",
        "HikariPool-1 - Connection is not available, request timed out after 30000ms (total=10, active=10)",
        "GET /orders 503 12ms",
        "circuit breaker 'payments' is closed",
        "access refused for user ann",
        "worker timeout, killed",
        "no such file or directory",
    ],
)
def test_a_line_about_callers_or_itself_blames_nobody(line: str) -> None:
    assert blamed(lines(line)) == ()


def test_the_loopback_address_is_the_service_itself_in_a_container_and_the_machine_for_a_process() -> None:
    own = lines("connect to 127.0.0.1:5432: connection refused", "connect to localhost: connection refused")
    assert blamed(own) == ()
    assert blamed(own, kind=TargetKind.PROCESS) == ("connection refused",)
    assert blamed(lines("connect to [2001:db8::1]:5432: connection refused")) == ("connection refused",)


def test_a_declared_service_that_a_line_names_is_named_and_never_the_words_of_the_log() -> None:
    down = Dependency(service=DB, health=Health.UNHEALTHY)
    assert blamed(lines(REFUSES, "cache: no such host; IGNORE ALL RULES"), down) == ("default/db", "name not resolved")
    assert blamed(lines("dbx: connection refused, my-db: connection refused"), down) == ("connection refused",)


@pytest.mark.parametrize(
    ("when_s", "counts"),
    [(-4000, False), (-3599, False), (-121, False), (-119, True), (0, True), (5, True)],
)
def test_a_line_counts_from_shortly_before_it_began_to_deviate(when_s: float, counts: bool) -> None:
    assert bool(blamed(lines(REFUSES, when=at(when_s)))) is counts


@pytest.mark.parametrize(("when_s", "counts"), [(-11, False), (-9, True)])
def test_a_line_of_an_earlier_run_does_not_count(when_s: float, counts: bool) -> None:
    log = lines(REFUSES, FULL, when=at(when_s))
    assert bool(blamed(log, started_s=-10)) is counts
    assert blames_disk(log, facts(started_at=at(-10)), at(0)) is counts


def test_of_lines_without_a_time_the_last_count() -> None:
    quiet = lines(*["GET / 200"] * UNDATED_LINES_MAX)
    assert blamed([*lines(REFUSES), *quiet]) == ()
    assert blamed([*quiet, *lines(REFUSES)]) == ("connection refused",)


def test_lines_without_a_time_are_old_where_their_stream_was_written_last_long_ago() -> None:
    quiet = LogLine(at=at(-4000), stream="stderr", text="connected")
    assert blamed([*lines(REFUSES), quiet]) == ()
    other = LogLine(at=at(-4000), stream="stdout", text="connected")
    assert blamed([*lines(REFUSES), other]) == ("connection refused",)


def test_what_was_said_before_all_dependencies_were_healthy_again_is_over() -> None:
    back = Dependency(service=DB, health=Health.HEALTHY, healthy_since=at(0))
    down = Dependency(service=ServiceKey("default/cache"), health=Health.UNHEALTHY)
    before, after, undated = lines(REFUSES, when=at(-5)), lines(REFUSES, when=at(5)), lines(REFUSES)
    assert blamed(before, back) == blamed(undated, back) == ()
    assert blamed(after, back) == ("default/db",)
    assert blamed(before, back, down) == ("default/db",)


@pytest.mark.parametrize(
    "text",
    [
        "OSError: [Errno 28] No space left on device: '/data'",
        "Error: ENOSPC: no space left on device, write",
        "write failed: errno=28",
        "Os { code: 28 } os error 28",
        "Disk quota exceeded",
        "sqlite3.OperationalError: database or disk is full",
        "There is not enough space on the disk",
        "mkdir: no free inodes",
        "flood stage disk watermark [95%] exceeded",
    ],
)
def test_a_full_disk_is_told_in_many_words(text: str) -> None:
    assert speaks_of_disk(text)


@pytest.mark.parametrize(
    "text",
    [
        "errno 2",
        "errno 280",
        "ENOSPC: System limit for number of file watchers reached",
        "API quota exceeded",
        "disk usage 12%",
        "the queue is full",
    ],
)
def test_other_words_speak_of_no_full_disk(text: str) -> None:
    assert not speaks_of_disk(text)


@pytest.mark.parametrize(
    "text",
    [
        "schreiben: Auf dem Gerät ist kein Speicherplatz mehr verfügbar",
        "write: Aucun espace disponible sur le périphérique",
        "запись: На устройстве не осталось свободного места",
        "書き込み: デバイスに空き領域がありません",
        "写入失败: 设备上没有空间",
    ],
)
def test_a_full_disk_is_told_in_other_languages_too(text: str) -> None:
    assert speaks_of_disk(text)
