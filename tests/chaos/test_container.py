"""Each fault on a real container, and its way back; the engine's own events are the witness."""

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import pytest

from chaos import proc
from tests.chaos.conftest import Chaos
from tests.engine import published_port, victim_container
from tests.victim.asking import get
from tests.waiting import eventually

pytestmark = pytest.mark.docker
needs_root = pytest.mark.skipif(
    os.geteuid() != 0, reason="signals from the host to a container's processes need root; run the tests as root"
)
FLAG = "/app/broken.flag"


@pytest.fixture(scope="module")
def shared() -> Iterator[Any]:
    with victim_container() as started:
        yield started


@pytest.fixture
def container(shared: Any) -> Any:
    """The module's container, running and unbroken: each test hands it on as `fix` left it."""
    assert _status(shared) == "running"
    assert shared.exec_run(["test", "-e", FLAG]).exit_code == 1
    return shared


def _status(container: Any) -> str:
    container.reload()
    return str(container.status)


def _since(container: Any, begun_at: float) -> list[str]:
    """The container's own events since then, checks inside it left out."""
    client = docker.from_env()
    try:
        stream = client.events(
            since=f"{begun_at:.6f}", until=f"{time.time():.6f}", filters={"container": container.id}, decode=True
        )
        return [event["Action"] for event in stream if not event["Action"].startswith(("exec_", "health_status"))]
    finally:
        client.close()


def test_the_flag_is_put_into_its_working_directory_and_removed(container: Any, chaos: Chaos) -> None:
    broken = chaos("break", "flag", container.name)
    assert broken.returncode == 0, broken.stderr
    assert container.exec_run(["test", "-f", FLAG]).exit_code == 0
    assert "500 'SERVICE UNHEALTHY'" in chaos("status", container.name).stdout
    fixed = chaos("fix", container.name)
    assert f"removed {FLAG}" in fixed.stdout, fixed.stderr
    assert container.exec_run(["test", "-e", FLAG]).exit_code == 1
    assert "nothing to undo" in chaos("fix", container.name).stdout


@needs_root
def test_a_kill_comes_from_outside_docker(container: Any, chaos: Chaos) -> None:
    begun_at = time.time()
    broken = chaos("break", "kill", container.name)
    assert broken.returncode == 0, broken.stderr
    eventually(lambda: _status(container) == "exited", what="the end of the container")
    assert container.attrs["State"]["ExitCode"] == 137
    events = _since(container, begun_at)
    assert ("die" in events, "kill" in events, "stop" in events) == (True, False, False)
    fixed = chaos("fix", container.name)
    assert (fixed.returncode, _status(container)) == (0, "running"), fixed.stderr


def test_a_stop_is_what_a_person_would_do(container: Any, chaos: Chaos) -> None:
    begun_at = time.time()
    assert chaos("break", "stop", container.name).returncode == 0
    assert _status(container) == "exited"
    events = [event for event in _since(container, begun_at) if event in ("kill", "die", "stop")]
    assert events == ["kill", "die", "stop"]
    assert "is not running" in chaos("break", "hang", container.name).stderr
    assert chaos("fix", container.name).returncode == 0
    assert _status(container) == "running"


@needs_root
def test_hang_holds_every_process_while_the_engine_sees_it_running(container: Any, chaos: Chaos) -> None:
    eventually(lambda: len(proc.in_cgroup(container.id)) >= 2, what="the server and its worker")
    broken = chaos("break", "hang", container.name)
    assert broken.returncode == 0, broken.stderr
    container.reload()
    main = proc.look(container.attrs["State"]["Pid"])
    assert (_status(container), main is not None and main.stopped) == ("running", True)
    assert "no answer" in chaos("status", container.name).stdout
    fixed = chaos("fix", container.name)
    assert fixed.stdout.count("continued pid") >= 2, fixed.stderr
    eventually(lambda: "200 'OK'" in chaos("status", container.name).stdout, what="health")


