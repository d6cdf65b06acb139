"""PitCrew's side of what `runner` states: one directory for each run of a declared command, named by its permit.

Everything here blocks for a moment and belongs in a worker thread.
"""

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from pitcrew.adapters.runtime.process import runner, shim
from pitcrew.adapters.runtime.process.home import POLL_S, SPAWN_WAIT_S, Home, Launch, base_environment, boot_time_s
from pitcrew.core.action import Seen
from pitcrew.core.errors import OutcomeUnknown, Unavailable

RUNS_MAX = 40
"""Runs of one service that are remembered; as many as the shim remembers of its own operations."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Order:
    """What is run, where, and after how many seconds it is ended."""

    argv: tuple[str, ...]
    cwd: str
    env: Mapping[str, str]
    timeout_s: int


@dataclass(frozen=True, kw_only=True, slots=True)
class End:
    """What a directory tells of its run; `detail` is what it said where it ended, `code` is None at the timeout."""

    seen: Seen
    detail: str = ""
    code: int | None = None


def folder_of(home: Home, op: str) -> Path:
    """The directory of one run."""
    return home.directory / "commands" / hashlib.sha256(op.encode()).hexdigest()[:32]


def lay_out(folder: Path) -> None:
    """Make the directory of a run that is to come, durably: where it is not, nothing can be said of a run.

    Raises:
        OSError: it cannot be made.
    """
    for directory in (folder.parent, folder):
        directory.mkdir(mode=0o700, exist_ok=True)
    shim.sync_directory(str(folder.parent))
    older = sorted(folder.parent.iterdir(), key=lambda one: one.stat().st_mtime_ns, reverse=True)
    for forgotten in older[RUNS_MAX:]:
        shutil.rmtree(forgotten, ignore_errors=True)


def begin(folder: Path, order: Order, launch: Launch) -> None:
    """Have the command begun under a supervisor of its own, which holds the lock from its first moment.

    Raises:
        OutcomeUnknown: it was begun before, or the supervisor does not come up.
        Unavailable: certainly nothing was begun.
    """
    try:
        lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    except FileExistsError:
        raise OutcomeUnknown(f"{folder}: it was begun before; it is not run again") from None
    except OSError as problem:
        raise Unavailable(f"{folder}: cannot be used ({problem.strerror})") from problem
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shim.write_json(str(folder / "order.json"), asdict(order))
        _spawn(folder, lock, launch)
    except OSError as problem:
        raise Unavailable(f"{folder}: no supervisor could be started ({problem.strerror})") from problem
    finally:
        os.close(lock)


def _spawn(folder: Path, lock: int, launch: Launch) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
    with open(os.open(folder / "runner.log", flags, 0o600), "wb") as log:
        child = subprocess.Popen(
            [launch.python, "-I", "-S", runner.__file__, str(folder)],
            stdin=lock,
            stdout=log,
            stderr=log,
            cwd=folder,
            env=base_environment(launch.environ),
            start_new_session=True,
        )
    try:
        child.wait(SPAWN_WAIT_S)
    except subprocess.TimeoutExpired as problem:
        raise OutcomeUnknown(f"{folder}: the supervisor did not come up within {SPAWN_WAIT_S:g} s") from problem


def await_end(folder: Path, *, until: float) -> End:
    """How a run ended, read off its directory; waits until `until` (boot-time clock) while it goes on.

    The lock is looked at before the rest: once it is free, nothing of the rest changes any more.
    """
    while _is_held(folder):
        if boot_time_s() > until:
            return End(seen=Seen.UNKNOWN, detail="it is still under way")
        time.sleep(POLL_S)
    return _end(folder)


def _is_held(folder: Path) -> bool:
    with suppress(FileNotFoundError):
        lock = os.open(folder / "lock", os.O_RDWR | os.O_NOFOLLOW)
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(lock)
    return False


def _end(folder: Path) -> End:
    if not folder.is_dir():
        return End(seen=Seen.UNKNOWN, detail="it is too long ago")
    if not (folder / "begun").exists():
        return End(seen=Seen.NOT_DONE, detail="no supervisor began it, and none can begin it any more")
    try:
        end = json.loads((folder / "end.json").read_text("utf-8"))
        return End(seen=Seen.DONE, detail=str(end["output"]), code=end["code"])
    except (OSError, ValueError, KeyError):
        return End(seen=Seen.UNKNOWN, detail="its supervisor was killed before it wrote down how it ended")
