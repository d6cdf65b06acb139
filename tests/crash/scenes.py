"""What the operator is set on: one service with one fault, and what can be seen of it from outside PitCrew."""

import abc
import json
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import yaml

from pitcrew.adapters.runtime.process import shim
from pitcrew.core.errors import Refused, Unavailable
from pitcrew.core.record import Json, Record, parse
from pitcrew.entrypoints.cli.orders import ask
from pitcrew.entrypoints.cli.signing import signed
from tests import keys
from tests.crash import workload
from tests.crash.child import Bug, Job
from tests.crash.nursery import Child
from tests.crash.oracle import Ending, Violation, incidents_in, is_quiet
from tests.crash.points import Kill
from tests.crash.witness import DirectoryWitness
from tests.waiting import eventually

NAME = "victim"
FLAG, SICK = workload.ILL
FLAG_CONTENT = b"put here by the crash suite\n"
FLAG_MODE = 0o640
APPROVER = "ann@example.org"
QUIET_TURNS = 2
"""Turns of the loop, as the status file shows them, in which nothing new may come up before an ending counts."""
QUIET_WITHIN_S = 90.0
PAUSE_S = 0.05
ANSWER_S = 10.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Story:
    """One fault: whether the workload runs, has its flag, is ill for a reason that no remedy reaches, or is tired (ill
    until it is restarted), whether a declared command is what takes the flag away, and whether its policy asks a
    person, who approves as soon as there is a question."""

    name: str
    running: bool = True
    flagged: bool = False
    sick: bool = False
    tired: bool = False
    commanded: bool = False
    asks: bool = False

    def __str__(self) -> str:
        return self.name

    @property
    def asks_somebody(self) -> bool:
        """Whether a person is asked: by the policy, or since a restart may be High, which waits in one process."""
        return self.asks or self.tired or self.commanded


STARTING = Story(name="starting", running=False)
HEALING = Story(name="healing", flagged=True)
UNDOING = Story(name="undoing", flagged=True, sick=True)
RESTARTING = Story(name="restarting", tired=True)
APPROVING = Story(name="approving", flagged=True, asks=True)
SECOND = Story(name="second remedy", flagged=True, tired=True)
COMMANDING = Story(name="commanding", flagged=True, commanded=True)
STORIES = (STARTING, HEALING, UNDOING, RESTARTING, SECOND, APPROVING, COMMANDING)

BOOK = """---
id: cure
title: A file makes it ill, and its owner declared what takes it away
cause: ServiceErrors
signals:
  - {fact: state, equals: Running}
  - {fact: probe.failing, equals: Status}
  - {fact: probe.failing}
remedies:
  - {action: runCommand, command: cure}
ask: find out what makes it ill
verify: the failing probe stays good over the verification window
---
"""


class Approver(threading.Thread):
    """A person who approves whatever the first incident asks, with a signature, in every life of the operator."""

    def __init__(self, state: Path, key: Path) -> None:
        super().__init__(daemon=True)
        self._state = state
        self._key = key
        self._over = threading.Event()
        self.start()

    def run(self) -> None:
        while not self._over.wait(PAUSE_S):
            with suppress(Unavailable, Refused):
                self._approve()

    def _approve(self) -> None:
        question = ask(self._state, {"do": "question", "incident": f"{NAME}-1"})
        assert isinstance(question, dict)
        if not question["decided"]:
            about: dict[str, Json] = {"incident": f"{NAME}-1", "plan": question["digest"], "reason": "seen"}
            signature = signed(question, "Approve", "seen", self._key)
            ask(self._state, {"do": "decide", "decision": "Approve", "signed": signature, **about})

    def close(self) -> None:
        """Go home."""
        self._over.set()
        self.join()