@needs_root
def test_oom_is_the_kernel_ending_the_main_process_and_a_start_brings_it_back(container: Any, chaos: Chaos) -> None:
    before, begun_at = container.attrs["HostConfig"]["Memory"], time.time()
    eventually(lambda: "200 'OK'" in chaos("status", container.name).stdout, what="health")
    broken = chaos("break", "oom", container.name)
    assert broken.returncode == 0, broken.stderr
    assert _status(container) == "exited"
    state = container.attrs["State"]
    assert (state["ExitCode"], state["OOMKilled"]) == (137, True)
    events = _since(container, begun_at)
    assert {"oom", "die"} <= set(events)
    assert not {"kill", "stop"} & set(events)
    assert "memory limit:" in chaos("status", container.name).stdout
    container.start()
    eventually(lambda: "200 'OK'" in chaos("status", container.name).stdout, what="health under the lower limit")
    lowered = container.attrs["HostConfig"]["Memory"]
    fixed = chaos("fix", container.name)
    assert "has its limits back" in fixed.stdout, fixed.stderr
    assert _status(container) == "running"
    assert container.attrs["HostConfig"]["Memory"] >= max(before, 2 * lowered)


def test_latency_throttles_and_fix_gives_the_cpu_back_live(container: Any, chaos: Chaos) -> None:
    eventually(lambda: "200 'OK'" in chaos("status", container.name).stdout, what="health")
    begun_at = time.time()
    broken = chaos("break", "latency", container.name)
    assert broken.returncode == 0, broken.stderr
    assert "5 % of one CPU" in chaos("status", container.name).stdout
    eventually(lambda: _throttled(container) > 2, what="throttled periods")
    fixed = chaos("fix", container.name)
    assert "no CPU limit by quota" in fixed.stdout, fixed.stderr
    assert set(_since(container, begun_at)) == {"update"}
    assert "nothing to undo" in chaos("fix", container.name).stdout


def _throttled(container: Any) -> int:
    """In how many periods it was throttled so far, while it is asked for work."""
    port = published_port(container)
    assert port is not None
    get(port, "/")
    return int(container.stats(stream=False)["cpu_stats"]["throttling_data"]["throttled_periods"])


def test_errors_are_two_fifths_of_the_answers_while_health_is_good(container: Any, chaos: Chaos) -> None:
    eventually(lambda: "200 'OK'" in chaos("status", container.name).stdout, what="health")
    begun_at, port = time.time(), published_port(container)
    assert port is not None
    broken = chaos("break", "errors", container.name)
    assert broken.returncode == 0, broken.stderr
    answers = [answer[0] for answer in (get(port, "/") for _ in range(20)) if answer]
    assert (answers.count(500), answers.count(200)) == (8, 12)
    shown = chaos("status", container.name).stdout
    assert ("5 files, 2 away" in shown, "200 'OK'" in shown) == (True, True)
    assert "are away already" in chaos("break", "errors", container.name).stdout
    fixed = chaos("fix", container.name)
    assert fixed.stdout.count("back in") == 2, fixed.stderr
    assert {answer[0] for answer in (get(port, "/") for _ in range(10)) if answer} == {200}
    assert _since(container, begun_at) == []


def test_fix_restores_what_others_broke(container: Any, chaos: Chaos) -> None:
    container.exec_run(["touch", FLAG])
    container.pause()
    fixed = chaos("fix", container.name)
    assert ("unpaused" in fixed.stdout, f"removed {FLAG}" in fixed.stdout) == (True, True), fixed.stderr
    container.exec_run(["touch", FLAG])
    container.stop()
    fixed = chaos("fix", container.name)
    assert ("started" in fixed.stdout, f"removed {FLAG}" in fixed.stdout) == (True, True), fixed.stderr


def test_none_changes_nothing(container: Any, chaos: Chaos) -> None:
    begun_at = time.time()
    assert chaos("break", "none", container.name).returncode == 0
    assert _since(container, begun_at) == []


def test_a_name_that_could_be_two_targets_is_refused(container: Any, chaos: Chaos, tmp_path: Path) -> None:
    (tmp_path / "own.pid").write_text(f"{os.getpid()}\n", encoding="ascii")
    (tmp_path / "manifests").mkdir()
    (tmp_path / "manifests" / "process.yaml").write_text(
        f"kind: HealthyService\nmetadata: {{name: {container.name}}}\n"
        "spec: {target: {process: {pidFile: ../own.pid}}}\n",
        encoding="utf-8",
    )
    refused = chaos("break", "flag", container.name)
    assert (refused.returncode, "say which with --docker or --pidfile" in refused.stderr) == (1, True)
    assert container.exec_run(["test", "-e", FLAG]).exit_code == 1
    assert chaos("--docker", "status", container.name).returncode == 0
