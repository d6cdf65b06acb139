"""Commands inside containers, by `exec`: no shell, bounded output, ended at a deadline.

Hanging up does not end a command that the engine started. Where the engine's containers are processes of this machine
and we may signal them, the command is killed from here; elsewhere it is wrapped in the image's own `timeout`, which is
tried once per image. Where neither works the answer says so, and the container gets no further command until that one
has ended, so that not more than one is left behind.
"""

import asyncio
import os
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from docker import errors

from pitcrew.adapters.runtime.docker.engine import CallFailed, Engine, Session, checked, explanation, url
from pitcrew.adapters.runtime.docker.frames import head_of, split_frames
from pitcrew.adapters.runtime.docker.host import end_command
from pitcrew.adapters.runtime.docker.text import printable
from pitcrew.adapters.runtime.docker.wire import READ_S
from pitcrew.core.errors import EngineUnavailable, Refused
from pitcrew.core.observation import RuntimeFacts
from pitcrew.ports import ExecAnswer

_CHUNK_BYTES = 16 * 1024
_SETTLE_S = 0.02
_SETTLES_MAX = 100
_IMAGES_MAX = 1024
_GRACE_S = 2.0
"""How long `timeout -k 1` may take beyond its limit before the connection is cut."""
_TIMED_OUT = (124, 137)
"""What `timeout` ends with when it had to end the command, politely or by force."""


def removal(path: str) -> Sequence[str]:
    """How a file is removed inside a container."""
    return ("rm", "--", path)


def create(session: Session, container_id: str, argv: Sequence[str], *, user: str = "") -> str:
    """Make a command known to the engine without starting it; its id."""
    answer = session.client.exec_create(container_id, list(argv), stdin=False, tty=False, user=user)
    return str(answer["Id"])


def start(session: Session, exec_id: str, pieces: list[tuple[str, bytes]], *, bytes_max: int) -> None:
    """Start a command and collect what it writes into `pieces`, until it closes its output."""
    response = session.client.post(
        url(session.client, "exec", exec_id, "start"),
        json={"Detach": False, "Tty": False},
        stream=True,
        timeout=READ_S,
    )
    with checked(response):
        size = 0
        for stream, piece in split_frames(_chunks(response.raw), tty=False):
            if size < bytes_max:
                pieces.append((stream, piece[: bytes_max - size]))
                size += len(pieces[-1][1])


def _chunks(raw: Any) -> Iterator[bytes]:
    while chunk := raw.read1(_CHUNK_BYTES):
        yield chunk


def inspect_exec(session: Session, exec_id: str) -> dict[str, Any]:
    """What the engine says about a command."""
    answer = session.client.exec_inspect(exec_id)
    return answer if isinstance(answer, dict) else {}


def is_timeout(exit_code: int, *, wrapped: bool) -> bool:
    """Whether a command was ended by the image's own `timeout` that it was wrapped in."""
    return wrapped and exit_code in _TIMED_OUT


