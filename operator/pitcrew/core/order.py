"""Orders: what a person tells PitCrew to do or to leave, and who that person is.

Identity comes from whoever authenticated it (the peer of a socket, a token, a key), never from a field that somebody
wrote (S13). Orders are records of the journal; which suspensions stand is read off them, so that they survive every
restart.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Annotated

from pydantic import Field, TypeAdapter

from pitcrew.core.record import Entry, Json, Record

ORDERED = "Ordered"
"""Type of the record of an order."""
REASON_BYTES_MAX = 400
"""Bytes of a person's reason that are kept."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Person:
    """Whom somebody authenticated: a user of this machine, the holder of a token, or the principal of an SSH key.

    `uid` and `groups` are the operating system's word, and there is none of it in the other ways; `known_by` is what
    is shown instead, such as `token` or `ssh SHA256:...`.
    """

    uid: int | None
    name: str
    groups: tuple[str, ...] = ()
    known_by: str = ""

    def __str__(self) -> str:
        return f"{self.name} ({self.known_by or f'uid {self.uid}'})"


class OrderKind(StrEnum):
    """What can be ordered."""

    STOP = "Stop"
    GO = "Go"
    SUSPEND = "Suspend"
    RESUME = "Resume"
    RECONCILE = "Reconcile"


@dataclass(frozen=True, kw_only=True, slots=True)
class Order:
    """One order; `service` is empty where it is for all, `until` is set where a suspension ends by itself."""

    kind: OrderKind
    by: Person
    reason: str = ""
    service: str = ""
    until: datetime | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Suspension:
    """Effects on one service are held, since a person said so; for ever where `until` is None."""

    reason: str
    by: str
    until: datetime | None = None

    def stands(self, now: datetime) -> bool:
        """Whether it still holds."""
        return self.until is None or now < self.until

    def __str__(self) -> str:
        end = f" until {self.until:%Y-%m-%d %H:%M:%S} UTC" if self.until else ""
        return f"suspended by {self.by}{end}: {self.reason}"


_ORDER: TypeAdapter[Order] = TypeAdapter(Annotated[Order, Field()])


def to_entry(order: Order) -> Entry:
    """The order as an entry for the journal."""
    data: dict[str, Json] = _ORDER.dump_python(order, mode="json")
    del data["service"]
    return Entry(type=ORDERED, data=data, service=order.service)


def from_record(record: Record) -> Order:
    """The order that `to_entry` wrote. Raises ValueError where the record holds none."""
    return _ORDER.validate_python({**record.data, "service": record.service})


@dataclass(kw_only=True, slots=True)
class Standing:
    """The orders that stand: suspensions by service key. A projection of the journal; mutable, of one loop."""

    suspended: dict[str, Suspension] = field(default_factory=dict)

    def obey(self, order: Order) -> None:
        """Take one order in; only suspending and resuming leave something that stands."""
        if order.kind is OrderKind.SUSPEND:
            self.suspended[order.service] = Suspension(reason=order.reason, by=str(order.by), until=order.until)
        elif order.kind is OrderKind.RESUME:
            self.suspended.pop(order.service, None)

    def of(self, service: str, now: datetime) -> Suspension | None:
        """The suspension of a service that still holds, or None."""
        found = self.suspended.get(service)
        return found if found is not None and found.stands(now) else None


def told(order: Order) -> Mapping[str, str]:
    """An order as fields of a log line."""
    until = f", until {order.until:%Y-%m-%d %H:%M:%S} UTC" if order.until else ""
    return {"service": order.service, "reason": str(order.kind), "text": f"{order.by}: {order.reason}{until}"}
