"""A local process as a target, found by its pidfile.

What runs under PitCrew is the child of a small supervisor that starts the process in its own session, writes the
pidfile, and ends after the process has ended. Starting the process again is therefore starting that supervisor again;
a process without one is started again by its own command line.
"""

import errno
import os
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path

from chaos import catalogue, health, proc
from chaos.errors import CannotError
from chaos.manifest import Endpoint
from chaos.record import Record, Restart, folder
from chaos.waiting import became

FLAG_NAME = "broken.flag"
STOP_WAIT_S = 10.0
START_WAIT_S = 15.0
PIDFILE_BYTES_MAX = 64
CLOCK_SLACK_S = 2.0  # the boot time in /proc/stat is in whole seconds
NOT_SUPERVISORS = frozenset(
    {
        *("sh", "bash", "dash", "zsh", "fish", "ksh", "tmux", "screen", "login", "sshd", "sudo", "su", "make"),
        *("init", "systemd", "tini", "docker-init", "dumb-init"),
    }
)


def alive(pidfile: Path) -> proc.Process | None:
    """The process that the pidfile names. None when there is none, also when its pid went to a later process.

    Raises: CannotError when the file holds no pid.
    """
    try:
        with pidfile.open("rb") as file:
            words = file.read(PIDFILE_BYTES_MAX).split()
            written_at = os.fstat(file.fileno()).st_mtime
    except FileNotFoundError:
        return None
    except OSError as problem:
        raise CannotError(f"{pidfile}: cannot be read ({problem.strerror})") from problem
    if not words or not words[0].isdigit() or int(words[0]) <= 1:
        raise CannotError(f"{pidfile}: holds no pid")
    process = proc.look(int(words[0]))
    if process is None or proc.started_at(process) > written_at + CLOCK_SLACK_S:
        return None
    return process


@dataclass(frozen=True, kw_only=True, slots=True)
class ProcessTarget:
    """A service that runs as a local process.

    `working_dir` is what a manifest declares; `grace_s` is how long `fix` lets others bring it back first.
    """

    service: str
    pidfile: Path
    endpoint: Endpoint
    working_dir: Path | None
    remembered: Record | None
    grace_s: float

    @property
    def title(self) -> str:
        return f"process of {self.pidfile}"

    def processes(self) -> list[proc.Process]:
        return proc.tree(self._main())

    def plant_flag(self) -> str:
        path = proc.cwd(self._main()) / FLAG_NAME
        try:
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644))
        except FileExistsError:
            return f"{path} is there already"
        except OSError as problem:
            raise CannotError(f"{path}: cannot be created ({problem.strerror})") from problem
        return f"created {path}"

    def stop(self) -> str:
        main = self._main()
        proc.send(main, signal.SIGTERM)
        if not became(lambda: proc.look_again(main) is None, within_s=STOP_WAIT_S):
            raise CannotError(f"{self.title}: pid {main.pid} was sent SIGTERM and still runs after {STOP_WAIT_S:g} s")
        return f"pid {main.pid} was sent SIGTERM and has ended"

    def pause(self) -> str:
        raise CannotError(f"{self.title}: only a container can be paused; `hang` stops a process")

    def detach(self) -> str:
        raise CannotError(f"{self.title}: only a container has networks to be taken off")

    def bad_env(self) -> str:
        raise CannotError(f"{self.title}: its environment is in its manifest; edit target.process.env there")

    def exhaust_memory(self) -> str:
        raise CannotError(f"{self.title}: has no memory limit of its own, and short of memory the whole host would be")

    def throttle(self) -> str:
        raise CannotError(f"{self.title}: only a container can be left less CPU; `hang` stops a process")

    def lose_data(self) -> str:
        shelf = proc.cwd(self._main()) / catalogue.FOLDER
        names = _listed(shelf)
        if catalogue.away(names):
            return f"files of {shelf} are away already"
        if len(catalogue.shelved(names)) < catalogue.FILES_MIN:
            raise CannotError(f"{shelf}: holds fewer than {catalogue.FILES_MIN} data files, so no share can be taken")
        taken = catalogue.two_fifths(names)
        for name in taken:
            _rename(shelf / name, shelf / f"{name}{catalogue.AWAY}")
        return f"took away {', '.join(taken)} of {shelf}"

    def restore(self) -> list[str]:
        return [*self._resume(), *self._remove_flags(), *self._return_data(), *self._bring_back()]

    def look(self) -> list[tuple[str, str]]:
        main = alive(self.pidfile)
        flags = [str(path) for path in self._flag_paths() if os.path.lexists(path)]
        data = [catalogue.said(_listed(place / catalogue.FOLDER)) for place in self._folders()]
        facts = [("flag", ", ".join(flags) or "absent"), ("data", ", ".join(data) or "not known")]
        if main is None:
            return [("state", "not running"), *facts]
        processes = proc.tree(main)
        held = all(process.stopped for process in processes)
        pids = " ".join(f"{process.pid}({process.state})" for process in processes)
        return [("state", "stopped (T)" if held else "running"), ("pids", pids), *facts, ("health", self._health())]

    def record(self, fault: str) -> Record:
        main = self._main()
        return Record(
            service=self.service,
            fault=fault,
            pidfile=str(self.pidfile),
            working_dir=str(proc.cwd(main)),
            restart=_way_back(main),
        )

    def is_in(self, remembered: Record) -> bool:
        return remembered.pidfile == str(self.pidfile)

    def _main(self) -> proc.Process:
        if (process := alive(self.pidfile)) is None:
            raise CannotError(f"{self.title}: is not running; `fix` starts what chaos stopped")
        return process

    def _health(self) -> str:
        return health.ask("127.0.0.1", self.endpoint.port, self.endpoint.path)

    def _flag_paths(self) -> list[Path]:
        return [place / FLAG_NAME for place in self._folders()]

    def _folders(self) -> list[Path]:
        """The directories it runs in, ran in when chaos broke it, and is declared to run in."""
        main = alive(self.pidfile)
        places = [
            proc.cwd(main) if main else None,
            Path(self.remembered.working_dir) if self.remembered and self.remembered.working_dir else None,
            self.working_dir,
        ]
        return list(dict.fromkeys(place.resolve() for place in places if place))

    def _resume(self) -> list[str]:
        main = alive(self.pidfile)
        held = [process for process in proc.tree(main) if process.stopped] if main else []
        return [f"continued pid {process.pid}" for process in proc.send_all(held, signal.SIGCONT)]

    def _remove_flags(self) -> list[str]:
        return [f"removed {path}" for path in self._flag_paths() if _remove(path)]

    def _return_data(self) -> list[str]:
        shelves = [place / catalogue.FOLDER for place in self._folders()]
        away = [shelf / name for shelf in shelves for name in catalogue.away(_listed(shelf))]
        for path in away:
            if os.path.lexists(path):
                raise CannotError(f"{path}: is there anew; keep it or {path.name}{catalogue.AWAY}, by hand")
            _rename(path.with_name(f"{path.name}{catalogue.AWAY}"), path)
        return [f"put {path} back" for path in away]

    def _bring_back(self) -> list[str]:
        if became(lambda: alive(self.pidfile), within_s=self.grace_s):
            return []
        if self.remembered is None or self.remembered.restart is None:
            raise CannotError(
                f"{self.title}: is not running, and chaos did not stop it; start it the way it is usually started"
            )
        start_again(self.remembered.restart, self.pidfile, log=folder() / f"{self.service}.log")
        main = became(lambda: alive(self.pidfile), within_s=START_WAIT_S)
        if main is None:
            raise CannotError(f"{self.title}: was started again and did not come up within {START_WAIT_S:g} s")
        return [f"started again as pid {main.pid}"]


