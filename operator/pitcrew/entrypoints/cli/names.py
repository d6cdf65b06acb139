"""Services by the names people give them."""

from collections.abc import Mapping, Sequence
from pathlib import Path

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


def manifest_files(documents: Sequence[Mapping[str, Json]]) -> tuple[Path, ...]:
    """The files that the services of these status documents are declared in, where they are there."""
    sources = {str(mapping(mapping(one.get("status")).get("manifest")).get("source")) for one in documents}
    return tuple(path for source in sorted(sources) if (path := _file_of(source)) is not None)


def _file_of(source: str) -> Path | None:
    """The file of a source such as `victim.yaml` or `victim.yaml:3`, where it is there."""
    return next((Path(name) for name in (source, source.rpartition(":")[0]) if name and Path(name).is_file()), None)
