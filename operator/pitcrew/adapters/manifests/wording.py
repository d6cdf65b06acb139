"""What is wrong with a field, and what is allowed, in words. Values are echoed bounded; those of `env` are not."""

import difflib
import re
import types
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, BeforeValidator
from pydantic_core import ErrorDetails

from pitcrew.adapters.manifests.document import Loc, echo
from pitcrew.core.resource import DnsName, HealthyService, parse_duration, render_duration


@dataclass(frozen=True, kw_only=True, slots=True)
class Site:
    """What the model says about one place: its type without `| None`, and the limits on it."""

    annotation: Any
    metadata: tuple[Any, ...] = ()
    description: str = ""

    def limit(self, name: str) -> Any:
        """The value of a limit such as `ge`, or None."""
        return next((value for one in self.metadata if (value := getattr(one, name, None)) is not None), None)

    @property
    def is_duration(self) -> bool:
        """Whether people write it as `10s`."""
        return any(isinstance(one, BeforeValidator) and one.func is parse_duration for one in self.metadata)


@dataclass(frozen=True, kw_only=True, slots=True)
class Complaint:
    """A fault of the model, in words: where, whether the key is to blame, and what."""

    loc: Loc
    at_key: bool
    message: str


def site(loc: Loc, root: type[BaseModel] = HealthyService) -> Site:
    """What a model declares at a place; an empty site where it declares nothing."""
    here = Site(annotation=root)
    for part in loc:
        here = _step(here, part)
    return here


def _step(here: Site, part: str | int) -> Site:
    if isinstance(here.annotation, type) and issubclass(here.annotation, BaseModel):
        for field in here.annotation.model_fields.values():
            if field.alias == part:
                return _bare(field.annotation, tuple(field.metadata), field.description or "")
        return Site(annotation=None)
    arguments = get_args(here.annotation)
    if get_origin(here.annotation) is list and isinstance(part, int):
        return _bare(arguments[0])
    if get_origin(here.annotation) is dict:
        return _bare(arguments[0] if part == "[key]" else arguments[1])
    return here if part == "[key]" else Site(annotation=None)


def _bare(annotation: Any, metadata: tuple[Any, ...] = (), description: str = "") -> Site:
    """Without the wrappers `Annotated` and `| None`."""
    while True:
        if get_origin(annotation) is Annotated:
            given = annotation.__metadata__
            metadata = (*metadata, *(limit for one in given for limit in getattr(one, "metadata", [one])))
            annotation = annotation.__origin__
        elif get_origin(annotation) in (Union, types.UnionType):
            annotation = next(one for one in get_args(annotation) if one is not type(None))
        else:
            return Site(annotation=annotation, metadata=metadata, description=description)


_PATTERN_WORDS = {
    _bare(DnsName).limit("pattern"): "lower-case letters, digits and '-', at most 63, beginning and ending without '-'",
    site(("spec", "probes", 0, "httpGet", "path")).limit("pattern"): "'/' and what follows it in a URL, without spaces",
    site(("spec", "target", "docker", "container")).limit("pattern"): "letters, digits, '_', '.' and '-', at most 128",
}
_KINDS: tuple[tuple[type, str], ...] = (
    (bool, "true or false"), (str, "text"), (int, "a whole number"), (float, "a number"), (list, "a list"),
)  # fmt: skip
_OWN_PLACE = re.compile(r"((?:spec|metadata)(?:\.[A-Za-z]+)*): (.*)", re.S)
_SECRET = ("spec", "target", "process", "env")


def complain(error: ErrorDetails, root: type[BaseModel] = HealthyService) -> Complaint:
    """One error of the model in words."""
    loc: Loc = error["loc"]
    kind, context, value = error["type"], error.get("ctx", {}), error["input"]
    if kind == "extra_forbidden":
        return Complaint(loc=loc, at_key=True, message=_unknown_field(loc, root))
    if kind == "missing":
        description = site(loc, root).description.strip()
        return Complaint(loc=loc, at_key=True, message=f"is required{': ' + description if description else ''}")
    if kind == "value_error":
        return _own_words(loc, str(context["error"]), value)
    bad_key = bool(loc) and loc[-1] == "[key]"
    message = _about_value(kind, context, value, loc, root)
    return Complaint(loc=loc[:-1] if bad_key else loc, at_key=bad_key, message=message)


