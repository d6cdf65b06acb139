"""Unexplained: what a log tells about now that no rule understands, whatever the language.

An act is done without a person where the evidence says all that is to be said. A sentence that the log never had
before, at the moment when things went wrong, may be the reason not to act: who does not understand it asks. What is
known to go with the fault explains it: a program that hangs complains of waiting, one that crashes of its exception,
and one that obeys a flag file says that it is there.
"""

import re
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from pitcrew.core.freshness import CHARS_MAX, STANDING_S, UNDATED_LINES_MAX, lines_since, searched, standing_since
from pitcrew.core.lastwords import LAST_S
from pitcrew.core.logs import records
from pitcrew.core.observation import LogLine, RuntimeFacts
from pitcrew.core.progress import comes_forward
from pitcrew.core.template import mask
from pitcrew.core.withheld import unfinished

BEFORE_S = 180
"""Seconds before it began to deviate from which on a sentence may tell why; what was said earlier, it lived with."""
STARTUP_S = 20
"""Seconds from a start in which what is said is how it starts, and new only because the log begins there."""
LINES_MAX = 2_000
"""Last lines that are looked at."""
UNDATED_NOW = 10
"""Last lines that are of now where nobody knows when they were written."""
WORDS_OF_FILE = 3
"""New words about a file from which on more is told of it than that it is there."""
CRASH_EXIT_CODES = (132, 133, 134, 135, 136, 139, 159)
"""How a process ends by a signal that its own fault raises (SIGILL, SIGTRAP, SIGABRT, SIGBUS, SIGFPE, SIGSEGV, SIGSYS);
its last words are no reasons then."""
ASKED_EXIT_CODES = (0, 129, 130, 131, 143)
"""How a process ends that wants to, or is asked to by SIGHUP, SIGINT, SIGQUIT or SIGTERM: nothing crashed."""

_HANGS = re.compile(
    r"\btime-?d? ?-?outs?\b|\btimed out\b|\bdead-?lock|\bblock(?:ed|ing)\b|\bstuck\b|\bh[au]ng(?:s|ing)?\b"
    r"|\bevent[- ]loop\b"
    r"|\bstall|\bunresponsive\b|\bnot respond|\bwatchdog\b|\bstarv|\bexhaust|\bsaturat"
    r"|\bqueue\b.{0,24}\b(?:full|grows|depth)"
    r"|\bbacklog\b|\btoo long\b|\boverrun\b|\boverload|\bout of memory\b|\bOutOfMemory|\bgc overhead\b"
    r"|\bthread dump\b|\bpool\b|\b(?:heap|memory|cpu)\b.{0,16}\b(?:us|at |\d)|\bleak",
    re.I,
)
"""How programs that hang, or come to, complain: of waiting, of queues and pools, of memory."""
_SERVED = re.compile(r"\b(?:GET|POST|PUT|PATCH|DELETE|HEAD)\b.{0,200}\b2\d\d\b")
"""A request that was answered well."""
_REQUEST = re.compile(r"\b(?:GET|POST|PUT|PATCH|DELETE|HEAD|OPTIONS)\b.{0,300}\b[1-5]\d\d\b")
"""A record of a request: a path that nobody asked for before is no sentence of the service."""
_OF_OTHERS = re.compile(
    r"\b(?:upstream|downstream|broker|provider|remote|primary)\b|\bhttps?://|\b(?:\d{1,3}\.){3}\d{1,3}:\d{2,5}\b"
    r"|(?<![\w.])[a-z][\w-]{0,62}:[1-9]\d{3,4}\b"
    r"|\b(?:migrat|recover|replic|replay|restor|rebuil|index|compact|vacuum|backup|snapshot|checkpoint|dump|upgrad|import"
    r"|export|sync|copy|copie|deploy|maint)",
    re.I,
)
"""Words of a line that names somebody else to wait for, or work that takes its time."""
_CRASHES = re.compile(
    r"[a-z]{3}(?:Error|Exception|Panic)\b|\bexception\b|\btraceback\b|\bpanic(?:s|ked|king)?\b|\bsegmentation\b|\bsegfault\b"
    r"|\bSIG[A-Z]{3,6}\b|\bcore dumped\b|\bassert|\babort(?:ed|ing)?\b"
    r"|\bunhandled\b|\buncaught\b|\bfatal error\b"
    r"|\bunexpected(?:ly)?\b"
    r"|\bstack overflow\b|\bout of memory\b|\bcrash|\bbug\b|\bexit(?:ed|ing)?\W{1,3}(?:code|status|with)\b"
    r"|\bnil pointer\b|\bnull\b",
    re.I,
)
"""How programs that did not want to end say why they did."""
_LEFT_BEHIND = re.compile(
    r"\b(?:stale|orphan\w*|left[- ]?(?:over|behind)|former (?:run|start)|previous (?:run|start)"
    r"|not running|gone|dead|crashed)\b",
    re.I,
)
_THERE = frozenset(
    re.findall(
        r"\w+",
        """
    flag file lock marker path exists exist existing present found detected there set seen is was are
    has been the a an of in at on by to and or as so it its this that while still because due since
    unhealthy healthy health refusing refuses refused serve serves serving service server answering
    answers answer answered check status error warn warning info fatal critical debug mode maintenance
    page with removed remove probe request requests returning returns responding reports reporting
    failing fails failed unavailable not ok app application
    """,
    )
)
"""Words of a sentence that says that a flag file is there, and what the service makes of it."""
_WORD = re.compile(r"[^\W\d_]{2,40}")


