"""What a container uses and how it was made, in lines for people. Values of its environment stay with the engine."""

from collections.abc import Iterator, Mapping, Sequence

from pitcrew.adapters.runtime.docker.facts import Inspected
from pitcrew.adapters.runtime.docker.text import printable

_LINE_CHARS_MAX = 300
_LISTED_MAX = 16
_MIB = 1 << 20
_UNLIMITED = 1 << 60
"""What cgroups and engines say for no limit is about this or more."""
_CPU_UNIT = 10**9


def usage(stats: object) -> Sequence[str]:
    """The engine's counters of one running container; what it does not tell is left out."""
    seen = Inspected(document=stats if isinstance(stats, Mapping) else {})
    return [*_memory(seen), *_cpu(seen), *_pids(seen)]


def _memory(seen: Inspected) -> Iterator[str]:
    used, limit = seen.number("memory_stats", "usage"), seen.number("memory_stats", "limit")
    if used:
        cache = seen.number("memory_stats", "stats", "inactive_file")
        bounded = f" of {limit // _MIB} MiB ({100 * used // limit} %)" if 0 < limit < _UNLIMITED else ""
        yield f"memory {used // _MIB} MiB{bounded}, of it {cache // _MIB} MiB reclaimable cache"
    if failed := seen.number("memory_stats", "failcnt"):
        yield f"memory limit reached {failed} times"


def _cpu(seen: Inspected) -> Iterator[str]:
    periods = seen.number("cpu_stats", "throttling_data", "periods")
    throttled = seen.number("cpu_stats", "throttling_data", "throttled_periods")
    if periods:
        yield f"cpu throttled in {throttled} of {periods} periods ({100 * throttled // periods} %)"
    if total := seen.number("cpu_stats", "cpu_usage", "total_usage"):
        yield f"cpu used {total // 10**9} s since its start"


def _pids(seen: Inspected) -> Iterator[str]:
    current, limit = seen.number("pids_stats", "current"), seen.number("pids_stats", "limit")
    if current:
        yield f"processes {current}" + (f" of {limit}" if 0 < limit < _UNLIMITED else "")


def makeup(seen: Inspected) -> Sequence[str]:
    """How a container was made: image, command, limits, mounts, ports and names of its environment."""
    lines = [
        f"image {seen.text('Config', 'Image')}",
        f"command {_words([*seen.sequence('Config', 'Entrypoint'), *seen.sequence('Config', 'Cmd')])}",
        f"working directory {seen.text('Config', 'WorkingDir') or '/'}, user {seen.text('Config', 'User') or 'root'}",
        f"restart policy {seen.text('HostConfig', 'RestartPolicy', 'Name') or 'no'}, "
        f"restarted {seen.number('RestartCount')} times by it",
        *_limits(seen),
        *(f"mount {text}" for text in _mounts(seen)),
        *(f"port {port}" for port in sorted(map(str, seen.part("Config", "ExposedPorts")))[:_LISTED_MAX]),
        *(f"health check {_words(words)}" for words in [seen.sequence("Config", "Healthcheck", "Test")] if words),
        *(f"environment {name}=(hidden)" for name in _env_names(seen)),
    ]
    return [printable(line, chars_max=_LINE_CHARS_MAX) for line in lines]


def _limits(seen: Inspected) -> Iterator[str]:
    memory, nano = seen.number("HostConfig", "Memory"), seen.number("HostConfig", "NanoCpus")
    quota, period = seen.number("HostConfig", "CpuQuota"), seen.number("HostConfig", "CpuPeriod") or 100_000
    yield f"memory limit {memory // _MIB} MiB" if memory else "no memory limit"
    if nano or quota > 0:
        hundredths = nano * 100 // _CPU_UNIT if nano else quota * 100 // period
        yield f"cpu limit {hundredths / 100:g} cores"


def _mounts(seen: Inspected) -> Iterator[str]:
    for mount in seen.sequence("Mounts")[:_LISTED_MAX]:
        one = Inspected(document=mount if isinstance(mount, Mapping) else {})
        writable = "" if one.part().get("RW") is not False else ", read-only"
        yield f"{one.text('Type')} at {one.text('Destination')}{writable}"


def _env_names(seen: Inspected) -> Sequence[str]:
    entries = [entry.partition("=")[0] for entry in seen.sequence("Config", "Env") if isinstance(entry, str)]
    return sorted(entries)[: 2 * _LISTED_MAX]


def _words(words: Sequence[object]) -> str:
    return " ".join(str(word) for word in words[:_LISTED_MAX]) or "none"
