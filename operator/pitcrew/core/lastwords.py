"""Last words: what the log of a run says about its end: a value that it refuses, or a port that it does not get.

Only names of the target's own variables and the kind of complaint leave this module, never the words of the log: a log
is data (S8), and what it says can only withhold a remedy (S7).
"""

import re
from collections.abc import Iterable, Sequence
from datetime import timedelta

from pitcrew.core.logs import alarming, records
from pitcrew.core.observation import LogLine, RuntimeFacts

LAST_S = 30
"""Seconds before its end in which a line belongs to its end; a program says why it gives up right before."""
SKEW_S = 2
"""Seconds by which a log and a runtime may differ about the moment of a start."""
UNDATED_LINES_MAX = 50
"""Last lines that count where the runtime cannot tell when a line was written."""
CHARS_MAX = 4096
"""Characters of one line that are searched."""
VERY_LAST = 2
"""Lines at the very end of a run that tell why it ended, if any do."""
ENDING_LINES = 20
"""Lines in which an orderly end says how it began; closing connections takes a few."""
BLAMED_MAX = 5
"""Environment variables named at most; more are no longer a lead."""

_REFUSES = re.compile(
    r"\b(?:invalid|missing|required|unset|undefined|malformed|illegal)\b|\bmust (?:not )?be\b"
    r"|\bnot (?:set|valid|found|specified|defined)\b|\b(?:cannot|could not|unable to)\b|\bno such\b",
    re.I,
)
"""Words of a program that does not take a value, beside those of failure."""
_ENV_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]{2,127}")
_KEY_PATH = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,63}(?:[.:][A-Za-z][A-Za-z0-9-]{0,63}){1,8}")
"""A setting by its path, as `spring.datasource.url` or `ConnectionStrings:Basket`."""
_OF_EVERY_PROCESS = frozenset({"PATH", "HOME", "HOSTNAME", "LANG", "PWD", "SHELL", "TERM", "USER"})
"""Variables that every process has; a complaint that names one is about something else."""

_GOES_ON = re.compile(
    r"\b(?:using|uses|use|with) (?:the |its )?(?:built-?in )?defaults?\b|[,;:-] ?(?:using|assuming|defaulting)\b"
    r"|\bignor(?:ed|ing)\b|\bfall(?:ing|s)? back\b|\bdeprecat"
    r"|\b(?:old|previous) (?:one|value|configuration) (?:stays|is kept)\b",
    re.I,
)
"""Words of a program that does without, and so does not end for it."""
_CONFIGURATION = (
    re.compile(
        r"(?<![/\w])config(?:uration)?(?: file)?\b(?!/).{0,80}\b(?:errors?|invalid|malformed|not found|missing)\b", re.I
    ),
    re.compile(r"\b(?:error|invalid|bad|malformed|missing|illegal)\b.{0,24}\bconfig(?:uration|\b)", re.I),
    re.compile(
        r"\b(?:cannot|can't|could not|failed to|unable to|error)\b.{0,24}\b(?:load|read|pars|open)(?:e|ing)?\b.{0,80}"
        r"(?:\bconfig|\bsettings\b|\.(?:ya?ml|toml|ini|conf|cfg|properties)\b)",
        re.I,
    ),
    re.compile(r"\b(?:yaml|toml|json): line \d|\b(?:while parsing a|mapping values are not allowed)\b", re.I),
    re.compile(r"\[emerg\].{0,400}\bin /\S{1,200}:\d"),
    re.compile(r"\benvironment variables?\b.{0,120}\b(?:not set|required|missing|undefined|empty|invalid)\b", re.I),
    re.compile(r"\b(?:required|missing|unset|undefined|invalid)\b.{0,24}\benvironment variable\b", re.I),
    re.compile(
        r"\b(?:unknown|unrecognized|unrecognised|unsupported)\b.{0,16}"
        r"\b(?:directive|option|argument|flag|parameter|setting|configuration)",
        re.I,
    ),
    re.compile(r"\binvalid value\b.{0,40}\b(?:parameter|option|flag|setting|argument)\b", re.I),
    re.compile(r"\bfailed to (?:bind properties|configure a)\b|\bcould not resolve placeholder\b", re.I),
)
_ASKED_TO_END = re.compile(
    r"\b(?:users?|admin(?:istrator)?|operator|somebody|client)\b.{0,24}\b(?:requested|asked for|initiated)\b.{0,24}"
    r"\b(?:shut ?down|stop|exit|terminat)"
    r"|\b(?:shut ?down|stop|termination) (?:was )?(?:requested|initiated)\b|\b(?:received|got|caught)\b.{0,24}"
    r"\b(?:SIGTERM|SIGINT|SIGQUIT|signal 15|signal 2|termination signal|(?:fast|smart) shutdown request)\b"
    r"|\bSIGTERM (?:received|caught)\b|\bshutting down (?:on|by|upon) request\b|\bscheduled (?:shut ?down|stop)\b",
    re.I,
)
"""How servers say that they end because somebody wants it."""
_PORT_TAKEN = re.compile(
    r"\bEADDRINUSE\b|\baddress (?:is )?already in use\b|\bport\b.{0,12}\b(?:is|was) already (?:in use|allocated)\b"
    r"|\bonly one usage of each socket address\b",
    re.I,
)


