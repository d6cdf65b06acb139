"""The processes of a target as /proc lists them, for evidence."""

from pathlib import Path

from pitcrew.adapters.runtime.process import shim

_WORD_CHARS_MAX = 64


def family(main: shim.Proc) -> list[str]:
    """A line for a process and for each of its descendants: pid, state, where it waits in the kernel, name."""
    known, lines = {main.pid}, [_line(main)]
    for proc in sorted(shim.everyone(), key=lambda one: (one.start, one.pid)):
        if proc.ppid in known and proc.pid not in known:
            known.add(proc.pid)
            lines.append(_line(proc))
    return lines


def _line(proc: shim.Proc) -> str:
    return f"{proc.pid} {proc.state} {_word(proc.pid, 'wchan')} {_word(proc.pid, 'comm')}"


def _word(pid: int, name: str) -> str:
    try:
        return Path(f"/proc/{pid}/{name}").read_text(errors="replace").strip()[:_WORD_CHARS_MAX] or "-"
    except OSError:
        return "-"
