"""Unsettled: what the runtime shows that an act should not pass over without a person, whatever a log says.

Each is a sign that somebody is at it, or that the fault lies where the act does not reach. None withholds an act: a
person who sees the same may well decide on it.
"""

import re
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from pitcrew.core.observation import EventKind, RuntimeEvent, RuntimeFacts

BEFORE_S = 300
"""Seconds before it began to deviate from which on an act of people on it may be why."""

MADE_S = 10
"""Seconds after it was made in which whoever made it, as compose does for a whole project, may be about to start it."""

_BY_PEOPLE = frozenset({EventKind.PAUSED, EventKind.UNPAUSED, EventKind.RENAMED, EventKind.NETWORK})
_WAITS = re.compile(r"nfs|rpc_|cifs|smb|fuse|ceph|flock|fcntl_setlk|locks_lock|sk_wait|tcp_recv|inet_stream_connect")
"""Wait channels of Linux in which a process waits for a file server, a lock, or the other end of a connection."""
_AT_A_TERMINAL = re.compile(r"n_tty_|wait_woken|read_chan|tty_read")
_CLIENTS = frozenset(
    (
        "vi",
        "vim",
        "nano",
        "less",
        "more",
        "top",
        "htop",
        "psql",
        "mysql",
        "mongosh",
        "redis-cli",
        "sqlite3",
        "irb",
        "ipython",
    )
)
_KEEPS_DATA = re.compile(
    r"(?:^|[/_.-])(?:postgres\w{0,4}|postgis|timescaledb|mysql|mariadb|percona\w{0,8}|mongo(?:db)?|redis|valkey|memcached|kafka|redpanda"
    r"|rabbitmq|nats|pulsar|etcd|consul|zookeeper|vault|elasticsearch|opensearch|solr|cassandra|scylla|clickhouse\w{0,7}"
    r"|influxdb|neo4j|couchdb|couchbase|cockroach|minio|ceph|mssql|oracle|db2|prometheus)(?:$|[:@/_.-])",
    re.I,
)
"""Images of servers that keep data, keys or a place among peers: what is lost by a restart is not theirs alone."""
_SHELLS = frozenset(("sh", "bash", "ash", "dash", "zsh", "fish"))


def before_restart(
    facts: RuntimeFacts, events: Iterable[RuntimeEvent], processes: Sequence[str], began_at: datetime
) -> str:
    """Why a person should settle whether one that runs is started anew; empty where nothing speaks for that."""
    since = began_at - timedelta(seconds=BEFORE_S)
    if facts.started_at is not None:
        since = max(since, facts.started_at)  # what is made is attached before it starts, and nobody's second thought
    if any(event.kind in _BY_PEOPLE and event.at >= since for event in events):
        return "somebody changed it from outside shortly before"
    own = facts.engine_health
    if own and own.status == "healthy" and own.failing_streak == 0 and own.checked_at and own.checked_at > began_at:
        return "its own check from inside says that it is healthy"
    if _KEEPS_DATA.search(facts.image):
        return "by its image it keeps data that others rely on"
    words = [parts for line in processes if len(parts := line.split()) > 3]
    if any(_WAITS.search(parts[2]) for parts in words):
        return "a process of it waits for the other end of a connection, a file server or a lock"
    if any(_attended(parts) for parts in words):
        return "somebody is at a terminal in it"
    return ""


def before_start(facts: RuntimeFacts, events: Iterable[RuntimeEvent], at: datetime) -> str:
    """Why a person should settle whether one that never ran is started: who just made it may start it in due order."""
    since = at - timedelta(seconds=MADE_S)
    made = any(event.kind is EventKind.CREATED and event.at >= since for event in events)
    why = "it was made a moment ago, and whoever made it may be about to start it"
    return why if made and not facts.running and not facts.ever_started else ""


def before_attaching(facts: RuntimeFacts, events: Iterable[RuntimeEvent], began_at: datetime) -> str:
    """Why a person should settle whether it is attached to a network: somebody attached it to another one instead."""
    since, declared = began_at - timedelta(seconds=BEFORE_S), {network.name for network in facts.desired}
    attached = {
        event.detail.partition(" ")[2]
        for event in events
        if event.kind is EventKind.NETWORK and event.at >= since and event.detail.startswith("connect ")
    }
    off = any(not network.attached for network in facts.desired)
    moved = off and not attached.isdisjoint(set(facts.networks) - declared)
    return "it was just moved to a network that it does not declare" if moved else ""


def _attended(parts: Sequence[str]) -> bool:
    name = parts[3].rsplit("/", 1)[-1].lstrip("-")
    return name in _CLIENTS or (name in _SHELLS and _AT_A_TERMINAL.search(parts[2]) is not None)
