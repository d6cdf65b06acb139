"""What three processes cost against one, measured in one run on one machine: one service, one fault, in turns.

`make overhead` writes docs/reference/overhead.md. Both operators look after a container of their own on the real engine
and are broken one after the other, so that whatever else the machine does falls on both alike.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from pitcrew.core.record import Record, parse
from tools.demo_stage import docker_missing
from tools.demo_world import ROOT, DemoError, docker, say, until
from tools.stack_crew import ROLES, journal
from tools.stack_processes import Processes

PAGE = ROOT / "docs" / "reference" / "overhead.md"
FLAG = "/app/broken.flag"
IDLE_S = 30
"""Seconds over which what an idle operator uses is read off."""
WITHIN_S = 60
STEPS = (
    ("from opened to judged", "Opened", "Judged"),
    ("asking for the permit", "Judged", "Permitted"),
    ("the look before acting", "Permitted", "Checked"),
    ("preparing", "Checked", "Intended"),
    ("acting", "Intended", "Acted"),
    ("all, from opened to done", "Opened", "Acted"),
)
"""Name, and the records between which the time is taken."""
_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


@dataclass(kw_only=True)
class One:
    """Embedded: all roles in one process."""

    root: Path
    name: str
    _process: subprocess.Popen[bytes] | None = None

    def start(self, manifest: str) -> None:
        """Declare the service and run."""
        (self.root / "manifests").mkdir(parents=True, mode=0o755)
        (self.root / "manifests" / "victim.yaml").write_text(manifest)
        words = [sys.executable, "-m", "pitcrew", "run", "--manifests", str(self.root / "manifests")]
        with (self.root / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [*words, "--state", str(self.root / "state")], stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    @property
    def records(self) -> Sequence[Record]:
        """The journal, as far as it is whole."""
        lines = [line for path in sorted((self.root / "state/journal").glob("*.jsonl")) for line in path.open("rb")]
        return [parse(line) for line in lines if line.endswith(b"\n")]

    @property
    def pids(self) -> Mapping[str, int]:
        """Its processes by role."""
        return {"embedded": self._process.pid} if self._process else {}

    def stop(self) -> None:
        """End it."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(30)


@dataclass(kw_only=True)
class Three:
    """Three processes."""

    root: Path
    name: str
    crew: Processes = field(init=False)

    def start(self, manifest: str) -> None:
        """Make keys and tokens, declare the service, and run."""
        self.crew = Processes(root=self.root, why="to be measured")
        self.crew.make(manifest)
        self.crew.start()

    @property
    def records(self) -> Sequence[Record]:
        """The Driver's journal."""
        return journal(self.crew)

    @property
    def pids(self) -> Mapping[str, int]:
        """Its processes by role."""
        return {role: int((self.root / f"{role}.pid").read_text()) for role in ROLES}

    def stop(self) -> None:
        """End them."""
        self.crew.down()


def main() -> int:
    """Measure, print, and write the page where that is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--incidents", type=int, default=10, help="of each (default: 10)")
    parser.add_argument("--write", action="store_true", help=f"write {PAGE.relative_to(ROOT)}")
    chosen = parser.parse_args()
    if reason := docker_missing():
        print(f"overhead: {reason}", file=sys.stderr)
        return 1
    home = ROOT / ".demo" / "overhead"
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    sides: list[One | Three] = [
        One(root=home / "one", name="overhead-one"),
        Three(root=home / "three", name="overhead-three"),
    ]
    try:
        page = measured(sides, chosen.incidents)
    except DemoError as error:
        print(f"overhead: {error}", file=sys.stderr)
        return 1
    finally:
        for side in sides:
            side.stop()
            docker("rm", "--force", side.name, check=False)
        shutil.rmtree(home, ignore_errors=True)
    print(page)
    if chosen.write:
        PAGE.write_text(page)
    return 0


def measured(sides: Sequence[One | Three], incidents: int) -> str:
    """The page, once both were idle for a while and broken so many times, in turns."""
    for side in sides:
        docker("rm", "--force", side.name, check=False)
        docker("run", "--detach", "--name", side.name, "pitcrew/victim:latest")
        side.start(_manifest(side.name))
        until(lambda side=side: any(side.pids) and _settled(side), WITHIN_S, f"{side.name} to come up")  # type: ignore[misc]
    time.sleep(5)
    before = {side.name: _used(side) for side in sides}
    say("Overhead", f"{IDLE_S} s of nothing to do")
    time.sleep(IDLE_S)
    idle = {side.name: (_used(side) - before[side.name]) / IDLE_S for side in sides}
    for number in range(1, incidents + 1):
        for side in sides:
            docker("exec", side.name, "touch", FLAG)
            until(
                lambda side=side, number=number: _healed(side) >= number,  # type: ignore[misc]
                WITHIN_S,
                f"incident {number} of {side.name} to be healed",
            )
        say("Overhead", f"incident {number} of {incidents}, each healed in both")
    return _page(sides, idle, incidents)


def _manifest(container: str) -> str:
    """The demo's service, looked at each second; many incidents in a row are allowed here."""
    policy = {"autoUpTo": "Medium", "cooldown": "0s", "budget": {"actions": 100, "window": "1h"}}
    spec = {
        "target": {"docker": {"container": container}},
        "probes": [{"httpGet": {"path": "/health", "port": 8080}, "periodSeconds": 1, "failureThreshold": 1}],
        "remediation": {"actions": {"removeFile": {"paths": [FLAG]}}, "verifyFor": "1s"},
        "policy": policy,
    }
    head = {"apiVersion": "pitcrew.dev/v1alpha1", "kind": "HealthyService", "metadata": {"name": "victim"}}
    return json.dumps({**head, "spec": spec})


