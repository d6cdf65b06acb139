"""What the demo needs of the world: commands, the service's own answer, a clock to wait by, a line per thing said."""

import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

ROOT = Path(__file__).resolve().parent.parent
DEMO = ROOT / ".demo"
STATE = DEMO / "state"
PITCREW = (sys.executable, "-m", "pitcrew")
LOG = f"; see {(DEMO / 'operator.log').relative_to(ROOT)}"


class DemoError(Exception):
    """The demo cannot go on; the text says why and what to do."""


@dataclass(frozen=True, kw_only=True)
class Stage:
    """What the demo runs on, `docker` or `process`: the manifest, the address of the service, and how chaos is told
    what to break. `name` is the container's; the service is the one that the manifest declares."""

    on: str
    kind: str
    manifest: Path
    name: str
    flag: str
    health: Callable[[], str]
    chaos: tuple[str, ...]
    service: str = "victim"


def pitcrew(*words: str) -> subprocess.CompletedProcess[str]:
    command = [*PITCREW, *words, "--state", str(STATE)]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=30)


def docker(*words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(["docker", *words], capture_output=True, text=True, timeout=60)
    if check and done.returncode != 0:
        raise DemoError(f"docker {words[0]}: {done.stderr.strip()}")
    return done


def run_chaos(stage: Stage, *words: str) -> None:
    command = [sys.executable, str(ROOT / "chaos/chaos.py"), *stage.chaos, *words, stage.service]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=60)
    if done.returncode != 0:
        raise DemoError(f"chaos: {done.stderr.strip()}")
    say("Chaos", done.stdout.strip().splitlines()[0])


def ask(port: int, host: str = "127.0.0.1") -> str:
    """The service's own answer, from outside."""
    try:
        with urllib.request.urlopen(f"http://{host}:{port}/health", timeout=2) as answer:
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


def until(condition: Callable[[], T | None], seconds: float, what: str, see: str = LOG) -> T:
    """Poll until the condition gives something true; `see` says where to look when it did not."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := condition():
            return found
        time.sleep(0.25)
    raise DemoError(f"waited {seconds:.0f} s for {what}{see}")


def say(who: str, text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')}  {who:<10}  {text}", flush=True)
