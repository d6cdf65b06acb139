"""Incidents as the journal tells them: the list, the chain of reasons behind one, and its postmortem."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from pitcrew.adapters.transcripts.files import read_transcript
from pitcrew.core.errors import PitCrewError
from pitcrew.core.incident import (
    Incident,
)
from pitcrew.core.record import Json
from pitcrew.core.report import asked, postmortem, rendered_span, section_data, section_text, spans, why
from pitcrew.core.transcript import Transcript
from pitcrew.entrypoints.cli.joined import joined, read_ledgers
from pitcrew.entrypoints.cli.output import Output, say, say_data, say_table
from pitcrew.entrypoints.cli.state import Told, incidents_of, one_incident, told_by


def show_incidents(state: Path, name: str | None, output: Output) -> None:
    """Every incident of the journal, or those of one service, in order of opening."""
    told = _told(state)
    found = [one for one in incidents_of(told) if name in (None, one.service, one.service.partition("/")[2])]
    if output.for_tools:
        items: list[Json] = [_data(one) for one in found]
        say_data({"items": items}, output)
        return
    titles = ["INCIDENT", "SERVICE", "OPENED (UTC)", "SEVERITY", "CAUSE", "PHASE", "OUTCOME", "TOOK"]
    wide = output is Output.WIDE
    rows = [[*_line(one), *([len(one.attempts), one.report] if wide else [])] for one in found]
    say_table([*titles, *(["ATTEMPTS", "REPORT"] if wide else [])], rows)


def _line(one: Incident) -> Sequence[object]:
    took = rendered_span(spans(one).whole)
    opened = f"{one.opened_at:%Y-%m-%d %H:%M:%S}"
    return [one.id, one.service, opened, one.severity, one.cause, one.phase, one.outcome, took]


def _data(one: Incident) -> dict[str, Json]:
    return {
        "id": one.id,
        "service": one.service,
        "target": one.target,
        "openedAt": one.opened_at.isoformat(),
        "recoveredAt": one.recovered_at.isoformat() if one.recovered_at else None,
        "severity": str(one.severity),
        "cause": str(one.cause),
        "phase": str(one.phase),
        "outcome": one.outcome,
        "attempts": len(one.attempts),
        "report": one.report,
    }


def show_why(state: Path, incident: str, ledgers: Sequence[Path], output: Output) -> None:
    """The chain of reasons of one incident, and what the ledgers of Official and Mechanic hold of it."""
    found, records = one_incident(_told(state), incident)
    section = why(found, records)
    section = replace(section, parts=(*section.parts, joined(found, read_ledgers(state, ledgers))))
    if output.for_tools:
        say_data(section_data(section), output)
    else:
        say(section_text(section).rstrip("\n"))


def show_prompts(state: Path, incident: str, output: Output) -> None:
    """What models were asked about one incident and what they answered, as far as transcripts are kept."""
    found, _ = one_incident(_told(state), incident)
    section = asked(found, [_kept(state, found.id, advice.prompt_digest) for advice in found.advice])
    if output.for_tools:
        say_data(section_data(section), output)
    else:
        say(section_text(section).rstrip("\n"))


def _kept(state: Path, incident: str, prompt_digest: str) -> Transcript | str:
    """The transcript of a question, or why there is none."""
    if not prompt_digest:
        return "nothing was sent"
    try:
        found = read_transcript(state / "model", incident, prompt_digest)
    except PitCrewError as error:
        return str(error)
    return found or "no transcript is here: it was never kept, or its days are over (setting model_transcripts_days)"


def show_report(state: Path, incident: str) -> None:
    """The postmortem of one incident as it stands now."""
    found, records = one_incident(_told(state), incident)
    say(postmortem(found, records).rstrip("\n"))


def _told(state: Path) -> Told:
    told = told_by(state)
    if told.doubt:
        say(f"warning: the journal does not hold: {told.doubt}", error=True)
    return told
