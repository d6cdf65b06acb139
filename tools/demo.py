"""`make demo`: a real service comes up, chaos breaks it from outside, PitCrew heals it by the audited path.

Docker where an engine answers and an image can be had, else a local process; it says which and why. Exit 0 only if the
journal shows the whole path and the service answers again.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pitcrew.core.conditions import notice
from pitcrew.core.event import (
    EVENT_TYPES,
    from_record,
)
from pitcrew.core.incident import (
    Incident,
    Phase,
    Recovery,
    advance,
)
from pitcrew.core.record import Record, parse

ROOT = Path(__file__).resolve().parent.parent
DEMO = ROOT / ".demo"
STATE = DEMO / "state"
PITCREW = (sys.executable, "-m", "pitcrew")
COME_UP_S = 60
HEAL_S = 90
CREW = {
    "Opened": "Driver",
    "EvidenceGathered": "Driver",
    "Diagnosed": "Driver",
    "Planned": "Strategist",
    "NothingToTry": "Strategist",
    "Judged": "Official",
    "Permitted": "Official",
    "Checked": "Driver",
    "Intended": "Driver",
    "Acted": "Mechanic",
    "Verified": "Driver",
    "Reported": "Reporter",
}


class DemoError(Exception):
    """The demo cannot go on; the text says why and what to do."""


@dataclass(frozen=True, kw_only=True)
class Stage:
    """What the demo runs on: the manifest, the address of the service, and how chaos is told what to break."""

    kind: str
    manifest: Path
    name: str
    flag: str
    health: Callable[[], str]
    chaos: tuple[str, ...]


def main() -> int:
    """The demo; 0 only if the service was healed by the audited path."""
    began = time.monotonic()
    shutil.rmtree(DEMO, ignore_errors=True)
    (DEMO / "manifests").mkdir(parents=True, mode=0o700)
    STATE.mkdir(mode=0o755)
    try:
        reason = docker_missing()
        with docker_stage() if not reason else process_stage(reason) as stage, operator(stage):
            return play(stage, began)
    except DemoError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1


def play(stage: Stage, began: float) -> int:
    """The one act: up, broken, healed, shown."""
    say("PitCrew", f"watches {stage.name} ({stage.kind}), declared in {stage.manifest.relative_to(ROOT)}")
    follower = Follower()
    until(
        lambda: follower.polled() and (stage.health() == "200 OK" and watched(stage)),
        COME_UP_S,
        "the service to come up",
    )
    quiet = follower.settle()
    say("World", f"the service answers: {stage.health()}")
    run_chaos(stage, "break", "flag")
    until(lambda: stage.health().startswith("500"), 10, "the flag to break the service")
    say("World", f"the service answers: {stage.health()}")
    incident = follower.follow_one(after=quiet)
    say("World", f"the service answers: {stage.health()}")
    show(incident)
    return verdict(stage, incident, time.monotonic() - began)


def verdict(stage: Stage, incident: Incident, took_s: float) -> int:
    """Whether the audited path is what healed it."""
    remedy = incident.attempts[-1] if incident.attempts else None
    checks = {
        "healed by a remedy, verified": incident.recovery is Recovery.REMEDY,
        "the remedy removed the flag; nothing was restarted": remedy is not None
        and len(incident.attempts) == 1
        and remedy.plan.action.name == "removeFile",
        "a permit for exactly this plan": remedy is not None
        and remedy.permit is not None
        and remedy.permit.plan_digest == remedy.plan.digest,
        "the service answers 200": stage.health() == "200 OK",
        "the journal's chain holds": pitcrew("audit", "verify").returncode == 0,
        "the report is written": (STATE / "reports" / f"{incident.id}.md").is_file(),
    }
    print("\nProof")
    for text, good in checks.items():
        print(f"  {'yes' if good else 'NO '}  {text}")
    for line in witness(stage):
        print(f"  witness: {line}")
    print(f"\nReport: {(STATE / 'reports' / f'{incident.id}.md').relative_to(ROOT)}   took {took_s:.0f} s")
    print(f"More:   .venv/bin/pitcrew why {incident.id} --state {STATE.relative_to(ROOT)}")
    return 0 if all(checks.values()) else 1


def show(incident: Incident) -> None:
    """The decision, as `pitcrew why` tells it."""
    print("\nWhy (pitcrew why)")
    shown = pitcrew("why", incident.id)
    print("\n".join(f"  {line}" for line in shown.stdout.splitlines()) or f"  {shown.stderr.strip()}")


# The stage


def docker_missing() -> str:
    """Why the demo cannot run on Docker, or nothing."""
    if shutil.which("docker") is None:
        return "there is no docker command"
    try:
        answer = subprocess.run(["docker", "version"], capture_output=True, text=True, timeout=10)
    except subprocess.TimeoutExpired:
        return "the Docker engine does not answer"
    if answer.returncode != 0:
        return "no Docker engine answers"
    built = subprocess.run([str(ROOT / "tools/images.sh")], capture_output=True, text=True, cwd=ROOT)
    return "" if built.returncode == 0 else built.stderr.strip().splitlines()[-1]


@contextmanager
def docker_stage() -> Iterator[Stage]:
    """A container of the victim's image, named as the manifest has it."""
    name = "victim"
    there = docker("inspect", "--format", '{{index .Config.Labels "pitcrew.dev/demo"}}', name, check=False)
    if there.returncode == 0 and there.stdout.strip() != "true":
        raise DemoError(f"a container named {name} is there and not the demo's; rename or remove it, then try again")
    docker("rm", "--force", name, check=False)
    say("Demo", "on Docker: an engine answers and the victim's image is here")
    options = ("--detach", "--name", name, "--label", "pitcrew.dev/demo=true", "--publish", "127.0.0.1::8080")
    docker("run", *options, "pitcrew/victim:latest")
    port = docker("port", name, "8080/tcp").stdout.splitlines()[0].rpartition(":")[2]
    manifest = DEMO / "manifests" / "victim.yaml"
    manifest.write_text((ROOT / "manifests/victim.yaml").read_text())
    manifest.chmod(0o600)
    try:
        yield Stage(
            kind=f"docker container, published at 127.0.0.1:{port}",
            manifest=manifest,
            name=name,
            flag="/app/broken.flag",
            health=lambda: ask(int(port)),
            chaos=("--docker",),
        )
    finally:
        docker("rm", "--force", name, check=False)


