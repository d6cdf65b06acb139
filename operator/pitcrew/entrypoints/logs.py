"""The log of a process: one line a record on stderr."""

import json
import logging
import sys
from datetime import UTC, datetime

from pitcrew.core.untrusted import printable

_FIELDS = ("service", "incident", "serial", "reason", "seq", "hash", "text")


class _Line(logging.Formatter):
    """One line a record: time, message, then fields; control characters shown as escapes."""

    def __init__(self, log_format: str) -> None:
        super().__init__()
        self._json = log_format == "json"

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, UTC)
        found = {name: getattr(record, name) for name in _FIELDS if getattr(record, name, "") != ""}
        trace = self.formatException(record.exc_info) if record.exc_info and record.exc_info[1] else ""
        if self._json:
            head = {"at": at.isoformat(), "level": record.levelname, "message": record.getMessage()}
            return json.dumps({**head, **found, **({"trace": trace} if trace else {})})
        fields = " ".join(f"{name}={printable(str(value), lines=False)}" for name, value in found.items())
        line = f"{at:%H:%M:%S} {record.levelname:<8} {printable(record.getMessage(), lines=False)} {fields}".rstrip()
        return f"{line}\n{printable(trace)}" if trace else line


def configure_logging(log_format: str) -> None:
    """Log to stderr, our own records from INFO on, and those of libraries from WARNING on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Line(log_format))
    ours, libraries = logging.getLogger("pitcrew"), logging.getLogger()
    ours.handlers[:] = [handler]
    ours.setLevel(logging.INFO)
    ours.propagate = False
    if not libraries.handlers:
        libraries.addHandler(handler)
        libraries.setLevel(logging.WARNING)
