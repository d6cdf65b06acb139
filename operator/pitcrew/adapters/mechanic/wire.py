"""What goes over the wire between Driver and Mechanic: the core's own values, and errors as a closed set of codes.

What is signed or judged (permit, plan, trace) travels as one JSON text, so that nothing between the two can read it
otherwise than the Mechanic does: duplicate keys, further fields and values of another type are refused.
"""

import json
import re
from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, RootModel, TypeAdapter

from pitcrew.core.action import Seen
from pitcrew.core.errors import (
    EffectFailed,
    EngineForbidden,
    EngineUnavailable,
    InvalidInput,
    OutcomeUnknown,
    PitCrewError,
    Refused,
    TargetAbsent,
    TargetAmbiguous,
    Unavailable,
)
from pitcrew.core.observation import LogLine, Observation, RuntimeEvent, Sight
from pitcrew.core.record import Json, canonical
from pitcrew.core.untrusted import clean

T = TypeVar("T")

TEXT_BYTES_MAX = 128 * 1024
"""Bytes of a permit, plan or trace; a plan with the longest command there can be takes less than half."""
ANSWER_BYTES_MAX = 1 << 20
"""Bytes of what a tool answers; the longest log that is asked for takes half."""
LINES_MAX = 2000
"""Lines of one reading; evidence asks for 500, and for twice as many in a second look."""
REASON_BYTES_MAX = 1024
WAIT_MAX_S = 25
"""Seconds that `events` waits at most; proxies in between often give up after 30."""

ERRORS: Mapping[str, type[PitCrewError]] = {
    kind.__name__: kind
    for kind in (
        EffectFailed,
        EngineForbidden,
        EngineUnavailable,
        InvalidInput,
        OutcomeUnknown,
        Refused,
        TargetAbsent,
        TargetAmbiguous,
        Unavailable,
    )
}
"""Every code that an error can have, which is the name of its class."""


class Answer(BaseModel):
    """What a tool answers."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Target(Answer):
    """One service that the Mechanic serves: its probes by name, and why its declaration is an old one, if it is."""

    service: str
    target: str
    kind: str
    target_digest: str
    probes: tuple[str, ...]
    stale: str = ""


class Targets(Answer):
    """Everything that one Mechanic serves, and what is wrong with its manifests."""

    mechanic: str
    stopped: bool
    targets: tuple[Target, ...]
    problems: tuple[str, ...] = ()


class Inspected(Answer):
    """The target as it is now: runtime facts, or absent, or why it cannot be seen."""

    service: str
    sight: Sight


class Logs(Answer):
    """The last lines of a log, oldest first, redacted."""

    service: str
    lines: tuple[LogLine, ...]


class Lines(Answer):
    """What a target uses, runs or is made of, a line each, redacted."""

    service: str
    lines: tuple[str, ...]


class Events(Answer):
    """What the runtime reported of one service lately, oldest first."""

    service: str
    events: tuple[RuntimeEvent, ...]


class Heard(Answer):
    """Services whose target had an event since a cursor, each with its last events; `cursor` is where to go on."""

    cursor: str
    woken: tuple[Events, ...]


class Prepared(Answer):
    """What was found before an effect: the trace that `execute` asks for, as JSON text."""

    trace: str


class LookedBack(Answer):
    """Whether an intended effect happened."""

    seen: Seen


class Executed(Answer):
    """The effect was carried out."""

    serial: str


class Stopped(Answer):
    """Nothing is done any more until a person removes the file `place` on the Mechanic's machine."""

    place: str


class Look(RootModel[Observation]):
    """One whole look, as the core spells it."""


# Values as text


_ADAPTERS: dict[Any, TypeAdapter[Any]] = {}


def _adapter(kind: Any) -> TypeAdapter[Any]:
    if kind not in _ADAPTERS:
        _ADAPTERS[kind] = TypeAdapter(kind)
    return _ADAPTERS[kind]


def spell(value: object) -> str:
    """A value of the core as canonical JSON."""
    return canonical(_data(type(value), value)).decode()


def parse(kind: type[T], text: str, name: str) -> T:
    """The value that `spell` spelt.

    Raises:
        Refused: the text is anything else; `name` says whose it is.
    """
    if len(text.encode("utf-8", "surrogatepass")) > TEXT_BYTES_MAX:
        raise Refused(f"{name}: has more than {TEXT_BYTES_MAX} bytes")
    try:
        data = json.loads(text, object_pairs_hook=_once, parse_constant=_never)
        value: T = _adapter(kind).validate_python(data)
        if canonical(_data(kind, value)) == canonical(data):
            return value
    except (ValueError, RecursionError, InvalidInput):
        pass
    raise Refused(f"{name}: is not the JSON of a {kind.__name__}, each field once, of its own type, and no other")


def value_of(kind: type[T], data: object) -> T:
    """A value out of a structured answer.

    Raises:
        Unavailable: it is none.
    """
    try:
        value: T = _adapter(kind).validate_python(data)
    except (ValueError, RecursionError):
        raise Unavailable(f"the Mechanic's answer is no {kind.__name__}") from None
    return value


def size_of(value: object) -> int:
    """Bytes of a value as JSON."""
    return len(_adapter(type(value)).dump_json(value))


def _data(kind: Any, value: object) -> Json:
    data: Json = _adapter(kind).dump_python(value, mode="json")
    return data


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice in one object")
    return found


def _never(name: str) -> object:
    raise ValueError(f"{name} is no JSON")


# Errors as text

_ERROR = re.compile(r"Error executing tool [a-z_]{1,40}: (?P<code>[A-Za-z]{1,40}): (?P<reason>.*)", re.S)


def told(error: PitCrewError) -> str:
    """An error as a client reads it: its code and its reason, redacted and bounded."""
    code = next(name for name in (one.__name__ for one in type(error).__mro__) if name in ERRORS)
    return f"{code}: {clean(str(error), REASON_BYTES_MAX)}"


def error_of(text: str) -> PitCrewError | None:
    """The error that `told` told, or None where the text tells of something else."""
    found = _ERROR.fullmatch(text)
    if found is None or found["code"] not in ERRORS:
        return None
    return ERRORS[found["code"]](clean(found["reason"], REASON_BYTES_MAX))
