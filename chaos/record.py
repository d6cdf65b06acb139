"""What was broken and how to start it again, kept from `break` until `fix`: one file per service, for its owner only.

The file may hold the environment of a service, secrets included, and a command that `fix` will run. It is therefore
written 0600 in a 0700 directory, refused when another user could have written it, and deleted once all is restored.
"""

import json
import os
import re
import stat
from dataclasses import asdict, dataclass
from pathlib import Path

from chaos.errors import CannotError

SCHEMA = 1
RECORD_BYTES_MAX = 1 << 20
_PLAIN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Restart:
    """The command that brings a local process back. `supervised`: it is the parent that watches over the process."""

    argv: list[str]
    cwd: str
    environ: dict[str, str]
    supervised: bool
    supervisor_pid: int
    supervisor_start_ticks: int
    boot_id: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Record:
    """The last fault set on a service. Exactly one of `container` and `pidfile` is given; `networks` are those
    that `detach` took away, each with its aliases; `limits` are those that `oom` and `latency` lowered, as they were,
    under the engine's names."""

    service: str
    fault: str
    container: str | None = None
    pidfile: str | None = None
    working_dir: str | None = None
    restart: Restart | None = None
    networks: dict[str, list[str]] | None = None
    limits: dict[str, int] | None = None


def folder() -> Path:
    """Where records live: CHAOS_STATE, or `.chaos` here."""
    return Path(os.environ.get("CHAOS_STATE") or ".chaos").absolute()


def path_of(service: str) -> Path:
    """Raises: CannotError when the name could not be a file's."""
    if not _PLAIN_NAME.fullmatch(service):
        raise CannotError(f"service {service!r}: not a name; letters, digits, '.', '_' and '-' are allowed")
    return folder() / f"{service}.json"


def write(record: Record) -> None:
    """Replace the service's record."""
    path = path_of(record.service)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8", errors="surrogateescape") as file:
        json.dump({"schema": SCHEMA, **asdict(record)}, file, indent=1, ensure_ascii=False)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)


def read(service: str) -> Record | None:
    """The service's record, None without one. Raises: CannotError when it cannot be trusted or read."""
    path = path_of(service)
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    except OSError as problem:
        raise CannotError(f"{path}: cannot be opened ({problem.strerror}); remove it") from problem
    with os.fdopen(descriptor, encoding="utf-8", errors="surrogateescape") as file:
        facts = os.fstat(file.fileno())
        if not stat.S_ISREG(facts.st_mode) or facts.st_uid != os.geteuid() or facts.st_mode & 0o077:
            raise CannotError(f"{path}: is not a file of this user alone (mode 0600); look at it and remove it")
        text = file.read(RECORD_BYTES_MAX)
    return _parse(path, text)


def forget(service: str) -> None:
    """Delete the service's record, if there is one."""
    path_of(service).unlink(missing_ok=True)


def _parse(path: Path, text: str) -> Record:
    try:
        fields = json.loads(text)
        if fields.pop("schema") != SCHEMA:
            raise ValueError("another schema")
        restart = fields.pop("restart")
        return Record(**fields, restart=Restart(**restart) if restart else None)
    except (ValueError, TypeError, KeyError, AttributeError) as problem:
        raise CannotError(f"{path}: is not a record of chaos; look at it and remove it") from problem
