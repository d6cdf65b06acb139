"""YAML text as data that remembers where each key and value stood.

A subset of YAML 1.2: block and flow style, every way of quoting, several documents. Refused: anchors, aliases, tags,
merge keys, duplicate keys, values left empty, and whatever is beyond the limits. Plain scalars follow the core schema,
so that `on`, `yes`, `12:30` and `2026-01-01` are text; a number with a leading zero is refused, since YAML 1.1 reads
it as octal. Built from the parser's events: limits stop the reading before anything is built.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol

import yaml

from pitcrew.core.untrusted import clean, printable

Loc = tuple[str | int, ...]
"""Names and places from the root of a document to a value."""

ECHO_BYTES_MAX = 80


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """How much of a file is read: bytes of it, depth and nodes of all its documents together."""

    bytes_max: int = 256 * 1024
    depth_max: int = 32
    nodes_max: int = 10_000


@dataclass(frozen=True, kw_only=True, slots=True, order=True)
class Position:
    """A place in a file, counted from 1."""

    line: int
    column: int


START = Position(line=1, column=1)


@dataclass(frozen=True, kw_only=True, slots=True)
class Fault:
    """Something wrong in the text itself."""

    position: Position
    loc: Loc
    message: str


@dataclass(kw_only=True, slots=True)
class Document:
    """One document under construction.

    `faulty` holds the places whose values stand for something refused; `sound` is whether nothing at all was refused.
    """

    start: Position
    data: object = None
    keys: dict[Loc, Position] = field(default_factory=dict)
    values: dict[Loc, Position] = field(default_factory=dict)
    faulty: set[Loc] = field(default_factory=set)
    sound: bool = True

    def position(self, loc: Loc, *, key: bool = False) -> Position:
        """Where a value (or its key) stands; the nearest thing around it when it is not there."""
        for end in range(len(loc), -1, -1):
            first, second = (self.keys, self.values) if key or end < len(loc) else (self.values, self.keys)
            if found := first.get(loc[:end]) or second.get(loc[:end]):
                return found
        return self.start

    def is_faulty(self, loc: Loc) -> bool:
        """Whether a place, or something around it, was refused already."""
        return any(loc[:end] in self.faulty for end in range(len(loc) + 1))


@dataclass(frozen=True, kw_only=True, slots=True)
class Text:
    """The documents of a file, and what is wrong with its text."""

    documents: tuple[Document, ...]
    faults: tuple[Fault, ...]


def echo(value: str) -> str:
    """A value from a file for a message: one bounded, printable line in quotes."""
    return f"'{' '.join(clean(value, ECHO_BYTES_MAX).split())}'"


def path_text(loc: Loc) -> str:
    """A place as people write it: `spec.probes[0].httpGet.port`."""
    text = ""
    for part in loc:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return printable(clean(text, 256), lines=False)


def read(raw: bytes, limits: Limits) -> Text:
    """The documents of a file. Never raises for what is in it; documents before a fault in the syntax are kept."""
    if len(raw) > limits.bytes_max:
        return _refused(START, f"the file has more than {limits.bytes_max} bytes; split it")
    try:
        text = raw.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        return _refused(_position_at(raw[: error.start].decode("utf-8")), "not UTF-8; save the file as UTF-8")
    if match := _RAW_CONTROL.search(text):
        position = _position_at(text[: match.start()])
        return _refused(position, f"the control character U+{ord(match[0]):04X}; remove it")
    reader = _Reader(limits)
    reader.read(text)
    return Text(documents=tuple(reader.documents), faults=tuple(reader.faults))


def _refused(position: Position, message: str) -> Text:
    return Text(documents=(), faults=(Fault(position=position, loc=(), message=message),))


def _position_at(before: str) -> Position:
    return Position(line=before.count("\n") + 1, column=len(before) - (before.rfind("\n") + 1) + 1)


_RAW_CONTROL = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]|\ufeff")
"""What YAML calls non-printable, and a byte order mark in the middle."""
_ESCAPED_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")

_NULL = re.compile(r"~|null|Null|NULL|")
_BOOL = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INT = re.compile(r"[-+]?[0-9]+")
_OTHER_INT = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_DIGITS_MAX = 18


class _Stop(Exception):
    """The rest of the file is not read."""


@dataclass(slots=True)
class _Open:
    """A mapping or list that has not ended; `key` is the name that waits for its value."""

    loc: Loc
    data: dict[str, object] | list[object]
    key: str | None = None
    kept: bool = True
    unnamed: int = 0


class _Reader:
    """Builds documents out of events, without recursion."""

    def __init__(self, limits: Limits) -> None:
        self.documents: list[Document] = []
        self.faults: list[Fault] = []
        self._limits = limits
        self._nodes = 0
        self._open: list[_Open] = []
        self._ignored = 0

    def read(self, text: str) -> None:
        loader = yaml.SafeLoader(text)
        try:
            for event in _events(loader):
                self._take(event)
        except _Stop:
            pass
        except yaml.MarkedYAMLError as error:
            self._syntax(
                _at(error.problem_mark or error.context_mark),
                error.problem or error.context or "",
            )
        except (yaml.YAMLError, ValueError, OverflowError) as error:  # such as an escape beyond Unicode
            self._syntax(_position_at(text[: loader.index]), str(error))
        finally:
            loader.dispose()

    def _syntax(self, position: Position, problem: str) -> None:
        self._fault(position, (), f"not YAML: {' '.join(clean(problem, 200).split())}")
        self._drop()

    def _drop(self) -> None:
        """The document that was being read is not whole."""
        if self._open or (self.documents and self.documents[-1].data is _NOTHING):
            self.documents.pop()
            self._open.clear()

    def _fault(self, position: Position, loc: Loc, message: str) -> None:
        self.faults.append(Fault(position=position, loc=loc, message=message))
        if self.documents:
            self.documents[-1].sound = False

    def _take(self, event: yaml.Event) -> None:
        at = _at(event.start_mark)
        match event:
            case yaml.DocumentStartEvent():
                self.documents.append(Document(start=at, data=_NOTHING))
            case yaml.MappingStartEvent() | yaml.SequenceStartEvent():
                self._begin(event, at)
            case yaml.MappingEndEvent() | yaml.SequenceEndEvent():
                self._end()
            case yaml.ScalarEvent() | yaml.AliasEvent():
                self._count(at)
                self._leaf(event, at)
            case _:
                pass

    def _count(self, at: Position) -> None:
        self._nodes += 1
        if self._nodes > self._limits.nodes_max:
            self._fault(at, (), f"more than {self._limits.nodes_max} keys and values in one file; split it")
            self._drop()
            raise _Stop

    def _begin(self, event: yaml.MappingStartEvent | yaml.SequenceStartEvent, at: Position) -> None:
        self._count(at)
        if len(self._open) + self._ignored >= self._limits.depth_max:
            self._fault(at, (), f"nested more than {self._limits.depth_max} levels deep")
            self._drop()
            raise _Stop
        if self._ignored or self._waits_for_key():
            if not self._ignored:
                self._bad_key(at)
            self._ignored += 1
            return
        loc, kept = self._place(at)
        self._check_node(event, at, loc)
        data: dict[str, object] | list[object] = {} if isinstance(event, yaml.MappingStartEvent) else []
        if kept:
            self._put(data, loc, at)
        self._open.append(_Open(loc=loc, data=data, kept=kept))

    def _end(self) -> None:
        if not self._ignored:
            self._open.pop()
            return
        self._ignored -= 1

    def _waits_for_key(self) -> bool:
        return bool(self._open) and isinstance(self._open[-1].data, dict) and self._open[-1].key is None

    def _leaf(self, event: yaml.ScalarEvent | yaml.AliasEvent, at: Position) -> None:
        if self._ignored:
            return
        if self._waits_for_key():
            self._key(event, at)
            return
        loc, kept = self._place(at)
        if isinstance(event, yaml.AliasEvent):
            self._refuse(at, loc, "aliases are not used here; write the value out")
            value: object = None
        else:
            self._check_node(event, at, loc)
            value = self._scalar(event, at, loc)
        if kept:
            self._put(value, loc, at)

    def _key(self, event: yaml.ScalarEvent | yaml.AliasEvent, at: Position) -> None:
        parent = self._open[-1]
        if isinstance(event, yaml.AliasEvent) or not event.value:
            self._bad_key(at)
            return
        name = event.value
        loc = (*parent.loc, name)
        self._check_node(event, at, loc)
        assert isinstance(parent.data, dict)
        parent.key = name
        parent.kept = True
        if name == "<<" and event.style is None:
            self._fault(at, loc, "merge keys are not used here; write the fields out")
            parent.kept = False
        elif _ESCAPED_CONTROL.search(name):
            self._fault(at, loc, "a key with control characters")
            parent.kept = False
        elif name in parent.data:
            first = self.documents[-1].keys[loc]
            self._fault(at, loc, f"given twice, first in line {first.line}; keep one")
            parent.kept = False
        else:
            self.documents[-1].keys.setdefault(loc, at)

    def _bad_key(self, at: Position) -> None:
        parent = self._open[-1]
        self._fault(at, parent.loc, "a key is a name, such as 'port'")
        parent.key, parent.kept = f"\x00{parent.unnamed}", False
        parent.unnamed += 1

    def _place(self, at: Position) -> tuple[Loc, bool]:
        """Where the next value goes, and whether it is kept: what follows a refused key is read and dropped."""
        if not self._open:
            return (), True
        parent = self._open[-1]
        inside = all(one.kept for one in self._open)
        if isinstance(parent.data, list):
            return (*parent.loc, len(parent.data)), inside
        name, parent.key = parent.key or "", None
        return (*parent.loc, name), inside

    def _put(self, value: object, loc: Loc, at: Position) -> None:
        document = self.documents[-1]
        document.values[loc] = at
        if not self._open:
            document.data = value
        elif isinstance(parent := self._open[-1].data, list):
            parent.append(value)
        else:
            parent[str(loc[-1])] = value

    def _check_node(self, event: yaml.NodeEvent, at: Position, loc: Loc) -> None:
        if event.anchor is not None:
            self._fault(at, loc, "anchors are not used here; write the value out where it is needed")
        if getattr(event, "tag", None) is not None:
            self._refuse(at, loc, "tags are not used here; remove it")

    def _refuse(self, at: Position, loc: Loc, message: str) -> None:
        self._fault(at, loc, message)
        self.documents[-1].faulty.add(loc)

    def _scalar(self, event: yaml.ScalarEvent, at: Position, loc: Loc) -> object:
        text = event.value
        if _ESCAPED_CONTROL.search(text):
            self._refuse(at, loc, "control characters do not belong in a value")
            return ""
        return text if event.style is not None else self._plain(text, at, loc)

    def _plain(self, text: str, at: Position, loc: Loc) -> object:
        if _NULL.fullmatch(text):
            if loc:
                self._refuse(at, loc, "no value is given; write {} for an object without fields, or remove the field")
            return None
        if text in _BOOL:
            return _BOOL[text]
        if _INT.fullmatch(text) or _OTHER_INT.fullmatch(text):
            return self._integer(text, at, loc)
        if _NOT_FINITE.fullmatch(text):
            self._refuse(at, loc, "infinity and not-a-number do not belong in a manifest")
            return None
        return float(text) if _FLOAT.fullmatch(text) else text

    def _integer(self, text: str, at: Position, loc: Loc) -> object:
        digits = text.lstrip("+-")
        if len(digits) > _DIGITS_MAX:
            self._refuse(at, loc, f"a number of more than {_DIGITS_MAX} digits; put text in quotes")
            return 0
        if len(digits) > 1 and digits[0] == "0" and digits.isdigit():
            self._refuse(
                at, loc, f"{text} is octal to some readers of YAML; drop the leading zero, or put text in quotes"
            )
            return 0
        return int(text, 0) if _OTHER_INT.fullmatch(text) else int(text)


_NOTHING = object()


def _events(loader: yaml.SafeLoader) -> Iterator[yaml.Event]:
    while loader.check_event():
        yield loader.get_event()  # type: ignore[no-untyped-call]


class _Mark(Protocol):
    """A place as PyYAML has it, counted from 0."""

    @property
    def line(self) -> int: ...
    @property
    def column(self) -> int: ...


def _at(mark: _Mark | None) -> Position:
    return START if mark is None else Position(line=mark.line + 1, column=mark.column + 1)