def _unknown_field(loc: Loc, root: type[BaseModel]) -> str:
    parent = site(loc[:-1], root).annotation
    allowed = [str(field.alias) for field in parent.model_fields.values()] if hasattr(parent, "model_fields") else []
    return f"unknown field{_suggestion(str(loc[-1]), allowed)} allowed: {', '.join(allowed) or 'no fields'}"


def _suggestion(given: str, allowed: Iterable[str]) -> str:
    """`; did you mean 'x'?`, or `;` where nothing is near."""
    by_lower = {name.lower(): name for name in allowed}
    near = difflib.get_close_matches(given.lower()[:64].replace("_", ""), by_lower, n=1)
    return f"; did you mean '{by_lower[near[0]]}'?" if near else ";"


def _own_words(loc: Loc, message: str, value: object) -> Complaint:
    """A validator of the resource spoke; one at the root may name a place of its own."""
    if not loc and (match := _OWN_PLACE.fullmatch(message)):
        return Complaint(loc=tuple(match[1].split(".")), at_key=True, message=match[2])
    if isinstance(value, str | int | float) and not isinstance(value, bool):
        message = f"{_shown(value, loc)} will not do: {message}"
    return Complaint(loc=loc, at_key=isinstance(value, Mapping), message=message)


def _shown(value: object, loc: Loc) -> str:
    return "the value" if loc[: len(_SECRET)] == _SECRET and loc[-1:] != ("[key]",) else echo(str(value))


def _about_value(kind: str, context: Mapping[str, Any], value: object, loc: Loc, root: type[BaseModel]) -> str:
    here = site(loc, root)
    if kind in ("literal_error", "enum"):
        allowed = re.findall(r"'([^']*)'", str(context["expected"]))
        return f"{_shown(value, loc)} is not allowed{_suggestion(str(value), allowed)} allowed: {', '.join(allowed)}"
    if kind in ("greater_than_equal", "less_than_equal"):
        return _out_of_range(value, here)
    if kind == "string_pattern_mismatch":
        pattern = str(context["pattern"])
        return f"{_shown(value, loc)} does not fit; allowed: {_PATTERN_WORDS.get(pattern, f'text like {pattern}')}"
    if kind in ("too_short", "too_long"):
        return f"has {context['actual_length']} entries; allowed: {_lengths(here)}"
    if kind in ("string_too_short", "string_too_long"):
        count = len(value) if isinstance(value, str) else 0
        return f"has {count} characters; allowed: {_lengths(here)}"
    if kind.endswith(("_type", "_parsing")) or kind == "int_from_float":
        return _wrong_kind(value, here)
    return f"{_shown(value, loc)} will not do"


def _out_of_range(value: object, here: Site) -> str:
    low, high = here.limit("ge"), here.limit("le")
    if here.is_duration:
        value, low, high = (render_duration(one) if isinstance(one, int) else one for one in (value, low, high))
    return f"{echo(str(value))} is out of range; allowed: {_span(low, high)}"


def _lengths(here: Site) -> str:
    return _span(here.limit("min_length"), here.limit("max_length"))


def _span(low: object, high: object) -> str:
    if low is None:
        return f"at most {high}"
    return f"at least {low}" if high is None else f"{low} to {high}"


def _wrong_kind(value: object, here: Site) -> str:
    wanted = _wanted(here)
    hint = "; put it in quotes" if wanted == "text" and isinstance(value, int | float) else ""
    return f"is {kind_of(value)}; allowed: {wanted}{hint}"


def kind_of(value: object) -> str:
    """What a value is, in words."""
    return next((words for kind, words in _KINDS if isinstance(value, kind)), "an object")


def _wanted(here: Site) -> str:
    annotation = get_origin(here.annotation) or here.annotation
    if annotation is Literal or (isinstance(annotation, type) and issubclass(annotation, Enum)):
        return "text"
    for kind, words in _KINDS:
        if annotation is kind:
            return words
    fields = [str(field.alias) for field in getattr(annotation, "model_fields", {}).values()]
    return f"an object with {', '.join(fields)}" if fields else "an object"
