"""What a model picked to see in one incident, what came of it, and why it ended, as lines for people and as data."""

from pitcrew.core.incident import Incident, Round
from pitcrew.core.investigation import ended
from pitcrew.core.record import Json


def investigation_lines(incident: Incident) -> tuple[str, ...]:
    """A line for each round and one for the end; nothing where nothing was picked."""
    if not incident.rounds:
        return ()
    lines = [f"round {number}: {_round(each)}" for number, each in enumerate(incident.rounds, 1)]
    return (*lines, f"then: {ended(incident)}")


def _round(each: Round) -> str:
    picked = f"the model picked {', '.join(map(str, each.picks))}"
    if each.ended_at is None:
        return f"{picked}; begun {each.began_at:%H:%M:%S}"
    new = f"{each.evidence[0].id} to {each.evidence[-1].id}" if each.evidence else "nothing new"
    lacking = f"; could not be read: {', '.join(map(str, each.missing))}" if each.missing else ""
    return f"{picked}; {new}, in {each.took_ms / 1000:.1f} s{lacking}"


def investigation_data(incident: Incident) -> dict[str, Json] | None:
    """The same for tools."""
    if not incident.rounds:
        return None
    rounds: list[Json] = [
        {
            "picks": [str(pick) for pick in each.picks],
            "beganAt": each.began_at.isoformat(),
            "endedAt": each.ended_at.isoformat() if each.ended_at else None,
            "evidence": [item.id for item in each.evidence],
            "missing": [str(pick) for pick in each.missing],
            "tookMs": each.took_ms,
            "changed": each.changed or None,
        }
        for each in incident.rounds
    ]
    return {"rounds": rounds, "then": ended(incident)}
