"""Heads of the journal that left the host: how one is spelt, found again in lines copied from anywhere, and compared.

A head that somebody else keeps proves what a chain by itself cannot (S12): that its end was not cut off, and that it
was not written anew. It has one spelling, `pitcrew-head seq=.. hash=.. at=.. state=..`, which stands in the message to
syslog, in the text of the webhook's body and in the file, so that a line copied from any of them can be read.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from pitcrew.core.errors import InvalidInput
from pitcrew.core.record import Head
from pitcrew.core.untrusted import clean

MARK = "pitcrew-head"
LINE_BYTES_MAX = 64 * 1024
"""Bytes of one copied line; a body of the webhook has under one KiB."""
_HEAD = re.compile(
    rf"\b{MARK} seq=(\d{{1,18}}) hash=([0-9a-f]{{64}}) "
    r"at=(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z) state=([0-9a-f]{16})\b"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class OutsideHead:
    """A record that is known to have been in the journal.

    `seq` is None where only its hash is known, `at` is when it was passed on. `state` is the id of its state directory,
    and `place` where it was found, for people.
    """

    hash: str
    seq: int | None = None
    at: datetime | None = None
    state: str = ""
    place: str = ""

    def __str__(self) -> str:
        place = f"{self.place}: " if self.place else ""
        at = f", passed on at {self.at:%Y-%m-%d %H:%M:%S} UTC" if self.at else ""
        return f"{place}{'head' if self.seq is None else f'head {self.seq}'}:{self.hash[:16]}{at}"


def spell(head: Head, at: datetime, state: str) -> str:
    """The one spelling of a head, in ASCII, at an instant in UTC."""
    stamp = at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    return f"{MARK} seq={head.seq} hash={head.hash} at={stamp} state={state}"


def read_heads(lines: Iterable[tuple[str, str]]) -> tuple[OutsideHead, ...]:
    """The heads in (place, line), whatever stands around them; each once, in the order of their sequence numbers.

    Raises:
        InvalidInput: a head is not whole, there is none at all, or they are of several state directories.
    """
    found = {(one.seq, one.hash, one.at, one.state): one for place, line in lines for one in _in_line(place, line)}
    heads = sorted(found.values(), key=lambda one: (one.seq or 0, str(one.at)))
    if not heads:
        raise InvalidInput(f"no line holds a head; lines of syslog, webhook or file that hold one say {MARK!r}")
    if len(states := sorted({one.state for one in heads})) > 1:
        raise InvalidInput(
            f"heads of several state directories: {', '.join(states)}; give the lines of one: grep state=ID"
        )
    return tuple(heads)


def _in_line(place: str, line: str) -> Iterator[OutsideHead]:
    if MARK not in line:
        return
    whole = list(_HEAD.finditer(line))
    if len(whole) != line.count(MARK):
        raise InvalidInput(f"{place}: a head that is not whole: {clean(line.strip(), 200)}; copy the whole line")
    for match in whole:
        try:
            at = datetime.fromisoformat(match[3])
        except ValueError:
            raise InvalidInput(f"{place}: no such instant: {match[3]}; copy the line as it was written") from None
        yield OutsideHead(seq=int(match[1]), hash=match[2], at=at, state=match[4], place=place)
