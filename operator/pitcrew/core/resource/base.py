"""What every part of the resource is made of: levels, durations, names, and the base of its models."""

import re
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, StringConstraints, WithJsonSchema
from pydantic.alias_generators import to_camel


class Level(StrEnum):
    """The one ladder of severities, risks and criticalities, lowest first."""

    LOW = "Low"
    MEDIUM = "Medium"
    HIGH = "High"
    CRITICAL = "Critical"

    @property
    def rank(self) -> int:
        """Place on the ladder, 0 for Low."""
        return _RANKS[self]


_RANKS = {level: rank for rank, level in enumerate(Level)}


Ladder = Literal["None", "Low", "Medium", "High", "Critical"]
"""How far up the levels a permission reaches; None reaches nothing."""


def reaches(ladder: Ladder, level: Level) -> bool:
    """Whether a ladder includes a level."""
    return ladder != "None" and level.rank <= Level(ladder).rank


_DURATION = re.compile(r"([0-9]{1,6})(s|m|h)")
_UNIT_S = {"s": 1, "m": 60, "h": 3600}


def parse_duration(value: object) -> object:
    """Turn `90s`, `10m` or `1h` into seconds.

    Raises:
        ValueError: the text has another form.
    """
    if isinstance(value, str) and (match := _DURATION.fullmatch(value)):
        return int(match[1]) * _UNIT_S[match[2]]
    raise ValueError("a duration is digits and a unit: 90s, 10m or 1h")


def render_duration(seconds: int) -> str:
    """The shortest exact form of a duration, in the largest unit that divides it."""
    for unit in ("h", "m"):
        if seconds and seconds % _UNIT_S[unit] == 0:
            return f"{seconds // _UNIT_S[unit]}{unit}"
    return f"{seconds}s"


Duration = Annotated[
    int,
    BeforeValidator(parse_duration),
    PlainSerializer(render_duration, return_type=str),
    WithJsonSchema({"type": "string", "pattern": "^[0-9]{1,6}(s|m|h)$"}),
]


def _milliseconds(value: object) -> object:
    if isinstance(value, str) and (match := re.fullmatch(r"([0-9]{1,6})(ms|s)", value)):
        return int(match[1]) * (1000 if match[2] == "s" else 1)
    raise ValueError("a latency is digits and a unit: 500ms or 2s")


def _percent(value: object) -> object:
    if isinstance(value, str) and (match := re.fullmatch(r"([0-9]{1,3})%", value)):
        return int(match[1])
    raise ValueError("a ratio is digits and a percent sign: 5%")


Milliseconds = Annotated[
    int,
    Field(ge=1, le=300_000),
    BeforeValidator(_milliseconds),
    PlainSerializer(lambda value: f"{value}ms", return_type=str),
    WithJsonSchema({"type": "string", "pattern": "^[0-9]{1,6}(ms|s)$"}),
]
"""A latency in whole milliseconds, `500ms` or `2s` on the wire."""
Percent = Annotated[
    int,
    Field(ge=0, le=99),
    BeforeValidator(_percent),
    PlainSerializer(lambda value: f"{value}%", return_type=str),
    WithJsonSchema({"type": "string", "pattern": "^[0-9]{1,2}%$"}),
]
"""A share in whole percent, `5%` on the wire."""
DnsName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$")]
Argument = Annotated[str, StringConstraints(min_length=1, max_length=4096, pattern=r"^[^\x00]*$")]
EnvName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,127}$")]


def _plain_path(value: object) -> object:
    if isinstance(value, str) and any(part in ("", ".", "..") for part in value.removeprefix("/").split("/")):
        raise ValueError("a path has no '..', '.' or empty parts: /app/broken.flag")
    if isinstance(value, str) and not value.isprintable():
        raise ValueError("a path has no control or invisible characters: /app/broken.flag")
    return value


FilePath = Annotated[str, StringConstraints(min_length=1, max_length=1024), BeforeValidator(_plain_path)]


class Model(BaseModel):
    """Base of every part of the resource: frozen, camelCase on the wire, unknown fields refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, use_attribute_docstrings=True)
