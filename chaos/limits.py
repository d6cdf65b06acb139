"""What a container may use, under the engine's names: lowered by faults, remembered as it was, given back."""

from collections.abc import Mapping
from typing import Any

LOWERED_BY = {"oom": ("Memory", "MemorySwap"), "latency": ("CpuPeriod", "CpuQuota")}
"""Which limits each fault lowers."""
NAMES = tuple(name for names in LOWERED_BY.values() for name in names)
MEMORY_BYTES_MIN = 6 << 20
"""The engine takes no lower limit."""
CPU_PERIOD_US = 100_000
"""The kernel's own default."""
SCARCE_CPU = {"cpu_period": CPU_PERIOD_US, "cpu_quota": CPU_PERIOD_US // 20}
"""A twentieth of one CPU: a health endpoint still answers within a fifth of a second, and work is told from it."""
NO_QUOTA = -1


def of(host_config: Mapping[str, Any]) -> dict[str, int]:
    """The limits as `inspect` gives them; 0 is none."""
    return {name: int(host_config.get(name) or 0) for name in NAMES}


def tight(*, used: int, now: Mapping[str, int]) -> int:
    """Twice the bytes it uses: room to start again, since the peak of a start lies below; never above what it has."""
    limit = max(2 * used, MEMORY_BYTES_MIN)
    return min(limit, now["Memory"]) if now["Memory"] else limit


def memory(limit: int) -> dict[str, int]:
    """A memory limit without swap, as the SDK names it."""
    return {"mem_limit": limit, "memswap_limit": limit}


def back(before: Mapping[str, int], *, host_bytes: int) -> dict[str, int]:
    """What gives these limits back.

    An engine cannot take a memory limit away from a container; one that had none may then use all that its host has.
    Nor does it pass on a swap limit of -1, so that no limit on swap becomes twice the memory.
    """
    changed: dict[str, int] = {}
    if "Memory" in before:
        limit = before["Memory"] or host_bytes
        swap = before["MemorySwap"] if before["MemorySwap"] > 0 else 2 * max(limit, host_bytes)
        changed.update(mem_limit=limit, memswap_limit=swap)
    if "CpuQuota" in before:
        changed.update(cpu_period=before["CpuPeriod"] or CPU_PERIOD_US, cpu_quota=before["CpuQuota"] or NO_QUOTA)
    return changed


def memory_said(now: Mapping[str, int]) -> str:
    """The memory limit for people."""
    return mib(now["Memory"]) if now["Memory"] else "none"


def cpu_said(now: Mapping[str, int]) -> str:
    """The CPU limit for people."""
    if now["CpuQuota"] <= 0:
        return "no CPU limit by quota"
    return f"{now['CpuQuota'] * 100 / (now['CpuPeriod'] or CPU_PERIOD_US):g} % of one CPU"


def mib(size: int) -> str:
    """Bytes for people."""
    return f"{size / (1 << 20):.0f} MiB"