@contextmanager
def process_stage(reason: str) -> Iterator[Stage]:
    """The victim as a local process, which PitCrew itself starts."""
    say("Demo", f"as a local process: {reason}")
    port, home = free_port(), DEMO / "victim"
    home.mkdir()
    text = (ROOT / "manifests/victim-process.yaml").read_text()
    for old, new in {
        "../.venv/bin/python": sys.executable,
        "app.py]": f"{ROOT / 'victim-app/app.py'}]",
        "../victim-app": str(home),
        "../.pitcrew/victim.pid": str(DEMO / "victim.pid"),
        "127.0.0.1:8080": f"127.0.0.1:{port}",
        "port: 8080": f"port: {port}",
    }.items():
        if old not in text:
            raise DemoError(f"manifests/victim-process.yaml no longer has {old!r}; tools/demo.py fills it in")
        text = text.replace(old, new)
    manifest = DEMO / "manifests" / "victim.yaml"
    manifest.write_text(text)
    manifest.chmod(0o600)
    try:
        yield Stage(
            kind=f"local process at 127.0.0.1:{port}",
            manifest=manifest,
            name="victim",
            flag=str(home / "broken.flag"),
            health=lambda: ask(port),
            chaos=("--pidfile", str(DEMO / "victim.pid")),
        )
    finally:
        end_process(DEMO / "victim.pid")


def end_process(pidfile: Path) -> None:
    """Stop the demo's own process, as a person would."""
    try:
        pid = int(pidfile.read_text().split()[0])
        os.kill(pid, signal.SIGTERM)
    except (OSError, ValueError, IndexError):
        return
    until(lambda: not Path(f"/proc/{pid}").exists(), 15, "the victim to end")


@contextmanager
def operator(stage: Stage) -> Iterator[None]:
    """`pitcrew run` beside the demo."""
    log = (DEMO / "operator.log").open("w")
    command = [*PITCREW, "run", "--manifests", str(stage.manifest.parent), "--state", str(STATE)]
    process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, cwd=ROOT)
    try:
        yield
        if process.poll() is not None:
            raise DemoError(f"the operator ended by itself; see {log.name}")
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
        log.close()


# What is seen


