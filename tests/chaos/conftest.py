"""Chaos as people run it: a command, in a directory of its own."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.engine import ROOT

Chaos = Callable[..., subprocess.CompletedProcess[str]]
COMMAND_TIMEOUT_S = 90


@pytest.fixture
def chaos(tmp_path: Path) -> Chaos:
    """Runs `python -m chaos WORDS`; `typed` is what is typed at the prompt, further keywords are the environment."""

    def run(*words: str | Path, typed: str = "", **environ: str) -> subprocess.CompletedProcess[str]:
        clean = {name: value for name, value in os.environ.items() if not name.startswith("CHAOS_")}
        return subprocess.run(
            [sys.executable, "-m", "chaos", *map(str, words)],
            cwd=tmp_path,
            env={**clean, "PYTHONPATH": str(ROOT), **environ},
            input=typed,
            capture_output=True,
            text=True,
            timeout=COMMAND_TIMEOUT_S,
            check=False,
        )

    return run
