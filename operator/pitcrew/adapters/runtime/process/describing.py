"""What a process uses, and how it is declared, in lines for people. Values of its environment are not among it."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from pitcrew.core.resource import ProcessTarget
from pitcrew.core.untrusted import bound, printable

_LINE_BYTES_MAX = 300
_LISTED_MAX = 32
_OPEN_FILES = "Max open files"


def usage(pid: int) -> Sequence[str]:
    """Memory, threads and open files of a process; blocks. What `/proc` does not tell is left out."""
    status = dict(_fields(pid))
    lines = []
    if resident := status.get("VmRSS", "").removesuffix(" kB").strip():
        lines.append(f"memory {int(resident) // 1024} MiB resident")
    if threads := status.get("Threads"):
        lines.append(f"threads {threads}")
    opened, limit = _open_files(pid)
    return [*lines, *([f"open files {opened} of {limit}"] if opened is not None else [])]


def _fields(pid: int) -> Iterator[tuple[str, str]]:
    for line in _lines(pid, "status"):
        name, _, value = line.partition(":")
        yield name, value.strip()


def _open_files(pid: int) -> tuple[int | None, str]:
    try:
        opened = len(os.listdir(f"/proc/{pid}/fd"))
    except OSError:
        return None, ""
    limits = [line.removeprefix(_OPEN_FILES).split() for line in _lines(pid, "limits") if line.startswith(_OPEN_FILES)]
    return opened, limits[0][0] if limits and limits[0] else "unknown"


def _lines(pid: int, name: str) -> Sequence[str]:
    try:
        return Path(f"/proc/{pid}/{name}").read_text(errors="replace").splitlines()
    except OSError:
        return ()


def makeup(target: ProcessTarget) -> Sequence[str]:
    """How a process is declared: command, working directory, names of its environment."""
    lines = [
        f"command {' '.join(target.command[:_LISTED_MAX])}",
        f"working directory {target.working_dir}",
        *(f"environment {name}=(hidden)" for name in sorted(target.env)[:_LISTED_MAX]),
    ]
    return [bound(printable(line, lines=False), _LINE_BYTES_MAX) for line in lines]
