"""Investigation: which of a model's picks are followed, and when it is enough.

Only where neither the rules nor the model are sure, so that a decisive rule never waits for it. Whatever a model picks,
the bounds of an incident hold over all rounds, by times of the journal, so that no restart begins them anew (S10).
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from pitcrew.core.asking import is_decisive
from pitcrew.core.incident import Incident, Phase
from pitcrew.core.opinion import Weighed
from pitcrew.core.pick import PICKS_MAX, Pick, worth
from pitcrew.core.resource import ServiceKey

ROUNDS_MAX = 2
"""Rounds in one incident: what was found may raise one more question; a model that always wants more finds nothing."""
SECONDS_MAX = 30
"""Seconds from the first pick on in which more is read; users wait for the service meanwhile."""
CONFIDENT_MIN = 70
"""Confidence from which a model with a grounded opinion counts as sure. Models are seldom as sure as they say, and
nothing rests on it but whether one looks further: between a symptom (50) and a structural fact (90) of the rules."""


def offered(incident: Incident, now: datetime, neighbours: Sequence[ServiceKey] = ()) -> tuple[Pick, ...]:
    """What a model may pick when it is asked now; nothing where no pick would be followed. `neighbours` are the
    dependencies of which more may be shown."""
    if is_decisive(incident.diagnoses) or enough(incident, now):
        return ()
    return worth(incident.evidence, incident.picked, neighbours)


def followed(
    incident: Incident, weighed: Weighed | None, now: datetime, neighbours: Sequence[ServiceKey] = ()
) -> tuple[Pick, ...]:
    """The picks of the last answer that are carried out now; `weighed` is that answer beside the rules."""
    advice = incident.advised
    if advice is None or advice.late or advice.opinion is None or _sure(weighed):
        return ()
    open_ = offered(incident, now, neighbours)
    wanted = [pick for pick in advice.opinion.more if pick in open_]
    return tuple(wanted[: PICKS_MAX - len(incident.picked)])


def _sure(weighed: Weighed | None) -> bool:
    """Whether a model's opinion is grounded, which Unknown never is, and given with confidence."""
    said = weighed.diagnosis if weighed else None
    return said is not None and said.confidence >= CONFIDENT_MIN


def enough(incident: Incident, now: datetime) -> str:
    """Which bound is reached, for people; empty while there is room for another round."""
    if len(incident.rounds) >= ROUNDS_MAX:
        return f"{ROUNDS_MAX} rounds are all"
    if len(incident.picked) >= PICKS_MAX:
        return f"{PICKS_MAX} picks are all"
    if incident.rounds and now >= ends_at(incident):
        return f"{SECONDS_MAX} s are over"
    return ""


def ends_at(incident: Incident) -> datetime:
    """When the time for reading more is over; only asked for after the first pick."""
    return incident.rounds[0].began_at + timedelta(seconds=SECONDS_MAX)


def ended(incident: Incident) -> str:
    """Why no more was read, or that it still is, for people; only asked for where something was picked."""
    if incident.phase is Phase.INVESTIGATING:
        return "still reading"
    if incident.rounds[-1].changed:
        return f"all was gathered anew, since {incident.rounds[-1].changed}"
    if incident.phase is Phase.INVESTIGATED:
        return "what was read is being diagnosed"
    if is_decisive(incident.diagnoses):
        return f"the rules are sure: {incident.diagnoses[0].cause}"
    return _left_by_the_model(incident)


def _left_by_the_model(incident: Incident) -> str:
    advice = incident.advised
    if advice is None or advice.answered_at is None or advice.late:
        return "no answer came about what was read" if advice else "the model was not asked about what was read"
    if advice.opinion is None:
        return f"no opinion on what was read: {advice.failure}"
    if bound := enough(incident, advice.answered_at):
        return bound
    return f"the model is sure: {advice.note}" if advice.opinion.more else "the model asked for nothing more"
