"""Pages that are drawn from the code, so that they cannot say anything else: `--write` makes them, `--check` compares.

docs/reference/cli.md, docs/reference/healthyservice.md, docs/reference/metrics.md,
docs/reference/remediationpolicy.md, docs/reference/settings.md, docs/incident-machine.md
"""

import argparse
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import typer.main
from pydantic import BaseModel
from typer.testing import CliRunner

from pitcrew.adapters.metrics.catalogue import METRICS, OFFICIAL_METRICS, Metric
from pitcrew.core.incident import (
    TRANSITIONS,
    Phase,
)
from pitcrew.core.resource import HealthyService, RemediationPolicy
from pitcrew.entrypoints.cli.app import app
from pitcrew.entrypoints.cli.codes import EXIT_CODES
from pitcrew.settings import PREFIX, Settings

ROOT = Path(__file__).resolve().parent.parent
NOTE = "<!-- Made by tools/generate.py out of the code; edit that and run `python tools/generate.py --write`. -->\n\n"
WIDTH = 100
FROM_ALMOST_EVERYWHERE = 8
"""An event that leaves so many phases for one other is told in a sentence; its arrows would hide all the others."""


def main(arguments: list[str] | None = None) -> int:
    """The exit code: 0 when every page is current, or was written."""
    parser = argparse.ArgumentParser(description=__doc__)
    chosen = parser.add_mutually_exclusive_group(required=True)
    chosen.add_argument("--check", action="store_true", help="fail when a page is not current")
    chosen.add_argument("--write", action="store_true", help="write the pages")
    if parser.parse_args(arguments).write:
        write(ROOT)
        return 0
    old = stale(ROOT)
    for page in old:
        print(f"{page}: not current; run `python tools/generate.py --write`", file=sys.stderr)
    return 1 if old else 0


def write(root: Path) -> None:
    """Write every page under `root`."""
    for page, text in pages().items():
        (root / page).parent.mkdir(parents=True, exist_ok=True)
        (root / page).write_text(text, encoding="utf-8")


def stale(root: Path) -> list[str]:
    """The pages under `root` that are missing or say something else."""
    return [
        page
        for page, text in pages().items()
        if not (root / page).is_file() or (root / page).read_text(encoding="utf-8") != text
    ]


def pages() -> Mapping[str, str]:
    """Every page by its path in the repository."""
    made: dict[str, Callable[[], str]] = {
        "docs/reference/cli.md": command_line,
        "docs/reference/healthyservice.md": lambda: resource(HealthyService),
        "docs/reference/metrics.md": metrics,
        "docs/reference/remediationpolicy.md": lambda: resource(RemediationPolicy),
        "docs/reference/settings.md": settings,
        "docs/incident-machine.md": incident_machine,
    }
    return {page: NOTE + make().rstrip("\n") + "\n" for page, make in made.items()}


# The command line


def command_line() -> str:
    """Each command as its own `--help` tells it, and the exit codes."""
    codes = "".join(f"| {code} | {meaning} |\n" for code, meaning in EXIT_CODES.items())
    told = "".join(f"\n## `{' '.join(['pitcrew', *words])}`\n\n```text\n{_help(words)}```\n" for words in _commands())
    return (
        "# The command `pitcrew`\n\n"
        "Answers go to stdout, complaints to stderr. With `-o yaml` or `-o json` stdout holds data and nothing "
        "beside it. Colour is used only where stdout is a terminal and `NO_COLOR` is not set. Text of others is shown "
        "with its control characters as escapes.\n\n"
        f"## Exit codes\n\n| Code | Meaning |\n| --- | --- |\n{codes}{told}"
    )


def _commands() -> Iterable[list[str]]:
    group: Any = typer.main.get_command(app)
    for name, command in group.commands.items():
        inner = getattr(command, "commands", {})
        yield from ([name, one] for one in inner) if inner else [[name]]


def _help(words: list[str]) -> str:
    runner = CliRunner()
    done = runner.invoke(app, [*words, "--help"], prog_name="pitcrew", terminal_width=WIDTH, color=False)
    if done.exit_code:
        raise SystemExit(f"pitcrew {' '.join(words)} --help ended with {done.exit_code}")
    return "\n".join(line.rstrip() for line in done.stdout.strip("\n").splitlines()) + "\n"


# The resource