def _settled(side: One | Three) -> bool:
    state = side.root / ("state" if isinstance(side, One) else "driver") / "status" / "default.victim.yaml"
    return state.is_file() and "health: Healthy" in state.read_text()


def _healed(side: One | Three) -> int:
    return sum(record.type == "Reported" for record in side.records)


def _used(side: One | Three) -> float:
    """Processor seconds of its processes so far."""
    total = 0.0
    for pid in side.pids.values():
        words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        total += (int(words[11]) + int(words[12])) / _TICKS
    return total


def _memory_mb(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE_BYTES / 1e6


def _took_ms(records: Sequence[Record], first: str, last: str) -> list[float]:
    """Milliseconds between two records of each incident, by the journal's own clock."""
    found: dict[str, dict[str, int]] = {}
    for record in records:
        found.setdefault(record.incident, {}).setdefault(record.type, record.boottime_ns)
    return [(at[last] - at[first]) / 1e6 for at in found.values() if first in at and last in at]


def _page(sides: Sequence[One | Three], idle: Mapping[str, float], incidents: int) -> str:
    one, three = sides
    rows = []
    for name, first, last in STEPS:
        took = [_took_ms(side.records, first, last) for side in (one, three)]
        if min(map(len, took)) < incidents:
            raise DemoError(f"{name}: {min(map(len, took))} of {incidents} incidents have both records")
        medians = [statistics.median(each) for each in took]
        worst = [max(each) for each in took]
        rows.append(
            f"| {name} | {medians[0]:.0f} ({worst[0]:.0f}) | {medians[1]:.0f} ({worst[1]:.0f})"
            f" | {medians[1] - medians[0]:+.0f} |"
        )
    memory = [{role: _memory_mb(pid) for role, pid in side.pids.items()} for side in (one, three)]
    parts = ", ".join(f"{role} {size:.0f}" for role, size in memory[1].items())
    rows += [
        f"| memory, MB | {sum(memory[0].values()):.0f} | {sum(memory[1].values()):.0f} ({parts})"
        f" | {sum(memory[1].values()) - sum(memory[0].values()):+.0f} |",
        f"| processor while idle, one service looked at each second, % of a core | {100 * idle[one.name]:.1f}"
        f" | {100 * idle[three.name]:.1f} | {100 * (idle[three.name] - idle[one.name]):+.1f} |",
    ]
    return "\n".join(
        [
            "# What three processes cost",
            "",
            f"Measured by `make overhead` on {datetime.now(UTC):%Y-%m-%d}, in one run: {incidents} incidents of each,",
            f"in turns, on a real engine and {os.cpu_count()} cores (load {os.getloadavg()[0]:.1f}). Milliseconds are",
            "medians between two records of the journal, with the worst in parentheses.",
            "",
            "| | one process | three processes | difference |",
            "|---|---|---|---|",
            *rows,
            "",
            "An incident takes seconds to be seen and seconds to be verified, in both; the split adds what is between.",
            "",
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
