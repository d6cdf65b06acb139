"""Records of the journal and the chain that holds them together (S12). Audit trail and recovery log are one.

A record is stored as one line, a JSON object without floats, in one possible spelling:

    {"v":1,"seq":..,"at":"..","boot":"..","boottime_ns":..,"service":"..","incident":"..","type":"..","data":{..},
     "prev":"<hash of the record before>","mac":"<only with a key>","hash":"<SHA-256 of all bytes before ,\\"hash\\">"}

`hash` covers every byte before it, `prev` and `mac` included, so that one edited byte breaks the record or the chain.
`mac` is HMAC-SHA-256 over the bytes before it. Both are over the stored bytes, so that upcasters never touch the chain.

What a chain without an outside head cannot prove: that nothing was cut off its end, and, without a key, that nobody who
can write the files wrote all of it anew from some record on. Against both, compare with heads kept elsewhere (`heads`;
one is in the status and the log); against the second also the key, which the writer holds: who takes over the writer
can write anything.
"""

import hashlib
import hmac
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, TypeAlias

from pitcrew.core.errors import InvalidInput
from pitcrew.core.untrusted import clean

Json: TypeAlias = "bool | int | str | Sequence[Json] | Mapping[str, Json] | None"
"""JSON without floats: one number has one spelling, and comparing is exact."""

Upcaster: TypeAlias = Callable[[dict[str, Json]], dict[str, Json]]
"""From the fields of a record of one schema number to those of the next; the number itself is set by the caller."""

SCHEMA: Final = 1
GENESIS: Final = "0" * 64
"""`prev` of the first record."""

RECORD_BYTES_MAX: Final = 1 << 20
"""Larger data belongs beside the journal, with its digest in it; a bound keeps reading and replay bounded (S10)."""

DEPTH_MAX: Final = 32
"""How deep data may nest; far above any event, far below the interpreter's recursion limit."""

UPCASTERS: Final[Mapping[int, Upcaster]] = {}
"""By the schema number they read. Empty: there was no schema before the first."""

SEALED: Final = "Sealed"
"""Type of the record by which a person acknowledges damage; the chain goes on from the last good record."""

FRAGMENT_SET_ASIDE: Final = "FragmentSetAside"
"""Type of the record that tells of a write cut short by a crash, kept beside the journal."""

_FIELDS = ("v", "seq", "at", "boot", "boottime_ns", "service", "incident", "type", "data", "prev")
_AT = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{6}Z")
_HEX = re.compile(r"[0-9a-f]{64}")
_TAIL = re.compile(rb',"hash":"([0-9a-f]{64})"\}\Z')
_UNSAFE = re.compile("[\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]")
_encode = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False).encode


@dataclass(frozen=True, kw_only=True, slots=True)
class Instant:
    """One reading of the trusted clock. Within a boot, compare `boottime_ns`; across boots, only `at` orders."""

    at: datetime
    """Aware UTC, microseconds; never behind the last record."""
    boot: str
    """The boot id of the machine."""
    boottime_ns: int
    """Nanoseconds since that boot, sleep included."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """What is to be recorded; the journal adds order, time and chain."""

    type: str
    data: Mapping[str, Json]
    service: str = ""
    """`namespace/name`, or empty where a record concerns no single service."""
    incident: str = ""
    """Such as `victim-7`, or empty."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Head:
    """The end of a chain: sequence number and hash of its last record."""

    seq: int = 0
    hash: str = GENESIS


@dataclass(frozen=True, kw_only=True, slots=True)
class Record:
    """One durable fact, as read from or written to the journal."""

    seq: int
    """From 1, without a gap over the whole chain."""
    at: datetime
    boot: str
    boottime_ns: int
    service: str
    incident: str
    type: str
    data: Mapping[str, Json]
    prev: str
    hash: str
    mac: str = ""
    """Empty where the journal was kept without a key."""
    v: int = SCHEMA
    """The schema number it was stored with; its fields are those of the newest."""

    @property
    def head(self) -> Head:
        return Head(seq=self.seq, hash=self.hash)

    @property
    def instant(self) -> Instant:
        return Instant(at=self.at, boot=self.boot, boottime_ns=self.boottime_ns)