def resource(model: type[BaseModel]) -> str:
    """Every field of a resource with its kind, default and meaning."""
    schema: dict[str, Any] = model.model_json_schema(by_alias=True)
    parts: dict[str, Any] = schema.get("$defs", {})
    text = f"# {model.__name__}\n\n{schema['description']}\n\n{_fields(schema, parts)}"
    for name in _in_order(schema, parts):
        part = parts[name]
        if "properties" in part or part.get("type") == "object":
            text += f"\n## {name}\n\n{part.get('description', '')}\n\n{_fields(part, parts)}"
        elif "enum" in part:
            text += f"\n## {name}\n\n{part.get('description', '')}\n\nOne of {_values(part['enum'])}.\n"
    return text


def _in_order(schema: Mapping[str, Any], parts: Mapping[str, Any]) -> list[str]:
    """The parts in the order in which a reader meets them, each once."""
    found: list[str] = []
    waiting = _refs(schema.get("properties", {}))
    while waiting:
        name = waiting.pop(0)
        if name not in found:
            found.append(name)
            waiting = [*_refs(parts[name].get("properties", {})), *waiting]
    return found


def _refs(value: object) -> list[str]:
    if isinstance(value, dict):
        own = [str(value["$ref"]).rpartition("/")[2]] if "$ref" in value else []
        return [*own, *(name for item in value.values() for name in _refs(item))]
    return [name for item in value for name in _refs(item)] if isinstance(value, list) else []


def _fields(part: Mapping[str, Any], parts: Mapping[str, Any]) -> str:
    fields: Mapping[str, Any] = part.get("properties", {})
    if not fields:
        return "No fields: write `{}`.\n"
    required = part.get("required", [])
    rows = "".join(
        f"| `{name}` | {_kind(field)} | {'required' if name in required else _default(field)} "
        f"| {_cell(field.get('description') or _of_part(field, parts))} |\n"
        for name, field in fields.items()
    )
    return f"| Field | Kind | Default | Meaning |\n| --- | --- | --- | --- |\n{rows}"


def _of_part(field: Mapping[str, Any], parts: Mapping[str, Any]) -> str:
    """What the part says of itself; the schema leaves out a field's words where they are the same."""
    return "".join(str(parts[name].get("description", "")) for name in _refs([dict(field)])[:1])


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _default(field: Mapping[str, Any]) -> str:
    value = field.get("default")
    if value is None and "default" not in field:
        return "empty" if field.get("type") in ("array", "object") else "its own defaults"
    return "none" if value is None else f"`{value}`"


def _values(values: Iterable[object]) -> str:
    return ", ".join(f"`{value}`" for value in values)


def _kind(field: Mapping[str, Any]) -> str:
    """The kind of a field in words, with its bounds."""
    if "$ref" in field:
        name = str(field["$ref"]).rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "const" in field:
        return f"`{field['const']}`"
    if "enum" in field:
        return _values(field["enum"])
    for way in ("anyOf", "allOf"):
        if way in field:
            return " or ".join(_kind(one) for one in field[way] if one.get("type") != "null")
    if field.get("type") == "array":
        return f"list of {_kind(field.get('items', {}))}{_bounds(field, 'minItems', 'maxItems', ' items')}"
    if field.get("type") == "object":
        return f"names to text{_bounds(field, 'minProperties', 'maxProperties', ' entries')}"
    return _scalar(field)


def _scalar(field: Mapping[str, Any]) -> str:
    if field.get("type") in ("integer", "number"):
        words = "whole number" if field["type"] == "integer" else "number"
        return f"{words}{_bounds(field, 'minimum', 'maximum', '')}"
    if "(s|m|h)" in str(field.get("pattern")):
        return "duration such as `90s`, `10m`, `1h`"
    if field.get("type") == "string":
        return f"text{_bounds(field, 'minLength', 'maxLength', ' characters')}"
    return str(field.get("format") or field.get("type") or "any")


def _bounds(field: Mapping[str, Any], least: str, most: str, unit: str) -> str:
    match field.get(least), field.get(most):
        case None, None:
            return ""
        case None, high:
            return f", at most {high}{unit}"
        case low, None:
            return f", at least {low}{unit}"
        case low, high:
            return f", {low} to {high}{unit}"


# Settings


