"""Commands that a service declares, run as effects: at most once, ended at their timeout, found again after a crash.

A command is made known to the engine before the intent is written down, so that its id is durable before it is
started. The engine starts an id once, says for as long as it knows it whether it was started and how it ended, and
forgets it when the run of the container ends.
"""

import asyncio
from collections.abc import Mapping

from docker import errors

from pitcrew.adapters.runtime.docker import commands
from pitcrew.adapters.runtime.docker.commands import Commands
from pitcrew.adapters.runtime.docker.engine import CallFailed, Engine, Session, explanation
from pitcrew.adapters.runtime.docker.frames import head_of
from pitcrew.adapters.runtime.docker.targets import inspect
from pitcrew.core.action import RunCommand, Seen, Trace, declared_command, failure_of
from pitcrew.core.errors import EffectFailed, OutcomeUnknown, Refused, Unavailable
from pitcrew.core.observation import RuntimeFacts
from pitcrew.core.resource import HealthyService

_OUTPUT_BYTES_MAX = 4096


def refuse_undeclared_command(service: HealthyService, action: RunCommand) -> None:
    """Raises: Refused where the service does not declare exactly this command now."""
    if declared_command(service.spec.remediation.actions, action.command) != action:
        raise Refused(
            f"{service.key}: {action.command} is not declared like this in spec.remediation.actions.runCommand.commands"
        )


class DeclaredCommands:
    """Runs declared commands in the containers of one engine.

    `settle_s` is how long what the engine says of a command may lag behind; `poll_s` lies between two looks.
    """

    def __init__(self, engine: Engine, *, may_signal_host: bool | None, settle_s: float, poll_s: float) -> None:
        self._engine = engine
        self._commands = Commands(engine, may_signal_host=may_signal_host)
        self._settle_s = settle_s
        self._poll_s = poll_s

    async def make_known(self, action: RunCommand, facts: RuntimeFacts) -> Mapping[str, str]:
        """The notes that a command is found by later. Starts nothing of it.

        Raises:
            Refused: the container was started anew since it was looked at.
            EngineUnavailable, docker.errors.APIError: the engine does not take it.
        """
        argv, limit_s = await self._commands.bounded(facts, action.argv, timeout_s=action.timeout_s)

        def register(session: Session) -> str:
            if inspect(session, facts.target_id).instance != facts.instance:
                raise Refused(f"{facts.name}: it was started anew while the command was prepared")
            return commands.create(session, facts.target_id, argv)

        exec_id = await self._engine.call(register, about=facts.target_id)
        return {"exec": exec_id, "limit_s": f"{limit_s:g}"}

    async def run(self, service: HealthyService, action: RunCommand, trace: Trace) -> None:
        """Run a command that was made known; raises as `Actuator.apply` does."""
        loop, pieces = asyncio.get_running_loop(), list[tuple[str, bytes]]()
        limit_s, began_s = float(trace.notes["limit_s"]), loop.time()
        until = began_s + limit_s
        if await self._started(service, trace, pieces, limit_s):
            until = max(until, loop.time() + self._settle_s)
        code = await self._exit_code(service, trace, until)
        if code is None:
            await self._end(service, trace)
        elif loop.time() - began_s >= action.timeout_s and commands.is_timeout(
            code, wrapped=limit_s > action.timeout_s
        ):
            code = None
        if failure := failure_of(action, code, head_of(tuple(pieces), bytes_max=_OUTPUT_BYTES_MAX)):
            raise EffectFailed(failure)

    async def _started(
        self, service: HealthyService, trace: Trace, pieces: list[tuple[str, bytes]], limit_s: float
    ) -> bool:
        """Start it and collect what it says; whether it closed its output before its time was up."""
        exec_id = trace.notes["exec"]
        try:
            await self._engine.call(
                lambda session: commands.start(session, exec_id, pieces, bytes_max=_OUTPUT_BYTES_MAX),
                about=service.key,
                deadline_s=limit_s,
            )
        except errors.NotFound as error:
            raise Refused(f"{service.key}: the run it was prepared for has ended: {explanation(error)}") from error
        except errors.APIError as error:
            raise EffectFailed(f"{service.key}: the engine answered: {explanation(error)}") from error
        except CallFailed as error:
            if error.sent and not error.late:
                raise OutcomeUnknown(f"{service.key}: asked, and the answer was lost: {error}") from error
            if not error.sent:
                raise
            return False
        return True

    async def _exit_code(self, service: HealthyService, trace: Trace, until: float) -> int | None:
        """How it ended; None while it still runs when its time is up. Raises: OutcomeUnknown."""
        loop = asyncio.get_running_loop()
        while True:
            verdict, code = await self._look(service, trace)
            if verdict is Seen.DONE:
                return code
            if loop.time() >= until:
                if verdict is None:
                    return None
                raise OutcomeUnknown(f"{service.key}: the engine took the command and does not say how it ended")
            await asyncio.sleep(self._poll_s)

    async def _end(self, service: HealthyService, trace: Trace) -> None:
        try:
            ended = await self._commands.end(trace.target_id, trace.notes["exec"])
        except (Unavailable, errors.APIError) as error:
            raise OutcomeUnknown(f"{service.key}: past its timeout, and it could not be ended: {error}") from error
        if not ended:
            raise OutcomeUnknown(f"{service.key}: past its timeout, and it could not be ended; it may still run")

    async def seen(self, service: HealthyService, trace: Trace) -> Seen:
        """Whether it was run; waits while it runs, and ends it when its time is up and nobody else did."""
        loop = asyncio.get_running_loop()
        settled_at = loop.time() + self._settle_s
        until = settled_at + float(trace.notes["limit_s"])
        while True:
            verdict, _ = await self._look(service, trace)
            now = loop.time()
            if verdict is Seen.DONE or (verdict is not None and now >= settled_at):
                return verdict
            if verdict is None and now >= until:
                return await self._ended_late(service, trace)
            await asyncio.sleep(self._poll_s)

    async def _ended_late(self, service: HealthyService, trace: Trace) -> Seen:
        try:
            await self._end(service, trace)
        except OutcomeUnknown:
            return Seen.UNKNOWN
        return Seen.DONE

    async def _look(self, service: HealthyService, trace: Trace) -> tuple[Seen | None, int | None]:
        """What the engine says of it now, and the exit code where it has ended; None for Seen while it runs."""
        try:
            about = await self._engine.call(
                lambda session: commands.inspect_exec(session, trace.notes["exec"]), about=service.key
            )
        except (Unavailable, errors.APIError):
            return Seen.UNKNOWN, None
        if about.get("Running") is True:
            return None, None
        code = about.get("ExitCode")
        return (Seen.DONE, code) if isinstance(code, int) else (Seen.NOT_DONE, None)
