"""`make stack-demo` as its script: three processes heal a real container, and only one of them reaches the engine."""

import os
import subprocess
import sys
import uuid

import pytest

from tests.scenarios.operator import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.docker]
DEMO_S = 400
"""Images are built within it, where they have changed."""
COMMON = (
    "yes  healed by a remedy, verified",
    "yes  the remedy removed the flag; nothing was restarted",
    "yes  the service answers 200",
    " stands in the records of: mechanic, official, driver",
    "yes  pitcrew why joins the records of all three: 1 permit(s), 0 contradiction(s), 0 doubt(s)",
    "witness: docker events: 1 exec of rm -- /app/broken.flag; 0 restart, kill or die",
)
APART = (
    "yes  the engine's socket is mounted in the socket proxy only (docker inspect: socket-proxy)",
    "yes  the proxy's socket in it and the Mechanic only (docker inspect: socket-proxy, mechanic)",
    "yes  the Official does not reach what is where the model is",
    "yes  the Mechanic does not reach what is where the model is",
    "yes  the Driver reaches what is where the model is",
    "yes  official: nothing of its image can be written, no capability, user pitcrew-official",
)


@pytest.mark.compose
def test_three_containers_heal_a_service_and_only_one_reaches_the_engine() -> None:
    shown = _demo("containers")
    for line in (*COMMON, *APART):
        assert line in shown


def test_three_processes_heal_a_service_where_there_is_no_compose() -> None:
    shown = _demo("processes")
    for line in COMMON:
        assert line in shown
    if os.geteuid() == 0:
        assert "yes  the Mechanic asks the engine: /var/run/docker.sock answers" in shown
        assert "yes  the Official asks the engine: /var/run/docker.sock Permission denied" in shown
        assert "yes  the Driver asks the engine: /var/run/docker.sock Permission denied" in shown
        assert "yes  each runs as a user of its own" in shown


def _demo(flavour: str) -> str:
    """What it printed, when it was content with what it saw."""
    name = f"stack-{uuid.uuid4().hex[:8]}"
    command = [
        sys.executable,
        "-m",
        "tools.stack",
        "demo",
        "--as",
        flavour,
        "--name",
        name,
        "--target",
        f"{name}-victim",
    ]
    environ = {**os.environ, "PYTHONPATH": str(ROOT / "operator")}
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environ, timeout=DEMO_S)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    assert "NO  " not in done.stdout
    return done.stdout
