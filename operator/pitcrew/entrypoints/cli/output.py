"""How answers are printed: tables for people, YAML and JSON for tools, colour only where somebody looks.

Every text is printed as one line of printable characters, whoever wrote it (S8).
"""

import json
import os
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum

import typer

from pitcrew.core.record import Json
from pitcrew.core.untrusted import printable


class Output(StrEnum):
    """Format of an answer."""

    TABLE = "table"
    WIDE = "wide"
    YAML = "yaml"
    JSON = "json"

    @property
    def for_tools(self) -> bool:
        """Whether the answer is data, with nothing beside it."""
        return self in (Output.YAML, Output.JSON)


_COLOURS = {
    "Healthy": "green",
    "Recovered": "green",
    "armed": "green",
    "Unhealthy": "red",
    "Escalated": "red",
    "NOT ARMED": "red",
    "Unknown": "yellow",
    "Starting": "yellow",
    "Stopped": "yellow",
    "Open": "yellow",
    "off": "yellow",
}


def shown(value: object) -> str:
    """A value as one printable line; a dash where there is none."""
    if value is None or value == "":
        return "-"
    return printable(str(value), lines=False)


def say(text: str, *, error: bool = False) -> None:
    """Print lines that hold printable text only."""
    typer.echo(text, err=error, color=None if _colourful() else False)


def say_data(data: Mapping[str, Json], output: Output) -> None:
    """Print data as JSON or YAML."""
    if output is Output.JSON:
        say(json.dumps(data, indent=2, ensure_ascii=True))
        return
    from pitcrew.adapters.status.text import rendered

    say(rendered(data).decode().rstrip("\n"))


def say_table(titles: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print rows under their titles, columns aligned, the last one as long as it is."""
    lines = [list(titles), *([shown(cell) for cell in row] for row in rows)]
    widths = widths_of(lines)
    for number, line in enumerate(lines):
        say_row(line, widths, body=number > 0)


def widths_of(lines: Sequence[Sequence[str]]) -> Sequence[int]:
    """How wide each column but the last is; all lines have as many cells as the first."""
    return [max(len(line[place]) for line in lines) for place in range(len(lines[0]) - 1)]


def say_row(line: Sequence[str], widths: Sequence[int], *, body: bool = True) -> None:
    """Print one line of a table whose cells went through `shown`."""
    cells = [_painted(cell, body) + " " * (width - len(cell)) for cell, width in zip(line, widths, strict=False)]
    say("   ".join([*cells, _painted(line[-1], body)]).rstrip())


def _painted(cell: str, body: bool) -> str:
    return typer.style(cell, fg=_COLOURS[cell]) if body and cell in _COLOURS and _colourful() else cell


def _colourful() -> bool:
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR")


def age(then: datetime | None, now: datetime) -> str:
    """How long ago something was: `12s`, `3m`, `2h`, `5d`."""
    if then is None:
        return "-"
    seconds = max(0, int((now - then) / timedelta(seconds=1)))
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "m")):
        if seconds >= 2 * size:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def instant(value: object) -> datetime | None:
    """An instant as a status file spells it, or None."""
    try:
        found = datetime.fromisoformat(str(value))
    except ValueError:
        return None
    return found if found.tzinfo else None


def mapping(value: object) -> Mapping[str, Json]:
    """A part of a status document that should be an object; an empty one where it is not."""
    return value if isinstance(value, Mapping) else {}


def listing(value: object) -> Sequence[Mapping[str, Json]]:
    """A part of a status document that should be a list of objects."""
    return [mapping(item) for item in value] if isinstance(value, list) else []
