"""The memory of a container's control group, seen and taken from the host; control groups of both versions."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from chaos import hog, proc
from chaos.errors import CannotError

HOG_TIMEOUT_S = 30
FIRST_TO_GO = "1000"
"""The score by which the kernel ends this process before any other of its group (proc(5), oom_score_adj)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Group:
    """A control group's directory, and the name of the file with the bytes it uses."""

    directory: Path
    usage: str

    @property
    def used(self) -> int:
        """Bytes. Raises: CannotError when they cannot be read."""
        try:
            return int((self.directory / self.usage).read_text(encoding="ascii"))
        except OSError as problem:
            raise CannotError(f"{self.directory}: cannot be read ({problem.strerror}); is this the host?") from problem


def group_of(process: proc.Process) -> Group:
    """The group that the process's memory is charged to. Raises: CannotError when it is in none of its own."""
    for line in proc.cgroups(process):
        _, controllers, path = line.split(":", 2)
        if "memory" in controllers.split(","):
            return Group(directory=_mounted("cgroup", "memory") / path.lstrip("/"), usage="memory.usage_in_bytes")
    for line in proc.cgroups(process):
        if line.startswith("0::/") and line != "0::/":
            return Group(directory=_mounted("cgroup2", "") / line[4:], usage="memory.current")
    raise CannotError(f"pid {process.pid}: is in no control group of its own, so it has no memory limit of its own")


def take_the_rest(group: Group, main: proc.Process, *, limit_bytes: int) -> None:
    """Take memory in the group up to its limit, the main process being the first to go.

    Raises: CannotError when this user may not.
    """
    try:
        (proc.PROC / str(main.pid) / "oom_score_adj").write_text(FIRST_TO_GO, encoding="ascii")
        ended = subprocess.run(
            [sys.executable, "-I", "-S", hog.__file__, str(group.directory / "cgroup.procs"), str(limit_bytes)],
            capture_output=True,
            text=True,
            timeout=HOG_TIMEOUT_S,
            check=False,
        )
    except OSError as problem:
        raise CannotError(f"pid {main.pid}: its memory is out of reach ({problem.strerror}); run as root") from problem
    except subprocess.TimeoutExpired as problem:
        raise CannotError(f"{group.directory}: did not run out of memory within {HOG_TIMEOUT_S} s") from problem
    if ended.returncode > 0:
        raise CannotError(f"{group.directory}: cannot be joined ({ended.stderr.strip()[-200:]}); run as root")


def _mounted(kind: str, controller: str) -> Path:
    """Where the hierarchy is mounted here (proc(5), mountinfo)."""
    for line in (proc.PROC / "self" / "mountinfo").read_text(encoding="utf-8").splitlines():
        fields, _, rest = line.partition(" - ")
        found, _, options = rest.split(" ", 2)
        if found == kind and (not controller or controller in options.replace(" ", ",").split(",")):
            return Path(fields.split()[4])
    raise CannotError(f"no {kind} hierarchy is mounted here; chaos must run on the host, outside any container")
