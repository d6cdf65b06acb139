"""What only this machine shows of a container on it: its processes. All is checked against the container's id."""

import os
import signal
from contextlib import suppress
from pathlib import Path

_PROC = Path("/proc")
_DESCENDANTS_MAX = 256


def is_suspended(pid: int, container_id: str) -> bool:
    """Whether the first process of a container is stopped by a signal (state T), which the engine does not report."""
    try:
        stat = (_PROC / str(pid) / "stat").read_text("utf-8", "replace")
    except OSError:
        return False
    return _belongs(pid, container_id) and stat.rpartition(")")[2].split()[:1] == ["T"]


def end_command(pid: int, container_id: str) -> bool:
    """Kill a command that was started in a container, with its children; whether it could be done.

    The process is held by a descriptor while it is checked, so that a pid given to another one meanwhile is not hit.
    """
    ended = [_kill(each, container_id) for each in (pid, *_descendants(pid))]
    return all(ended)


def _kill(pid: int, container_id: str) -> bool:
    if pid <= 1:
        return False
    try:
        held = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    try:
        if not _belongs(pid, container_id):
            return False
        signal.pidfd_send_signal(held, signal.SIGKILL)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    finally:
        os.close(held)
    return True


def _belongs(pid: int, container_id: str) -> bool:
    try:
        return bool(container_id) and container_id in (_PROC / str(pid) / "cgroup").read_text("utf-8", "replace")
    except OSError:
        return False


def _descendants(pid: int) -> list[int]:
    found: list[int] = []
    queue = [pid]
    while queue and len(found) < _DESCENDANTS_MAX:
        with suppress(OSError):
            for task in (_PROC / str(queue[0]) / "task").iterdir():
                children = [int(each) for each in (task / "children").read_text().split()]
                found += children
                queue += children
        queue.pop(0)
    return found
