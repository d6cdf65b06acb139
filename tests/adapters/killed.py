"""A process that is killed in the middle of asking for an effect on a local process."""

import asyncio
import os
import signal
import sys

from pitcrew.core.action import Action, Trace
from pitcrew.core.resource import HealthyService
from tests.ports.process_world import ProcessWorld

STEPS = ("open", "os.rename", "os.remove", "os.mkdir", "subprocess.Popen", "fcntl.flock", "os.posix_spawn")


def killed_at(world: ProcessWorld, service: HealthyService, action: Action, trace: Trace, point: int) -> bool:
    """Ask for an effect in a child that is killed at its `point`-th operation on files, signals and processes; False
    when it has fewer and came to its end."""
    pid = os.fork()
    if pid == 0:
        _apply_and_die(world, service, action, trace, point)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) != 0


def _apply_and_die(world: ProcessWorld, service: HealthyService, action: Action, trace: Trace, point: int) -> None:
    left = point

    def count(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal left
        if event in STEPS and (event != "open" or str(world.state) in str(arguments[0])):
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    asyncio.events._set_running_loop(None)
    sys.addaudithook(count)
    asyncio.run(world.reopened().apply(service, action, trace))
    os._exit(0)
