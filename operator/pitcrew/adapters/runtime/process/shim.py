"""The supervisor of one local workload: its parent, its reaper, and the only one who starts and ends it.

Runs by itself (`python -I -S shim.py DIR`, standard library only) and outlives PitCrew, so that neither PitCrew's
death nor its upgrade touches a workload, leaves half a restart behind, or loses an exit.

DIR holds:

    lock            flock, held while a shim lives: one shim, one workload
    spec.json       what to run; it holds the declared environment, therefore 0600
    record.json     who runs, how earlier runs ended, which operations came and how they ended; replaced atomically
    request.json    the operation for a shim that is just being started
    inbox/          operations for the living shim, one file each
    taken.json      the operation that was taken from the inbox and is being recorded
    log/            stdout and stderr of the workload, and the older half of each

The protocol, which makes each operation happen at most once and never late:

1. A starter takes the lock, writes `request.json` and hands the *locked descriptor* on as standard input. Whoever
   finds the lock free knows that nothing is under way.
2. A request names the run it is meant for, and in the inbox also the shim it is meant for, and when it expires.
   Anything else is refused, and the refusal recorded.
3. An operation is in the record before anything is signalled or started. The workload's identity is in the record
   before it executes: the forked child waits for a byte, and ends when the shim dies instead of sending it.

Started by hand, on a free lock and without a living workload, it starts the workload again from `spec.json`.
Exit codes: 0 the workload has ended, 64 wrong arguments, 74 the directory cannot be used, 75 it runs already.
"""

import contextlib
import ctypes
import errno
import fcntl
import json
import os
import signal
import sys
import time
from typing import Any, NamedTuple, NoReturn

Json = dict[str, Any]

RUNS_MAX = OPS_MAX = 40
"""Runs and operations that are remembered. Equal, so that an operation is forgotten no later than its own run, and no
earlier than the run it was meant for."""
TICK_S = 1.0
LINGER_S = 2.0
"""How long what a workload leaves behind may take to end politely after the workload itself has ended."""
KILL_WAIT_S = 10.0
"""How long a killed process may stay; longer means that the kernel holds it."""
HAND_GRACE_S = 10.0
SCAN_S = 0.2
"""How often, while a workload is being ended, processes that it started meanwhile are looked for."""
LOCK_PATIENCE_S = 1.0
"""By hand: how long a lock may be held by someone who only looks whether it is free."""
EX_USAGE, EX_IOERR, EX_TEMPFAIL = 64, 74, 75
STOPS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
WAKE = signal.SIGUSR1
WATCHED = frozenset({signal.SIGCHLD, WAKE, *STOPS})
POLITE = (signal.SIGTERM, signal.SIGCONT)
"""A stopped process gets the first only with the second."""
FORCE = (signal.SIGKILL,)
PR_SET_CHILD_SUBREAPER = 36
CLEAN_SIGNALS = frozenset({signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGPIPE})
"""What systemd counts as a clean exit (`systemd.service(5)`, SuccessExitStatus)."""


class Proc(NamedTuple):
    """One process as /proc shows it; `start` in clock ticks since boot."""

    pid: int
    state: str
    ppid: int
    session: int
    start: int


