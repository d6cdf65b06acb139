"""Processes of this host as /proc shows them, and signals that reach only the process that was meant.

A process is its pid and its start time (ticks since boot): pids are used again, the pair is not.
"""

import errno
import os
import signal
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from chaos.errors import CannotError

PROC = Path("/proc")
GONE_STATES = frozenset("ZXx")  # a zombie runs no code any more; its parent has only not looked yet
STOPPED_STATE = "T"


@dataclass(frozen=True, kw_only=True, slots=True)
class Process:
    """One line of /proc/PID/stat. `start_ticks` is clock ticks since boot (proc(5), field 22)."""

    pid: int
    name: str
    state: str
    ppid: int
    pgid: int
    sid: int
    start_ticks: int

    @property
    def stopped(self) -> bool:
        return self.state == STOPPED_STATE


def look(pid: int) -> Process | None:
    """The living process with this pid, or None. A zombie counts as gone."""
    try:
        text = (PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError, NotADirectoryError):
        return None
    name, _, rest = text.partition("(")[2].rpartition(")")
    fields = rest.split()
    if fields[0] in GONE_STATES:
        return None
    return Process(
        pid=pid,
        name=name,
        state=fields[0],
        ppid=int(fields[1]),
        pgid=int(fields[2]),
        sid=int(fields[3]),
        start_ticks=int(fields[19]),
    )


def look_again(seen: Process) -> Process | None:
    """The same process as it is now, or None when it is gone, also when its pid went to another."""
    now = look(seen.pid)
    return now if now is not None and now.start_ticks == seen.start_ticks else None


def everyone() -> Iterator[Process]:
    """Every living process this /proc shows."""
    for entry in PROC.iterdir():
        if entry.name.isdigit() and (process := look(int(entry.name))) is not None:
            yield process


def tree(root: Process) -> list[Process]:
    """The process, its descendants, and all of the session or group that it leads; the root comes first."""
    all_now = {process.pid: process for process in everyone()}
    found = {root.pid: all_now.get(root.pid, root)}
    grew = True
    while grew:
        more = {
            pid: process
            for pid, process in all_now.items()
            if pid not in found and (process.ppid in found or root.pid in (process.sid, process.pgid))
        }
        found.update(more)
        grew = bool(more)
    return list(found.values())


def in_cgroup(token: str) -> list[Process]:
    """The processes whose control group carries `token` (a full container id), the oldest first."""
    inside = [process for process in everyone() if token in _cgroup(process.pid)]
    return sorted(inside, key=lambda process: (process.start_ticks, process.pid))


def started_at(process: Process) -> float:
    """When it began, in seconds since the epoch (by the boot time in /proc/stat)."""
    for line in (PROC / "stat").read_text(encoding="ascii").splitlines():
        if line.startswith("btime "):
            return int(line.split()[1]) + process.start_ticks / os.sysconf("SC_CLK_TCK")
    raise CannotError("/proc/stat: has no boot time; this needs a Linux host")


def send(process: Process, number: signal.Signals) -> bool:
    """Signal exactly this process. False when it is gone already.

    The descriptor is opened first and the start time compared after it, so that no other process can take the pid in
    between. Raises: CannotError for pid 1, ourselves, our parents, or when this user may not.
    """
    if process.pid <= 1 or process.pid in _ourselves():
        raise CannotError(f"pid {process.pid}: is init or chaos itself; refusing to send {number.name}")
    try:
        descriptor = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return False
    except OSError as problem:
        if problem.errno == errno.EINVAL:  # a zombie that was reaped, or a thread's id
            return False
        raise
    try:
        if look_again(process) is None:
            return False
        signal.pidfd_send_signal(descriptor, number)
    except ProcessLookupError:
        return False
    except PermissionError as problem:
        raise CannotError(
            f"pid {process.pid} ({process.name}): not allowed to send {number.name}; run chaos as root or as its user"
        ) from problem
    finally:
        os.close(descriptor)
    return True


def send_all(processes: Iterable[Process], number: signal.Signals) -> list[Process]:
    """Signal each; those that were still there."""
    return [process for process in processes if send(process, number)]


def argv(process: Process) -> list[str]:
    """Its command line."""
    return [os.fsdecode(word) for word in _read(process, "cmdline").split(b"\0")[:-1]]


def environ(process: Process) -> dict[str, str]:
    """Its environment at exec. May carry secrets."""
    pairs = (os.fsdecode(entry).partition("=") for entry in _read(process, "environ").split(b"\0") if b"=" in entry)
    return {name: value for name, _, value in pairs}


def cwd(process: Process) -> Path:
    """The directory it runs in."""
    try:
        return Path(os.readlink(PROC / str(process.pid) / "cwd"))
    except FileNotFoundError as problem:
        raise CannotError(f"pid {process.pid}: went away meanwhile; try again") from problem
    except PermissionError as problem:
        raise CannotError(f"pid {process.pid}: not allowed to see its directory; run as root or its user") from problem


def cgroups(process: Process) -> list[str]:
    """Its control groups, one line each (cgroups(7)); none when it is gone."""
    return _cgroup(process.pid).splitlines()


def boot_id() -> str:
    """Names this boot of the machine: pids and start times mean nothing in another."""
    return (PROC / "sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def _cgroup(pid: int) -> str:
    try:
        return (PROC / str(pid) / "cgroup").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return ""


def _read(process: Process, entry: str) -> bytes:
    try:
        return (PROC / str(process.pid) / entry).read_bytes()
    except (FileNotFoundError, ProcessLookupError) as problem:
        raise CannotError(f"pid {process.pid}: went away meanwhile; try again") from problem
    except PermissionError as problem:
        raise CannotError(f"pid {process.pid}: not allowed to read its {entry}; run as root or its user") from problem


def _ourselves() -> set[int]:
    """This process and all it descends from: a mistaken target must not take the person's shell with it."""
    mine: set[int] = set()
    process = look(os.getpid())
    while process is not None and process.pid not in mine:
        mine.add(process.pid)
        process = look(process.ppid)
    return mine
