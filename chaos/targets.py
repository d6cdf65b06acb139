"""Which target a service name means. Exactly one, or nothing is touched."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chaos import container, record
from chaos.container import ContainerTarget
from chaos.errors import CannotError
from chaos.faults import Target
from chaos.manifest import USUAL_PLACES, Declared, Endpoint, declared
from chaos.process import ProcessTarget, alive
from chaos.record import Record

GRACE_DEFAULT_S = 3.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Wish:
    """What the person said about where to look. `grace_s`: see ProcessTarget."""

    docker: bool = False
    pidfile: str | None = None
    manifest: str | None = None
    grace_s: float = GRACE_DEFAULT_S


def choose(service: str, wish: Wish, *, gone_too: bool) -> Target:
    """The one target that is meant; with `gone_too` also a process that chaos itself has ended.

    What was said comes first, then what chaos broke last, then what is found. Raises: CannotError when that is
    nothing, or more than one.
    """
    remembered = record.read(service)
    documents = declared(service, wish.manifest or os.environ.get("CHAOS_MANIFEST"))
    if wish.docker:
        return _container(service, _container_names(service, documents), documents)
    if pidfile := wish.pidfile or os.environ.get("CHAOS_PIDFILE"):
        return _process(service, Path(pidfile).absolute(), documents, remembered, wish)
    if remembered and remembered.pidfile and (gone_too or alive(Path(remembered.pidfile))):
        return _process(service, Path(remembered.pidfile), documents, remembered, wish)
    if remembered and remembered.container and (found := _containers([remembered.container])[0]):
        return ContainerTarget(service=service, container=found[0], endpoint=_endpoint(documents))
    return _look_around(service, documents, wish)


def _look_around(service: str, documents: Sequence[Declared], wish: Wish) -> Target:
    pidfiles = list(dict.fromkeys(found.pidfile for found in documents if found.pidfile))
    living = [pidfile for pidfile in pidfiles if alive(pidfile)]
    names = _container_names(service, documents)
    containers, without = _containers(names)
    running = [found for found in containers if found.status in ("running", "paused", "restarting")]
    if len(living) + len(running) > 1 or (not living and not running and len(containers) > 1):
        both = [f"process of {pidfile}" for pidfile in living] + [f"container {found.name}" for found in containers]
        raise CannotError(f"{service}: could be any of {', '.join(both)}; say which with --docker or --pidfile PATH")
    if living:
        return _process(service, living[0], documents, None, wish)
    if chosen := running or containers:
        return ContainerTarget(service=service, container=chosen[0], endpoint=_endpoint(documents))
    places = ", ".join(str(pidfile) for pidfile in pidfiles) or f"none declared in {', '.join(USUAL_PLACES)}"
    raise CannotError(
        f"{service}: nothing found; looked for a container named {' or '.join(names)} ({without or 'there is none'}) "
        f"and for a living process by pidfile ({places}); start it, or say --pidfile PATH or --manifest FILE"
    )


def _containers(names: Sequence[str]) -> tuple[list[Any], str | None]:
    """The containers of these names, and why none could be looked for."""
    try:
        _, client = container.engine()
    except CannotError as problem:
        return [], str(problem)
    return [found for name in names if (found := container.find(client, name)) is not None], None


def _container(service: str, names: Sequence[str], documents: Sequence[Declared]) -> Target:
    address, client = container.engine()
    found = [handle for name in names if (handle := container.find(client, name)) is not None]
    if len(found) != 1:
        fact = "is not on" if not found else "are all on"
        raise CannotError(f"{service}: container {' and '.join(names)} {fact} {address}; try --manifest FILE")
    return ContainerTarget(service=service, container=found[0], endpoint=_endpoint(documents))


def _process(
    service: str, pidfile: Path, documents: Sequence[Declared], remembered: Record | None, wish: Wish
) -> Target:
    own = [found for found in documents if found.pidfile == pidfile] or documents
    known = remembered if remembered and remembered.pidfile == str(pidfile) else None
    if not alive(pidfile) and not known:
        raise CannotError(f"{pidfile}: names no living process, and chaos stopped none; start the service first")
    return ProcessTarget(
        service=service,
        pidfile=pidfile,
        endpoint=_endpoint(own),
        working_dir=own[0].working_dir if own else None,
        remembered=known,
        grace_s=wish.grace_s,
    )


def _container_names(service: str, documents: Sequence[Declared]) -> list[str]:
    return list(dict.fromkeys(found.container for found in documents if found.container)) or [service]


def _endpoint(documents: Sequence[Declared]) -> Endpoint:
    return documents[0].endpoint if documents else Endpoint()