class Follower:
    """Reads the journal as it grows and prints a line per stage."""

    def __init__(self) -> None:
        self._at = 0
        self._incidents: dict[str, Incident] = {}

    def polled(self) -> bool:
        """Print what is new; always true, to stand in a condition."""
        self.poll()
        return True

    def poll(self) -> None:
        """Print what is new."""
        for record in list(records())[self._at :]:
            self._at += 1
            if record.type in EVENT_TYPES:
                self._tell(record)

    def _tell(self, record: Record) -> None:
        event = from_record(record)
        incident = advance(self._incidents.get(record.incident), event, record.at)
        self._incidents[record.incident] = incident
        who = CREW.get(record.type, "Driver")
        if record.type == "Planned":
            say("Risk", f"{incident.attempt.risk.level} ({incident.attempt.risk.score} of 100)")
        say(who, f"{record.incident} {record.type}: {notice(event, incident, record.at).message}")

    def settle(self) -> set[str]:
        """Wait until no incident is open; the ids so far."""
        until(lambda: self.polled() and not any(i.open for i in self._incidents.values()), HEAL_S, "a quiet start")
        return set(self._incidents)

    def follow_one(self, after: set[str]) -> Incident:
        """The next incident, until it is closed or waits for a person."""

        def ended() -> Incident | None:
            self.poll()
            new = [incident for id_, incident in self._incidents.items() if id_ not in after]
            over = [i for i in new if i.phase in (Phase.CLOSED, Phase.ESCALATED) and i.report]
            return over[0] if over else None

        return until(ended, HEAL_S, "the incident to end")


def records() -> Iterator[Record]:
    """Every whole record on disk."""
    for segment in sorted((STATE / "journal").glob("*.jsonl")):
        for line in segment.read_bytes().splitlines(keepends=True):
            if line.endswith(b"\n"):
                yield parse(line.rstrip(b"\n"))


def watched(stage: Stage) -> bool:
    """Whether PitCrew itself says that the service is healthy."""
    shown = pitcrew("get", "-o", "json")
    return shown.returncode == 0 and '"Healthy"' in shown.stdout


def witness(stage: Stage) -> Iterator[str]:
    """What others than PitCrew saw."""
    if stage.chaos[0] == "--docker":
        yield from container_witness(stage)
        return
    history = STATE.glob("process/*/record.json")
    for path in history:
        runs = json.loads(path.read_text()).get("runs", [])
        yield f"the supervisor's record: {len(runs)} start(s) of the process"


def container_witness(stage: Stage) -> Iterator[str]:
    """The engine's events and the container's own log."""
    since = str(int(time.time()) - 120)
    events = docker(
        "events",
        "--since",
        since,
        "--until",
        str(int(time.time())),
        "--filter",
        f"container={stage.name}",
        "--format",
        "{{.Action}}",
    ).stdout.splitlines()
    acts = [event for event in events if stage.flag in event and event.startswith("exec_start")]
    yield (
        f"docker events: {len(acts)} exec of {acts[0].partition(': ')[2] if acts else 'nothing'}; "
        f"{sum(event in ('restart', 'kill', 'die') for event in events)} restart, kill or die"
    )
    logs = docker("logs", stage.name).stdout
    yield f"container log: {logs.count('the flag file')} lines name the flag file"


# Small tools


def pitcrew(*words: str) -> subprocess.CompletedProcess[str]:
    command = [*PITCREW, *words, "--state", str(STATE)]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=30)


def docker(*words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(["docker", *words], capture_output=True, text=True, timeout=60)
    if check and done.returncode != 0:
        raise DemoError(f"docker {words[0]}: {done.stderr.strip()}")
    return done


def run_chaos(stage: Stage, *words: str) -> None:
    command = [sys.executable, str(ROOT / "chaos/chaos.py"), *stage.chaos, *words, stage.name]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=60)
    if done.returncode != 0:
        raise DemoError(f"chaos: {done.stderr.strip()}")
    say("Chaos", done.stdout.strip().splitlines()[0])


def ask(port: int) -> str:
    """The service's own answer, from outside."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2) as answer:
            return f"{answer.status} {answer.read(64).decode()}"
    except urllib.error.HTTPError as error:
        return f"{error.code} {error.read(64).decode()}"
    except OSError as error:
        return f"no answer ({type(error).__name__})"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


T = TypeVar("T")


def until(condition: Callable[[], T | None], seconds: float, what: str) -> T:
    """Poll until the condition gives something true."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := condition():
            return found
        time.sleep(0.25)
    raise DemoError(f"waited {seconds:.0f} s for {what}; see {(DEMO / 'operator.log').relative_to(ROOT)}")


def say(who: str, text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')}  {who:<10}  {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
