"""Withheld: what shows that to act at once would come between: of work on data, of people and peers, or in vain.

A service that deviates is safe to be started anew where nothing is lost by it and nobody has it in hand. Each reason
here is one against that; none is a reason for anything. So what a log says, true or not, can only bring a person in
(S7). Only the kind of reason leaves this module, never the words.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from pitcrew.core.freshness import fresh_since, lines_since, searched, standing_since
from pitcrew.core.observation import LogLine, Outcome, ProbeResult, RuntimeFacts
from pitcrew.core.progress import comes_forward

AT_WORK, HARMED, IN_HAND, TAKEN_OUT, OUTSIDE = "at.work", "data.harmed", "in.hand", "taken.out", "outside.blamed"
DEBUGGED, UNINTERRUPTIBLE = "debugged", "uninterruptible"
SAYS: Mapping[str, str] = {
    AT_WORK: "that it is busy with its own data",
    HARMED: "that its data is harmed",
    IN_HAND: "that people or its peers have it in hand",
    TAKEN_OUT: "that it was taken out of service for a while",
    OUTSIDE: "that a credential, a limit or a release of somebody else stands in its way",
}
"""What is said, for people to read after `the log says` or `its answer says`."""

# Work on its own data

_WORKING = re.compile(
    r"\b(?:recovery|replay|migrations?|rebuild|reindex|compaction|resync|restore|vacuum|rebalanc\w{1,4}|backup|snapshot"
    r"|dump|export|import|maintenance|upgrade)\b.{0,40}"
    r"(?:\bin progress\b|\b(?:still )?running\b|\bongoing\b|\b\d{1,3} ?%)"
    r"|\bmaintenance (?:mode|window)\b.{0,24}\b(?:on|enabled|active|entered|until)\b|\benter(?:ed|ing) maintenance\b"
    r"|\b(?:recovering|replaying|migrating|rebuilding|reindexing|restoring|compacting|resynchroni[sz]ing|loading)\b"
    r".{0,60}(?:\b\d{1,3} ?%|\b\d{1,12} ?(?:of|/) ?\d)"
    r"|\b(?:applying|running) (?:database |schema )?migrations?\b|\bslow script\b"
    r"|\bbusy running a (?:script|function)\b|\bLOADING\b.{0,24}\bdataset\b|\bredo (?:starts|in progress)\b"
    r"|\bdatabase system (?:is (?:starting up|in recovery)|was not properly shut down)"
    r"|\bwarm(?:ing)?[- ]?up\b|\bSTARTUP2?\b|\bREBALANCING\b|\bRECOVERING\b"
    r"|\b(?:being|is) (?:transmitted|restored|migrated)\b",
    re.I,
)
"""How programs say that they are busy with their own data: a restart would begin all of it anew, or lose it."""
_NOUN = (
    r"(?P<work>migrat|recover|replay|restor|rebuil|reindex|compact|vacuum|backup|snapshot|dump|upgrad|resync"
    r"|initial sync|rebalanc|defrag|repair|scrub|re-?encrypt|backfill|bootstrap|warm|preload|reshard"
    r"|resilver|fsck|consistency)"
)
_BEGINS = re.compile(
    rf"\b{_NOUN}\w*\b.{{0,60}}\b(?:started|starts|starting|begins|began|begun|initiated|requested)\b"
    rf"|\b(?:starting|started|beginning|began|initiating) (?:[\w-]{{1,16}} ){{0,2}}{_NOUN.replace('work', 'works')}",
    re.I,
)
_DOING = re.compile(
    r"\b(?P<work>migrat|upgrad|recover|replay|restor|rebuild|reindex|compact|vacuum|dump|rebalanc|defragment|repair"
    r"|re-?encrypt|backfill|preload)ing\b"
    r"|\b(?P<up>running upgrade|backing up|check forced|checking inodes|loading rdb)\b",
    re.I,
)
_ENDS = re.compile(
    r"\b(?:finish\w{0,4}|complet\w{1,4}|done|succe\w{2,8}|ended|fail\w{0,4}|abort\w{0,3}|cancell?ed|created|over|stopped)\b"
    r"|\(\d+\.\d+ ?s\)",
    re.I,
)
_READY = re.compile(
    r"\bready (?:to|for)\b|\bis ready\b|\blistening\b|\b(?<!not )(?<!not yet )accepting\b|\bstart(?:ed|up)\b.{0,40}"
    r"\b(?:in \d|complete)|\bserving\b",
    re.I,
)
_COLLECTION = re.compile(
    r"\b(?:gc|garbage|pause|stop-the-world)\b.{0,120}?"
    r"(?P<before>\d{1,9}(?:\.\d{1,3})?) ?(?P<unit>[kmgt])i?b?\]? ?-> ?\[?"
    r"(?P<after>\d{1,9}(?:\.\d{1,3})?) ?(?P<same>[kmgt])",
    re.I,
)
_LONG = re.compile(r"(?<![\w.])(?:[5-9]|\d{2,4})(?:\.\d{1,9})? ?s(?:ec\w*)?\b|(?<![\w.])\d{4,7}(?:\.\d{1,9})? ?ms\b")
"""Five seconds and more: longer than a probe waits."""
FREED_LEAST = 0.3
"""Share of its memory that a collection has to free so that the program goes on afterwards."""
_POWERS = {"k": 0, "m": 1, "g": 2, "t": 3}

# Harm

_HARMED = re.compile(
    r"\bcorrupt(?:ed|ion|s)?\b|\bchecksum (?:mismatch|failure|failed|error)|\b(?:invalid|torn|bad) (?:page|magic)\b"
    r"|\bsplit[- ]?brain\b|\bdata ?loss\b|\bfsync\b.{0,40}\bfailed\b|\bunrecoverable\b.{0,40}\b(?:data|index|log|file)"
    r"|\b(?:page )?verification failed\b.{0,60}\bchecksum\b|\bread-only file ?system\b|\bEROFS\b|\binput/output error\b"
    r"|\bI/O error\b|\bmedium error\b|\bcould not locate a valid checkpoint\b",
    re.I,
)
"""How programs say that their data or its disk is harmed: whoever starts them again may make it worse."""

# People and peers

_PEOPLE = re.compile(
    r"\b(?:planned|scheduled|announced) (?:maintenance|outage|downtime|works?)\b|\bmaintenance\W{0,3}(?:window|true)\b"
    r"|\bmaintenance\b.{0,60}\b(?:until|till|ends? (?:at )?\d)|\bchange (?:freeze|window|request)\b|\bCHG-?\d{2,}"
    r"|\b(?:manual|human)(?:ly)?\b.{0,16}\b(?:intervention|action|check|review|approval|confirm\w*|step)\b|\bby hand\b"
    r"|\b(?:waiting|waits?) for (?:an? |the )?(?:operator|administrator|approval|confirmation|go-ahead)\b"
    r"|\b(?:type|enter|press) (?:yes|y|enter)\b|\buntil an? (?:administrator|operator|person)\b"
    r"|\bdo not (?:re)?(?:start|boot|stop|kill)\b|\b(?:must|may|should) not be (?:re)?started\b"
    r"|\b(?:set|switched|turned|disabled|enabled|requested|stopped|paused|locked)\b.{0,40}\bby (?:(?:the |an? )?"
    r"(?:admin\w*|operator|ops|dba|sre|on-?call)\b|[a-z]\.[a-z]{2,20}\b|[\w.-]{1,40}@)"
    r"|\b(?:admin(?:istrator)?|operator|dba|on-?call)\b.{0,30}\b(?:set|disabled|enabled|switched|drain\w*|stopped|put|took)\b"
    r"|\bread[-_ ]only (?:option|mode|transaction)\b|\bsuper_read_only\b|\bload[- ]test\b"
    r"|\bWartungs(?:arbeiten|fenster)\b|\bWartungsmodus (?:aktiv|an|ein)|\bFreigabe\b.{0,40}\berforderlich\b"
    r"|\b(?:maintenance (?:programmée|en cours)|mantenimiento (?:programado|en curso)"
    r"|manutenção (?:programada|em curso))\b"
    r"|メンテナンス(?:中|モード)|维护(?:中|模式)|점검 중|техническ\w{1,4} работ",
    re.I,
)
_TAKEN_OUT = re.compile(
    r"\b(?:maintenance|drain(?:ing|ed)|deploying|read[- ]only|Wartung\w{0,10}|mantenimiento|manutenção|manutenzione)\b"
    r"|メンテナンス|维护|техническ\w{1,4} работ",
    re.I,
)
_DEPLOYS = re.compile(
    r"\b(?:deploy(?:ment)?|rollout|roll-?back|release|rolling update|switch-?over|fail-?over)\b.{0,40}"
    r"\b(?:in progress|under way|running|step \d|waiting)|\bdrain(?:ing|ed)\b|\bto drain\b"
    r"|\bdecommission(?:ed|ing)\b|\bcordon(?:ed|ing)\b|\bthis (?:version|instance|release) is (?:retired|replaced)\b"
    r"|\btraffic (?:is|was|has been) (?:switched|moved|shifted)\b|\b(?:evicted|preempted)\b",
    re.I,
)
_PEERS = re.compile(
    r"\b(?:not|lost|no longer) (?:the )?(?:leader|leadership|primary|master)\b"
    r"|\bno (?:quorum|majority|leader|primary)\b"
    r"|\b(?:lost|without|lack of) quorum\b|\bstand(?:s|ing)? by\b|\b(?:entering|in) standby\b"
    r"|\b(?:starting|calling|called) (?:an? )?(?:new )?election\b|\belection (?:timed out|in progress)\b"
    r"|\bpromot(?:e|ing|ion)\b.{0,30}\b(?:request|replica|standby|primary)|\bfenc(?:ed|ing)\b|\bnot in sync\b"
    r"|\b(?:lost|failed to renew)\b.{0,12}\blease\b",
    re.I,
)
_LOCKED = re.compile(
    r"\block\w{0,3}\b.{0,80}\b(?:held|owned|taken) by (?:an?other|pid|process|host|node|job|instance|session)\b"
    r"|\b(?:is|are) (?:held|owned) by (?:an?other|pid|process|host|node|job|instance|session)\b"
    r"|\banother (?:process|instance|node|server|copy)\b.{0,24}\b(?:has|holds|owns|is)\b|\bdatabase is locked\b"
    r"|\block (?:wait )?time-?out\b|\bLockWaitTimeout\b"
    r"|\bblocked\b.{0,24}\bby (?:backend|pid|process|session|transaction|query)\b",
    re.I,
)
_OWNER_GONE = re.compile(
    r"\b(?:stale|orphan\w*|left over|leftover|former run|not running|no longer runs?|gone|dead)\b", re.I
)
_HANDED_BACK = re.compile(
    r"\b(?:maintenance|deploy\w*|release|rollout|drain\w*|freeze|fail-?over|switch-?over|read[-_ ]only|standby|election"
    r"|load[- ]test)\b.{0,40}\b(?:off|over|ended|finished|completed?|done|disabled|left|cancell?ed)\b"
    r"|\b(?:became|started|elected|is|now) (?:the )?(?:lead\w{2,4}|primary|master)\b"
    r"|\b(?:acquired|got|renewed)\b.{0,16}\b(?:lease|lock|leadership)\b|\bquorum (?:regained|restored|reached)\b"
    r"|\bpromoted\b|\bresumed\b|\block\b.{0,24}\breleased\b",
    re.I,
)

# Somebody else's credentials, limits and releases

_SECRET = (
    r"(?:certificate|cert|tokens?|credentials?|password|api[ _-]?key|secret|ticket|licen[sc]e(?: file| key)?"
    r"|subscription)"
)
_CREDENTIALS = re.compile(
    rf"\b{_SECRET}\b.{{0,48}}\b(?:(?:has |is |was |have |are )?(?:expired|revoked|rejected|locked|suspended|not valid)"
    rf"|not yet valid|verify failed|no longer valid)\b|\bexpired {_SECRET}\b|\bExpiredToken\b"
    r"|\binvalid_(?:grant|client)\b"
    r"|CERTIFICATE_VERIFY_FAILED|\bcertificate verify failed\b|\bx509: certificate\b"
    r"|\bAccessDenied\b|\bACCESS_REFUSED\b"
    r"|\b(?:password )?authentication failed for\b|\baccess denied for user\b|\bNOAUTH\b|\bWRONGPASS\b"
    r"|\bLoginException\b"
    r"|\brefused the login\b|\blogin was refused\b|\bno free licen[sc]e\b|\bunlicensed\b|\bis sealed\b"
    r"|\b(?:Zertifikat|Lizenz|Kennwort|Passwort)\b.{0,40}\babgelaufen\b"
    r"|\b(?:certificat|licence|mot de passe)\b.{0,30}expiré"
    r"|\b(?:certificado|licencia|licença|contraseña|senha)\b.{0,30}(?:caducad|expirad|vencid)"
    r"|(?:证书|许可证|密码).{0,8}(?:过期|失效)|(?:証明書|ライセンス).{0,12}(?:期限切れ|失効)"
    r"|(?:сертификат|лицензи)\w{0,3}.{0,30}(?:ист[её]к|просроч)",
    re.I,
)
_LIMITS = re.compile(
    r"\b(?:answered|returned|responded|replied|failed|got|with|status(?: code)?)\b.{0,24}\b(?:401|402|403|407|429)\b"
    r"|\b429 too many requests\b|\bretry-after\b|\brate[- ]limit\w{0,3}\b.{0,40}\b(?:by|exceeded|reached|hit)\b"
    r"|\bquota\b.{0,40}\b(?:exceeded|exhausted|reached|used up)\b|\binsufficient_quota\b"
    r"|\bexceeded your (?:current )?quota\b"
    r"|\bThrottling(?:Exception)?\b|\bblocked using\b|\bon an? (?:black|block|deny)list\b|\b507 insufficient storage\b"
    r"|\blimite de (?:requisições|peticiones|requêtes)\b",
    re.I,
)
_CLOCKS = re.compile(
    r"\bclock (?:skew|drift)\b.{0,12}\b(?:too|of|\d{2})|\b(?:issued|iat|timestamp)\b.{0,24}\bin the future\b"
    r"|\bused before issued\b|\bcheck the clock\b",
    re.I,
)
_RELEASES = re.compile(
    r"\b(?:column|relation|table) [\"'`]?[\w.]{1,80}[\"'`]? does not exist\b"
    r"|\bUndefined(?:Column|Table)\b|\bUnknown column\b"
    r"|\b(?:files?|data|schema|format)\b.{0,24}\b(?:incompatible|not compatible)\b"
    r"|\bnot compatible with (?:this version|\d)"
    r"|\bpending migrations?\b|\bschema version\b.{0,40}\b(?:mismatch|expected|newer|older)\b",
    re.I,
)
_CALLERS = re.compile(
    r"\b(?:of|by|from|for|to) (?:the |an? )?(?:client|user|caller|customer|visitor|browser|tenant)s?\b(?! [\"'])"
    r"|\b(?:client|user|caller|customer|tenant) \d|\buser[- ]?agent\b|\brefer(?:r?er)\b|\bquery string\b",
    re.I,
)
"""Words of a line about those who ask it; their passwords are wrong and their tokens expire all day. A user in quotes
is the one that a program itself goes by, as drivers of databases write it."""

# Processes

_DEBUGGERS = frozenset(
    ("gdb", "gdbserver", "lldb", "strace", "ltrace", "dlv", "rr", "perf", "py-spy", "jdb", "bpftrace")
) | frozenset(("gcore", "jmap", "jstack", "jcmd", "dotnet-dump"))
_TOOLS = re.compile(
    r"(?:pg_(?:restore|dump\w{0,3}|basebackup|upgrade|rewind|checksums)|initdb|xtrabackup|mariabackup|mysqldump"
    r"|mysql_upgrade|mysqlcheck|mongo(?:dump|restore)|redis-check-\w{3}|restic|borg|duplicity|rclone|rsync|alembic|flyway"
    r"|liquibase|goose|rake|fsck(?:\.\w{1,8})?|e2fsck|xfs_repair|btrfs|mdadm|tar|gzip|zstd|xz|pigz|cp|dd|scp|chown|chmod)"
)
"""Tools that copy, check or rewrite data; they run seldom, and never for nothing."""
_TITLES = re.compile(
    r"\b(?:recovering|restor\w{1,4}|migrat\w{1,4}|backup|base backup|vacuum|reindex"
    r"|rebuild\w{0,3}|compact\w{1,4}|dump\w{0,3})\b"
    r"(?! launcher)",
    re.I,
)
"""What processes say in their titles that they do."""


def in_log(logs: Sequence[LogLine], facts: RuntimeFacts, began_at: datetime, at: datetime) -> tuple[str, ...]:
    """Which of `SAYS` its log gives, as of `at`; it began to deviate at `began_at`."""
    fresh = [line.text for line in searched(lines_since(logs, fresh_since(facts, began_at)))]
    run = searched(lines_since(logs, standing_since(facts, began_at)))
    standing = [line.text for line in run]
    forward = facts.running and comes_forward(run, at)
    holds = {
        AT_WORK: forward or _works(fresh) or (facts.running and unfinished(standing)),
        HARMED: any(map(_HARMED.search, fresh)),
        IN_HAND: in_hand(standing),
        OUTSIDE: any(map(blames_outside, fresh)),
    }
    return tuple(key for key, held in holds.items() if held)


def in_answers(results: Iterable[ProbeResult]) -> tuple[str, ...]:
    """Which of `SAYS` its failing answers give.

    That it is in maintenance or drains is no word of people there: a file that was left behind makes it say that, too.
    """
    said = [result.detail for result in results if result.outcome is Outcome.FAILURE]
    out = [text for text in said if _TAKEN_OUT.search(text)]
    other = [text for text in said if text not in out]
    holds = {
        AT_WORK: _works(other),
        HARMED: any(map(_HARMED.search, said)),
        IN_HAND: in_hand(other) or any(map(_PEOPLE.search, out)),
        TAKEN_OUT: bool(out),
        OUTSIDE: any(map(blames_outside, said)),
    }
    return tuple(key for key, held in holds.items() if held)


def in_processes(processes: Iterable[str]) -> Mapping[str, str]:
    """What its processes show, by key: texts of pid, state, where it waits, and name."""
    words = [line.split() for line in processes]
    known = [(each[1], each[-1] if ":" not in each[-1] else each[3]) for each in words if len(each) > 2]
    found = {}
    if any(name in _DEBUGGERS or state.startswith("t") for state, name in known):
        found[DEBUGGED] = "somebody debugs it at this moment"
    titles = [" ".join(each[3:]) for each in words]
    if any(_TOOLS.fullmatch(name) for _, name in known) or any(map(_TITLES.search, titles)):
        found[AT_WORK] = "a tool works on its data at this moment"
    if any(state.startswith("D") for state, _ in known):
        found[UNINTERRUPTIBLE] = "a process of it waits for a disk or a file server, and no signal ends that"
    return found


def unfinished(lines: Sequence[str]) -> bool:
    """Whether a work on its data began, and no later line ends it or says that the service is ready."""
    begun: dict[str, bool] = {}
    for line in lines:
        work = _work(line)
        if _READY.search(line):
            begun.clear()
        elif _ENDS.search(line):
            begun = {stem: True for stem in begun if stem not in line.lower()}
        elif work:
            begun[work] = True
    return bool(begun)


def _work(line: str) -> str:
    """What work a line begins, by the first letters that every form of the word has."""
    if found := _BEGINS.search(line):
        return (found["work"] or found["works"]).lower()[:5]
    if found := _DOING.search(line):
        return (found["work"] or found["up"]).lower()[:5]
    return ""


def _works(lines: Sequence[str]) -> bool:
    return any(_WORKING.search(line) or _collected(line) for line in lines)


def _collected(line: str) -> bool:
    """Whether a collection of garbage took long and was worth it: the program goes on by itself."""
    found = _COLLECTION.search(line)
    if not found or not _LONG.search(line):
        return False
    before, after = (
        float(found[size]) * 1024 ** _POWERS[found[unit].lower()]
        for size, unit in (("before", "unit"), ("after", "same"))
    )
    return bool(after <= before * (1 - FREED_LEAST))


def in_hand(lines: Sequence[str]) -> bool:
    """Whether people or peers have it in hand by its own words, and no later line says that this is over."""
    held = False
    for line in lines:
        if _HANDED_BACK.search(line):
            held = False
        elif _holds(line):
            held = True
    return held


def _holds(line: str) -> bool:
    if _CALLERS.search(line):
        return False
    locked = _LOCKED.search(line) and not _OWNER_GONE.search(line)
    return bool(locked) or any(pattern.search(line) for pattern in (_PEOPLE, _DEPLOYS, _PEERS))


def blames_outside(line: str) -> bool:
    """Whether a line says that a credential, a limit, a clock or a release of somebody else stands in the way."""
    if _CALLERS.search(line):
        return False
    return any(pattern.search(line) for pattern in (_CREDENTIALS, _LIMITS, _CLOCKS, _RELEASES))
