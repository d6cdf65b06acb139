"""Each fault on a real local process under a stand-in for its supervisor, and its way back."""

import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from chaos import proc
from chaos.process import alive
from tests.chaos.conftest import Chaos
from tests.waiting import eventually

HERE = Path(__file__).parent
NO_ENGINE = "unix:///nonexistent/docker.sock"
MANIFEST = """\
apiVersion: pitcrew.dev/v1alpha1
kind: HealthyService
metadata: {name: victim}
spec:
  target: {process: {command: [victim], workingDir: ../work, pidFile: ../run/victim.pid}}
  probes: [{httpGet: {path: /health, port: 1}}]
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Service:
    """A supervised process in `folder`/work, declared by `folder`/manifests/victim.yaml."""

    folder: Path

    @property
    def pidfile(self) -> Path:
        return self.folder / "run" / "victim.pid"

    @property
    def flag(self) -> Path:
        return self.folder / "work" / "broken.flag"

    @property
    def exit_file(self) -> Path:
        return self.folder / "run" / "exit"

    @property
    def record(self) -> Path:
        return self.folder / ".chaos" / "victim.json"

    @property
    def command(self) -> list[str]:
        return [
            sys.executable,
            *map(str, (HERE / "supervisor.py", self.pidfile, self.exit_file)),
            *(sys.executable, str(HERE / "workload.py")),
        ]

    def start(self) -> None:
        subprocess.Popen(self.command, cwd=self.folder / "work", start_new_session=True)
        eventually(lambda: len(self.tree()) == 2, what="the service's two processes")

    def tree(self) -> list[proc.Process]:
        main = alive(self.pidfile)
        return proc.tree(main) if main else []

    def pids(self) -> list[int]:
        return sorted(process.pid for process in self.tree())

    def supervised(self) -> bool:
        parent = proc.look(self.tree()[0].ppid)
        return parent is not None and proc.argv(parent) == self.command


@pytest.fixture
def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    monkeypatch.setenv("DOCKER_HOST", NO_ENGINE)
    for name in ("work", "run", "manifests"):
        (tmp_path / name).mkdir()
    (tmp_path / "manifests" / "victim.yaml").write_text(MANIFEST, encoding="utf-8")
    running = Service(folder=tmp_path)
    running.start()
    yield running
    proc.send_all(running.tree(), signal.SIGKILL)
    eventually(lambda: not running.tree(), what="the end of the service")


def test_the_flag_is_set_where_the_process_runs_and_fix_removes_it(service: Service, chaos: Chaos) -> None:
    before = service.pids()
    broken = chaos("break")
    assert (broken.returncode, service.flag.exists()) == (0, True), broken.stderr
    assert str(service.flag) in broken.stdout
    fixed = chaos("fix")
    assert (fixed.returncode, service.flag.exists()) == (0, False), fixed.stderr
    assert (service.pids(), service.record.exists()) == (before, False)
    assert "nothing to undo" in chaos("fix").stdout


@pytest.mark.parametrize(("fault", "code"), [("kill", "-9"), ("stop", "-15")])
def test_a_process_that_was_ended_is_started_again_under_its_supervisor(
    service: Service, chaos: Chaos, fault: str, code: str
) -> None:
    before = service.tree()
    broken = chaos("break", fault)
    assert broken.returncode == 0, broken.stderr
    eventually(lambda: service.exit_file.exists() and service.exit_file.read_text() == f"{code}\n", what="the exit")
    assert alive(service.pidfile) is None
    fixed = chaos("--grace", "0.2", "fix")
    assert "started again as pid" in fixed.stdout, fixed.stderr
    eventually(lambda: len(service.tree()) == 2, what="the service's two processes")
    assert service.supervised()
    assert not {process.pid for process in before} & set(service.pids())


def test_kill_leaves_nothing_of_the_tree(service: Service, chaos: Chaos) -> None:
    before = service.tree()
    assert chaos("break", "kill").returncode == 0
    eventually(lambda: not any(map(proc.look_again, before)), what="the end of the tree")


def test_fix_starts_nothing_where_somebody_else_already_did(service: Service, chaos: Chaos) -> None:
    assert chaos("break", "stop").returncode == 0
    eventually(service.exit_file.exists, what="the exit")
    service.start()
    again = service.pids()
    fixed = chaos("fix")
    assert "nothing to undo" in fixed.stdout, fixed.stderr
    assert service.pids() == again


def test_hang_holds_every_process_and_fix_continues_them(service: Service, chaos: Chaos) -> None:
    before = service.pids()
    broken = chaos("break", "hang")
    assert broken.returncode == 0, broken.stderr
    assert [process.state for process in service.tree()] == ["T", "T"]
    assert "stopped (T)" in chaos("status").stdout
    assert chaos("fix").returncode == 0
    eventually(lambda: not any(process.stopped for process in service.tree()), what="running again")
    assert service.pids() == before


def test_fix_undoes_all_faults_at_once_also_those_it_did_not_set(service: Service, chaos: Chaos) -> None:
    service.flag.touch()
    proc.send_all(service.tree(), signal.SIGSTOP)
    fixed = chaos("fix")
    assert fixed.returncode == 0, fixed.stderr
    assert fixed.stdout.count("continued pid") == 2
    assert not service.flag.exists()
    assert "nothing to undo" in chaos("fix").stdout


def test_fix_removes_the_flag_of_a_process_that_is_gone_before_it_starts_it(service: Service, chaos: Chaos) -> None:
    assert chaos("break", "flag").returncode == 0
    assert chaos("break", "kill").returncode == 0
    fixed = chaos("--grace", "0.2", "fix")
    assert fixed.stdout.index("removed") < fixed.stdout.index("started again"), fixed.stderr
    assert not service.flag.exists()


def test_none_changes_nothing(service: Service, chaos: Chaos) -> None:
    before = service.pids()
    assert chaos("break", "none").returncode == 0
    assert (service.pids(), service.flag.exists(), service.record.exists()) == (before, False, False)


def test_errors_takes_data_files_away_live_and_fix_puts_them_back(service: Service, chaos: Chaos) -> None:
    before, shelf = service.pids(), service.folder / "work" / "catalogue"
    assert "fewer than 3 data files" in chaos("break", "errors").stderr
    shelf.mkdir()
    names = {f"{name}.json" for name in "abcde"} | {"index.json"}
    for name in names:
        (shelf / name).write_text(name, encoding="utf-8")
    broken = chaos("break", "errors")
    assert broken.returncode == 0, broken.stderr
    assert names - {path.name for path in shelf.iterdir()} == {"a.json", "d.json"}
    assert "5 files, 2 away" in chaos("status").stdout
    (shelf / "a.json").write_text("anew", encoding="utf-8")
    assert "is there anew" in chaos("fix").stderr
    (shelf / "a.json").unlink()
    fixed = chaos("fix")
    assert fixed.stdout.count("catalogue/") == 2, fixed.stderr
    assert {path.name: path.read_text(encoding="utf-8") for path in shelf.iterdir()} == {name: name for name in names}
    assert service.pids() == before


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("pause", "only a container can be paused"),
        ("detach", "only a container has networks"),
        ("badenv", "edit target.process.env"),
        ("oom", "no memory limit of its own"),
        ("latency", "only a container can be left less CPU"),
    ],
)
def test_what_a_process_cannot_suffer_is_said_and_not_imitated(
    service: Service, chaos: Chaos, fault: str, reason: str
) -> None:
    before = service.pids()
    refused = chaos("break", fault)
    assert (refused.returncode, reason in refused.stderr) == (1, True), refused.stderr
    assert service.pids() == before
    assert "nothing to undo" in chaos("fix").stdout


def test_status_says_what_is_seen(service: Service, chaos: Chaos) -> None:
    shown = chaos("status").stdout
    for word in (str(service.pidfile), "running", "absent", "no answer from 127.0.0.1:1", *map(str, service.pids())):
        assert word in shown


def test_the_record_is_for_its_owner_only_and_refused_when_it_is_not(service: Service, chaos: Chaos) -> None:
    assert chaos("break", "flag").returncode == 0
    assert stat.S_IMODE(service.record.stat().st_mode) == 0o600
    assert stat.S_IMODE(service.record.parent.stat().st_mode) == 0o700
    service.record.chmod(0o644)
    refused = chaos("fix")
    assert (refused.returncode, service.flag.exists()) == (1, True)
    assert "not a file of this user alone" in refused.stderr


def test_a_pid_that_was_used_again_is_never_signalled(service: Service, chaos: Chaos) -> None:
    before = service.pids()
    os.utime(service.pidfile, (1, 1))
    refused = chaos("--pidfile", service.pidfile, "break", "kill")
    assert (refused.returncode, "no living process" in refused.stderr) == (1, True)
    os.utime(service.pidfile)
    assert service.pids() == before


@pytest.mark.parametrize(
    ("content", "reason"),
    [("1\n", "holds no pid"), ("-5\n", "holds no pid"), ("", "holds no pid"), (f"{os.getpid()}\n", "chaos itself")],
    ids=["init", "a group", "nothing", "whoever runs chaos"],
)
def test_what_must_not_be_signalled_is_refused(tmp_path: Path, chaos: Chaos, content: str, reason: str) -> None:
    pidfile = tmp_path / "some.pid"
    pidfile.write_text(content, encoding="ascii")
    refused = chaos("--pidfile", pidfile, "break", "kill")
    assert (refused.returncode, reason in refused.stderr) == (1, True), refused.stderr


def test_a_process_of_another_start_time_gets_no_signal(service: Service) -> None:
    main = service.tree()[0]
    impostor = proc.Process(**{name: getattr(main, name) for name in main.__slots__} | {"start_ticks": 1})
    assert proc.send(impostor, signal.SIGKILL) is False
    assert proc.look_again(main) is not None


def test_a_manifest_that_is_named_is_enough_from_anywhere(service: Service, chaos: Chaos) -> None:
    moved = service.folder / "manifests"
    moved.rename(service.folder / "elsewhere")
    assert "nothing found" in chaos("break", "hang").stderr
    found = chaos("break", "flag", CHAOS_MANIFEST="elsewhere/victim.yaml")
    assert (found.returncode, service.flag.exists()) == (0, True), found.stderr


def test_a_process_without_a_supervisor_comes_back_by_its_own_command_line(tmp_path: Path, chaos: Chaos) -> None:
    pidfile = tmp_path / "plain.pid"
    shell = f'"{sys.executable}" "{HERE / "workload.py"}" & echo $! > "{pidfile}"'
    subprocess.run(["sh", "-c", shell], check=True, cwd=tmp_path)
    first = alive(pidfile)
    assert first is not None
    eventually(lambda: len(proc.tree(first)) == 2, what="the two processes")
    assert chaos("--pidfile", pidfile, "break", "kill").returncode == 0
    fixed = chaos("--pidfile", pidfile, "--grace", "0.2", "fix")
    assert "started again as pid" in fixed.stdout, fixed.stderr
    second = alive(pidfile)
    assert second is not None
    assert (second.pid != first.pid, proc.cwd(second)) == (True, tmp_path)
    proc.send_all(proc.tree(second), signal.SIGKILL)


def test_a_process_that_chaos_did_not_end_is_not_started_by_guess(service: Service, chaos: Chaos) -> None:
    proc.send_all(service.tree(), signal.SIGKILL)
    eventually(lambda: alive(service.pidfile) is None, what="the end")
    refused = chaos("--pidfile", service.pidfile, "fix")
    assert (refused.returncode, alive(service.pidfile)) == (1, None)
    assert "start the service first" in refused.stderr