def of_last_run(logs: Sequence[LogLine], facts: RuntimeFacts) -> list[str]:
    """What the present run says, or the last right before its end where it ended; with lines of unknown time.

    One that runs for the moment and dies again and again said why right before its present start.
    """
    earliest = facts.started_at - timedelta(seconds=SKEW_S) if facts.started_at else None
    if facts.running and facts.deaths and earliest:
        earliest -= timedelta(seconds=LAST_S)
    if not facts.running and facts.finished_at and earliest:
        earliest = max(earliest, facts.finished_at - timedelta(seconds=LAST_S))
    undated = [line for line in logs if line.at is None][-UNDATED_LINES_MAX:]
    dated = [line for line in logs if line.at is not None and (earliest is None or line.at >= earliest)]
    return [record.text[:CHARS_MAX] for record in records((*undated, *dated))]


def blamed_variables(lines: Sequence[str], env_names: Iterable[str], *, ended: bool) -> tuple[str, ...]:
    """The target's own environment variables that a complaint names, by their names or by the path of their setting.

    Frameworks bind `SPRING_DATASOURCE_URL` to `spring.datasource.url`, and `Redis__Host` to `Redis:Host`. The very last
    lines of a run that `ended` are a complaint in whatever language they are written.
    """
    complaints = [line for line in _final(lines) if alarming(line) or _REFUSES.search(line)]
    complaints += _final(lines[-VERY_LAST:]) if ended else []
    words = {word for line in complaints for word in _ENV_WORD.findall(line)}
    paths = {_flat(path) for line in complaints for path in _KEY_PATH.findall(line)}
    own = [name for name in env_names if name not in _OF_EVERY_PROCESS]
    return tuple(name for name in own if name in words or ("_" in name and _flat(name) in paths))[:BLAMED_MAX]


def _flat(name: str) -> str:
    return re.sub(r"[.:_-]+", "_", name).upper()


def blames_configuration(lines: Iterable[str]) -> bool:
    """Whether a line says that a setting or a file of settings is wrong."""
    return any(pattern.search(line) for line in _final(lines) for pattern in _CONFIGURATION)


def _final(lines: Iterable[str]) -> list[str]:
    """Lines after which a program may have ended."""
    return [line for line in lines if not _GOES_ON.search(line)]


def asks_to_end(lines: Sequence[str]) -> bool:
    """Whether a run says at its very end that it was asked to; what ends in an orderly way is not lost (FAULTS 17)."""
    return any(_ASKED_TO_END.search(line) for line in lines[-ENDING_LINES:])


def blames_taken_port(lines: Iterable[str]) -> bool:
    """Whether a line says that somebody else has the port."""
    return any(_PORT_TAKEN.search(line) for line in lines)
