"""The incident: one stretch of deviation of one service, as a pure machine over recorded events."""

from pitcrew.core.incident.machine import TRANSITIONS, Impossible, Phase
from pitcrew.core.incident.moving import advance, replay, replay_all
from pitcrew.core.incident.value import UNDO_TRIES_MAX, Advice, Attempt, Incident, Recovery, Round, UndoStand

__all__ = [
    "TRANSITIONS",
    "UNDO_TRIES_MAX",
    "Advice",
    "Attempt",
    "Impossible",
    "Incident",
    "Phase",
    "Recovery",
    "Round",
    "UndoStand",
    "advance",
    "replay",
    "replay_all",
]
