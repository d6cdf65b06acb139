"""From a declared service to its one container, and to the files in it."""

import base64
import json
from dataclasses import dataclass

from docker import errors

from pitcrew.adapters.runtime.docker.engine import Session, checked, url
from pitcrew.adapters.runtime.docker.facts import Inspected
from pitcrew.adapters.runtime.docker.wire import READ_S
from pitcrew.core.errors import TargetAbsent, TargetAmbiguous
from pitcrew.core.observation import FileFact
from pitcrew.core.resource import DockerTarget, HealthyService

_NOT_REGULAR = sum(1 << bit for bit in (31, 27, 26, 25, 24, 21, 19))
"""Bits of Go's `os.FileMode` for directory, link, device, pipe, socket, character device and irregular."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Stat:
    """What is at a path in a container. `mtime` as the engine writes it; `mode` are the permission bits."""

    is_regular: bool
    size: int
    mtime: str
    mode: int


def target_of(service: HealthyService) -> DockerTarget:
    """The declared target.

    Raises:
        TargetAbsent: the service is not one of Docker.
    """
    if service.spec.target.docker is None:
        raise TargetAbsent(f"{service.key}: {service.spec.target.label} is not a Docker target")
    return service.spec.target.docker


def removable_paths(service: HealthyService) -> tuple[str, ...]:
    """The paths that the service declares for removeFile."""
    remove = service.spec.remediation.actions.remove_file
    return tuple(remove.paths) if remove else ()


def find(session: Session, service: HealthyService) -> Inspected:
    """The one container of a service.

    Raises:
        TargetAbsent: there is none.
        TargetAmbiguous: there are several.
    """
    target = target_of(service)
    try:
        if target.container is not None:
            seen = inspect(session, target.container)
            if seen.name != target.container:  # the engine also takes the beginning of an id
                raise TargetAbsent(f"no container is named {target.container}")
            return seen
        return inspect(session, _only_one(session, target))
    except errors.NotFound as error:
        raise TargetAbsent(f"{service.spec.target.label}: the engine knows no such container") from error


def inspect(session: Session, container: str) -> Inspected:
    """Everything the engine says about a container.

    Raises:
        docker.errors.NotFound: there is none.
    """
    answer = session.client.inspect_container(container)
    return Inspected(document=answer if isinstance(answer, dict) else {})


def _only_one(session: Session, target: DockerTarget) -> str:
    labels = [
        f"com.docker.compose.project={target.compose_project}",
        f"com.docker.compose.service={target.compose_service}",
        "com.docker.compose.oneoff=False",
    ]
    found = [str(each["Id"]) for each in session.client.containers(all=True, filters={"label": labels})]
    place = f"compose service {target.compose_service} of project {target.compose_project}"
    if not found:
        raise TargetAbsent(f"{place}: no container")
    if len(found) > 1:
        raise TargetAmbiguous(f"{place}: {len(found)} containers, expected one; scale it to 1 or name a container")
    return found[0]


def stat(session: Session, container_id: str, path: str) -> Stat | None:
    """What is at a path, itself and not what a link there points to; None when nothing is."""
    response = session.client.head(
        url(session.client, "containers", container_id, "archive"), params={"path": path}, timeout=READ_S
    )
    if response.status_code == 404:
        _same_container(session, container_id)
        return None
    checked(response)
    document = json.loads(base64.b64decode(response.headers["X-Docker-Container-Path-Stat"]))
    mode = int(document["mode"])
    return Stat(
        is_regular=mode & _NOT_REGULAR == 0,
        size=int(document["size"]),
        mtime=str(document["mtime"])[:64],
        mode=mode & 0o777,
    )


def _same_container(session: Session, container_id: str) -> None:
    inspect(session, container_id)  # raises NotFound: then it was not the path that is missing


def file_facts(session: Session, seen: Inspected, paths: tuple[str, ...]) -> tuple[FileFact, ...]:
    """Which declared files are there. A link, directory or device at the path is not the declared file: nothing
    would be removed there, so that reporting it as present would only promise a remedy that is refused."""
    return tuple(_file_fact(session, seen, path) for path in paths)


def _file_fact(session: Session, seen: Inspected, path: str) -> FileFact:
    if not seen.has_files:
        return FileFact(path=path, present=None)
    try:
        found = stat(session, seen.container_id, path)
    except errors.APIError:
        return FileFact(path=path, present=None)
    if found is None or not found.is_regular:
        return FileFact(path=path, present=False)
    return FileFact(path=path, present=True, size=found.size)
