"""`pitcrew get --watch` as a person and a pipe meet it: a real process beside the real writer of status files."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pitcrew.adapters.status.files import StatusFiles
from pitcrew.core.deviation import Health
from pitcrew.core.record import Head
from pitcrew.core.resource import ServiceKey
from tests.cli.test_cli import ROOT, pitcrew, status_of
from tests.core import incidents

Start = Callable[..., "subprocess.Popen[str]"]
END_S = 30


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A state directory with one unhealthy service."""
    write(tmp_path, Health.UNHEALTHY)
    return tmp_path


def write(state: Path, health: Health) -> None:
    status = status_of(incidents.undone(), Head(seq=24, hash="0" * 64), health=health)
    asyncio.run(StatusFiles(state / "status", heartbeat_s=0).write(status))


@pytest.fixture
def start(state: Path) -> Iterator[Start]:
    begun: list[subprocess.Popen[str]] = []

    def one(*words: str) -> "subprocess.Popen[str]":
        env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT / "operator"), "PITCREW_STATE": str(state)}
        command = [sys.executable, "-m", "pitcrew", "get", "--watch", *words]
        pipe = subprocess.PIPE
        begun.append(subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=env))
        return begun[-1]

    yield one
    for process in begun:
        process.kill()
        process.communicate()


def line(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline()


def test_each_change_is_one_line_and_ctrl_c_is_a_good_end(state: Path, start: Start) -> None:
    process = start()
    assert line(process).split() == ["SERVICE", "HEALTH", "TARGET", "INCIDENT", "SEEN"]
    assert line(process).split()[:2] == ["default/victim", "Unhealthy"]
    write(state, Health.UNHEALTHY)
    write(state, Health.HEALTHY)
    assert line(process).split()[:2] == ["default/victim", "Healthy"]
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=END_S)
    assert (process.returncode, out, err) == (0, "", "")


def test_a_reader_that_has_seen_enough_ends_it(state: Path, start: Start) -> None:
    process = start("victim")
    line(process)
    line(process)
    assert process.stdout is not None
    process.stdout.close()
    write(state, Health.HEALTHY)
    assert process.wait(END_S) == 0
    assert process.stderr is not None
    assert process.stderr.read() == ""
    process.stdout = None


def test_as_data_each_change_is_one_document(state: Path, start: Start) -> None:
    process = start("-o", "json")
    assert json.loads(line(process))["status"]["health"] == "Unhealthy"
    write(state, Health.HEALTHY)
    assert json.loads(line(process))["status"]["health"] == "Healthy"


def test_a_withdrawn_service_and_a_broken_file_are_said_beside_the_data(state: Path, start: Start) -> None:
    process = start("-o", "json")
    line(process)
    (state / "status" / "default.other.yaml").write_text("nonsense")
    assert process.stderr is not None
    assert "default.other.yaml: holds no status" in process.stderr.readline()
    asyncio.run(StatusFiles(state / "status").forget(ServiceKey("default/victim")))
    assert process.stderr.readline() == "default/victim is no longer declared\n"


def test_a_service_that_is_not_there_is_3(state: Path) -> None:
    done = pitcrew("get", "vctim", "-w", "--state", state)
    assert (done.returncode, done.stderr) == (3, "pitcrew: no service is named 'vctim'; name one of: default/victim\n")
