"""Completion as a shell asks for it: commands, services and incidents, and nothing that a shell could stumble over."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pitcrew.adapters.status.files import StatusFiles
from pitcrew.core.record import Head
from tests.cli.test_cli import ROOT, pitcrew, status_of
from tests.core import incidents

AS_INSTALLED = "import sys; sys.argv[0] = 'pitcrew'; from pitcrew.entrypoints.cli import main; main()"


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A state directory with one service, its open incident, and reports of earlier ones."""
    status = status_of(incidents.undone(), Head(seq=24, hash="0" * 64))
    asyncio.run(StatusFiles(tmp_path / "status").write(status))
    (tmp_path / "reports").mkdir()
    for name in ("victim-2", "victim-10", "$(reboot)-3", "a b-4"):
        (tmp_path / "reports" / f"{name}.md").touch()
    (tmp_path / "status" / "default.$(reboot).yaml").touch()
    return tmp_path


def completed(state: Path, *words: str, shell: str = "bash") -> list[str]:
    env = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT / "operator"),
        "PITCREW_STATE": str(state),
        "_PITCREW_COMPLETE": f"complete_{shell}",
        "COMP_WORDS": " ".join(words),
        "COMP_CWORD": str(len(words) - 1),
        "_TYPER_COMPLETE_ARGS": " ".join(words),
        "_TYPER_COMPLETE_FISH_ACTION": "get-args",
    }
    command = [sys.executable, "-c", AS_INSTALLED]
    done = subprocess.run(command, capture_output=True, text=True, env=env, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.split()


def test_commands_are_completed(state: Path) -> None:
    assert completed(state, "pitcrew", "w") == ["why"]
    assert "plan" in completed(state, "pitcrew", "")


def test_services_are_completed(state: Path) -> None:
    for command in ("get", "status", "events", "plan", "incidents"):
        assert completed(state, "pitcrew", command, "v") == ["victim"]
    assert completed(state, "pitcrew", "get", "default/") == ["default/victim"]


def test_incidents_are_completed_the_newest_first(state: Path) -> None:
    for command in ("why", "ask"):
        assert completed(state, "pitcrew", command, "") == ["victim-10", "victim-2", "victim-1"]
    assert completed(state, "pitcrew", "report", "victim-1") == ["victim-10", "victim-1"]


def test_the_state_that_is_named_counts(state: Path, tmp_path: Path) -> None:
    assert completed(tmp_path / "nowhere", "pitcrew", "status", f"--state={state}", "v") == ["victim"]
    assert completed(tmp_path / "nowhere", "pitcrew", "status", "v") == []


def test_fish_is_told_the_same(state: Path) -> None:
    assert completed(state, "pitcrew", "why", "victim-2", shell="fish") == ["victim-2"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_is_what_the_shell_understands(shell: str) -> None:
    done = pitcrew("completion", shell)
    assert (done.returncode, done.stderr) == (0, "")
    assert "_PITCREW_COMPLETE=complete_" + shell in done.stdout


def test_bash_takes_the_script() -> None:
    done = pitcrew("completion", "bash")
    subprocess.run(["bash", "-n"], input=done.stdout, text=True, check=True, timeout=30)


def test_another_shell_is_a_wrong_command_line() -> None:
    assert pitcrew("completion", "tcsh").returncode == 2
