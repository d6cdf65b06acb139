"""Complaints: what the fresh lines of a log blame beside the service itself: what it depends on, or a full disk.

Only the kind of complaint leaves this module, never the words of the log: a log is data (S8), and what it says proves
no remedy (S7). A line counts while it is fresh: of the present run, and of about the time in which it deviates.
"""

import re
from collections.abc import Sequence
from datetime import datetime

from pitcrew.core.dependency import Dependency, all_good_since
from pitcrew.core.freshness import fresh_since, lines_since
from pitcrew.core.observation import LogLine, RuntimeFacts
from pitcrew.core.resource import ServiceKey, TargetKind

_DISK = (
    re.compile(r"\bno space left\b", re.I),
    re.compile(r"\bENOSPC\b|\bEDQUOT\b"),
    re.compile(r"\berrno[ :=\]]*(?:28|122)\b|\bos error (?:28|122)\b", re.I),
    re.compile(r"\bdisk quota exceeded\b|\bquota exceeded\b.{0,40}\b(?:disk|file ?system)\b", re.I),
    re.compile(r"\b(?:disk|file ?system|volume|device) (?:is )?full\b", re.I),
    re.compile(r"\b(?:not enough|insufficient)\b.{0,20}\b(?:disk|space on)\b", re.I),
    re.compile(r"\b(?:no|out of)\b.{0,8}\bfree inodes?\b|\b(?:no|out of) inodes?\b", re.I),
    re.compile(r"\bflood[- ]stage (?:disk )?watermark\b", re.I),
    re.compile(
        r"\bdisk(?: resource)?(?: limit)? alarm\b|\bfree disk space\b.{0,40}\b(?:below|insufficient|low)\b", re.I
    ),
    re.compile(r"\bdisk space\b.{0,24}\b(?:low|exhausted|insufficient|used up)\b|\bERRCODE:? ?28\b", re.I),
    re.compile(
        r"\bkein Speicherplatz mehr\b|\bAucun espace disponible\b|\bNo queda espacio\b|\bSpazio esaurito\b"
        r"|\bNão há espaço\b|\bBrak miejsca\b|не осталось свободного места|空き領域がありません|没有空间|空间不足"
        r"|남은 공간이 없음",
        re.I,
    ),
)
"""The last one is ENOSPC in other languages, by the translations of the GNU C library."""
_WATCHES = re.compile(r"\binotify\b|\bfile watch(?:er|es)\b|\bfile watchers\b|\bwatch(?:es)? limit\b", re.I)
"""Linux says ENOSPC as well where a limit of watched files is reached (inotify_add_watch(2)); no disk is full then."""
_REFUSED = re.compile(
    r"\bconnection refused\b|\bconn(?:ect)? refused\b|\bECONNREFUSED\b|\bactively refused\b"
    r"|\bVerbindungsaufbau abgelehnt\b|\bConnexion refusée\b|\bConexión rehusada\b|\bConnessione rifiutata\b"
    r"|\bConexão recusada\b|соединении отказано|接続を拒否|拒绝连接|连接被拒绝|연결이 거부",
    re.I,
)
"""ECONNREFUSED, also in other languages by the translations of the GNU C library."""
_UNRESOLVED = re.compile(
    r"\bname or service not known\b|\bno such host\b|\bUnknownHostException\b|\bENOTFOUND\b|\bEAI_AGAIN\b|"
    r"\btemporary failure in name resolution\b|\bname does not resolve\b|\bgetaddrinfo failed\b|"
    r"\bcould not (?:translate|resolve) host\b|\bnodename nor servname\b|\bhost not found in upstream\b",
    re.I,
)
_UNREACHED = re.compile(
    r"\bno route to host\b|\bnetwork is unreachable\b|\bEHOSTUNREACH\b|\bENETUNREACH\b|\bcommunications link failure\b|"
    r"\b(?:could not|cannot|can't|can ?not|unable to|failed to) connect\b|\bServerSelectionTimeout|"
    r"\bno (?:live|healthy) upstreams?\b|\bupstream connect error\b|\bServerSelectionError\b|\bNewConnectionError\b|"
    r"\bserver selection timed out\b|\bcould not be established\b|\bno listener\b|\bbroker transport failure\b|"
    r"\bcode = Unavailable\b|\berror while dialing\b|\bnfs: server \S{1,80} not responding\b|"
    r"\bstale (?:nfs )?file handle\b|"
    r"\bwaiting for (?:an? |the )?(?:answer|response|reply) (?:of|from|by)\b",
    re.I,
)
_LOST = re.compile(
    r"\blost connection to\b|\bserver has gone away\b|\bserver closed the connection\b|"
    r"\bconnection to the server was lost\b|\bterminating connection due to administrator\b|"
    r"\bdatabase system is (?:starting up|shutting down|in recovery)\b|\bLOADING .{0,24}dataset in memory\b",
    re.I,
)
"""How servers of data and their drivers say that the server went away, or is not there yet."""
_ANSWERED_BADLY = re.compile(
    r"\b(?:upstream|backend|downstream|dependency|provider)\b.{0,80}\b50[234]\b|"
    r"\b50[234] (?:service unavailable|bad gateway|gateway time-?out)\b.{0,24}\b(?:from|by|for) \S|"
    r"\bcircuit ?breaker\b.{0,60}\b(?:is|are|now) open\b|\bBrokenCircuitException\b|\bCallNotPermittedException\b",
    re.I,
)
_TIMED_OUT = re.compile(
    r"\bETIMEDOUT\b|\bconnect(?:ion|ing)?\b.{0,80}\btimed? ?out\b|\bdial\b.{0,80}\btimeout\b|"
    r"\bupstream timed out\b|\bread timed out\b|\bReadTimeout\b|\btimeout connecting to\b",
    re.I,
)
_OF_CALLERS = re.compile(r"\bclients?\b|\bidle\b|\bkeep-?alive\b|\bpeer\b|\baccept(?:ed|ing)?\b", re.I)
"""Words of a line about whoever calls the service; their connections time out all day, and that blames nobody."""
_POOL = re.compile(r"pool\b.{0,120}\b(?:exhausted|active=[1-9]|limit of size \d)", re.I)
"""A pool whose connections are all in use has reached the other end; one that has none may not."""
_ITSELF = re.compile(
    r"\blocalhost\b|\b127\.(?!0\.0\.11\b)\d{1,3}(?:\.\d{1,3}){2}\b|(?<![0-9a-f:])::1(?![0-9a-f:])|\b0\.0\.0\.0\b", re.I
)
"""Addresses of the service itself; 127.0.0.11 is that of the name server that Docker gives each container."""
_FAILURES = {
    "connection refused": _REFUSED,
    "name not resolved": _UNRESOLVED,
    "not reached": _UNREACHED,
    "connection lost": _LOST,
    "answered with an error": _ANSWERED_BADLY,
}


