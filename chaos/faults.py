"""The faults: what each does, how to see it, how it is undone. Undoing all of them is one thing, `Target.restore`."""

import signal
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from chaos import proc
from chaos.errors import CannotError
from chaos.record import Record
from chaos.waiting import became

HOLD_WAIT_S = 5.0


class Target(Protocol):
    """One service, found without doubt."""

    @property
    def title(self) -> str:
        """What it is, for people."""

    def processes(self) -> list[proc.Process]:
        """Its processes on this host, the main one first. Raises: CannotError when none runs or none can be seen."""

    def plant_flag(self) -> str:
        """Put an empty `broken.flag` into the directory it runs in."""

    def stop(self) -> str:
        """Stop it in an orderly way, as a person would."""

    def pause(self) -> str:
        """Freeze it by its engine."""

    def detach(self) -> str:
        """Take it off the networks that people made."""

    def bad_env(self) -> str:
        """Give it a value in its environment that it cannot start with."""

    def exhaust_memory(self) -> str:
        """Have the kernel end it for memory."""

    def throttle(self) -> str:
        """Leave it little CPU, so that what needs some gets slow."""

    def lose_data(self) -> str:
        """Take away about 40 % of the data files it reads."""

    def restore(self) -> list[str]:
        """Undo every fault that is found, whoever set it; what was done, nothing when there was nothing to undo."""

    def look(self) -> list[tuple[str, str]]:
        """Named facts of the moment."""

    def record(self, fault: str) -> Record:
        """What `fix` needs to know later."""

    def is_in(self, remembered: Record) -> bool:
        """Whether the record is of this target."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Fault:
    """`inflict` breaks the target and says what it did."""

    name: str
    does: str
    see: str
    undo: str
    inflict: Callable[[Target], str]


def _flag(target: Target) -> str:
    return target.plant_flag()


def _kill(target: Target) -> str:
    processes = target.processes()
    if not proc.send(processes[0], signal.SIGKILL):
        raise CannotError(f"{target.title}: its main process went away meanwhile; look at `status` and try again")
    proc.send_all(processes[1:], signal.SIGKILL)
    return f"killed pid {processes[0].pid} and what ran under it ({_count(processes)})"


def _stop(target: Target) -> str:
    return target.stop()


def _hang(target: Target) -> str:
    if not became(lambda: _hold(target), within_s=HOLD_WAIT_S):
        raise CannotError(f"{target.title}: could not be held still within {HOLD_WAIT_S:g} s; `fix` continues it")
    held = target.processes()
    return f"holding {_count(held)}: {' '.join(str(process.pid) for process in held)}"


def _hold(target: Target) -> bool:
    """One pass of SIGSTOP over what still runs; true once nothing does. A tree can fork while it is being stopped."""
    running = [process for process in target.processes() if not process.stopped]
    proc.send_all(running, signal.SIGSTOP)
    return not running


def _pause(target: Target) -> str:
    return target.pause()


def _detach(target: Target) -> str:
    return target.detach()


def _bad_env(target: Target) -> str:
    return target.bad_env()


def _oom(target: Target) -> str:
    return target.exhaust_memory()


def _latency(target: Target) -> str:
    return target.throttle()


def _errors(target: Target) -> str:
    return target.lose_data()


def _none(target: Target) -> str:
    return "nothing was done, as asked"


def _count(processes: list[proc.Process]) -> str:
    return "1 process" if len(processes) == 1 else f"{len(processes)} processes"


FAULTS = {
    fault.name: fault
    for fault in (
        Fault(
            name="flag",
            does="puts an empty broken.flag into the directory the service runs in",
            see="it runs, and /health answers 500 SERVICE UNHEALTHY; its log names the file",
            undo="the file is removed; a restart alone does not help",
            inflict=_flag,
        ),
        Fault(
            name="kill",
            does="SIGKILL from the host to the main process (a container's others die with it; so do a process's)",
            see="connections are refused; a container has `die` with 137 and no `kill` event before it",
            undo="it is started again, unless something else did so first",
            inflict=_kill,
        ),
        Fault(
            name="stop",
            does="stops it as a person would: `docker stop`, or SIGTERM to the process",
            see="connections are refused; a container is `exited` and has a `stop` event",
            undo="it is started again, unless something else did so first",
            inflict=_stop,
        ),
        Fault(
            name="hang",
            does="SIGSTOP from the host to every process of it",
            see="connections are accepted and never answered; its processes are in state T",
            undo="SIGCONT to every stopped process of it",
            inflict=_hang,
        ),
        Fault(
            name="pause",
            does="`docker pause`: the engine freezes a container",
            see="the engine says paused; connections are accepted and never answered; logs work, exec does not",
            undo="it is unpaused",
            inflict=_pause,
        ),
        Fault(
            name="detach",
            does="takes a container off every network that people made",
            see="it runs and is healthy from inside; its peers cannot resolve its name, and nobody reaches it",
            undo="it is attached again with the aliases it had",
            inflict=_detach,
        ),
        Fault(
            name="badenv",
            does="creates a container anew with VICTIM_BIND=broken in its environment, as a bad release would",
            see="it dies at its start, again and again where its restart policy says so; its log names the variable",
            undo="the container as it was takes its place again and is started",
            inflict=_bad_env,
        ),
        Fault(
            name="oom",
            does="lowers a container's memory limit to twice what it uses and takes the rest from inside the limit",
            see="the kernel ends its main process: `oom` events, `die` with 137, OOMKilled; it can be started again",
            undo="it gets its old limit back and is started, unless something else did so first",
            inflict=_oom,
        ),
        Fault(
            name="latency",
            does="leaves a container a twentieth of one CPU",
            see="what needs CPU takes many times as long, and the throttling shows in its stats; /health answers 200",
            undo="it gets its old CPU limit back, live",
            inflict=_latency,
        ),
        Fault(
            name="errors",
            does="takes away two fifths of the data files in the folder `catalogue` of the directory it runs in",
            see="about 40 % of the requests to / answer 500, its log names the files, and /health answers 200",
            undo="the files are put back, live",
            inflict=_errors,
        ),
        Fault(
            name="none",
            does="nothing at all, to count false alarms",
            see="nothing changes, and nobody should act",
            undo="there is nothing to undo",
            inflict=_none,
        ),
    )
}