def look_at(pid: int) -> Proc | None:
    """The process with this pid now, zombies included; None when there is none."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return Proc(pid, fields[0].decode(), int(fields[1]), int(fields[3]), int(fields[19]))


def boot_id() -> str:
    """Names this boot of the machine."""
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        return file.read().strip()


def identity(pid: int, start: int, boot: str) -> str:
    """The one name of a process over reuse of its pid and over reboots."""
    return f"{pid}:{start}:{boot}"


def living(name: str, boot: str) -> Proc | None:
    """The process of an identity while it lives; a zombie does not."""
    pid, start, at_boot = name.split(":", 2)
    proc = look_at(int(pid)) if at_boot == boot else None
    return proc if proc and proc.start == int(start) and proc.state not in "ZX" else None


def everyone() -> list[Proc]:
    """All processes."""
    found = (look_at(int(entry)) for entry in os.listdir("/proc") if entry.isdigit())
    return [proc for proc in found if proc]


def send(proc: Proc, signals: tuple[int, ...]) -> None:
    """Signal exactly this process; one that is gone, or whose pid now belongs to another, is left alone."""
    with contextlib.suppress(ProcessLookupError):
        pidfd = os.pidfd_open(proc.pid)
        try:
            now = look_at(proc.pid)
            if now and now.start == proc.start:
                for each in signals:
                    signal.pidfd_send_signal(pidfd, each)
        finally:
            os.close(pidfd)


def read_json(path: str) -> Json | None:
    """A JSON object from a file; None when there is no file. Raises: OSError, ValueError."""
    try:
        with open(path, encoding="utf-8") as file:
            value = json.load(file)
    except FileNotFoundError:
        return None
    if not isinstance(value, dict):
        raise ValueError(f"{path}: holds no object")
    return value


def write_json(path: str, value: Json) -> None:
    """Replace a file, readable by its owner only, so that after a crash it is the old or the new one."""
    temporary = f"{path}.tmp"
    file = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with open(file, "w", encoding="utf-8") as out:
        json.dump(value, out, ensure_ascii=True, separators=(",", ":"))
        out.flush()
        os.fsync(out.fileno())
    os.replace(temporary, path)
    sync_directory(os.path.dirname(path))


def sync_directory(path: str) -> None:
    """Make the names in a directory durable."""
    directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def empty_record() -> Json:
    """The record of a service that was never started."""
    return {"schema": 1, "shim": None, "runs": [], "ops": []}


def read_record(directory: str) -> Json:
    """The record of a service. Raises: OSError, ValueError."""
    return read_json(f"{directory}/record.json") or empty_record()


def current_instance(record: Json) -> str:
    """Identity of the present or last run; `none` before the first."""
    return str(record["runs"][-1]["instance"]) if record["runs"] else "none"


def operation(record: Json, op: str) -> Json | None:
    """What the record says of an operation."""
    return next((entry for entry in reversed(record["ops"]) if entry["op"] == op), None)


def is_clean(code: int) -> bool:
    """Whether an exit, as `os.waitstatus_to_exitcode` gives it, is one that people cause."""
    return code == 0 or -code in CLEAN_SIGNALS


class Shim:
    """One supervisor and the workload it has now."""

    def __init__(self, directory: str) -> None:
        self.directory = directory
        self.boot = boot_id()
        own = look_at(os.getpid())
        assert own is not None, "/proc shows every process its own entry"
        self.name = identity(own.pid, own.start, self.boot)
        self.record = read_record(directory)
        self.spec: Json = {}
        self.main_pid = 0
        self.umask = os.umask(0o077)

    # What is written down. A full disk costs the news of an exit, never the workload.

    def save(self) -> None:
        self.record["runs"] = self.record["runs"][-RUNS_MAX:]
        self.record["ops"] = self.record["ops"][-OPS_MAX:]
        write_json(f"{self.directory}/record.json", self.record)

    def accept(self, request: Json) -> bool:
        """Write an operation down, or why it is refused; False when it must not be carried out."""
        if operation(self.record, request["op"]):
            return False
        state, detail = "running", ""
        if time.clock_gettime(time.CLOCK_BOOTTIME) > request["expires_at"]:
            state, detail = "refused", "it came too late"
        elif request["instance"] != current_instance(self.record):
            state, detail = "refused", f"it is meant for {request['instance']}"
        elif request.get("shim") not in (None, self.name):
            state, detail = "refused", "it is meant for an earlier supervisor"
        self.record["ops"].append(
            {
                "op": request["op"],
                "verb": request["verb"],
                "instance": request["instance"],
                "state": state,
                "detail": detail,
                "at": time.time(),
            }
        )
        self.record["shim"] = self.name
        try:
            self.save()
        except OSError as problem:
            del self.record["ops"][-1]
            say(f"operation refused, it cannot be written down ({problem})")
            return False
        return state == "running"

    def conclude(self, op: str, error: str) -> None:
        """Write down how an operation ended."""
        if entry := operation(self.record, op):
            entry.update(state="failed" if error else "done", detail=error, at=time.time())
            self.save_or_say()

    def save_or_say(self) -> None:
        try:
            self.save()
        except OSError as problem:
            say(f"{self.directory}/record.json: cannot be written ({problem}); it is tried again with the next change")

    def ended(self, code: int | None, by: str) -> None:
        """Write down how the present run ended; `code` is negative for a signal and None when nobody saw it."""
        self.record["runs"][-1].update(finished_at=time.time(), code=code, ended_by=by)
        self.save_or_say()

    # Starting

    def start(self, op: str, by: str) -> str:
        """Start the workload; the reason when it does not run."""
        write_json(f"{self.directory}/spec.json", self.spec)
        ready, go = os.pipe()
        fault, told = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(go)
            self.become_workload(ready, told)
        os.close(ready)
        os.close(told)
        try:
            return self.let_go(pid, go, fault, op, by)
        finally:
            os.close(fault)

    def let_go(self, pid: int, go: int, fault: int, op: str, by: str) -> str:
        try:
            child = look_at(pid)
            assert child is not None, "an unreaped child has an entry in /proc"
            self.main_pid = pid
            self.record["runs"].append(
                {
                    "instance": identity(pid, child.start, self.boot),
                    "started_at": time.time(),
                    "finished_at": None,
                    "code": None,
                    "ended_by": None,
                    "error": "",
                    "op": op,
                    "by": by,
                }
            )
            self.save()
            if not (error := self.write_pid_file()):
                os.write(go, b"!")
        finally:
            os.close(go)
        code, _, told = os.read(fault, 512).decode(errors="replace").partition(" ")
        return self.never_ran(int(code or 126), error or told) if error or code else ""

    def never_ran(self, code: int, error: str) -> str:
        os.waitpid(self.main_pid, 0)
        self.main_pid = 0
        self.remove_pid_file()
        self.record["runs"][-1]["error"] = error
        self.ended(code, "self")
        return error

    def become_workload(self, ready: int, told: int) -> NoReturn:
        """In the child: wait for the word, then become the declared command."""
        try:
            os.setsid()
            for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
                with contextlib.suppress(OSError, ValueError):
                    signal.signal(number, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_SETMASK, [])
            os.umask(self.umask)
            for stream, place in (("stdin", 0), ("stdout", 1), ("stderr", 2)):
                os.dup2(self.open_stream(stream), place)
            os.chdir(self.spec["cwd"])
            if os.read(ready, 1):
                os.execvpe(self.spec["argv"][0], self.spec["argv"], self.spec["env"])
        except OSError as problem:
            code = 127 if problem.errno == errno.ENOENT else 126
            os.write(told, f"{code} {problem.filename or self.spec['argv'][0]}: {problem.strerror}".encode()[:512])
        finally:
            os._exit(126)

    def open_stream(self, stream: str) -> int:
        if stream == "stdin":
            return os.open(os.devnull, os.O_RDONLY)
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW
        return os.open(f"{self.directory}/log/{stream}", flags, 0o600)

    def write_pid_file(self) -> str:
        """Write the declared pidfile; the reason when that is not possible."""
        path = self.spec.get("pid_file")
        if not path:
            return ""
        temporary = os.path.join(os.path.dirname(path), f".{os.path.basename(path)}.pitcrew")
        try:
            if os.path.lexists(path) and (os.path.islink(path) or not os.path.isfile(path)):
                return f"{path}: is not a regular file; a pidFile never replaces anything else"
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary)
            file = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644)
            os.fchmod(file, 0o644)
            os.write(file, f"{self.main_pid}\n".encode())
            os.close(file)
            os.replace(temporary, path)
        except OSError as problem:
            return f"{path}: the pidFile cannot be written ({problem.strerror})"
        return ""

    def remove_pid_file(self) -> None:
        """Remove the pidfile when it is still about the workload of this shim."""
        path = self.spec.get("pid_file")
        with contextlib.suppress(OSError, ValueError):
            if path and not os.path.islink(path):
                with open(path, "rb") as file:
                    mine = int(file.read(32)) == int(current_instance(self.record).split(":")[0])
                if mine:
                    os.unlink(path)

    # Ending

    def reap(self) -> bool:
        """Collect every child that ended, and write the end of the workload down; False when no child is left."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return False
            if pid == 0:
                return True
            if pid == self.main_pid:
                self.main_pid = 0
                self.remove_pid_file()
                code = os.waitstatus_to_exitcode(status)
                self.ended(code, self.ending or ("person" if is_clean(code) else "self"))

    ending = ""
    """Who asked for the end that is under way: `pitcrew`, `person`, or nobody."""

    def descendants(self) -> list[Proc]:
        parents = {proc.pid: proc for proc in everyone()}
        mine: list[Proc] = []
        for proc in parents.values():
            above: Proc | None = proc
            while above and above.ppid not in (0, os.getpid()):
                above = parents.get(above.ppid)
            if above and above.ppid == os.getpid():
                mine.append(proc)
        return mine

    def end_everything(self, grace_s: float, by: str) -> str:
        """End the workload and all that it started: politely, then by force; the reason when something stays."""
        self.ending = by
        for signals, patience_s in ((POLITE, grace_s), (FORCE, KILL_WAIT_S)):
            until = time.monotonic() + patience_s
            asked: set[Proc] = set()
            while self.reap():
                for proc in self.descendants():
                    if (key := proc._replace(state="", ppid=0, session=0)) not in asked:
                        asked.add(key)
                        send(proc, signals)
                left_s = until - time.monotonic()
                if left_s <= 0:
                    break
                signal.sigtimedwait({signal.SIGCHLD}, min(left_s, SCAN_S))
            else:
                self.ending = ""
                return ""
        self.ending = ""
        return f"pids {[proc.pid for proc in self.descendants()]} were killed and are still there"

    def end_orphan(self, grace_s: float) -> str:
        """End a workload whose supervisor was killed: its whole session, each process by its exact identity."""
        leader = living(current_instance(self.record), self.boot) if self.record["runs"] else None
        if leader is None:
            return ""
        for signals, patience_s in ((POLITE, grace_s), (FORCE, KILL_WAIT_S)):
            until = time.monotonic() + patience_s
            asked: set[int] = set()
            while group := [p for p in everyone() if p.session == leader.pid and p.state not in "ZX"]:
                for proc in group:
                    if proc.pid not in asked:
                        asked.add(proc.pid)
                        send(proc, signals)
                if time.monotonic() > until:
                    break
                time.sleep(SCAN_S / 4)
            else:
                self.ended(None, "pitcrew")
                return ""
        return f"the process group {leader.pid} was killed and is still there"

    # Living

    def take_requests(self) -> None:
        """Carry out what lies in the inbox; a request is withdrawn or taken, never both."""
        inbox, taken = f"{self.directory}/inbox", f"{self.directory}/taken.json"
        for name in sorted(os.listdir(inbox)):
            if not name.endswith(".json") or not self.main_pid:
                continue
            try:
                os.rename(f"{inbox}/{name}", taken)
            except FileNotFoundError:
                continue
            request = read_json(taken)
            accepted = request is not None and self.accept(request)
            os.unlink(taken)
            if request and accepted:
                self.carry_out(request)

    def carry_out(self, request: Json) -> None:
        """Start or restart; what runs is ended first."""
        end = self.end_everything if self.main_pid else self.end_orphan_for
        error = end(request["grace_s"], "pitcrew")
        if not error:
            self.spec = request["spec"]
            error = self.start(request["op"], request["by"])
        self.conclude(request["op"], error)

    def end_orphan_for(self, grace_s: float, by: str) -> str:
        return self.end_orphan(grace_s)

    def live(self) -> None:
        """Stay with the workload until it and all that it started have ended."""
        while self.main_pid:
            self.take_requests()
            heard = signal.sigtimedwait(WATCHED, TICK_S)
            if heard and heard.si_signo in STOPS:
                say(f"asked to end by signal {heard.si_signo}: ending the workload")
                self.end_everything(HAND_GRACE_S, "person")
            self.reap()
            self.rotate()
        if left := self.end_everything(LINGER_S, ""):
            say(left)

    def rotate(self) -> None:
        """Keep each log and its older half within the declared size; what is written meanwhile may be lost."""
        for stream in ("stdout", "stderr"):
            path = f"{self.directory}/log/{stream}"
            with contextlib.suppress(FileNotFoundError), open(path, "r+b") as file:
                size = os.fstat(file.fileno()).st_size
                if size > (most := self.spec["log_bytes_max"]):
                    file.seek(size - most)
                    older = os.open(f"{path}.1.tmp", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
                    with open(older, "wb") as out:
                        out.write(file.read(most))
                    os.replace(f"{path}.1.tmp", f"{path}.1")
                    file.truncate(0)

    def settle(self) -> None:
        """Write down what an earlier shim left open, and throw away what was meant for it."""
        if self.record["runs"]:
            last = self.record["runs"][-1]
            if last["finished_at"] is None and living(last["instance"], self.boot) is None:
                last.update(finished_at=time.time(), ended_by="unknown")
        for entry in self.record["ops"]:
            if entry["state"] == "running":
                entry.update(state="lost", detail="its supervisor was killed while it was carried out")
        for name in os.listdir(f"{self.directory}/inbox"):
            os.unlink(f"{self.directory}/inbox/{name}")
        with contextlib.suppress(FileNotFoundError):
            os.unlink(f"{self.directory}/taken.json")

    def request_by_hand(self) -> Json:
        """The request of a person who starts the command line again. Raises: BlockingIOError, FileNotFoundError."""
        if self.record["runs"] and (orphan := living(current_instance(self.record), self.boot)):
            raise BlockingIOError(errno.EAGAIN, f"pid {orphan.pid} runs already, without its supervisor; end it first")
        if (spec := read_json(f"{self.directory}/spec.json")) is None:
            raise FileNotFoundError(errno.ENOENT, "there is nothing to start again", f"{self.directory}/spec.json")
        return {
            "op": f"hand:{self.name}",
            "verb": "start",
            "by": "person",
            "grace_s": 0,
            "instance": current_instance(self.record),
            "expires_at": float("inf"),
            "spec": spec,
        }


def say(text: str) -> None:
    """A line for whoever reads the standard error of the shim."""
    print(f"pitcrew shim {os.getpid()}: {text}", file=sys.stderr, flush=True)


def close_all_but_standard() -> None:
    """Let go of every descriptor that the starter left open; each could keep a socket or a lock alive."""
    for number in [int(entry) for entry in os.listdir("/proc/self/fd")]:
        if number > 2:
            with contextlib.suppress(OSError):
                os.close(number)


def inherited_lock(path: str) -> int | None:
    """The locked descriptor that a starter handed on as standard input; None when started by hand."""
    try:
        if not os.path.samestat(os.fstat(0), os.stat(path)):
            return None
    except OSError:
        return None
    lock = os.dup(0)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    return lock


def take_lock(path: str) -> None:
    """Hold the lock until this process ends. Raises: BlockingIOError when another shim holds it."""
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    until = time.monotonic() + LOCK_PATIENCE_S
    while True:
        try:
            return fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > until:
                raise BlockingIOError(errno.EAGAIN, "it runs already; its supervisor holds the lock") from None
        time.sleep(SCAN_S / 10)


def supervise(directory: str) -> None:
    """Be the shim of a directory, from its lock to the end of its workload."""
    close_all_but_standard()
    lock = f"{directory}/lock"
    started_by_pitcrew = inherited_lock(lock) is not None
    if not started_by_pitcrew:
        take_lock(lock)
    elif os.fork():
        os._exit(0)
    os.chdir(directory)
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    signal.pthread_sigmask(signal.SIG_BLOCK, WATCHED)
    shim = Shim(directory)
    shim.settle()
    request = read_json(f"{directory}/request.json") if started_by_pitcrew else shim.request_by_hand()
    if request and shim.accept(request):
        shim.carry_out(request)
        shim.live()


def main(arguments: list[str]) -> int:
    """The program. One argument: the absolute path of the directory."""
    if len(arguments) != 1 or not os.path.isabs(arguments[0]):
        say("usage: shim.py /ABSOLUTE/PATH/OF/STATE/process/NAMESPACE.NAME")
        return EX_USAGE
    try:
        supervise(arguments[0])
    except BlockingIOError as problem:
        say(f"{arguments[0]}: {problem.strerror}")
        return EX_TEMPFAIL
    except (OSError, ValueError) as problem:
        say(f"{arguments[0]}: cannot be used ({problem})")
        return EX_IOERR
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
