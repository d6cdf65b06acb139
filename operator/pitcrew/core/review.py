"""Reviews over the network: what the Official is asked and what it answers, as data that has one spelling.

A value is read back from exactly what spells it: a field too many, one that is missing, or one that had to be bent into
its type is refused, so that nobody can hide in what a reader passes over.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TypeVar, cast

from pydantic import TypeAdapter, ValidationError

from pitcrew.core.approval import Approval, ApprovalRequest, request_data
from pitcrew.core.permit import Direction, Permit
from pitcrew.core.policy import Case, Verdict
from pitcrew.core.proposal import Plan
from pitcrew.core.record import Json
from pitcrew.core.risk import Risk

T = TypeVar("T")
TIMES = (("incident", "opened_at"),)
"""The facts that are instants: rules in CEL compare them as such, and JSON has none."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Review:
    """A plan to judge. `case.seen` is the sealed look that it rests on; with `ask`, people are asked where the verdict
    is RequireApproval. `evidence_digest` names the evidence the Driver holds, for the record; nothing rests on it."""

    plan: Plan
    case: Case
    evidence_digest: str = ""
    ask: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Reviewed:
    """The verdict with every rule that spoke; the risk as the Official found it itself, where it could; and, where
    people were to be asked, the request, or why nobody was asked."""

    verdict: Verdict
    own_risk: Risk | None = None
    request: ApprovalRequest | None = None
    refused: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """A permit that is asked for; to undo, no case is needed."""

    direction: Direction
    plan: Plan
    case: Case | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Given:
    """A permit, or why there is none."""

    permit: Permit | None = None
    refused: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Matter:
    """What people are asked about, as the Official renders it from its own ledger, and what they said so far.

    `rules` are those that spoke when it was asked, `final` is what ended it, `decided` says it in words; `open` tells
    whether somebody can still decide.
    """

    id: str
    request: ApprovalRequest
    service: str
    does: str
    undo: str
    plan: Mapping[str, object]
    risk: Risk | None
    rules: tuple[str, ...]
    asked: str
    given: tuple[Approval, ...] = ()
    final: Approval | None = None
    decided: str = ""
    open: bool = False


REVIEW: TypeAdapter[Review] = TypeAdapter(Review)
REVIEWED: TypeAdapter[Reviewed] = TypeAdapter(Reviewed)
WANTED: TypeAdapter[Wanted] = TypeAdapter(Wanted)
GIVEN: TypeAdapter[Given] = TypeAdapter(Given)
MATTER: TypeAdapter[Matter] = TypeAdapter(Matter)
APPROVAL: TypeAdapter[Approval] = TypeAdapter(Approval)
_INSTANT: TypeAdapter[datetime] = TypeAdapter(datetime)


def request_of(matter: Matter) -> dict[str, Json]:
    """The request of a matter as JSON data, over which decisions are signed."""
    return request_data(matter.request)


def to_data(adapter: TypeAdapter[T], value: T) -> dict[str, Json]:
    """A value as JSON data."""
    return cast(dict[str, Json], adapter.dump_python(value, mode="json"))


def from_data(adapter: TypeAdapter[T], data: object) -> T:
    """The value that `to_data` spelt. Raises ValueError, naming the field and what is wrong, where it is none."""
    try:
        found = adapter.validate_python(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise ValueError(f"{'.'.join(map(str, first['loc'])) or 'body'}: {first['msg']}") from None
    differs = difference(data, to_data(adapter, found))
    if differs:
        raise ValueError(differs)
    return found


def difference(given: object, meant: object, place: str = "") -> str:
    """Where data is not what spells its value, and why; empty where it is. Instants may be spelt in several ways."""
    where = place or "body"
    if isinstance(given, Mapping) and isinstance(meant, Mapping):
        for name in given:
            if name not in meant:
                return f"{where}: {str(name)[:60]!r} is no field of it; leave it out"
        for name in meant:
            if name not in given:
                return f"{where}: lacks the field {name!r}"
        pairs = ((f"{place}.{name}" if place else str(name), given[name], meant[name]) for name in given)
    elif _is_list(given) and _is_list(meant):
        one, other = cast(Sequence[object], given), cast(Sequence[object], meant)
        if len(one) != len(other):
            return f"{where}: has {len(one)} items, and {len(other)} are meant"
        pairs = ((f"{where}[{number}]", *both) for number, both in enumerate(zip(one, other, strict=True)))
    else:
        same = type(given) is type(meant) and (given == meant or _same_instant(given, meant))
        return "" if same else f"{where}: it is not spelt as its type is spelt"
    return next((found for pair in pairs if (found := difference(pair[1], pair[2], pair[0]))), "")


def _is_list(value: object) -> bool:
    return isinstance(value, list | tuple)


def _same_instant(one: object, other: object) -> bool:
    try:
        return _INSTANT.validate_python(one) == _INSTANT.validate_python(other)
    except ValueError:
        return False


def with_times(case: Case) -> Case:
    """A case that travelled, its instants as instants again. Raises ValueError where one is none."""
    facts: dict[str, Mapping[str, object]] = dict(case.facts)
    for part, name in TIMES:
        if name in facts.get(part, {}):
            facts[part] = {**facts[part], name: _INSTANT.validate_python(facts[part][name])}
    return replace(case, facts=facts)