def now(logs: Sequence[LogLine], facts: RuntimeFacts, began_at: datetime) -> bool:
    """Whether one that runs says something new since about when it began to deviate that does not go with a hang; or
    that it answered somebody since then."""
    since = _after_its_start(began_at - timedelta(seconds=BEFORE_S), facts)
    if any(_SERVED.search(line.text[:CHARS_MAX]) for line in logs if line.at is not None and line.at > began_at):
        return True
    return any(not _HANGS.search(text) or _OF_OTHERS.search(text) for text in _new(*_parted(logs, since)))


def at_the_end(logs: Sequence[LogLine], facts: RuntimeFacts) -> bool:
    """Whether one that ended says something new at its end that does not go with a crash, or left a work half done.

    One such sentence is enough, whatever else is said: more text can only make a person be asked.
    """
    if facts.running or not facts.finished_at or facts.exit_code is None:
        return False
    run = searched(lines_since(logs, standing_since(facts, facts.finished_at)))
    if comes_forward(run, facts.finished_at) or unfinished([line.text for line in run]):
        return True
    if facts.exit_code in CRASH_EXIT_CODES or facts.oom_killed:
        return False
    if facts.exit_code in ASKED_EXIT_CODES:
        return True
    since = _after_its_start(facts.finished_at - timedelta(seconds=LAST_S), facts)
    before, last = _parted(logs, since)
    return any(not _CRASHES.search(text) for text in _new(before, last))


def of_file(logs: Sequence[LogLine], path: str, began_at: datetime) -> bool:
    """Whether a line that names a file says more of it than that it is there, or left behind.

    That nothing names it is no doubt: otherwise whoever can write into the log would have it removed by naming it.
    """
    name = path.rsplit("/", 1)[-1]
    recent = lines_since(logs[-LINES_MAX:], began_at - timedelta(seconds=STANDING_S))
    lately = [record.text[:CHARS_MAX] for record in records(recent)]
    ordinary = {word for line in logs[-LINES_MAX:] if name not in line.text for word in _words(line.text[:CHARS_MAX])}
    about = [text for text in lately if name in text and not _LEFT_BEHIND.search(text)]
    return any(len(set(_words(_without(text, name))) - _THERE - ordinary) >= WORDS_OF_FILE for text in about)


def _without(text: str, name: str) -> str:
    """A text without the file's path, however it is written: a log has it from the root, a declaration may not."""
    return re.sub(rf"[^\s\"'=]*{re.escape(name)}", " ", text)


def _new(before: Iterable[str], lately: Iterable[str]) -> list[str]:
    """What is said lately in sentences that were not said before."""
    known = {mask(text) for text in before}
    return [text for text in lately if mask(text) not in known and not _REQUEST.search(text)]


def _after_its_start(since: datetime, facts: RuntimeFacts) -> datetime:
    return max(since, facts.started_at + timedelta(seconds=STARTUP_S)) if facts.started_at else since


def _parted(logs: Sequence[LogLine], since: datetime) -> tuple[list[str], list[str]]:
    """What was said before, and since; lines of unknown time count by their place, and only beside earlier ones."""
    said = list(records(logs[-LINES_MAX:]))
    if all(line.at is None for line in said):
        now_from = len(said) - UNDATED_NOW if len(said) > UNDATED_LINES_MAX else len(said)
        return [line.text[:CHARS_MAX] for line in said[:now_from]], [line.text[:CHARS_MAX] for line in said[now_from:]]
    before = [line.text[:CHARS_MAX] for line in said if line.at is None or line.at < since]
    return before, [line.text[:CHARS_MAX] for line in said if line.at is not None and line.at >= since]


def _words(text: str) -> list[str]:
    return [word.lower() for word in _WORD.findall(text)]