class Commands:
    """Runs commands in the containers of one engine. `may_signal_host`: we may kill processes of containers here."""

    def __init__(self, engine: Engine, *, may_signal_host: bool | None = None) -> None:
        self._engine = engine
        self._may_signal_host = os.geteuid() == 0 if may_signal_host is None else may_signal_host
        self._has_timeout: dict[str, bool] = {}
        self._left_behind: dict[str, str] = {}

    async def run(self, facts: RuntimeFacts, argv: Sequence[str], *, timeout_s: float, bytes_max: int) -> ExecAnswer:
        """One command; raises as `Runtime.run` does."""
        try:
            full, limit_s = await self.bounded(facts, argv, timeout_s=timeout_s)
            answer = await self._carried_out(facts, full, limit_s, bytes_max)
        except errors.APIError as error:
            raise _as_ours(error, facts) from error
        if answer.exit_code is not None and is_timeout(answer.exit_code, wrapped=limit_s > timeout_s):
            return ExecAnswer(exit_code=None, output=answer.output)
        return answer

    async def bounded(
        self, facts: RuntimeFacts, argv: Sequence[str], *, timeout_s: float
    ) -> tuple[Sequence[str], float]:
        """The arguments that a command is started with, and the seconds after which it is ended from here.

        These are more than `timeout_s` where the image's own `timeout` ends it before.

        Raises:
            EngineUnavailable: an earlier command of this container could not be ended and still runs.
            docker.errors.APIError: the engine does not let one be tried.
        """
        await self._check_left_behind(facts)
        if await self._wraps(facts):
            return ["timeout", "-k", "1", f"{timeout_s:g}", *argv], timeout_s + _GRACE_S
        return list(argv), timeout_s

    async def _carried_out(
        self, facts: RuntimeFacts, argv: Sequence[str], limit_s: float, bytes_max: int
    ) -> ExecAnswer:
        about, pieces = facts.target_id, list[tuple[str, bytes]]()
        exec_id = await self._engine.call(lambda session: create(session, about, argv), about=about)
        try:
            await self._engine.call(
                lambda session: start(session, exec_id, pieces, bytes_max=bytes_max), about=about, deadline_s=limit_s
            )
        except CallFailed as error:
            if not error.late or not error.sent:
                raise
            return await self._ended(facts, exec_id, _text(pieces, bytes_max), bytes_max)
        except asyncio.CancelledError:
            self._left_behind[about] = exec_id
            raise
        return ExecAnswer(exit_code=await self._exit_code(about, exec_id), output=_text(pieces, bytes_max))

    async def _exit_code(self, about: str, exec_id: str) -> int:
        for _ in range(_SETTLES_MAX):
            seen = await self._engine.call(lambda session: inspect_exec(session, exec_id), about=about)
            if seen.get("Running") is False and isinstance(seen.get("ExitCode"), int):
                return int(seen["ExitCode"])
            await asyncio.sleep(_SETTLE_S)
        raise EngineUnavailable(f"{about[:12]}: the engine gives no exit code for a command that closed its output")

    async def _ended(self, facts: RuntimeFacts, exec_id: str, output: str, bytes_max: int) -> ExecAnswer:
        if await self.end(facts.target_id, exec_id):
            return ExecAnswer(exit_code=None, output=output)
        return ExecAnswer(exit_code=None, output=f"[could not be ended, may still run] {output}"[:bytes_max])

    async def end(self, target_id: str, exec_id: str) -> bool:
        """End a command that is past its timeout; whether it has ended.

        Raises:
            EngineUnavailable: the engine never started it, or cannot be asked.
        """
        seen = await self._engine.call(lambda session: inspect_exec(session, exec_id), about=target_id)
        if seen.get("Running") is not True:
            if seen.get("ExitCode") is None:
                raise EngineUnavailable(f"{target_id[:12]}: the engine took the command and did not start it in time")
            return True
        pid = seen.get("Pid")
        if self._may_signal_host and isinstance(pid, int) and await asyncio.to_thread(end_command, pid, target_id):
            return True
        self._left_behind[target_id] = exec_id
        return False

    async def _check_left_behind(self, facts: RuntimeFacts) -> None:
        exec_id = self._left_behind.get(facts.target_id)
        if exec_id is None:
            return
        try:
            seen = await self._engine.call(lambda session: inspect_exec(session, exec_id), about=facts.target_id)
        except errors.NotFound:
            seen = {}
        if seen.get("Running") is True:
            raise EngineUnavailable(f"{facts.name}: an earlier command is past its timeout and could not be ended")
        self._left_behind.pop(facts.target_id, None)

    async def _wraps(self, facts: RuntimeFacts) -> bool:
        if self._may_signal_host and (await self._engine.identity()).is_here:
            return False
        if facts.image not in self._has_timeout:
            if len(self._has_timeout) >= _IMAGES_MAX:
                self._has_timeout.clear()
            trial = await self._carried_out(facts, ["timeout", "-k", "1", "5", "true"], self._engine.deadline_s, 256)
            self._has_timeout[facts.image] = trial.exit_code == 0
        return self._has_timeout[facts.image]


def _text(pieces: Iterable[tuple[str, bytes]], bytes_max: int) -> str:
    return head_of(tuple(pieces), bytes_max=bytes_max)


def _as_ours(error: errors.APIError, facts: RuntimeFacts) -> Refused | EngineUnavailable:
    if error.status_code in (404, 409):
        return Refused(f"{printable(facts.name, chars_max=128)}: nothing can run in it now: {explanation(error)}")
    return EngineUnavailable(f"{facts.name}: the engine did not run the command: {explanation(error)}")
