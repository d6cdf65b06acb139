"""Templates: a log as the few kinds of lines that it is made of, each counted.

A small Drain of our own (He et al., "Drain: an online log parsing approach with fixed depth tree", ICWS 2017) in two
passes. The stream pass masks what varies by its form (times, ids, addresses, numbers), walks a tree of fixed depth by
the number of tokens and the first of them, and joins a line to the most similar group there. The merge pass joins
groups that differ in one place. What turned out not to vary is shown as it was written: the address that always
refuses is no variable.

Lines that complain and lines that do not never share a template, and a plain word only becomes a variable where many
others stood in its place, so that words which signals look for are not masked away. Time is linear in the lines, and
everything that grows is bounded.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from pitcrew.core.logs import alarming
from pitcrew.core.observation import LogLine

LINE_CHARS_MAX = 400
"""Characters of a line that are looked at; what tells kinds of lines apart stands at the beginning."""
TOKENS_MAX = 32
"""Tokens of a line that are compared; the rest counts as one."""
DEPTH = 2
"""First tokens that lead to a leaf of the tree; Drain's own depth."""
LEAF_GROUPS_MAX = 16
"""Groups at one leaf: bounds what one line is compared with."""
GROUPS_MAX = 200
"""Groups of complaints, and as many of other lines; the rest is counted together. Real services have some dozens."""
SIMILAR_PERCENT = 60
"""Share of its tokens in which a line must be like a group to join it; Drain's authors use 30 to 70."""
WORDS_MIN = 4
"""Plain words seen in one place, all else being equal, from which on that place varies; two or three are a choice that
tells something."""

_MARK, _ANY = "\x00", "\x01"
"""What stands for a masked value, on both sides of its kind, and for a place that varies. Both are control characters,
which a cleaned log has none of: no line can pretend to be a template."""

_SPACED = re.compile(
    r"(?P<time>\b\d{4}[-/]\d\d[-/]\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?: ?Z\b| UTC\b| ?[+-]\d\d:?\d\d\b)?"
    r"|\b\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d(?: [+-]\d{4})?"
    r"|\b(?:[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4}|[A-Z][a-z]{2} [ \d]\d) \d\d:\d\d:\d\d(?: GMT)?"
    r"|\b\d\d:\d\d:\d\d(?:[.,]\d{1,9})?\b)"
    r"|(?<!msg=)(?<!message=)(?P<text>\"(?![A-Z]{3,7} /)(?=[^\"\d]{0,200}\d)[^\"]{24,200}\")"
)
"""What varies and may hold spaces, so it is masked before a line is taken apart: times, and longer quoted texts with a
number in them, such as names of browsers; the request of an access log is none."""
_FORM = re.compile(
    r"(?P<uuid>\b[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}\b)"
    r"|(?P<email>\b[\w.+-]{1,64}+@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){1,4}\b)"
    r"|(?P<ip>\b(?:\d{1,3}\.){3}\d{1,3}(?::\d{1,5})?\b|(?<![\w:])(?:[0-9a-f]{1,4}:){7}[0-9a-f]{1,4}\b"
    r"|(?<![\w:])(?:[0-9a-f]{1,4}:){1,6}:(?:[0-9a-f]{1,4}:){0,5}[0-9a-f]{1,4}\b)"
    r"|(?P<time>\b1[5-9]\d{8}(?:\d{3}|\.\d{1,9})?\b)"
    r"|(?P<hex>\b0x[0-9a-fA-F]{1,32}\b|\b(?=[0-9a-f]{0,64}\d)[0-9a-f]{12,64}\b)"
    r"|(?P<size>(?<![\w.])\d{1,18}(?:\.\d{1,9})?(?:[KMGTkmgt]i?B|B)\b)"
    r"|(?P<duration>(?<![\w.])(?:\d{1,18}(?:\.\d{1,9})?(?:ns|us|µs|ms|s|m|h)){1,4}\b)"
    r"|(?P<n>(?<!\w)[-+]?\d{1,32}(?:\.\d{1,18})?(?=\b|[a-z]{1,2}\b))"
)
"""What varies inside a token."""
_HIDDEN = frozenset({"time", "uuid", "email", "hex"})
"""Kinds that are masked even where they do not vary: they say little and cost many tokens, or they name a person."""
_MASKED = re.compile(f"{_MARK}(\\w+){_MARK}")
_WORD = re.compile(r"(?:[\w.]{1,64}=[\"'])?[^\w]{0,3}[A-Za-z]{1,64}(?:['-][A-Za-z]{1,64})?[^\w]{0,3}")
_HAS_FORM = re.compile(r"[\d@]")
_LEADING_TIME = re.compile(r"[\[(]?<time>[\])]?[,:;|-]?\s")
_STAMP = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d{3,6})?(?:Z|[+-]\d\d:\d\d)?")


@dataclass(frozen=True, kw_only=True, slots=True)
class Template:
    """One kind of line: how often it came, the places of its first and last line in the log, from 0, and their times.

    A time without a zone is as the line itself says it. `alarming` says that these lines complain.
    """

    text: str
    count: int
    first: int
    last: int
    first_at: datetime | None
    last_at: datetime | None
    alarming: bool