class Scene(abc.ABC):
    """A state directory and a workload of their own. A short path: sockets lie in it."""

    def __init__(self, story: Story) -> None:
        self.story = story
        self.root = Path(tempfile.mkdtemp(prefix="crash-"))
        self.state = self.root / "state"
        self.said = self.root / "said"
        for path in (self.state, self.root / "manifests", self.root / "books"):
            path.mkdir(mode=0o700)
        (self.root / "books" / "cure.md").write_text(BOOK)
        key = keys.new_key(self.root / "key")
        (self.root / "allowed_signers").write_text(keys.allowed_line(APPROVER, key))
        self._approver = Approver(self.state, key) if story.asks_somebody else None

    def declare(self, target: Mapping[str, object], port: int, flag: str) -> None:
        """Write the manifest; JSON is YAML."""
        probe = {"httpGet": {"path": "/health", "port": port}, "periodSeconds": 1, "timeoutSeconds": 10}
        actions: dict[str, object] = {"start": {}, "removeFile": {"paths": [flag]}}
        if self.story.commanded:
            actions = {"start": {}, "runCommand": {"commands": [{"name": "cure", "argv": ["rm", "--", flag]}]}}
        if self.story.tired:
            actions["restart"] = {"gracePeriodSeconds": 1}
        manifest = {
            "apiVersion": "pitcrew.dev/v1alpha1",
            "kind": "HealthyService",
            "metadata": {"name": NAME},
            "spec": {
                "target": target,
                "probes": [{**probe, "failureThreshold": 1}],
                "remediation": {"actions": actions, "verifyFor": "1s"},
                "policy": {
                    "autoUpTo": "None" if self.story.asks else "Critical",
                    "approvers": {"users": [APPROVER]},
                },
            },
        }
        (self.root / "manifests" / "victim.yaml").write_text(json.dumps(manifest))

    def job(self, life: int, kill: Kill | None, bug: Bug) -> Job:
        """One life of an operator on this scene."""
        return Job(
            name=f"{self.root.name}/{life}",
            state=self.state,
            manifests=self.root / "manifests",
            runbooks=self.root / "books",
            locks=self.root / "locks",
            notes=self._notes(life),
            log=self.said,
            kill=kill,
            bug=bug,
            docker_host=self.docker_host,
            allowed_signers=self.root / "allowed_signers",
        )

    docker_host = ""

    def _notes(self, life: int) -> Path:
        return self.root / f"notes-{life}"

    def noted(self, life: int) -> Sequence[str]:
        """The points that one operator came to, and its death."""
        return self._notes(life).read_text().splitlines() if self._notes(life).exists() else ()

    @property
    def records(self) -> Sequence[Record]:
        """Every whole line of the journal, as it lies on disk."""
        found = []
        for segment in sorted((self.state / "journal").glob("*.jsonl")):
            found += [parse(line) for line in segment.read_bytes().splitlines(keepends=True) if line.endswith(b"\n")]
        return found

    def wait_until_quiet(self, child: Child) -> None:
        """Until nothing more is to be done, and stayed so. Raises: Violation when that does not come."""
        deadline = time.monotonic() + QUIET_WITHIN_S
        turns, before = 0, self._turn()
        while turns < QUIET_TURNS:
            if child.ended.done():
                raise Violation(f"the operator ended by itself with {child.wait(0)}:\n{self.last_words}")
            if time.monotonic() > deadline:
                raise Violation(f"nothing came to an end in {QUIET_WITHIN_S:g} s:\n{self.last_words}")
            if (now := self._turn()) != before:
                turns, before = turns + 1 if is_quiet(self.records) else 0, now
            time.sleep(PAUSE_S)

    @property
    def _status(self) -> Path:
        return self.state / "status" / f"default.{NAME}.yaml"

    def _turn(self) -> int:
        return self._status.stat().st_mtime_ns if self._status.exists() else 0

    @property
    def last_words(self) -> str:
        """The end of what the operators said."""
        return "\n".join(self.said.read_text(errors="replace").splitlines()[-25:]) if self.said.exists() else ""

    def ending(self) -> Ending:
        """How the world stands, and what was done to it."""
        status = yaml.safe_load(self._status.read_text())["status"]
        return Ending(
            answer=self.answer(),
            health=status["health"],
            reports=tuple(sorted(path.name for path in (self.state / "reports").iterdir() if path.stat().st_size)),
            files=self.files(),
            incidents=incidents_in(self.records),
            effects=tuple(sorted(self.witnessed().items())),
        )

    def close(self) -> None:
        """Remove all of it."""
        if self._approver:
            self._approver.close()
        self.remove()
        shutil.rmtree(self.root)

    @abc.abstractmethod
    def answer(self) -> int:
        """The status of /health, asked from outside; 0 when nobody answers."""

    @abc.abstractmethod
    def files(self) -> tuple[str, ...]:
        """Every file in the working directory, with mode and content."""

    @abc.abstractmethod
    def witnessed(self) -> Counter[str]:
        """Every effect on the workload, as somebody outside PitCrew saw it."""

    @abc.abstractmethod
    def remove(self) -> None:
        """End the workload."""


