"""What the engine tells of a container becomes a few plain lines, and never a value of its environment."""

import pytest

from pitcrew.adapters.runtime.docker.describing import makeup, usage
from pitcrew.adapters.runtime.docker.facts import Inspected

STATS = {
    "memory_stats": {"usage": 63 << 20, "limit": 64 << 20, "failcnt": 7, "stats": {"inactive_file": 1 << 20}},
    "cpu_stats": {
        "throttling_data": {"periods": 200, "throttled_periods": 150},
        "cpu_usage": {"total_usage": 12 * 10**9},
    },
    "pids_stats": {"current": 14, "limit": 100},
}
INSPECTED = {
    "Config": {
        "Image": "shop/api:1.4.2",
        "Entrypoint": ["/entry.sh"],
        "Cmd": ["serve", "--port", "8080"],
        "Env": ["DB_PASSWORD=hunter2-very-secret", "PORT=8080"],
        "ExposedPorts": {"8080/tcp": {}},
        "WorkingDir": "/app",
        "Healthcheck": {"Test": ["CMD", "curl", "-f", "localhost"]},
    },
    "HostConfig": {"Memory": 64 << 20, "CpuQuota": 50_000, "RestartPolicy": {"Name": "always"}},
    "Mounts": [{"Type": "volume", "Destination": "/data", "RW": False}],
    "RestartCount": 3,
}


def test_what_a_container_uses_is_told_with_its_limits() -> None:
    assert usage(STATS) == [
        "memory 63 MiB of 64 MiB (98 %), of it 1 MiB reclaimable cache",
        "memory limit reached 7 times",
        "cpu throttled in 150 of 200 periods (75 %)",
        "cpu used 12 s since its start",
        "processes 14 of 100",
    ]


@pytest.mark.parametrize("answer", [None, {}, [], "x", {"memory_stats": 7}, {"memory_stats": {"usage": "many"}}])
def test_an_answer_of_another_shape_tells_nothing(answer: object) -> None:
    assert usage(answer) == []


def test_how_a_container_was_made_is_told_and_its_secrets_are_not() -> None:
    told = "\n".join(makeup(Inspected(document=INSPECTED)))
    for part in (
        *("image shop/api:1.4.2", "command /entry.sh serve --port 8080", "restart policy always, restarted 3 times"),
        *("memory limit 64 MiB", "cpu limit 0.5 cores", "mount volume at /data, read-only", "port 8080/tcp"),
        *("health check CMD curl -f localhost", "environment DB_PASSWORD=(hidden)"),
    ):
        assert part in told
    assert "hunter2" not in told


def test_nothing_raw_and_nothing_endless_is_told() -> None:
    hostile = {"Config": {"Cmd": ["\x1b[2J" + "x" * 10_000] * 100, "Env": [f"V{n}=1" for n in range(5_000)]}}
    lines = makeup(Inspected(document=hostile))
    assert len(lines) < 100
    assert all(len(line) <= 300 and line.isprintable() for line in lines)