def templates(lines: Iterable[LogLine]) -> tuple[Template, ...]:
    """The templates of cleaned lines, in the order of their first lines; their counts add up to the lines given."""
    forests, reader = {True: _Forest(), False: _Forest()}, _Reader()
    for place, line in enumerate(lines):
        text = line.text[:LINE_CHARS_MAX]
        forests[alarming(text)].take(reader.tokens(text), place, line.at or _stamp(text))
    found = [group.template(complains) for complains, forest in forests.items() for group in forest.merged(complains)]
    return tuple(sorted(found, key=lambda each: each.first))


def mask(text: str) -> str:
    """A line with all that may vary masked by its kind."""
    return " ".join(_shown(token.form, None) for token in _Reader().tokens(text[:LINE_CHARS_MAX]))


def always_masked(text: str) -> str:
    """A line as it is shown at best, where none of its values ever varied: times, ids and addresses stay masked."""
    return " ".join(_shown(token.form, token.values) for token in _Reader().tokens(text[:LINE_CHARS_MAX]))


def _stamp(text: str) -> datetime | None:
    """The time that a line itself begins with."""
    found = _STAMP.search(text, 0, 64)
    try:
        return datetime.fromisoformat(found[0].replace("Z", "+00:00")) if found else None
    except ValueError:
        return None


# Tokens


class _Token(NamedTuple):
    """A token with its values masked, these values, and whether it may be a variable: no plain word, no complaint."""

    form: str
    values: tuple[str, ...]
    varies: bool


_CUT = _Token("…", (), False)


@dataclass(slots=True)
class _Reader:
    """Takes lines apart, each different token once."""

    known: dict[str, _Token] = field(default_factory=dict)

    def tokens(self, text: str) -> list[_Token]:
        """The tokens of a line, as many as are compared."""
        spaced: list[str] = []
        pieces = _SPACED.sub(_masking(spaced), text.replace(_MARK, " ").replace(_ANY, " ")).split()
        rest = iter(spaced)
        found = [self._token(piece, rest) for piece in pieces[:TOKENS_MAX]]
        return [*found, _CUT] if len(pieces) > TOKENS_MAX else found

    def _token(self, piece: str, spaced: Iterator[str]) -> _Token:
        if _MARK in piece:
            values = tuple(next(spaced) for _ in _MASKED.finditer(piece))
            return _Token(piece, values, True)
        if piece not in self.known:
            self.known[piece] = _read(piece)
        return self.known[piece]


def _read(piece: str) -> _Token:
    values: list[str] = []
    form = _FORM.sub(_masking(values), piece) if _HAS_FORM.search(piece) else piece
    return _Token(form, tuple(values), _WORD.fullmatch(piece) is None and not alarming(piece))


def _masking(values: list[str]) -> Callable[[re.Match[str]], str]:
    """A replacement by the kind of what was matched, which is kept in `values`; a quoted complaint stays readable."""

    def masked(match: re.Match[str]) -> str:
        if match.lastgroup == "text" and alarming(match[0]):
            return match[0]
        values.append(match[0])
        return f"{_MARK}{match.lastgroup}{_MARK}"

    return masked


def _shown(form: str, values: Sequence[str] | None) -> str:
    """A token as text; `values` where they never varied."""
    rest = iter(values or ())

    def shown(match: re.Match[str]) -> str:
        value = next(rest, None)
        return f"<{match[1]}>" if value is None or match[1] in _HIDDEN else value

    return _MASKED.sub(shown, form).replace(_ANY, "<*>")


def _any(one: str, other: str) -> str:
    """What stands for both of two tokens; a name before `=` stays."""
    name, sign, _ = one.partition("=")
    return f"{name}={_ANY}" if sign and other.startswith(f"{name}=") else _ANY


def _covers(form: str, token: _Token) -> bool:
    """Whether a place of a group takes a token as it is; no plain word disappears in a variable on the way."""
    if form == token.form or (form == _ANY and token.varies):
        return True
    return form.endswith(_ANY) and form != _ANY and token.form.startswith(form[:-1])


# Groups


@dataclass(slots=True)
class _Place:
    """One place of a group: what stands there, its values where they never varied, and whether it may vary."""

    form: str
    values: tuple[str, ...] | None
    varies: bool

    def widen(self, form: str, values: tuple[str, ...] | None, covered: bool) -> None:
        """Stand for one more token."""
        if not covered:
            self.form, self.values, self.varies = _any(self.form, form), None, True
        elif self.values != values:
            self.values = None


