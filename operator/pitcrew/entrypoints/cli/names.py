"""Services by the names people give them."""

from collections.abc import Mapping, Sequence

from pitcrew.core.errors import InvalidInput
from pitcrew.core.record import Json
from pitcrew.entrypoints.cli.output import mapping


def service_name(document: Mapping[str, Json]) -> str:
    """`namespace/name` of a status document."""
    metadata = mapping(document.get("metadata"))
    return f"{metadata.get('namespace', '')}/{metadata.get('name', '')}"


def chosen(documents: Sequence[Mapping[str, Json]], name: str | None) -> Sequence[Mapping[str, Json]]:
    """Every document, or the one of a service named `name` or `namespace/name`.

    Raises InvalidInput where none or several have the name.
    """
    if name is None:
        return documents
    found = [one for one in documents if name in (service_name(one), service_name(one).partition("/")[2])]
    if len(found) == 1:
        return found
    known = ", ".join(service_name(one) for one in (found or documents)) or "none is known yet"
    trouble = "several services are" if found else "no service is"
    raise InvalidInput(f"{trouble} named {name!r}; name one of: {known}")
