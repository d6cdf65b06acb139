"""Following services: a line for each, and a new one for each that changes, until somebody has seen enough.

Only files whose stamp changed are read again, and no more is kept than one line per service.
"""

import hashlib
import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

from pitcrew.adapters.status.text import read_one
from pitcrew.core.errors import InvalidInput
from pitcrew.core.record import Json
from pitcrew.entrypoints.cli.names import chosen, service_name
from pitcrew.entrypoints.cli.output import Output, mapping, say, say_data, say_row, shown, widths_of
from pitcrew.entrypoints.cli.services import row, titles_of

LOOK_S = 0.5
"""Seconds between two looks at the files; a look costs a `stat` per service."""
SERVICES_MAX = 1000
"""Services that are followed; more than one machine has."""
_SEEN = 4

Document = Mapping[str, Json]
Stamp = tuple[int, int, int]


def follow(directory: Path, name: str | None, output: Output, pause: Callable[[float], None] = time.sleep) -> None:
    """Print every service, then each that changes, until Ctrl-C or until nobody reads any more.

    Raises InvalidInput where services are known, and none, or several, have the name.
    """
    watch = _Watch(directory, name, output)
    try:
        while True:
            watch.look()
            pause(LOOK_S)
    except KeyboardInterrupt:
        return
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class _Watch:
    """What was printed of each file, and the stamp it had."""

    def __init__(self, directory: Path, name: str | None, output: Output) -> None:
        self._directory = directory
        self._name = name
        self._output = output
        self._stamps: dict[Path, Stamp] = {}
        self._said: dict[Path, object] = {}
        self._names: dict[Path, str] = {}
        self._widths: list[int] = []

    def look(self) -> None:
        """Print what changed since the last look."""
        stamps = self._stamps_now()
        fresh = {
            path: one for path, stamp in stamps.items() if stamp != self._stamps.get(path) and (one := _read(path))
        }
        if not self._said and fresh and self._name is not None:
            chosen(list(fresh.values()), self._name)
        changed = [path for path, one in fresh.items() if self._concerns(one) and self._is_news(path, one)]
        for path in [path for path in self._said if path not in stamps]:
            del self._said[path]
            say(f"{shown(self._names.pop(path))} is no longer declared", error=True)
        self._stamps = stamps
        self._print([fresh[path] for path in changed])

    def _stamps_now(self) -> dict[Path, Stamp]:
        found: dict[Path, Stamp] = {}
        for path in sorted(self._directory.glob("*.yaml"))[:SERVICES_MAX]:
            try:
                status = path.stat(follow_symlinks=False)
            except OSError:
                continue
            if not path.name.startswith("."):
                found[path] = (status.st_mtime_ns, status.st_size, status.st_ino)
        return found

    def _concerns(self, document: Document) -> bool:
        key = service_name(document)
        return self._name in (None, key, key.partition("/")[2])

    def _is_news(self, path: Path, document: Document) -> bool:
        """Whether it says something else than before; when it was seen, and the journal's head, are no news."""
        line = row(document, datetime.now(UTC), wide=False)
        said: object = line[:_SEEN]
        if self._output.for_tools:
            said = _digest({**mapping(document.get("status")), "observedAt": None, "journalHead": None})
        news = self._said.get(path) != said
        self._said[path], self._names[path] = said, service_name(document)
        return news

    def _print(self, documents: list[Document]) -> None:
        for document in documents if self._output.for_tools else ():
            if self._output is Output.JSON:
                say(json.dumps(document, ensure_ascii=True))
            else:
                say("---")
                say_data(document, self._output)
        if not self._output.for_tools and documents:
            self._print_table(documents)

    def _print_table(self, documents: list[Document]) -> None:
        wide = self._output is Output.WIDE
        lines = [[shown(cell) for cell in row(one, datetime.now(UTC), wide=wide)] for one in documents]
        titles = titles_of(wide=wide)
        first = not self._widths
        widths = widths_of([titles, *lines])
        self._widths = [max(pair) for pair in zip(widths, self._widths or widths, strict=True)]
        if first:
            say_row(titles, self._widths, body=False)
        for line in lines:
            say_row(line, self._widths)


def _digest(said: Mapping[str, object]) -> str:
    return hashlib.sha256(json.dumps(said, sort_keys=True, default=str).encode()).hexdigest()


def _read(path: Path) -> Document | None:
    try:
        return read_one(path)
    except InvalidInput as error:
        say(f"pitcrew: {shown(str(error))}", error=True)
    except OSError:
        return None
    return None