@dataclass(slots=True)
class _Group:
    """Lines of one kind so far."""

    places: list[_Place]
    first: int
    first_at: datetime | None
    last: int = 0
    last_at: datetime | None = None
    count: int = 0
    rest: bool = False

    def likeness(self, tokens: Sequence[_Token]) -> int:
        """In how many places a line is as this group; -1 where that is too few, or a plain word is another."""
        unlike, unlike_max = 0, _unlike_max(len(tokens))
        for place, token in zip(self.places, tokens, strict=True):
            if place.form == token.form or _covers(place.form, token):
                continue
            unlike += 1
            if unlike > unlike_max or not (place.varies and token.varies):
                return -1
        return len(tokens) - unlike

    def take(self, tokens: Sequence[_Token], place: int, at: datetime | None) -> None:
        """Count one more line."""
        for mine, token in zip(self.places, tokens, strict=True):
            mine.widen(token.form, token.values, _covers(mine.form, token))
        self.count, self.last, self.last_at = self.count + 1, place, at or self.last_at

    def join(self, other: "_Group") -> None:
        """Take over the lines of another group with as many tokens, which began later."""
        for mine, its in zip(self.places, other.places, strict=True):
            mine.widen(its.form, its.values, mine.form == its.form)
        if other.last > self.last:
            self.last, self.last_at = other.last, other.last_at
        self.count += other.count

    def template(self, complains: bool) -> Template:
        """As a value."""
        text = " ".join(_shown(place.form, place.values) for place in self.places)
        bare = _LEADING_TIME.sub("", text, count=1) if _LEADING_TIME.match(text) else text
        return Template(
            text=f"other lines, the last: {bare}" if self.rest else bare,
            count=self.count,
            first=self.first,
            last=self.last,
            first_at=self.first_at,
            last_at=self.last_at,
            alarming=complains,
        )


@dataclass(slots=True)
class _Forest:
    """The parse tree of fixed depth, its leaves by number of tokens and first tokens, and the groups at them."""

    leaves: dict[tuple[str, ...], list[_Group]] = field(default_factory=dict)
    known: dict[tuple[str, ...], _Group] = field(default_factory=dict)
    groups: list[_Group] = field(default_factory=list)
    others: _Group | None = None

    def take(self, tokens: Sequence[_Token], place: int, at: datetime | None) -> None:
        """Count one line in the group that it belongs to."""
        forms = tuple(token.form for token in tokens)
        group = self.known.get(forms) or self._nearest(tokens) or self._begin(tokens, place, at)
        if group is None:
            self._take_other(tokens, place, at)
            return
        self.known[forms] = group
        group.take(tokens, place, at)

    def _nearest(self, tokens: Sequence[_Token]) -> _Group | None:
        scored = [(group.likeness(tokens), group) for group in self._leaf(tokens)]
        alike, found = max(scored, key=lambda pair: pair[0], default=(-1, None))
        return found if alike >= 0 else None

    def _leaf(self, tokens: Sequence[_Token]) -> list[_Group]:
        way = (str(len(tokens)), *("" if token.varies else token.form for token in tokens[:DEPTH]))
        return self.leaves.setdefault(way, [])

    def _begin(self, tokens: Sequence[_Token], place: int, at: datetime | None) -> _Group | None:
        """A new group for this line; None where there is no room for one."""
        leaf = self._leaf(tokens)
        if len(leaf) >= LEAF_GROUPS_MAX or len(self.groups) >= GROUPS_MAX:
            return None
        made = _Group(places=_places(tokens), first=place, first_at=at)
        leaf.append(made)
        self.groups.append(made)
        return made

    def _take_other(self, tokens: Sequence[_Token], place: int, at: datetime | None) -> None:
        """Count a line together with all that are of no group; the last one stands for them."""
        if self.others is None:
            self.others = _Group(places=[], first=place, first_at=at, rest=True)
        self.others.places = _places(tokens)
        self.others.take(tokens, place, at)

    def merged(self, complains: bool) -> list[_Group]:
        """All groups, those joined that differ in one place."""
        alike: dict[tuple[object, ...], list[_Group]] = {}
        for group in self.groups:
            for key in _but_one([place.form for place in group.places]):
                alike.setdefault(key, []).append(group)
        gone: set[int] = set()
        for (number, *_), found in alike.items():
            left = [group for group in found if id(group) not in gone]
            assert isinstance(number, int)
            if _one_kind([group.places[number] for group in left], complains):
                gone |= {id(group) for group in left[1:]}
                for group in left[1:]:
                    left[0].join(group)
        kept = [group for group in self.groups if id(group) not in gone]
        return [*kept, self.others] if self.others else kept


def _unlike_max(tokens: int) -> int:
    """In how many places lines of so many tokens may differ; one of two, and none where nothing else is left."""
    return max(tokens * (100 - SIMILAR_PERCENT) // 100, int(tokens > 1))


def _places(tokens: Sequence[_Token]) -> list[_Place]:
    return [_Place(form=token.form, values=token.values, varies=token.varies) for token in tokens]


def _but_one(forms: Sequence[str]) -> Iterator[tuple[object, ...]]:
    """The tokens without one of them, for each, and which one; nothing where that leaves none."""
    for number in range(len(forms) if len(forms) > 1 else 0):
        yield (number, *forms[:number], *forms[number + 1 :])


def _one_kind(found: Sequence[_Place], complains: bool) -> bool:
    """Whether tokens that stand in one place, all else being equal, are values of one variable."""
    varying = all(place.varies for place in found)
    return len(found) > 1 and (varying or (not complains and len(found) >= WORDS_MIN))
