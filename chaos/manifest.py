"""What manifests declare about a service, read as plain data: where its process or container is, and its port.

This is not a validator: a file that does not parse declares nothing here, and PitCrew has its own words for it.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from chaos.errors import CannotError

KIND = "HealthyService"
USUAL_PLACES = ("manifests", ".pitcrew/manifests", ".demo/manifests", ".demo")
MANIFEST_BYTES_MAX = 256 * 1024
PORT_DEFAULT = 8080
HEALTH_PATH_DEFAULT = "/health"


@dataclass(frozen=True, kw_only=True, slots=True)
class Endpoint:
    """Where the service says how it is."""

    port: int = PORT_DEFAULT
    path: str = HEALTH_PATH_DEFAULT


@dataclass(frozen=True, kw_only=True, slots=True)
class Declared:
    """One document's words about one service; paths are absolute."""

    file: Path
    container: str | None = None
    pidfile: Path | None = None
    working_dir: Path | None = None
    endpoint: Endpoint = field(default_factory=Endpoint)


def declared(service: str, given: str | None) -> list[Declared]:
    """All documents that declare the service: in the given file, or else in the usual places.

    Raises: CannotError when the file that was asked for cannot be read or says nothing of the service.
    """
    if not given:
        return [found for file in _usual_files() for found in _of_file(file, service, strict=False)]
    found_here = list(_of_file(Path(given), service, strict=True))
    if not found_here:
        raise CannotError(f"{given}: declares no {KIND} named {service!r}")
    return found_here


def _usual_files() -> Iterator[Path]:
    for place in USUAL_PLACES:
        for pattern in ("*.yaml", "*.yml"):
            yield from sorted(Path(place).glob(pattern))


def _of_file(file: Path, service: str, *, strict: bool) -> Iterator[Declared]:
    for document in _documents(file, strict=strict):
        if _at(document, "kind") == KIND and _at(document, "metadata", "name") == service:
            yield _declaration(file, document)


def _documents(file: Path, *, strict: bool) -> list[Any]:
    try:
        import yaml
    except ModuleNotFoundError as problem:
        if not strict:
            return []
        raise CannotError("PyYAML is not installed here; install it or use --pidfile or --docker") from problem
    try:
        with file.open("rb") as stream:
            content = stream.read(MANIFEST_BYTES_MAX + 1)
        if len(content) > MANIFEST_BYTES_MAX:
            raise ValueError(f"is larger than {MANIFEST_BYTES_MAX} bytes")
        return list(yaml.safe_load_all(content))
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as problem:
        if not strict:
            return []
        raise CannotError(f"{file}: cannot be read as YAML ({type(problem).__name__})") from problem


def _declaration(file: Path, document: Any) -> Declared:
    base = Path(os.path.abspath(file)).parent
    return Declared(
        file=file,
        container=_text(document, "spec", "target", "docker", "container"),
        pidfile=_path(base, _text(document, "spec", "target", "process", "pidFile")),
        working_dir=_path(base, _text(document, "spec", "target", "process", "workingDir")),
        endpoint=_endpoint(document),
    )


def _endpoint(document: Any) -> Endpoint:
    http = next((_at(probe, "httpGet") for probe in _list(document, "spec", "probes") if _at(probe, "httpGet")), None)
    port, path = _at(http, "port"), _at(http, "path")
    return Endpoint(
        port=port if isinstance(port, int) else PORT_DEFAULT,
        path=path if isinstance(path, str) and path.startswith("/") else HEALTH_PATH_DEFAULT,
    )


def _at(node: Any, *keys: str) -> Any:
    for key in keys:
        node = node.get(key) if isinstance(node, dict) else None
    return node


def _text(node: Any, *keys: str) -> str | None:
    value = _at(node, *keys)
    return value if isinstance(value, str) and value else None


def _list(node: Any, *keys: str) -> list[Any]:
    value = _at(node, *keys)
    return value if isinstance(value, list) else []


def _path(base: Path, text: str | None) -> Path | None:
    return Path(os.path.normpath(base / text)) if text else None
