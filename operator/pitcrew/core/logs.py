"""Logs: what the records of a log say, as lines of text.

A record that is a JSON object says its level and message, then its error. A stack trace says its last exception; its
frames are left out, since they are as many as they are alike. Nothing here is redacted: `evidence` cleans what comes
out, so that a secret that JSON had escaped is seen as well.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from pitcrew.core.observation import LogLine

JSON_CHARS_MAX = 16_384
"""Characters of a line that is read as JSON at all; a longer one is cut before anybody reads it."""

_CALM = re.compile(
    r"\b(?:no|0|zero|without)\s(?:errors?|failures?|exceptions?)\b"
    r"|\b(?:errors?|failures?|failed|exceptions?)[\"']?\s?[=:]\s?(?:0|null|none|nil|false)\b",
    re.I,
)
_ALARM = re.compile(
    r"(?<![.\w])(?i:error|fail|fatal|exception|traceback|panic|critical|unhealthy|refused|denied|killed|timeout"
    r"|segfault|out of memory|no space left)"
    r"|[a-z](?:Error|Exception)\b"
)


def alarming(text: str) -> bool:
    """Whether a line complains: it has a word of failure, or names an exception; `0 errors` does not."""
    return _ALARM.search(text) is not None and _ALARM.search(_CALM.sub("", text)) is not None


def records(lines: Iterable[LogLine]) -> Iterator[LogLine]:
    """What a log says, line by line, blank ones left out."""
    trace = _Trace()
    for line in lines:
        for text in _spoken(line.text):
            yield from trace.follow(replace(line, text=text))
    yield from trace.end()


# JSON records

_LEVELS = {10: "TRACE", 20: "DEBUG", 30: "INFO", 40: "WARN", 50: "ERROR", 60: "FATAL"}
"""The levels of bunyan and pino, which write numbers."""
_LEVEL = ("level", "severity", "levelname", "log.level", "lvl")
_MESSAGE = ("message", "msg", "event", "log", "short_message")
_ERROR = ("exception", "exc_info", "error", "err", "stack_trace", "stacktrace", "stack", "traceback")
_TIME = ("time", "timestamp", "ts", "@timestamp")
_MORE = ("method", "path", "url", "status", "code", "errno")


def _spoken(text: str) -> list[str]:
    """The lines of what a JSON record says: level and message, then its error; any other line as it is."""
    bare = text.strip()
    if not bare.startswith("{") or not bare.endswith("}") or len(bare) > JSON_CHARS_MAX:
        return [text]
    try:
        found = json.loads(bare)
    except (ValueError, RecursionError):
        return [text]
    message, error = _first(found, _MESSAGE), _first(found, _ERROR)
    if not message and not error:
        return [text]
    more = [f"{name}={found[name]}" for name in _MORE if isinstance(found.get(name), (str, int))]
    said, *rest = (message or error).split("\n")
    head = " ".join(part for part in (_first(found, _TIME), _level(found), said.strip(), *more) if part)
    return [head, *rest, *(error.split("\n") if message and error not in message else ())]


def _first(found: Mapping[str, object], names: Iterable[str]) -> str:
    """The first of these fields that says anything; an object's type and message."""
    for name in names:
        value = found.get(name)
        if isinstance(value, dict):
            value = ": ".join(str(value[key]) for key in ("type", "name", "message") if value.get(key))
        if isinstance(value, str) and value.strip():
            return value
    return ""


def _level(found: Mapping[str, object]) -> str:
    for name in _LEVEL:
        value = found.get(name)
        if isinstance(value, int):
            return _LEVELS.get(value, "")
        if isinstance(value, str):
            return value.upper()
    return ""


# Stack traces

_PYTHON = re.compile(r"Traceback \(most recent call last\)")
_GO = re.compile(r"goroutine \d{1,12} \[[^\]\n]{1,64}\]:\s*$")
_GO_FRAME = re.compile(r"\s|[^\s(]{1,256}+\(.*\)$|created by |$")
_FRAME = re.compile(r"\s+at \S|\s*\.{3} \d{1,6} (?:more|common frames)|\s{0,256}[~^]+\s*$|/\S{1,256}:\d{1,6}$")
_CHAINED = ("During handling of the above exception", "The above exception was the direct cause")
_CAUSE = "Caused by:"


@dataclass(slots=True)
class _Trace:
    """The trace under way: `held` is the line that tells it so far, which a later cause of the same trace replaces."""

    language: str = ""
    held: LogLine | None = None

    def follow(self, line: LogLine) -> Iterator[LogLine]:
        """Take one more line; the lines that are certain by now."""
        text = line.text
        if _PYTHON.search(text):
            yield from self._begin("python", line)
        elif _GO.match(text):
            yield from self._begin("go", line)
        elif self._within(text):
            return
        elif self.language == "python":
            self.held, self.language = line, "told"
        elif text.startswith(_CAUSE) and self.held is not None and self.held.text.startswith(_CAUSE):
            self.held = line
        else:
            yield from self.end()
            yield from self._take(line)

    def _begin(self, language: str, line: LogLine) -> Iterator[LogLine]:
        """A trace begins. Its first line stands for it until it tells more; a panic's was told before."""
        if self.language == "chained" or self.language == language == "go":
            self.language = language
            return
        yield from self.end()
        self.language, self.held = language, line if language == "python" else None

    def _within(self, text: str) -> bool:
        """Whether a line is a part of the trace under way that tells nothing by itself."""
        if self.language == "python":
            return not text.strip() or text[0].isspace()
        if self.language == "go":
            return _GO_FRAME.match(text) is not None
        if self.language in ("told", "chained"):
            if text.startswith(_CHAINED):
                self.language = "chained"
            return not text.strip() or text.startswith(_CHAINED)
        return _FRAME.match(text) is not None

    def _take(self, line: LogLine) -> Iterator[LogLine]:
        """A line outside of any trace; one that begins with a cause waits for a deeper one."""
        if line.text.startswith(_CAUSE):
            self.held = line
        elif line.text.strip():
            yield line

    def end(self) -> Iterator[LogLine]:
        """No more lines belong to the trace under way."""
        if self.held is not None:
            yield self.held
        self.language, self.held = "", None