def settings() -> str:
    """Every setting with its environment variable, default and reason."""
    rows = "".join(
        f"| `{PREFIX}{name.upper()}` | {_setting_default(Settings, name)} | {_cell(field.description or '')} |\n"
        for name, field in Settings.model_fields.items()
    )
    return (
        "# Settings of the operator\n\n"
        "Options of `pitcrew run` win over the environment, that wins over the defaults. A list of paths is separated "
        f"by `:`. Units are part of the names.\n\n| Environment | Default | Meaning |\n| --- | --- | --- |\n{rows}"
    )


def _setting_default(model: type[BaseModel], name: str) -> str:
    value = model.model_fields[name].default
    return "none" if value is None or value == () else f"`{value}`"


# Metrics


def metrics() -> str:
    """Every metric with its kind, labels and meaning."""
    rows, of_official = _metric_rows(METRICS), _metric_rows(OFFICIAL_METRICS)
    return (
        "# Metrics\n\n"
        "`pitcrew run --metrics-addr 127.0.0.1:9464` (`PITCREW_METRICS_ADDR`) shows them at `/metrics`; without it "
        "nothing listens. There is no authentication and no TLS: leave it on loopback or in a network of your own. "
        "Counters begin at 0 with each start of PitCrew. Histograms are in seconds. Label values are bounded: beyond "
        "500 values of one label the rest is counted as `other`.\n\n"
        f"{_METRIC_TITLES}{rows}\n"
        "A useful alert is on silence: `time() - pitcrew_last_turn_timestamp_seconds > 60`, or the absence of "
        "`pitcrew_up`. What wakes a person should be `PITCREW_WEBHOOK` (opened, waits for approval, escalated, ended) "
        "and, for PitCrew itself, `PITCREW_HEARTBEAT_URL`.\n\n"
        "## The Official\n\n"
        "`pitcrew official` shows these at `/metrics` of where it listens, to whoever has a token with a role; on "
        "loopback without a token file to everybody on the machine.\n\n"
        f"{_METRIC_TITLES}{of_official}"
    )


_METRIC_TITLES = "| Metric | Kind | Labels | Meaning |\n| --- | --- | --- | --- |\n"


def _metric_rows(found: Sequence[Metric]) -> str:
    return "".join(
        f"| `{one.name}` | {one.kind} | {_values(one.labels) or 'none'} | {_cell(one.meaning)} |\n" for one in found
    )


# The incident


def incident_machine() -> str:
    """The transition table as a diagram, and as the table that it is."""
    everywhere, staying = _from_almost_everywhere(), _moving_nothing()
    arrows: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for (phase, event), to in TRANSITIONS.items():
        if event not in everywhere and event not in staying:
            arrows[(str(phase or "[*]"), str(to))].append(event.replace("/", " "))
    lines = [f"    {begin} --> {end}: {', '.join(events)}" for (begin, end), events in arrows.items()]
    told = "".join(
        f"`{event}` leads from {', '.join(sorted(phases))} to {to}.\n\n" for event, (phases, to) in everywhere.items()
    )
    told += "".join(f"`{event}` moves nothing, in every phase{but}.\n\n" for event, but in staying.items())
    diagram = "\n".join(["```mermaid", "stateDiagram-v2", *lines, f"    {Phase.CLOSED} --> [*]", "```"])
    table = "".join(f"| {phase or 'none'} | {event} | {to} |\n" for (phase, event), to in TRANSITIONS.items())
    return (
        "# The life of an incident\n\n"
        "One table (`TRANSITIONS` in `core/incident/machine.py`) is the whole machine; what is not in it is refused. "
        "The same "
        "function applies it live and when the journal is replayed.\n\n"
        f"{diagram}\n\n{told}## The table\n\n| Phase | Event | Next phase |\n| --- | --- | --- |\n{table}"
    )


def _moving_nothing() -> Mapping[str, str]:
    """Events that are taken in each phase, or in each but the last, and leave it as it is; and which phase is left out,
    in words."""
    kept = Counter(event for (phase, event), to in TRANSITIONS.items() if phase is to)
    but = {len(Phase): "", len(Phase) - 1: f" but {Phase.CLOSED}"}
    return {event: but[count] for event, count in kept.items() if count in but}


def _from_almost_everywhere() -> Mapping[str, tuple[list[str], str]]:
    leaving: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for (phase, event), to in TRANSITIONS.items():
        leaving[(event, str(to))].append(str(phase))
    return {event: (phases, to) for (event, to), phases in leaving.items() if len(phases) >= FROM_ALMOST_EVERYWHERE}


if __name__ == "__main__":
    sys.exit(main())
