"""Whether an effect happened, read off the live target after its answer was lost. Changes nothing, guesses nothing."""

import asyncio
from typing import assert_never

from docker import errors

from pitcrew.adapters.runtime.docker import commands, networks
from pitcrew.adapters.runtime.docker.engine import Engine, Session
from pitcrew.adapters.runtime.docker.facts import Inspected
from pitcrew.adapters.runtime.docker.targets import inspect, stat
from pitcrew.core.action import (
    ConnectNetwork,
    DisconnectNetwork,
    RemoveFile,
    Restart,
    RestoreFile,
    Seen,
    Start,
    Trace,
    Unpause,
)
from pitcrew.core.errors import Unavailable
from pitcrew.core.observation import RuntimeState
from pitcrew.core.resource import HealthyService

Visible = Start | Restart | RemoveFile | RestoreFile | Unpause | ConnectNetwork | DisconnectNetwork
"""Effects that show in the container; how a command ended is in the engine's own books."""


class Hindsight:
    """Looks again and again until the outcome shows, or until it can no longer come."""

    def __init__(self, engine: Engine, *, kill_allowance_s: float, settle_s: float, poll_s: float) -> None:
        self._engine = engine
        self._kill_allowance_s = kill_allowance_s
        self._settle_s = settle_s
        self._poll_s = poll_s

    async def seen(self, service: HealthyService, action: Visible, trace: Trace) -> Seen:
        """Done as soon as it shows; else what the last look within the bound says."""
        loop = asyncio.get_running_loop()
        wait_s = action.grace_s + self._kill_allowance_s if isinstance(action, Restart) else self._settle_s
        until, verdict = loop.time() + wait_s, Seen.UNKNOWN
        while verdict is not Seen.DONE:
            is_last = loop.time() >= until
            try:
                verdict = await self._engine.call(lambda session: _verdict(session, action, trace), about=service.key)
            except errors.NotFound:
                return Seen.UNKNOWN  # the target is gone, and what happened to it with it
            except (Unavailable, errors.APIError):
                verdict = Seen.UNKNOWN
            if is_last:
                break
            await asyncio.sleep(self._poll_s)
        return verdict

    async def exit_code(self, service: HealthyService, exec_id: str) -> int | None:
        """How a command of ours ended that has closed its output; None when the engine does not say."""
        loop = asyncio.get_running_loop()
        until = loop.time() + self._settle_s
        while True:
            try:
                about = await self._engine.call(
                    lambda session: commands.inspect_exec(session, exec_id), about=service.key
                )
            except (Unavailable, errors.APIError):
                about = {}
            if about.get("Running") is False and isinstance(about.get("ExitCode"), int):
                return int(about["ExitCode"])
            if loop.time() >= until:
                return None
            await asyncio.sleep(self._poll_s)


def _verdict(session: Session, action: Visible, trace: Trace) -> Seen:
    seen = inspect(session, trace.target_id)
    match action:
        case Start():
            return _of_start(seen, trace)
        case Restart():
            return _of_restart(seen, trace)
        case Unpause():
            return Seen.NOT_DONE if seen.state is RuntimeState.PAUSED else Seen.DONE
        case ConnectNetwork() | DisconnectNetwork():
            return networks.verdict(seen, action)
        case RemoveFile(path=path):
            return _of_removal(session, seen, path, trace)
        case RestoreFile(path=path):
            return _of_restoration(session, seen, path, trace)
        case _:
            assert_never(action)


def _of_start(seen: Inspected, trace: Trace) -> Seen:
    if seen.state is RuntimeState.RUNNING or seen.instance != trace.instance:
        return Seen.DONE
    return Seen.NOT_DONE


def _of_restart(seen: Inspected, trace: Trace) -> Seen:
    if seen.instance != trace.instance:
        return Seen.DONE
    # Stopped and not started again: half of it happened, which is neither done nor not done.
    is_as_before = seen.state.value == trace.notes.get("state")
    return Seen.NOT_DONE if is_as_before else Seen.UNKNOWN


def _of_removal(session: Session, seen: Inspected, path: str, trace: Trace) -> Seen:
    found = stat(session, seen.container_id, path)
    if found is None:
        return Seen.DONE
    if {"size": str(found.size), "mtime": found.mtime, "mode": str(found.mode)} != dict(trace.notes):
        return Seen.UNKNOWN  # another file is there: removed and written anew, or only changed
    is_pending = seen.instance == trace.instance and _is_pending(session, seen, path)
    return Seen.UNKNOWN if is_pending else Seen.NOT_DONE


def _is_pending(session: Session, seen: Inspected, path: str) -> bool:
    """Whether a removal of this path runs in the container at this moment."""
    return any(_removes(session, str(exec_id), path) for exec_id in seen.sequence("ExecIDs"))


def _removes(session: Session, exec_id: str, path: str) -> bool:
    try:
        about = commands.inspect_exec(session, exec_id)
    except errors.NotFound:
        return False
    process = about.get("ProcessConfig")
    words = [process.get("entrypoint"), *(process.get("arguments") or [])] if isinstance(process, dict) else []
    return about.get("Running") is True and words == list(commands.removal(path))


def _of_restoration(session: Session, seen: Inspected, path: str, trace: Trace) -> Seen:
    found = stat(session, seen.container_id, path)
    if found is None:
        return Seen.NOT_DONE
    as_kept = found.is_regular and {"size": str(found.size), "mode": str(found.mode)} == dict(trace.notes)
    return Seen.DONE if as_kept else Seen.UNKNOWN