# Canonical JSON


def canonical(value: Json) -> bytes:
    """The one spelling of a value: sorted keys, no spaces, UTF-8, no floats, controls and invisible characters escaped.

    Raises InvalidInput naming the path of what cannot be spelt: floats, other types, lone surrogates, too deep nesting.
    """
    return _safe(_encode(_plain(value, "$", 0)))


def digest(value: Json) -> str:
    """SHA-256 of the canonical spelling, in hex."""
    return hashlib.sha256(canonical(value)).hexdigest()


def _safe(spelt: str) -> bytes:
    """Spelt JSON with invisible characters escaped, which in JSON occur inside text only."""
    return _UNSAFE.sub(lambda match: f"\\u{ord(match[0]):04x}", spelt).encode()


def _plain(value: object, path: str, depth: int) -> object:
    """The value in the types that the encoder spells, with everything else refused by its path."""
    if depth > DEPTH_MAX:
        raise InvalidInput(f"{path}: nested deeper than {DEPTH_MAX} levels; flatten it")
    match value:
        case None | bool() | int():
            return value
        case str():
            return _text(value, path)
        case Mapping():
            return {_key(key, path): _plain(item, f"{path}.{key}", depth + 1) for key, item in value.items()}
        case list() | tuple():
            return [_plain(item, f"{path}[{index}]", depth + 1) for index, item in enumerate(value)]
        case float():
            raise InvalidInput(f"{path}: {value!r} is a float, which has no one spelling; use an integer or text")
        case _:
            raise InvalidInput(f"{path}: {type(value).__name__} is not JSON; use null, bool, int, str, lists, objects")


def _key(key: object, path: str) -> str:
    if not isinstance(key, str):
        raise InvalidInput(f"{path}: the key {key!r} is not text")
    return _text(key, path)


def _text(text: str, path: str) -> str:
    if not text.isascii() and any("\ud800" <= char <= "\udfff" for char in text):
        raise InvalidInput(f"{path}: holds lone surrogates, which are no UTF-8; pass it through untrusted.clean")
    return text


# Sealing and parsing one record


def seal(entry: Entry, at: Instant, after: Head, key: bytes | None = None) -> bytes:
    """The line of the record that follows `after`, newline included.

    Raises InvalidInput when the entry cannot be spelt or its line is larger than `RECORD_BYTES_MAX`.
    """
    fields: dict[str, Json] = {
        "v": SCHEMA,
        "seq": after.seq + 1,
        "at": _stamp(at.at),
        "boot": at.boot,
        "boottime_ns": at.boottime_ns,
        "service": entry.service,
        "incident": entry.incident,
        "type": entry.type,
        "data": entry.data,
        "prev": after.hash,
    }
    body = _spell_fields({name: _plain(value, name, 0) for name, value in fields.items()})
    if key is not None:
        body += f',"mac":"{_mac(body, key)}"'.encode()
    line = body + f',"hash":"{hashlib.sha256(body).hexdigest()}"}}\n'.encode()
    if len(line) > RECORD_BYTES_MAX:
        raise InvalidInput(f"{entry.type}: {len(line)} bytes, above {RECORD_BYTES_MAX} for one record; bound its data")
    return line


def _spell_fields(fields: Mapping[str, object]) -> bytes:
    """The object without its closing brace: its fields in the order of the mapping, what is inside them sorted."""
    return _safe("{" + ",".join([f'"{name}":{_encode(value)}' for name, value in fields.items()]))


def _stamp(at: datetime) -> str:
    if at.utcoffset() is None:
        raise InvalidInput(f"at: {at.isoformat()} has no zone; instants are aware UTC")
    return at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _mac(body: bytes, key: bytes) -> str:
    """HMAC-SHA-256 in hex."""
    return hmac.digest(key, body, "sha256").hex()


def hash_holds(record: Record, line: bytes) -> bool:
    """Whether the hash of a record is that of the line it was parsed from."""
    return hashlib.sha256(_body(line)).hexdigest() == record.hash


