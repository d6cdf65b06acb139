"""What PitCrew and the shim of one service share on disk, and PitCrew's side of the protocol that `shim` states.

Everything here blocks for a moment and belongs in a worker thread.
"""

import contextlib
import fcntl
import hashlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pitcrew.adapters.runtime.process import shim
from pitcrew.core.action import Seen
from pitcrew.core.errors import InvalidInput, OutcomeUnknown, Refused, Unavailable
from pitcrew.core.resource import HealthyService, ProcessTarget

PATH_DEFAULT = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
POLL_S = 0.02
SPAWN_WAIT_S = 10.0
"""How long a new shim may take to detach itself; it does nothing before."""


def why_unsupported() -> str | None:
    """Why process targets cannot be served on this machine; None on Linux with pidfds and /proc."""
    if hasattr(os, "pidfd_open") and os.path.exists("/proc/self/stat"):
        return None
    return "process targets need Linux (5.4 or later) with /proc mounted; use a docker target on this machine"


def home_of(state_dir: Path, service: HealthyService) -> "Home":
    """The directory of a service; names are DNS labels, so the dot keeps pairs apart."""
    return Home(directory=state_dir / "process" / f"{service.metadata.namespace}.{service.metadata.name}")


def target_id_of(state_dir: Path, service: HealthyService) -> str:
    """The immutable id of a declared process: its service and the state directory that supervises it."""
    digest = hashlib.sha256(os.fsencode(state_dir / "process")).hexdigest()[:12]
    return f"process:{service.key}:{digest}"


def declared(service: HealthyService) -> ProcessTarget:
    """The process target of a service. Raises: InvalidInput when it cannot be used."""
    target = service.spec.target.process
    if target is None:
        raise InvalidInput(f"{service.key}: spec.target: is no process")
    for field, path in (("workingDir", target.working_dir), ("pidFile", target.pid_file or "/")):
        if not os.path.isabs(path):
            raise InvalidInput(f"{service.key}: spec.target.process.{field}: {path!r} must be absolute by now")
    return target


def environment(target: ProcessTarget, ours: Mapping[str, str]) -> dict[str, str]:
    """What a process of this target gets: PATH, HOME and LANG of ours, and what is declared, which wins."""
    return base_environment(ours) | dict(target.env)


def base_environment(ours: Mapping[str, str]) -> dict[str, str]:
    """PATH, HOME and LANG, the only names that are handed on."""
    return {"PATH": PATH_DEFAULT} | {name: ours[name] for name in ("PATH", "HOME", "LANG") if name in ours}


