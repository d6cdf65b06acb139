"""Events as records of the journal, and back."""

from typing import Annotated

from pydantic import Field, TypeAdapter

from pitcrew.core.event.value import Event
from pitcrew.core.record import Entry, Json, Record

_EVENT: TypeAdapter[Event] = TypeAdapter(Annotated[Event, Field(discriminator="type")])
EVENT_TYPES: frozenset[str] = frozenset(kind.__dataclass_fields__["type"].default for kind in Event.__args__)


def to_entry(incident_id: str, service: str, event: Event) -> Entry:
    """The event as an entry for the journal."""
    data: dict[str, Json] = _EVENT.dump_python(event, mode="json")
    del data["type"]
    return Entry(type=event.type, data=data, service=service, incident=incident_id)


def from_record(record: Record) -> Event:
    """The event that `to_entry` wrote.

    Raises:
        ValueError: the record holds no event of an incident.
    """
    return _EVENT.validate_python({"type": record.type, **record.data})