def start_again(restart: Restart, pidfile: Path, *, log: Path) -> None:
    """Run the recorded command, detached. Raises: CannotError when its supervisor is still there or it cannot start."""
    if restart.supervised and not became(lambda: _supervisor_gone(restart), within_s=STOP_WAIT_S):
        raise CannotError(f"pid {restart.supervisor_pid}: the supervisor is still there and should have ended")
    try:
        with log.open("ab") as output:
            child = subprocess.Popen(
                restart.argv,
                cwd=restart.cwd,
                env=restart.environ,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
    except OSError as problem:
        raise CannotError(
            f"{restart.argv[0]}: cannot be started in {restart.cwd} ({problem.strerror}); "
            f"if the service is gone for good, remove the records in {log.parent}"
        ) from problem
    if not restart.supervised:
        pidfile.write_text(f"{child.pid}\n", encoding="ascii")


def _supervisor_gone(restart: Restart) -> bool:
    now = proc.look(restart.supervisor_pid)
    return now is None or now.start_ticks != restart.supervisor_start_ticks or proc.boot_id() != restart.boot_id


def _way_back(main: proc.Process) -> Restart:
    supervisor = _supervisor(main)
    source = supervisor or main
    words = proc.argv(source)
    if not words:
        raise CannotError(f"pid {source.pid} ({source.name}): has no command line to start it again with")
    return Restart(
        argv=words,
        cwd=str(proc.cwd(source)),
        environ=proc.environ(source),
        supervised=supervisor is not None,
        supervisor_pid=source.pid,
        supervisor_start_ticks=source.start_ticks,
        boot_id=proc.boot_id(),
    )


def _supervisor(main: proc.Process) -> proc.Process | None:
    """The parent, when it is there for this process alone: another session, one child, neither init nor a shell."""
    parent = proc.look(main.ppid)
    if parent is None or parent.pid <= 1 or parent.name in NOT_SUPERVISORS or main.sid != main.pid:
        return None
    children = [process.pid for process in proc.everyone() if process.ppid == parent.pid]
    return parent if children == [main.pid] else None


def _remove(path: Path) -> bool:
    try:
        path.unlink()
    except FileNotFoundError:
        return False
    except OSError as problem:
        if problem.errno == errno.EISDIR:
            raise CannotError(f"{path}: is a directory, which chaos never made; remove it by hand") from problem
        raise CannotError(f"{path}: cannot be removed ({problem.strerror})") from problem
    return True


def _listed(folder: Path) -> list[str]:
    """The names in a folder; none where there is no such folder."""
    try:
        return os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as problem:
        raise CannotError(f"{folder}: cannot be read ({problem.strerror})") from problem


def _rename(before: Path, after: Path) -> None:
    try:
        before.rename(after)
    except OSError as problem:
        raise CannotError(f"{before}: cannot be renamed ({problem.strerror})") from problem
