"""The test's side of `child`: start operators, kill them, learn how they ended."""

import json
import os
import signal
import subprocess
import sys
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock, Thread

from tests.crash.child import Job

ROOT = Path(__file__).resolve().parents[2]
BIRTH_S = 30.0
END_S = 30.0


@dataclass(kw_only=True)
class Child:
    """One operator, running or ended."""

    born: "Future[int]" = field(default_factory=Future)
    ended: "Future[int]" = field(default_factory=Future)

    def wait(self, timeout_s: float) -> int:
        """How it ended; negative for a signal. Raises: TimeoutError."""
        return self.ended.result(timeout_s)

    def ask_to_end(self) -> int:
        """End it as a person would; its exit code."""
        os.kill(self.born.result(BIRTH_S), signal.SIGTERM)
        return self.wait(END_S)

    def kill(self) -> None:
        """End it whatever it does, if it has not ended."""
        if not self.ended.done():
            os.kill(self.born.result(BIRTH_S), signal.SIGKILL)
            self.wait(END_S)


class Nursery:
    """Holds the process that forks operators."""

    def __init__(self) -> None:
        path = os.pathsep.join([str(ROOT / "operator"), str(ROOT)])
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.crash.child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": path},
        )
        self._children: dict[str, Child] = {}
        self._lock = Lock()
        self._reader = Thread(target=self._read, daemon=True)
        self._reader.start()

    def start(self, job: Job) -> Child:
        """A new operator; its name must be new."""
        asked = self._process.stdin
        assert asked is not None
        child = Child()
        with self._lock:
            assert job.name not in self._children, f"{job.name} was used already"
            self._children[job.name] = child
            asked.write(job.model_dump_json().encode() + b"\n")
            asked.flush()
        return child

    def close(self) -> None:
        """End every operator that is left, and the process that forked them."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(END_S)
        self._reader.join(END_S)

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            told = json.loads(line)
            child = self._children[told["name"]]
            if "pid" in told:
                child.born.set_result(told["pid"])
            else:
                child.ended.set_result(told["code"])