def blames_disk(logs: Sequence[LogLine], facts: RuntimeFacts, began_at: datetime) -> bool:
    """Whether a fresh line says that a disk is full: no space, no inodes, no quota."""
    return any(speaks_of_disk(line.text) for line in lines_since(logs, fresh_since(facts, began_at)))


def speaks_of_disk(text: str) -> bool:
    """Whether a text says that a disk is full."""
    return any(pattern.search(text) for pattern in _DISK) and not _WATCHES.search(text)


def blamed_dependencies(
    logs: Sequence[LogLine], facts: RuntimeFacts, dependencies: Sequence[Dependency], began_at: datetime
) -> tuple[str, ...]:
    """What fresh lines say of something that the service calls: a declared service where a line names one, else how it
    failed.

    What was said before all that is declared was healthy again is over. In a container the loopback address is the
    service itself, and blames nobody.
    """
    since, healthy = fresh_since(facts, began_at), all_good_since(dependencies)
    lines = [line.text for line in lines_since(logs, max(since, healthy or since), undated=healthy is None)]
    found: dict[str, None] = {}
    for line in lines:
        how = _how_it_failed(line)
        if how and not (facts.kind is TargetKind.DOCKER and _ITSELF.search(line)):
            named = [str(one.service) for one in dependencies if _names(line, one.service)]
            found.update(dict.fromkeys(named or [how]))
    return tuple(found)


def _how_it_failed(line: str) -> str:
    for how, pattern in _FAILURES.items():
        if pattern.search(line):
            return how
    timed_out = _TIMED_OUT.search(line) and not _OF_CALLERS.search(line) and not _POOL.search(line)
    return "connection timed out" if timed_out else ""


def _names(line: str, key: ServiceKey) -> bool:
    name = re.escape(key.partition("/")[2])
    return re.search(rf"(?<![\w-]){name}(?![\w-])", line) is not None