class ProcessScene(Scene):
    """A local process. Its starts are in its own log, what happens to its files is told by the kernel."""

    def __init__(self, story: Story) -> None:
        super().__init__(story)
        self._work, self._log = self.root / "work", self.root / "log"
        self._home = self.state / "process" / f"default.{NAME}"
        for path in (self._work, self._log, self._home / "inbox", self._home / "log"):
            path.mkdir(mode=0o700, parents=True)
        self._port = socket.socket()
        self._port.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        self._port.bind(("127.0.0.1", 0))
        self._number: int = self._port.getsockname()[1]
        self._lay_out()
        self._supervisor = self._start() if story.running else None
        self._witness = DirectoryWitness(self._work)
        self._starts_before = self._starts()

    def _lay_out(self) -> None:
        if self.story.flagged:
            (self._work / FLAG).write_bytes(FLAG_CONTENT)
            (self._work / FLAG).chmod(FLAG_MODE)
        if self.story.sick:
            (self._work / SICK).touch()
        target = {"process": {"command": self._command, "workingDir": str(self._work)}}
        self.declare(target, self._number, FLAG)

    @property
    def _mood(self) -> list[str]:
        return ["tired"] if self.story.tired else []

    @property
    def _command(self) -> list[str]:
        return [sys.executable, "-I", "-S", workload.__file__, str(self._number), str(self._log), *self._mood]

    def _start(self) -> "subprocess.Popen[bytes]":
        """Start it under its supervisor, as somebody did before this story began."""
        spec: shim.Json = {
            "argv": self._command,
            "cwd": str(self._work),
            "env": {},
            "pid_file": None,
            "log_bytes_max": 100_000,
        }
        shim.write_json(str(self._home / "spec.json"), spec)
        argv = [sys.executable, "-I", "-S", shim.__file__, str(self._home)]
        started = subprocess.Popen(argv, stdin=subprocess.DEVNULL, start_new_session=True)
        eventually(lambda: self.answer() != 0, timeout_s=30, what="the workload")
        eventually(lambda: shim.read_record(str(self._home))["ops"][-1]["state"] == "done", what="its record")
        return started

    def answer(self) -> int:
        return answer_of(f"http://127.0.0.1:{self._number}/health")

    def files(self) -> tuple[str, ...]:
        return tuple(
            f"{path.name} {path.stat().st_mode & 0o7777:o} {path.read_bytes()!r}"
            for path in sorted(self._work.iterdir())
        )

    def witnessed(self) -> Counter[str]:
        seen = {what: times for what, times in self._witness.seen().items() if what.split()[1] in workload.ILL}
        starts = self._starts() - self._starts_before
        return Counter(seen | ({"started": starts} if starts else {}))

    def _starts(self) -> int:
        notes = self._log / "starts"
        return len(notes.read_text().split()) if notes.exists() else 0

    def remove(self) -> None:
        record, boot = shim.read_record(str(self._home)), shim.boot_id()
        for name in (record["shim"], *(run["instance"] for run in record["runs"])):
            if name and (proc := shim.living(name, boot)):
                shim.send(proc, shim.FORCE)
        if self._supervisor:
            self._supervisor.wait(10)
        self._witness.close()
        self._port.close()


def answer_of(url: str) -> int:
    """The status of an answer; 0 when nobody answers."""
    try:
        with urllib.request.urlopen(url, timeout=ANSWER_S) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0