def mac_holds(record: Record, line: bytes, key: bytes) -> bool:
    """Whether the mac of a record is that of the line it was parsed from, under `key`."""
    body = _body(line)
    return hmac.compare_digest(_mac(body[: -len(f',"mac":"{record.mac}"')], key), record.mac)


def _body(line: bytes) -> bytes:
    """What the hash covers."""
    return line.removesuffix(b"\n")[: -len(f',"hash":"{GENESIS}"}}')]


def parse(line: bytes, upcasters: Mapping[int, Upcaster] = UPCASTERS) -> Record:
    """The record of one stored line, with or without its newline; whether its hash holds is for `verify` to say.

    Raises InvalidInput when the line is not in canonical form (duplicate keys, other order or spacing, floats), lacks
    or adds a field, or has a schema number that this PitCrew does not know.
    """
    line = line.removesuffix(b"\n")
    try:
        stored = _load(line)
        spelt = _spell_fields({name: value for name, value in stored.items() if name != "hash"})
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"not JSON that a record can hold: {clean(str(error), 200)}") from None
    tail = _TAIL.search(line)
    if tail is None or spelt != line[: tail.start()]:
        raise InvalidInput("not in canonical form: duplicate keys, another order or spacing, or no hash at its end")
    return _record(_upcast(stored, upcasters), v=_whole(stored, "v"))


def _load(line: bytes) -> dict[str, Json]:
    if len(line) >= RECORD_BYTES_MAX:
        raise InvalidInput(f"{len(line)} bytes, above {RECORD_BYTES_MAX} for one record")
    stored = json.loads(line.decode(), parse_float=_refuse_number, parse_constant=_refuse_number)
    if not isinstance(stored, dict):
        raise InvalidInput("not a JSON object")
    return stored


def _refuse_number(spelt: str) -> Json:
    raise InvalidInput(f"{clean(spelt, 40)} is a float; records hold integers only")


def _upcast(stored: dict[str, Json], upcasters: Mapping[int, Upcaster]) -> dict[str, Json]:
    fields, v = stored, _whole(stored, "v")
    while v != SCHEMA:
        if v not in upcasters:
            raise InvalidInput(f"schema {v} is not known to this PitCrew, which writes {SCHEMA}; use a newer one")
        fields = {**upcasters[v](dict(fields)), "v": v + 1}
        v += 1
    return fields


def _record(fields: dict[str, Json], *, v: int) -> Record:
    if tuple(name for name in fields if name not in ("mac", "hash")) != _FIELDS:
        found = clean(", ".join(fields), 300)
        raise InvalidInput(f"the fields are {found}; they must be {', '.join(_FIELDS)}, mac (with a key), hash")
    data = fields["data"]
    if not isinstance(data, dict):
        raise InvalidInput("data: not an object")
    return Record(
        v=v,
        seq=_whole(fields, "seq"),
        at=_instant(_word(fields, "at")),
        boot=_word(fields, "boot"),
        boottime_ns=_whole(fields, "boottime_ns"),
        service=_word(fields, "service"),
        incident=_word(fields, "incident"),
        type=_word(fields, "type"),
        data=data,
        prev=_hash(fields, "prev"),
        mac=_hash(fields, "mac") if "mac" in fields else "",
        hash=_hash(fields, "hash"),
    )


def _whole(fields: Mapping[str, Json], name: str) -> int:
    value = fields.get(name)
    if type(value) is not int or value < 0:
        raise InvalidInput(f"{name}: not a whole number from 0 up")
    return value


def _word(fields: Mapping[str, Json], name: str) -> str:
    value = fields[name]
    if not isinstance(value, str):
        raise InvalidInput(f"{name}: not text")
    return value


def _hash(fields: Mapping[str, Json], name: str) -> str:
    value = _word(fields, name)
    if not _HEX.fullmatch(value):
        raise InvalidInput(f"{name}: not 64 hex digits")
    return value


def _instant(text: str) -> datetime:
    if not _AT.fullmatch(text):
        raise InvalidInput("at: not YYYY-MM-DDTHH:MM:SS.ffffffZ")
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise InvalidInput("at: no such instant") from None
