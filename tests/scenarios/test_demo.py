"""`make demo` as its script: exit 0 on Docker, and without an engine on a local process."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.scenarios.operator import ROOT

pytestmark = pytest.mark.slow
DEMO_S = 170


@pytest.mark.docker
def test_the_demo_heals_a_container() -> None:
    shown = _demo()
    assert "on Docker: an engine answers" in shown
    assert "witness: act one: docker events: 1 exec of rm -- /app/broken.flag; 0 restart, kill or die" in shown


def test_the_demo_without_an_engine_heals_a_local_process(tmp_path: Path) -> None:
    shown = _demo(DOCKER_HOST=f"unix://{tmp_path}/nobody.sock")
    assert "as a local process: " in shown
    assert "witness: act one: the supervisor's record: 1 start(s) of the process" in shown
    assert "witness: both acts: the supervisor's record: 2 start(s) of the process" in shown


def _demo(**environ: str) -> str:
    """What the demo printed, when it was content with what it saw."""
    env = {**os.environ, "PYTHONPATH": str(ROOT / "operator"), **environ}
    command = [sys.executable, "-m", "tools.demo"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=env, timeout=DEMO_S)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    assert "NO  " not in done.stdout
    assert "played instead: recorded answers of gemma3-270m" in done.stdout
    assert "yes  both diagnosers spoke, and the model changed no action" in done.stdout
    assert "  decided in act two by: the demo itself, as " in done.stdout
    assert "yes  act two: healed by the approved restart, verified" in done.stdout
    return done.stdout