@dataclass(frozen=True, kw_only=True, slots=True)
class Order:
    """One operation for a shim; `expires_at` is on the boot-time clock, in seconds."""

    op: str
    verb: str
    instance: str
    grace_s: float
    expires_at: float
    spec: Mapping[str, object]

    def as_json(self, *, addressee: str | None) -> dict[str, Any]:
        """What the shim reads; `addressee` is the living shim it is meant for."""
        return {
            "op": self.op,
            "verb": self.verb,
            "by": "pitcrew",
            "instance": self.instance,
            "grace_s": self.grace_s,
            "expires_at": self.expires_at,
            "spec": dict(self.spec),
            "shim": addressee,
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class Launch:
    """How a shim is started: with which Python, and which of our own environment names it may hand on."""

    python: str
    environ: Mapping[str, str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Home:
    """The directory of one service under `STATE/process`."""

    directory: Path

    @property
    def inbox(self) -> Path:
        return self.directory / "inbox"

    def record(self) -> dict[str, Any]:
        """What the shim wrote down. Raises: Unavailable."""
        try:
            return shim.read_record(str(self.directory))
        except (OSError, ValueError) as problem:
            raise Unavailable(f"{self.directory}/record.json: cannot be read ({problem})") from problem

    def make(self) -> None:
        """Create the directory and its parts, for our own user only. Raises: Unavailable."""
        try:
            for path in (self.directory, self.inbox, self.directory / "log"):
                path.mkdir(mode=0o700, parents=True, exist_ok=True)
            shim.sync_directory(str(self.directory.parent))
        except OSError as problem:
            raise Unavailable(f"{self.directory}: cannot be created ({problem.strerror})") from problem

    @contextlib.contextmanager
    def _lock(self, mode: int) -> Iterator[int | None]:
        """The lock, or None while a shim or a starter holds it."""
        file = os.open(self.directory / "lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        try:
            try:
                fcntl.flock(file, mode | fcntl.LOCK_NB)
            except BlockingIOError:
                yield None
            else:
                yield file
        finally:
            os.close(file)

    def is_held(self) -> bool:
        """Whether a shim lives or is being started."""
        if not self.directory.exists():
            return False
        with self._lock(fcntl.LOCK_SH) as lock:
            return lock is None

    def submit(self, order: Order, launch: Launch) -> None:
        """Hand an operation over, at most once, to the living shim or to a new one.

        Raises:
            Refused: the target is in another run by now; nothing was done.
            Unavailable: certainly nobody took it.
            OutcomeUnknown: it was taken, and what became of it cannot be told yet.
        """
        self.make()
        try:
            while not (self._start_shim(order, launch) or self._give_to_living_shim(order)):
                if boot_time_s() > order.expires_at:
                    raise Unavailable(f"{self.directory}: an earlier run is still being ended; nothing was started")
                time.sleep(POLL_S)
        except (OSError, ValueError) as problem:
            raise OutcomeUnknown(f"{self.directory}: handing {order.verb} over failed ({problem})") from problem

    def _is_taken(self, order: Order, record: dict[str, Any]) -> bool:
        """Whether the operation is in the record. Raises: Refused when it is not and can no longer get there."""
        if shim.operation(record, order.op):
            return True
        if (now := shim.current_instance(record)) != order.instance:
            raise Refused(f"{order.verb}: the target is {now} by now, not {order.instance}; nothing was done")
        return False

    def _start_shim(self, order: Order, launch: Launch) -> bool:
        with self._lock(fcntl.LOCK_EX) as lock:
            if lock is None:
                return False
            if self._is_taken(order, self.record()):
                return True
            shim.write_json(str(self.directory / "request.json"), order.as_json(addressee=None))
            _spawn(self.directory, lock, launch)
            return True

    def _give_to_living_shim(self, order: Order) -> bool:
        """Leave the operation in the inbox of the shim that the record names; False when there is none to take it."""
        record = self.record()
        if self._is_taken(order, record):
            return True
        supervisor = shim.living(record["shim"], shim.boot_id()) if record["shim"] else None
        is_running = bool(record["runs"]) and record["runs"][-1]["finished_at"] is None
        if supervisor is None or not is_running:
            return False
        letter = self._letter(order.op)
        shim.write_json(str(letter), order.as_json(addressee=record["shim"]))
        shim.send(supervisor, (signal.SIGUSR1,))
        while not shim.operation(self.record(), order.op):
            late = boot_time_s() > order.expires_at
            if late or shim.living(record["shim"], shim.boot_id()) is None:
                return self._withdraw(order, letter, late=late)
            time.sleep(POLL_S)
        return True

    def _withdraw(self, order: Order, letter: Path, *, late: bool) -> bool:
        """Take the letter back; whoever removes it first has it."""
        try:
            letter.unlink()
        except FileNotFoundError:
            if shim.operation(self.record(), order.op) is None and late:
                raise OutcomeUnknown(f"{order.verb}: its supervisor took it and does not answer") from None
            return shim.operation(self.record(), order.op) is not None
        if late:
            raise Unavailable(f"{order.verb}: the supervisor does not take it; it was withdrawn")
        return False

    def _letter(self, op: str) -> Path:
        return self.inbox / f"{hashlib.sha256(op.encode()).hexdigest()[:32]}.json"

    def await_end(self, op: str, *, instance: str, until: float) -> tuple[Seen, str]:
        """How an operation for a run ended, read off the disk; waits until `until` (boot-time clock) while it goes on.

        The order of the looks is what makes NotDone exact: an operation moves from the inbox over `taken.json` into
        the record, and only a holder of the lock moves it.
        """
        while True:
            held = self.is_held()
            pending = held and (self._letter(op).exists() or self._is_being_taken(op))
            record = self.record()
            entry = shim.operation(record, op)
            if entry and (verdict := _verdict(record, entry, held=held)) is not None:
                return verdict, str(entry["detail"])
            if entry is None and _is_forgotten(record, instance):
                return Seen.UNKNOWN, "it is too long ago"
            if entry is None and not pending and (not held or self._holder_is_known(record)):
                return Seen.NOT_DONE, "no supervisor took it, and none can take it any more"
            if boot_time_s() > until:
                return Seen.UNKNOWN, "it is still under way"
            time.sleep(POLL_S)

    def _is_being_taken(self, op: str) -> bool:
        try:
            taken = shim.read_json(str(self.directory / "taken.json"))
        except (OSError, ValueError):
            return True
        return taken is not None and taken.get("op") == op

    def _holder_is_known(self, record: dict[str, Any]) -> bool:
        """Whether the shim that holds the lock is in the record, and its first operation therefore as well."""
        return bool(record["shim"]) and shim.living(record["shim"], shim.boot_id()) is not None


def _spawn(directory: Path, lock: int, launch: Launch) -> None:
    """Start a shim that holds the lock from its first moment; it detaches itself, so its first process ends at once."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
    with open(os.open(directory / "shim.log", flags, 0o600), "wb") as log:
        child = subprocess.Popen(
            [launch.python, "-I", "-S", shim.__file__, str(directory)],
            stdin=lock,
            stdout=log,
            stderr=log,
            cwd=directory,
            env=base_environment(launch.environ),
            start_new_session=True,
        )
    try:
        child.wait(SPAWN_WAIT_S)
    except subprocess.TimeoutExpired as problem:
        raise OutcomeUnknown(f"{directory}: the new supervisor did not come up within {SPAWN_WAIT_S:g} s") from problem


def _verdict(record: dict[str, Any], entry: dict[str, Any], *, held: bool) -> Seen | None:
    """What an entry of the record proves; None while its supervisor works on it."""
    match entry["state"]:
        case "done":
            return Seen.DONE
        case "failed" | "refused":
            return Seen.NOT_DONE
        case "running" if held:
            return None
    boot = shim.boot_id()
    began = next((run for run in record["runs"] if run["op"] == entry["op"]), None)
    if began:
        return Seen.DONE if shim.living(began["instance"], boot) else Seen.UNKNOWN
    meant_for = entry["instance"]
    return Seen.UNKNOWN if meant_for != "none" and shim.living(meant_for, boot) else Seen.NOT_DONE


def _is_forgotten(record: dict[str, Any], instance: str) -> bool:
    """Whether so much happened since that an operation for this run need not be in the record any more."""
    return len(record["ops"]) >= shim.OPS_MAX and instance not in [run["instance"] for run in record["runs"]]


def boot_time_s() -> float:
    """Seconds since this boot, suspends included; never runs backwards."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)
