"""The operator as a person meets it: `pitcrew run` as a process, and what the commands and the status file tell."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

from tests.waiting import eventually

ROOT = Path(__file__).resolve().parents[2]
COMMAND = (sys.executable, "-m", "pitcrew")
COMMAND_S = 60
END_S = 30
WAIT_S = 30
"""Seconds until something that should come did not; far above what it takes, since the machine may be busy."""

FAST = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""A status is read over and over; in plain Python that alone would keep the machine busy."""

Status = dict[str, Any]


class Operator:
    """One state directory and the operator that works on it; `environ` comes on top of a bare environment."""

    def __init__(
        self, *, state: Path, manifests: Path, runbooks: Path | None = None, environ: Mapping[str, str]
    ) -> None:
        self.state = state
        self.log_file = state.with_name(f"{state.name}.log")
        self._sources = ["--manifests", str(manifests), *(["--runbooks", str(runbooks)] if runbooks else [])]
        self._process: subprocess.Popen[bytes] | None = None
        self._started_ns = 0
        quick = {"PITCREW_LOOK_INTERVAL_S": "0.5", "PITCREW_ENGINE_DEADLINE_S": "2", "PITCREW_HEARTBEAT_S": "1"}
        self.environ = {
            "PATH": os.environ["PATH"],
            "HOME": str(state.parent),
            "PYTHONPATH": str(ROOT / "operator"),
            **quick,
            **environ,
        }

    def start(self) -> "Operator":
        """Start it; a state directory that is not there yet is made by it."""
        command = [*COMMAND, "run", *self._sources, "--state", str(self.state)]
        self._started_ns = time.time_ns()
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self.environ, cwd=self.state.parent
            )
        return self

    def stop(self) -> int:
        """End it as a service manager would; its exit code."""
        if self._process is None:
            return 0
        self._process.terminate()
        try:
            return self._process.wait(END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(END_S)
            raise AssertionError(f"the operator did not end within {END_S} s:\n{self.log[-3000:]}") from None
        finally:
            self._process = None

    def wait(self) -> int:
        """Its exit code when it ends by itself."""
        assert self._process is not None
        code, self._process = self._process.wait(END_S), None
        return code

    @property
    def log(self) -> str:
        """All it said so far."""
        return self.log_file.read_text(errors="replace") if self.log_file.exists() else ""

    def pitcrew(self, *words: str) -> "subprocess.CompletedProcess[str]":
        """A command beside the running operator, in another shell."""
        command = [*COMMAND, *words, "--state", str(self.state)]
        return subprocess.run(
            command, capture_output=True, text=True, env=self.environ, cwd=self.state.parent, timeout=COMMAND_S
        )

    def status(self, name: str = "victim") -> Status:
        """The status on disk; nothing while there is none of this run of the operator."""
        path = self.state / "status" / f"default.{name}.yaml"
        if not path.exists() or path.stat().st_mtime_ns < self._started_ns:
            return {}
        return dict(yaml.load(path.read_text(), Loader=FAST)["status"])

    def incidents(self) -> list[dict[str, Any]]:
        """Every incident, as `pitcrew incidents` tells them."""
        shown = self.pitcrew("incidents", "-o", "json")
        assert shown.returncode == 0, shown.stderr
        return list(json.loads(shown.stdout)["items"])

    def why(self, incident: str) -> str:
        """What `pitcrew why` prints."""
        shown = self.pitcrew("why", incident)
        assert shown.returncode == 0, shown.stderr
        return shown.stdout

    def wait_for(self, condition: Callable[[Status], Any], what: str, *, within_s: float = WAIT_S) -> Status:
        """The first status of which the condition is true."""
        last: Status = {}

        def met() -> bool:
            nonlocal last
            if self._process is not None and self._process.poll() is not None:
                raise AssertionError(f"the operator ended by itself:\n{self.log[-3000:]}")
            last = self.status()
            return bool(last and condition(last))

        try:
            eventually(met, timeout_s=within_s, what=what)
        except AssertionError as late:
            raise AssertionError(f"{late}\nstatus: {yaml.safe_dump(last)[:3000]}\nlog:\n{self.log[-3000:]}") from None
        return last

    def wait_until_quiet(self) -> Status:
        """Until the service is healthy and no incident is open."""
        return self.wait_for(lambda seen: seen["health"] == "Healthy" and not seen["incident"], "a healthy service")

    def wait_until_open(self, after: int = 0) -> Status:
        """Until an incident with a number above `after` is open."""
        return self.wait_for(lambda seen: seen["incident"] and number(seen["incident"]) > after, "an open incident")

    def wait_until_escalated(self, after: int = 0) -> Status:
        """Until an incident with a number above `after` waits for a person, and its report is written."""
        return self.wait_for(
            lambda seen: (
                seen["incident"]
                and number(seen["incident"]) > after
                and seen["incident"]["phase"] == "Escalated"
                and seen["incident"]["report"]
            ),
            "an escalated incident",
        )

    def wait_until_healed(self, after: int = 0) -> Status:
        """Until the service is healthy and the last incident has a number above `after`."""
        return self.wait_for(
            lambda seen: seen["health"] == "Healthy" and not seen["incident"] and last_number(seen) > after,
            "a healed incident",
        )


def number(incident: Mapping[str, Any]) -> int:
    """7 of `victim-7`."""
    return int(incident["id"].rpartition("-")[2])


def last_number(seen: Status) -> int:
    """The number of the last incident that ended; 0 before the first."""
    return max((number(one) for one in seen["lastIncidents"]), default=0)


def condition(seen: Status, kind: str) -> dict[str, Any]:
    """A condition by its type; an empty one where it is not there."""
    return next((dict(one) for one in seen["conditions"] if one["type"] == kind), {})
