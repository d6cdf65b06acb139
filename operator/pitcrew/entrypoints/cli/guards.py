"""Guards as `pitcrew doctor` tells of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from pitcrew.core.record import Json
from pitcrew.entrypoints.cli.output import Output, say_data, say_table


class Stand(StrEnum):
    """Where a guard stands; OFF is a choice that is told, NOT_ARMED is something to mend."""

    ARMED = "armed"
    OFF = "off"
    NOT_ARMED = "NOT ARMED"


@dataclass(frozen=True, kw_only=True, slots=True)
class Guard:
    """One guard: what was seen of it, and what to do where it is not armed."""

    name: str
    stand: Stand
    seen: str
    remedy: str = ""


def armed(name: str, seen: str) -> Guard:
    """A guard that stands."""
    return Guard(name=name, stand=Stand.ARMED, seen=seen)


def off(name: str, seen: str, remedy: str = "") -> Guard:
    """A guard that somebody chose not to have."""
    return Guard(name=name, stand=Stand.OFF, seen=seen, remedy=remedy)


def missing(name: str, seen: str, remedy: str) -> Guard:
    """A guard that should stand and does not."""
    return Guard(name=name, stand=Stand.NOT_ARMED, seen=seen, remedy=remedy)


def show_guards(guards: Sequence[Guard], output: Output) -> bool:
    """Print the guards; whether none is unarmed that should be armed."""
    if output.for_tools:
        items: list[Json] = [
            {"guard": one.name, "stand": one.stand.value, "seen": one.seen, "remedy": one.remedy} for one in guards
        ]
        say_data({"items": items}, output)
    else:
        rows = [[one.name, one.stand.value, f"{one.seen}. {one.remedy}".rstrip(". ")] for one in guards]
        say_table(["GUARD", "STANDS", "SEEN"], rows)
    return all(one.stand is not Stand.NOT_ARMED for one in guards)
